"""Journal, snapshots and queries: SQLite and its memory twin under one contract."""
