"""What lies in deploy/ is tried, not only kept: the example settings, the unit, the external broker's files."""
