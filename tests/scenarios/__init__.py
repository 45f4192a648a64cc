"""Readable transcripts, one per rule: a script and, under each step, what the core decided and told whom."""
