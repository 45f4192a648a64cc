"""The real device agents on simulated hardware: a scripted city, the demo, a check for makers' devices."""
