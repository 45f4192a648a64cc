"""The device agents on simulated hardware, one or ten thousand, and a scripted city to put them in."""
