"""The command line's hands: what `dispatchd ctl`, `site`, `device`, `operator` and `replay` do. Speaks HTTP
only."""
