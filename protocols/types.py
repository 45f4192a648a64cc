"""Field types that every message shares, with their units and bounds.

Unknown enum values are kept: an enum on the wire is a `str` whose known values stand here, so that two
versions two years apart still understand the rest of a message.
"""

from typing import Annotated, Final

from msgspec import Meta, Struct

ID_PATTERN: Final = r"^(?!.*\n)[a-z0-9-]{1,32}$"

Id = Annotated[
    str, Meta(pattern=ID_PATTERN, description="lower-case letters, digits and '-', 1 to 32 of them")
]
Ms = Annotated[int, Meta(ge=0, le=2**53, description="milliseconds")]
TimeMs = Annotated[int, Meta(ge=0, le=2**53, description="milliseconds since 1970 UTC")]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Percent = Annotated[int, Meta(ge=0, le=100, description="percent")]
Latitude = Annotated[float, Meta(ge=-90, le=90, description="WGS-84 degrees north")]
Longitude = Annotated[float, Meta(ge=-180, le=180, description="WGS-84 degrees east")]
Metres = Annotated[float, Meta(ge=0, le=2e7, description="metres")]
Degrees = Annotated[float, Meta(ge=0, lt=360, description="degrees clockwise from north")]
Word = Annotated[str, Meta(min_length=1, max_length=32, description="an enum; unknown values are kept")]
Text = Annotated[str, Meta(max_length=1000, description="what a person reads or hears")]
ShortText = Annotated[str, Meta(max_length=100)]


def known(*values: str) -> Meta:
    """The values of an enum that this version knows, shown in the AsyncAPI document."""
    return Meta(extra_json_schema={"x-known-values": list(values)})


ALARM_KINDS: Final = ("one-key", "duress", "emergency", "tamper", "fault", "stuck")
ANSWERS: Final = ("accept", "decline", "en-route", "on-scene", "done")
RUNGS: Final = ("delivered", "presented", "acknowledged", "failed")
REASONS: Final = ("offline", "expired", "no-answer", "player-failed", "muted", "refused", "left")
PRIORITIES: Final = ("normal", "imminent-peril", "emergency")
FORCES: Final = ("police", "auxiliary", "volunteer")
ROLES: Final = ("viewer", "operator", "duty-leader", "admin")
OUTCOMES: Final = ("genuine", "mistaken", "prank", "equipment", "unverifiable", "drill")

CARRIAGES: Final = ("datagram", "mqtt", "webrtc", "none")
TALKERS: Final = ("device", "operator")
FLOOR_DENY: Final = (
    "another-talks",
    "internal",
    "only-one-participant",
    "retry-after",
    "receive-only",
    "no-resources",
    "queue-full",
    "unknown-group",
    "muted",
    "other",
)
"""Causes of TS 24.380 8.2.6.2, and two of ours that it would call `other`."""
FLOOR_REVOKE: Final = (
    "only-one-participant",
    "too-long",
    "no-permission",
    "pre-empted",
    "unreadable",
    "other",
)
FLOOR_IDLE: Final = ("released", "end-of-media", "no-media", "revoked", "left", "restart", "closed")

AlarmKind = Annotated[Word, known(*ALARM_KINDS)]
AnswerKind = Annotated[Word, known(*ANSWERS)]
RungKind = Annotated[Word, known(*RUNGS)]
Reason = Annotated[Word, known(*REASONS)]
Priority = Annotated[Word, known(*PRIORITIES)]
Carriage = Annotated[Word, known(*CARRIAGES)]


class Position(Struct, frozen=True, omit_defaults=True):
    """Where something is, how sure, and how old that is by the device's monotonic clock."""

    lat: Latitude
    lon: Longitude
    accuracy_m: Metres | None = None
    age_ms: Ms = 0


class Key(Struct, frozen=True):
    """Names one durable message of one device for ever: stamped when it was made, kept across boots.

    `boot` names the boot during which it was made, `seq` counts within the device (or within the boot,
    where a board cannot keep a counter).
    """

    boot: Id
    seq: Count
