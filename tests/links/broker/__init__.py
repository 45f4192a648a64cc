"""Tests of the embedded broker: the same on both brokers, then amqtt's cured flaws one by one, then the
process.
"""
