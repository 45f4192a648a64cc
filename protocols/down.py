"""What the daemon says: `{root}/d/{device}/down/{kind}`, each the body of an Envelope.

An item (whatever has an `item` id) is repeated until its device reports the rung `delivered`; a device
that gets one twice reports again and acts once. TTL and `sent_at` are in the envelope.
"""

from typing import Annotated, Final

from msgspec import Meta, Struct

from .prompts import LIGHTS, PROMPTS, UNCHANGED
from .types import (
    AlarmKind,
    Count,
    Degrees,
    Id,
    Key,
    Metres,
    Position,
    Priority,
    ShortText,
    Text,
    TimeMs,
    Word,
    known,
)


class Hello(Struct, frozen=True, omit_defaults=True):
    """Answer to a hello: the site's time, by which the device judges expiry, and what is to come."""

    nonce: Annotated[bytes, Meta(min_length=8, max_length=32)]
    site_time: TimeMs
    pending: Annotated[Count, Meta(description="items that follow")] = 0
    alarms_since: Annotated[
        TimeMs | None, Meta(description="send kept alarms since then again (restore)")
    ] = None
    state_every_s: Annotated[int, Meta(ge=1, le=60)] = 5


class Receipted(Struct, frozen=True, omit_defaults=True):
    """One key and what became of it: `committed` is on disk; `refused` will never be, stop repeating."""

    key: Key
    outcome: Annotated[Word, known("committed", "refused")] = "committed"
    incident: Id | None = None
    reason: ShortText = ""


class Receipt(Struct, frozen=True):
    """Leaves only after the commit."""

    items: Annotated[list[Receipted], Meta(min_length=1, max_length=200)]


class Call(Struct, frozen=True, omit_defaults=True):
    """Come to this place. `rev` grows when who-else-accepted changes; the highest counts."""

    item: Id
    call: Id
    incident: Id
    patrol: Id
    kind: AlarmKind
    rev: Count = 0
    point: ShortText = ""
    place: ShortText = ""
    position: Position | None = None
    distance_m: Metres | None = None
    bearing_deg: Degrees | None = None
    order: Annotated[Word, known("respond", "observe")] = "respond"
    accepted_by: Annotated[list[Id], Meta(max_length=100)] = []
    silent: bool = False
    drill: bool = False
    remind_every_s: Annotated[int, Meta(ge=1, le=60)] = 5
    remind_for_s: Annotated[int, Meta(ge=0, le=600)] = 60
    min_volume_pct: Annotated[int, Meta(ge=0, le=100)] = 60


class StandDown(Struct, frozen=True, omit_defaults=True):
    """You are not needed on this call any more, and why."""

    item: Id
    call: Id
    incident: Id
    reason: Annotated[Word, known("enough", "ended", "owner", "real-alarm", "merged")] = "enough"
    silent: bool = False
    drill: bool = False


class Order(Struct, frozen=True, omit_defaults=True):
    """The owner changes how called patrols behave: observe (hazard), respond again, silent, sounding again."""

    item: Id
    incident: Id
    order: Annotated[Word, known("observe", "respond", "silent", "sound")]
    text: Text = ""
    silent: bool = False
    drill: bool = False


class Alert(Struct, frozen=True, omit_defaults=True):
    """To a duty leader's terminal: an incident has no owner."""

    item: Id
    incident: Id
    text: Text
    count: Count = 1
    drill: bool = False


class Broadcast(Struct, frozen=True, omit_defaults=True):
    """One word to many. After `expires_at` (site time) it is not presented any more."""

    item: Id
    broadcast: Id
    text: Text
    priority: Priority = "normal"
    lang: ShortText = "zh"
    sender: ShortText = ""
    expires_at: TimeMs = 0
    ack: Annotated[bool, Meta(description="a human is asked to acknowledge")] = False
    drill: bool = False


class BroadcastCancel(Struct, frozen=True, omit_defaults=True):
    """Present it no more; take it off the screen."""

    item: Id
    broadcast: Id
    drill: bool = False


class Prompt(Struct, frozen=True, omit_defaults=True):
    """What a pillar tells the citizen: voice, light and text of `code` (docs/wire.md).

    `until` is the site time after which it is not said any more (light and text stay).
    """

    item: Id
    incident: Id
    code: Annotated[Word, known(*PROMPTS)]
    text: Text = ""
    text_en: Text = ""
    light: Annotated[Word, known(*LIGHTS, UNCHANGED)] = "off"
    until: TimeMs = 0
    question: Id | None = None
    drill: bool = False


class Lamp(Struct, frozen=True, omit_defaults=True):
    """The police lamp of the rally point."""

    item: Id
    pattern: Annotated[Word, known("off", "steady", "flash")]
    until: TimeMs = 0
    drill: bool = False


class Config(Struct, frozen=True):
    """Settings of this device; answered by `applied` with the version. Values keep their names' units."""

    version: Count
    values: Annotated[dict[ShortText, int | bool | ShortText], Meta(max_length=100)]


class Membership(Struct, frozen=True, omit_defaults=True):
    """The patrol this device serves and the talk groups it is in. Answered by `applied`."""

    version: Count
    patrol: Id | None = None
    on_duty: bool = False
    groups: Annotated[list[Id], Meta(max_length=100)] = []


KINDS: Final[dict[str, type[Struct]]] = {
    "hello": Hello,
    "receipt": Receipt,
    "call": Call,
    "stand-down": StandDown,
    "order": Order,
    "alert": Alert,
    "broadcast": Broadcast,
    "broadcast-cancel": BroadcastCancel,
    "prompt": Prompt,
    "lamp": Lamp,
    "config": Config,
    "membership": Membership,
}
Item = Call | StandDown | Order | Alert | Broadcast | BroadcastCancel | Prompt | Lamp
Down = Hello | Receipt | Item | Config | Membership
GROUP_KINDS: Final[dict[str, type[Struct]]] = {"broadcast": Broadcast, "broadcast-cancel": BroadcastCancel}
"""What comes on `{root}/g/{talkgroup}/down/{kind}`: the second route of a broadcast; voice later."""
