"""What the core is told. Links make these; the engine gives each with one `now_ms`."""

from msgspec import Struct

from protocols import up

from .commands import Command


class DeviceSaid(Struct, frozen=True):
    """An authenticated device's message below `up/`."""

    device: str
    message: up.Up


class PresenceSeen(Struct, frozen=True):
    """The retained birth or death of a device."""

    device: str
    presence: up.Presence


class OperatorAsked(Struct, frozen=True):
    """A command of a signed-in operator."""

    operator: str
    command: Command


class OperatorSeen(Struct, frozen=True):
    """`connections` live feeds of this operator now; also sent at any request of his."""

    operator: str
    connections: int | None = None


class DaemonStarted(Struct, frozen=True):
    """First input after the state was folded. `start` is the store's start counter.

    `admin_hash` is the token of whoever may read the daemon's folder: the admin of the top unit.
    """

    start: int
    gen: int
    code: str = ""
    admin_hash: str = ""


class LinkUp(Struct, frozen=True):
    """The link to the broker stands again: everything pending is sent anew."""


class StoreFailed(Struct, frozen=True):
    """Nothing could be committed since `since_ms` (core time), for this reason; the engine tries whether it can now."""

    since_ms: int
    why: str


class Tick(Struct, frozen=True):
    """The deadline the core named has come."""


Input = DeviceSaid | PresenceSeen | OperatorAsked | OperatorSeen | DaemonStarted | LinkUp | StoreFailed | Tick
