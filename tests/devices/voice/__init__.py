"""Tests of the voice of a device."""
