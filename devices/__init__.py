"""What runs on a pillar or a terminal. Depends on `protocols` only."""
