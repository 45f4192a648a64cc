"""Tests of the journal, its twin, and what survives a kill."""
