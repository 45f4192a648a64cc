"""What the core wants done, as data. Performed after the commit, at least once, by links."""

from msgspec import Struct

from protocols.down import Down


class Send(Struct, frozen=True):
    """To one device, in an envelope that lives `ttl_ms` (0 = for ever)."""

    device: str
    message: Down
    ttl_ms: int


class SendGroup(Struct, frozen=True):
    """To every member of a talk group."""

    group: str
    message: Down
    ttl_ms: int


class SyncAccess(Struct, frozen=True):
    """Who may connect, or what he may read, changed: the broker's access list is to be written anew."""


Effect = Send | SendGroup | SyncAccess
