"""The daemon as a process, on real brokers, real files and a real network: what no part shows alone."""
