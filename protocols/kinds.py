"""Every kind of message in one row: where it goes, at which QoS, who has it, what ends its repeating.

The MQTT links, the AsyncAPI document and docs/wire.md all read this table; the structs stand in up.py and
down.py. A kind whose struct has a `key` is durable; one whose struct has an `item` is reported by rungs.
"""

from typing import Final, Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import fields

from . import down, up

Way = Literal["up", "down", "group", "presence"]
BOTH: Final = ("pillar", "terminal")
PILLAR: Final = ("pillar",)
TERMINAL: Final = ("terminal",)


class Kind(NamedTuple):
    """`who` are the devices that send it (up, presence) or get it (down, group)."""

    way: Way
    name: str
    type: type[Struct]
    who: tuple[str, ...]
    qos: int = 1
    retain: bool = False
    ends: str = ""

    @property
    def durable(self) -> bool:
        """Kept in the device's outbox and repeated until the daemon's receipt names its key."""
        return self.way == "up" and _has(self.type, "key")

    @property
    def item(self) -> bool:
        """Repeated by the daemon until the device reports the rung `delivered`."""
        return _has(self.type, "item")

    @property
    def ended_by(self) -> str:
        """What ends its repeating, as a sentence's end."""
        if self.durable:
            return "down `receipt` that names its key"
        return "up `rung` that names its item" if self.item else self.ends or "nothing; it is not repeated"


def _has(type_: type[Struct], name: str) -> bool:
    return any(field.name == name for field in fields(type_))


_WHO: Final = {
    "up": {
        "answer": TERMINAL,
        "duty": TERMINAL,
        "cancel": PILLAR,
        "reply": PILLAR,
        "floor-request": TERMINAL,
        "floor-release": TERMINAL,
        "floor-queue-position-request": TERMINAL,
        "webrtc-offer": PILLAR,
        "webrtc-bye": PILLAR,
        "sounding": PILLAR,
    },
    "down": {
        "call": TERMINAL,
        "stand-down": TERMINAL,
        "order": TERMINAL,
        "alert": TERMINAL,
        "prompt": PILLAR,
        "lamp": PILLAR,
        "microphone": PILLAR,
        "floor-granted": TERMINAL,
        "floor-deny": TERMINAL,
        "floor-revoke": TERMINAL,
        "floor-queue-position-info": TERMINAL,
        "webrtc-answer": PILLAR,
    },
}
_QOS_0: Final = {("up", "state")}
_ENDS: Final = {
    ("up", "hello"): "down `hello` with its nonce",
    ("up", "state"): "nothing; the next state replaces it",
    ("down", "hello"): "nothing; the device says hello again",
    ("down", "receipt"): "nothing; the device repeats what it misses a receipt for",
    ("down", "config"): "up `applied` with its version",
    ("down", "membership"): "up `applied` with its version",
    ("up", "floor-request"): "down `floor-granted`, `floor-deny` or `floor-queue-position-info` with its ref",
    ("up", "floor-release"): "down `floor-idle` or `floor-taken` of another",
    ("up", "voice-join"): "down `voice-keys` with its nonce",
    ("up", "catch-up"): "nothing; the sound itself",
    ("up", "clip-request"): "down `clip-part`s; the device asks again for those it misses",
    ("up", "webrtc-offer"): "down `webrtc-answer` with its session",
    ("down", "floor-granted"): "the burst's first frame",
}


def _of(way: Literal["up", "down"], kinds: dict[str, type[Struct]]) -> list[Kind]:
    return [
        Kind(
            way,
            name,
            type_,
            _WHO[way].get(name, BOTH),
            qos=0 if (way, name) in _QOS_0 else 1,
            ends=_ENDS.get((way, name), ""),
        )
        for name, type_ in kinds.items()
    ]


ALL: Final = (
    Kind("presence", "presence", up.Presence, BOTH, retain=True, ends="nothing; the broker retains the last"),
    *_of("up", up.KINDS),
    *_of("down", down.KINDS),
    *(Kind("group", name, type_, BOTH) for name, type_ in down.GROUP_KINDS.items()),
)


class Bare(NamedTuple):
    """A topic whose payload is one sealed frame (protocols.sframe), neither MessagePack map nor envelope. QoS 0."""

    id: str
    address: str
    sent: bool
    who: tuple[str, ...]
    what: str


BARE: Final = (
    Bare(
        "up-voice",
        "{root}/d/{device}/up/voice",
        True,
        TERMINAL,
        "One sealed frame of the device that has the floor, while it is on MQTT",
    ),
    Bare(
        "group-voice",
        "{root}/g/{talkgroup}/voice",
        False,
        BOTH,
        "One sealed frame for the talk group; a device subscribes while it is on MQTT",
    ),
    Bare(
        "down-voice",
        "{root}/d/{device}/down/voice",
        False,
        BOTH,
        "One sealed frame that this device asked for by `catch-up`, while it is on MQTT",
    ),
)


def qos(way: Way, name: str) -> int:
    """Of a kind of version 1; KeyError for any other."""
    return _QOS_OF[way, name]


_QOS_OF: Final = {(kind.way, kind.name): kind.qos for kind in ALL}
