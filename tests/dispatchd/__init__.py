"""Tests of dispatchd."""
