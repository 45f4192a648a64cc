"""What the core wants done, as data. Performed after the commit, at least once, by links and the voice room."""

from msgspec import Struct

from protocols.down import Down, Floor


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


class SetFloor(Struct, frozen=True, omit_defaults=True):
    """Who talks in a talk group from now on: his frames of this burst are passed on to `groups`; burst 0 = nobody.

    `talker` is a device id or "@" and an operator's. `ended` is the burst that is over. `not_for`: devices that must
    not hear it, near a talking pillar or where a silent incident was raised.
    """

    group: str
    burst: int = 0
    talker: str = ""
    groups: tuple[str, ...] = ()
    priority: str = "normal"
    incident: str = ""
    ended: int = 0
    not_for: tuple[str, ...] = ()
    drill: bool = False


class SyncVoice(Struct, frozen=True):
    """Who may hear what changed (membership, groups, intercoms): the voice room reads the state anew."""


class TellOperator(Struct, frozen=True):
    """A floor message to all live voice sessions of one operator."""

    operator: str
    message: Floor


Effect = Send | SendGroup | SyncAccess | SetFloor | SyncVoice | TellOperator
