"""What somebody builds who has only docs/asyncapi.yaml, against the real daemon on both brokers."""
