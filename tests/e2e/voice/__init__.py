"""Voice as people hear it: a daemon process, its broker, terminals with microphones and loudspeakers, a bad network."""
