"""PURE decisions: no clock, no randomness, no await, no logging, no I/O."""
