"""The voice room, with real sound and real files."""
