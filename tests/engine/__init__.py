"""Engine, ledger, clock, keeping and access with real stores and the real core."""
