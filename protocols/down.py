"""What the daemon says: `{root}/d/{device}/down/{kind}`, each the body of an Envelope.

An item (whatever has an `item` id) is repeated until its device reports the rung `delivered`; a device
that gets one twice reports again and acts once. TTL and `sent_at` are in the envelope.
"""

from typing import Annotated, Final

from msgspec import Meta, Struct

from .prompts import LIGHTS, PROMPTS, UNCHANGED
from .types import (
    FLOOR_DENY,
    FLOOR_IDLE,
    FLOOR_REVOKE,
    TALKERS,
    AlarmKind,
    Count,
    Degrees,
    Id,
    Key,
    Metres,
    Ms,
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
    hot_microphone_s: Annotated[
        int, Meta(ge=0, le=60, description="the emergency key opens the microphone for so long (seconds)")
    ] = 10


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


class Clip(Struct, frozen=True):
    """A piece of sound to fetch by `clip-request`: its parts together have the SHA-256, and last so long."""

    clip: Id
    ms: Ms
    parts: Annotated[int, Meta(ge=1, le=64)]
    sha256: Annotated[bytes, Meta(min_length=32, max_length=32)]


class Broadcast(Struct, frozen=True, omit_defaults=True):
    """One word to many. After `expires_at` (site time) it is not presented any more.

    With a `clip` its sound is played, `text` shown; with `live` the sound comes as bursts of that talk group while
    it lasts, and `presented` is the end of a burst that was heard.
    """

    item: Id
    broadcast: Id
    text: Text
    priority: Priority = "normal"
    lang: ShortText = "zh"
    sender: ShortText = ""
    expires_at: TimeMs = 0
    ack: Annotated[bool, Meta(description="a human is asked to acknowledge")] = False
    clip: Clip | None = None
    live: Id | None = None
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


class Microphone(Struct, frozen=True, omit_defaults=True):
    """Open the pillar's sound to the control room (WebRTC), or close it.

    After an alarm the pillar opens it by itself; `tone` asks for a tone and a light while anyone hears (no alarm).
    `silent`: nothing of it may be heard or seen at the pillar.
    """

    item: Id
    open: bool
    incident: Id | None = None
    tone: bool = False
    silent: bool = False
    drill: bool = False


class Config(Struct, frozen=True):
    """Settings of this device; answered by `applied` with the version. Values keep their names' units."""

    version: Count
    values: Annotated[dict[ShortText, int | bool | ShortText], Meta(max_length=100)]


class TalkGroup(Struct, frozen=True, omit_defaults=True):
    """One of the device's talk groups. `scan`: the higher is heard first. `talk`: it may ask for the floor."""

    group: Id
    name: ShortText = ""
    scan: Count = 0
    talk: bool = True
    incident: Id | None = None
    silent: bool = False


class Membership(Struct, frozen=True, omit_defaults=True):
    """The patrol this device serves and the talk groups it is in. Answered by `applied`.

    `groups` and `talk` name the same groups; a device without voice needs the first only. The first of `talk` is what
    a terminal transmits on until its user chooses another.
    """

    version: Count
    patrol: Id | None = None
    on_duty: bool = False
    groups: Annotated[list[Id], Meta(max_length=100)] = []
    talk: Annotated[list[TalkGroup], Meta(max_length=100)] = []


# --- voice: floor (TS 24.380), keys, clips; short-lived, so nothing of it is repeated by the daemon unless said ------


class FloorGranted(Struct, frozen=True, omit_defaults=True):
    """Talk now, at most `talk_ms`. Repeated every second until sound arrives."""

    group: Id
    ref: Count
    burst: Count
    talk_ms: Ms
    priority: Priority = "normal"


class FloorDeny(Struct, frozen=True, omit_defaults=True):
    """Not now, and why."""

    group: Id
    ref: Count
    cause: Annotated[Word, known(*FLOOR_DENY)]
    text: Text = ""
    text_en: Text = ""


class FloorRevoke(Struct, frozen=True, omit_defaults=True):
    """Stop talking: what comes after `grace_ms` is dropped."""

    group: Id
    burst: Count
    cause: Annotated[Word, known(*FLOOR_REVOKE)]
    grace_ms: Ms = 0


class FloorQueuePositionInfo(Struct, frozen=True):
    """You are number `position` of `waiting`; 0 = not in the queue (any more)."""

    group: Id
    ref: Count
    position: Count
    waiting: Count


class FloorTaken(Struct, frozen=True, omit_defaults=True):
    """Somebody talks: to the talk group when it begins, to one device when it comes late (`age_ms` then).

    `groups`: the groups patched together that hear it. `not_for`: devices so near the talking pillar that they would
    howl; they do not play it.
    """

    group: Id
    burst: Count
    talker: Id
    talker_kind: Annotated[Word, known(*TALKERS)] = "device"
    name: ShortText = ""
    priority: Priority = "normal"
    age_ms: Ms = 0
    groups: Annotated[list[Id], Meta(max_length=100)] = []
    not_for: Annotated[list[Id], Meta(max_length=100)] = []
    silent: bool = False


class FloorIdle(Struct, frozen=True, omit_defaults=True):
    """Nobody talks any more; `burst` was the last."""

    group: Id
    burst: Count = 0
    why: Annotated[Word, known(*FLOOR_IDLE)] = "released"


class VoiceKeys(Struct, frozen=True):
    """Answer to `voice-join`, and again when the keys change: protocols.voice_keys.Keys sealed for this device alone.

    `nonce` is that of its last join; `public` an ephemeral P-256 point of the daemon.
    """

    nonce: Annotated[bytes, Meta(min_length=8, max_length=32)]
    public: Annotated[bytes, Meta(min_length=65, max_length=65)]
    sealed: Annotated[bytes, Meta(max_length=16_000)]


class VoiceReset(Struct, frozen=True):
    """To a talk group: the daemon's voice was started anew (`start` grows), all keys are dead; join again."""

    start: Count


class ClipPart(Struct, frozen=True):
    """Part `part` of a clip: `frames` are Opus packets of 20 ms each, in order."""

    clip: Id
    part: Annotated[int, Meta(ge=0, lt=64)]
    frames: Annotated[list[bytes], Meta(max_length=1000)]


class WebrtcAnswer(Struct, frozen=True, omit_defaults=True):
    """SDP answer, or why there is none."""

    session: Id
    sdp: Annotated[str, Meta(max_length=16_000)] = ""
    error: ShortText = ""


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
    "microphone": Microphone,
    "config": Config,
    "membership": Membership,
    "floor-granted": FloorGranted,
    "floor-deny": FloorDeny,
    "floor-revoke": FloorRevoke,
    "floor-queue-position-info": FloorQueuePositionInfo,
    "floor-taken": FloorTaken,
    "floor-idle": FloorIdle,
    "voice-keys": VoiceKeys,
    "voice-reset": VoiceReset,
    "clip-part": ClipPart,
    "webrtc-answer": WebrtcAnswer,
}
Item = Call | StandDown | Order | Alert | Broadcast | BroadcastCancel | Prompt | Lamp | Microphone
Floor = FloorGranted | FloorDeny | FloorRevoke | FloorQueuePositionInfo | FloorTaken | FloorIdle
Voice = VoiceKeys | VoiceReset | ClipPart | WebrtcAnswer
Down = Hello | Receipt | Item | Config | Membership | Floor | Voice
GROUP_KINDS: Final[dict[str, type[Struct]]] = {
    "broadcast": Broadcast,
    "broadcast-cancel": BroadcastCancel,
    "floor-taken": FloorTaken,
    "floor-idle": FloorIdle,
    "voice-reset": VoiceReset,
}
"""What comes on `{root}/g/{talkgroup}/down/{kind}`; the frames themselves on `{root}/g/{talkgroup}/voice`."""
