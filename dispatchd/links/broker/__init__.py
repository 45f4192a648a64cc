"""The embedded broker: a child process, mosquitto when it is found, else amqtt, fenced by one access list.

What must hold: both brokers let in, refuse and carry the same (tests run one matrix on both); a secret is
in no log and on no command line; the child dies with its parent; no promise of the system rests on the
broker's memory.

Start at `process.EmbeddedBroker` and `access.Access`. Nothing is imported here, so that the amqtt child
starts without what only its parent needs.
"""
