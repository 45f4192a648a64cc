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
    Carriage,
    Count,
    Id,
    Key,
    Ms,
    Percent,
    Position,
    Priority,
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


# --- voice: floor (TS 24.380), keys, carriage; not durable: the device asks again until it is answered --------------


class FloorRequest(Struct, frozen=True, omit_defaults=True):
    """May I talk? Repeated under the same `ref` until answered. `emergency` waits for nobody."""

    group: Id
    ref: Annotated[Count, Meta(description="grows with every press of the talk key within a boot")]
    priority: Priority = "normal"


class FloorRelease(Struct, frozen=True):
    """The talk key was let go: ends the burst, or leaves the queue."""

    group: Id
    ref: Count


class FloorQueuePositionRequest(Struct, frozen=True):
    """Where am I in the queue?"""

    group: Id
    ref: Count


class VoiceJoin(Struct, frozen=True, omit_defaults=True):
    """New voice keys, please: after every connect, and when nothing can be opened any more."""

    nonce: Annotated[bytes, Meta(min_length=8, max_length=32)]
    public: Annotated[
        bytes, Meta(min_length=65, max_length=65, description="P-256 point, uncompressed; fresh each time")
    ]
    carriage: Carriage = "datagram"


class VoiceCarriage(Struct, frozen=True, omit_defaults=True):
    """The device switched by itself; on `mqtt` it has subscribed to the voice of its groups already."""

    carriage: Carriage
    why: ShortText = ""


class CatchUp(Struct, frozen=True):
    """I missed this burst from frame `seq` on; answered by its last seconds, flagged, if the site wants that."""

    group: Id
    burst: Count
    seq: Count


class ClipRequest(Struct, frozen=True):
    """Send me these parts of a clip (the sound of a broadcast)."""

    clip: Id
    parts: Annotated[list[Annotated[int, Meta(ge=0, lt=64)]], Meta(min_length=1, max_length=64)]


class WebrtcOffer(Struct, frozen=True):
    """SDP with all candidates in it; answered by down `webrtc-answer` with the same session."""

    session: Id
    sdp: Annotated[str, Meta(max_length=16_000)]


class WebrtcBye(Struct, frozen=True):
    """This session is over."""

    session: Id


class Sounding(Struct, frozen=True):
    """The pillar's speaker sounds, or is silent again: meanwhile its microphone is not passed on to the talk group."""

    on: bool


class Howling(Struct, frozen=True, omit_defaults=True):
    """The device heard its own sound come back and muted its microphone for so long."""

    muted_ms: Ms
    group: Id | None = None


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
    "floor-request": FloorRequest,
    "floor-release": FloorRelease,
    "floor-queue-position-request": FloorQueuePositionRequest,
    "voice-join": VoiceJoin,
    "voice-carriage": VoiceCarriage,
    "catch-up": CatchUp,
    "clip-request": ClipRequest,
    "webrtc-offer": WebrtcOffer,
    "webrtc-bye": WebrtcBye,
    "sounding": Sounding,
    "howling": Howling,
}
Floor = FloorRequest | FloorRelease | FloorQueuePositionRequest
Voice = VoiceJoin | VoiceCarriage | CatchUp | ClipRequest | WebrtcOffer | WebrtcBye | Sounding
"""What the voice room answers; it is no input of the core."""
Up = Hello | State | Alarm | Answer | Rung | Cancel | Reply | Duty | Applied | Floor | Voice | Howling
"""Everything below `up/` but the bare frames of `voice`; Presence has a topic of its own."""
