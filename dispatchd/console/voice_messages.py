"""What is said on the voice WebSocket, both ways; docs/voice-api.md tells it to whoever writes a client. Pure.

Floor messages out are those of the wire (protocols/down.py) with their `type`; the others are made here.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from dispatchd.core.state import Intercom
from protocols import down
from protocols.codec import DOWN_KIND
from protocols.types import Count, Id, Priority

MAX_HEAR: Final = 8
Channel = Annotated[str, Meta(max_length=40, pattern=r"^(@up/)?[a-z0-9-]{0,32}$")]


class _In(Struct, frozen=True, tag_field="type"):
    pass


class Offer(_In, frozen=True, tag="offer"):
    """SDP of this screen's peer connection; a new one replaces the former session of this socket."""

    sdp: Annotated[str, Meta(max_length=60_000)]


class Hear(_In, frozen=True, tag="hear"):
    """What each slot shall hear, in the order of the offer; "" = nothing."""

    slots: Annotated[list[Channel], Meta(max_length=MAX_HEAR)]


class FloorRequest(_In, frozen=True, tag="floor-request"):
    """May I talk? `ref` grows with every press of the talk key."""

    group: Id
    ref: Count
    priority: Priority = "normal"


class FloorRelease(_In, frozen=True, tag="floor-release"):
    """The talk key was let go."""

    group: Id
    ref: Count


class TalkBack(_In, frozen=True, tag="talk-back"):
    """My microphone sounds at the pillar of this incident, or no longer."""

    incident: Id
    on: bool


class Bye(_In, frozen=True, tag="bye"):
    """The peer connection of this socket is over; the socket stays."""


class Ping(_In, frozen=True, tag="ping"):
    """Answered by `pong`."""


Message = Offer | Hear | FloorRequest | FloorRelease | TalkBack | Bye | Ping
_decoder: Final[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(Message)


def parse(text: str | bytes) -> Message:
    """msgspec.DecodeError says what is wrong and where."""
    return _decoder.decode(text)


def floor(message: down.Floor) -> dict[str, Any]:
    """Every field is there, also where it has its default."""
    fields = {name: getattr(message, name) for name in message.__struct_fields__}
    return {"type": DOWN_KIND[type(message)], **fields}


def error(code: str, why: str, about: str = "") -> dict[str, Any]:
    return {"type": "error", "code": code, "why": why, "about": about}


def hearing(channels: list[str]) -> dict[str, Any]:
    return {"type": "hearing", "slots": channels}


def intercom(found: Intercom, slot: int) -> dict[str, Any]:
    """A pillar is heard by itself in this slot; -1 = this screen has no session or no slot for it."""
    return {
        "type": "intercom",
        "open": True,
        "pillar": found.device,
        "incident": found.incident,
        "slot": slot,
        "patched": found.patched,
        "silent": found.silent,
        "back": found.back.removeprefix("@"),
        "drill": found.drill,
    }


def intercom_closed(pillar: str, incident: str) -> dict[str, Any]:
    return {"type": "intercom", "open": False, "pillar": pillar, "incident": incident, "slot": -1}
