"""What a device says: `{root}/d/{device}/up/{kind}`, MessagePack maps, unknown fields ignored.

Messages with a `key` are durable: the device keeps them in its outbox and repeats them, first after
RETRY_FIRST_S, then doubling up to RETRY_MAX_S, until a receipt names the key. Who sent a message is the
authenticated identity in the topic, never a field.
"""

from typing import Annotated, Final

from msgspec import Meta, Struct

from .types import (
    AlarmKind,
    AnswerKind,
    Count,
    Id,
    Key,
    Ms,
    Percent,
    Position,
    Reason,
    RungKind,
    ShortText,
    Text,
    Word,
    known,
)

STATE_EVERY_S: Final = 5
"""A device on line sends `state` this often; three missed are an offline device (15 s)."""
RETRY_FIRST_S: Final = 1
RETRY_MAX_S: Final = 15
KEEP_RECEIPTED_DAYS: Final = 30
"""How long a device keeps receipted alarms, so that a restored site can ask for them again."""


class Presence(Struct, frozen=True):
    """Retained birth (by the device) or death (by its will). A hint: only `hello` proves a device is heard."""

    online: bool
    conn: Annotated[Count, Meta(description="connection number; grows with every connection of this device")]


class Hello(Struct, frozen=True, omit_defaults=True):
    """First words after every connect; answered by the down message `hello` with the same nonce."""

    nonce: Annotated[bytes, Meta(min_length=8, max_length=32)]
    conn: Count
    boot: Id
    role: Annotated[Word, known("pillar", "terminal")] = "terminal"
    profile: Annotated[Word, known("A", "B", "C")] = "A"
    firmware: ShortText = ""
    outbox: Annotated[Count, Meta(description="durable messages not receipted yet")] = 0
    gen: Annotated[Count, Meta(description="highest site generation seen")] = 0
    config: Annotated[Count, Meta(description="version of the configuration applied")] = 0


class State(Struct, frozen=True, omit_defaults=True):
    """How the device is, every STATE_EVERY_S seconds (QoS 0). Off duty a terminal leaves the position out."""

    conn: Count
    position: Position | None = None
    battery_pct: Percent | None = None
    signal_pct: Percent | None = None
    volume_pct: Percent | None = None
    muted: bool = False
    firmware: ShortText = ""


class Alarm(Struct, frozen=True, omit_defaults=True):
    """Somebody needs help, or the device itself does. An unknown kind counts as one-key."""

    key: Key
    kind: AlarmKind = "one-key"
    age_ms: Annotated[Ms | None, Meta(description="since the press; none = unknown, after a reboot")] = None
    position: Position | None = None
    drill: bool = False
    detail: Text = ""


class Answer(Struct, frozen=True, omit_defaults=True):
    """A patrol's word on a call."""

    key: Key
    call: Id
    patrol: Id
    answer: AnswerKind
    age_ms: Ms | None = None


class Rung(Struct, frozen=True, omit_defaults=True):
    """How far an item (call, order, stand-down, broadcast, prompt, lamp, alert) came at this device.

    `failed` says why it went no further. `presented` carries the volume it was played at.
    """

    key: Key
    item: Id
    rung: RungKind
    reason: Reason | None = None
    age_ms: Ms | None = None
    volume_pct: Percent | None = None


class Cancel(Struct, frozen=True, omit_defaults=True):
    """The citizen says it is over. A note to the owner, never an end."""

    key: Key
    alarm: Key | None = None
    age_ms: Ms | None = None


class Reply(Struct, frozen=True, omit_defaults=True):
    """The citizen's answer to the owner's open yes/no question (two presses yes, one no)."""

    key: Key
    question: Id
    yes: bool
    age_ms: Ms | None = None


class Duty(Struct, frozen=True, omit_defaults=True):
    """A terminal's patrol clocks in or out."""

    key: Key
    on: bool
    age_ms: Ms | None = None


class Applied(Struct, frozen=True, omit_defaults=True):
    """`config` or `membership` of this version is in force, or why it is not."""

    key: Key
    what: Annotated[Word, known("config", "membership")]
    version: Count
    ok: bool = True
    error: Text = ""


KINDS: Final[dict[str, type[Struct]]] = {
    "hello": Hello,
    "state": State,
    "alarm": Alarm,
    "answer": Answer,
    "rung": Rung,
    "cancel": Cancel,
    "reply": Reply,
    "duty": Duty,
    "applied": Applied,
}
Up = Hello | State | Alarm | Answer | Rung | Cancel | Reply | Duty | Applied
"""Everything below `up/`; Presence has a topic of its own."""
