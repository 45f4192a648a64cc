"""Tests of what is delivered: the wheel, the locks, the walls between rooms, and the tree itself."""
