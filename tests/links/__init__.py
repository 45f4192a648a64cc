"""Tests of dispatchd.links, on real brokers."""
