"""Tests mirror the tree; scenarios/ are transcripts, simulation/ is seeded, contract/ knows only the wire."""
