"""The voice of a device: sound in and out, the radio, and what carries frames between it and the daemon."""
