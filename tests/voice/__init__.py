"""The voice room, with real sockets and a real broker where it has any."""
