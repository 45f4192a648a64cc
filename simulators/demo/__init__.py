"""The demo site, its maker, and the run that shows it."""
