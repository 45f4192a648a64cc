"""The real core in a small city of chance: seeded faults, rules checked at every step, then healing."""
