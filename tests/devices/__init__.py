"""Of what runs on a pillar or terminal: pure tables per behaviour, the outbox, the shell on real brokers."""
