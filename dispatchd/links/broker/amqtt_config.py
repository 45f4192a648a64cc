"""What parent and amqtt child agree on: the configuration file and the words on the pipes."""

import msgspec

MODULE = "dispatchd.links.broker.amqtt_child"
READY = "amqtt listens on"  # a log line on stderr
RELOAD = b"reload"  # a line on stdin, answered on stdout:
RELOADED = "reloaded"
FAILED = "failed"


class ChildConfig(msgspec.Struct, frozen=True):
    """Where to listen and where the access list lies."""

    host: str
    port: int
    access_path: str
