"""What happens to a device and what it does: the events an agent takes and the actions it returns.

An agent (`devices/pillar.py`, `devices/terminal.py`) is a state machine without clock or I/O:
`handle(event, now_ms) -> list[Action]` and `deadline() -> int | None`, with `now_ms` from a monotonic clock.
Whoever drives it (the shell, a simulator, a seeded test) performs the actions in their order and sends a `Tick`
at the deadline. Events are in the past tense, actions imperative.
"""

from dataclasses import dataclass
from typing import Any

from devices.outbox import Entry
from protocols import down
from protocols.types import Key, Position

# ------------------------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker took us, our down filter is subscribed and the birth is out. `conn` from `Outbox.next_conn`."""

    conn: int


@dataclass(frozen=True, slots=True)
class Disconnected:
    why: str = ""


@dataclass(frozen=True, slots=True)
class Received:
    """A down message: `kind` from its topic, `envelope` its bytes, `group` when it came by a talk group."""

    kind: str
    envelope: bytes
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; send one at `deadline()`. Early or spare ones do no harm."""


@dataclass(frozen=True, slots=True)
class StorageFailed:
    """A Persist could not be made durable. The message still goes out, from memory."""

    why: str


@dataclass(frozen=True, slots=True)
class KeyDown:
    """An edge of a key of a pillar: `alarm` or `duress`. Edges only, no keyboard auto-repeat."""

    key: str = "alarm"


@dataclass(frozen=True, slots=True)
class KeyUp:
    key: str = "alarm"


@dataclass(frozen=True, slots=True)
class CancelPressed:
    """The citizen says it is over."""


@dataclass(frozen=True, slots=True)
class TamperOpened:
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PttPressed:
    """Push-to-talk; it never answers anything."""

    down: bool = True


@dataclass(frozen=True, slots=True)
class AnswerPressed:
    """`answer` is one of protocols.types.ANSWERS; without `call` it is for the call on the screen."""

    answer: str
    call: str | None = None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The acknowledge key; without `item` it is for the oldest presented broadcast not yet acknowledged."""

    item: str | None = None


@dataclass(frozen=True, slots=True)
class EmergencyDown:
    pass


@dataclass(frozen=True, slots=True)
class EmergencyUp:
    pass


@dataclass(frozen=True, slots=True)
class DutyKey:
    """Clock in or out; None = the other one."""

    on: bool | None = None


@dataclass(frozen=True, slots=True)
class SelectGroup:
    """The user chooses which talk group he talks in."""

    group: str


@dataclass(frozen=True, slots=True)
class VoiceFitted:
    """This device has a microphone and a speaker: it is to be a radio. Fed once, before anything else."""

    device: str


@dataclass(frozen=True, slots=True)
class VoiceSubscribed:
    """The broker has taken the subscriptions that SubscribeVoice asked for, exactly these."""

    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BurstHeard:
    """The last sound of this burst has left the loudspeaker."""

    group: str
    burst: int


@dataclass(frozen=True, slots=True)
class HowlHeard:
    """The microphone heard its own loudspeaker and is silent for so long."""

    muted_ms: int


@dataclass(frozen=True, slots=True)
class Played:
    """The player reached the end of `item`."""

    item: str


@dataclass(frozen=True, slots=True)
class PlayerFailed:
    item: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class HardwareState:
    """What the sensors say now; `muted` = the person or a fault has silenced the speaker, software cannot."""

    position: Position | None = None
    battery_pct: int | None = None
    signal_pct: int | None = None
    volume_pct: int | None = None
    muted: bool = False


@dataclass(frozen=True, slots=True)
class MediaFitted:
    """The device has sound both ways (the part `media`); said once, at its start."""


@dataclass(frozen=True, slots=True)
class MediaSounds:
    """What the control room sends is heard at the device, or has ended."""

    on: bool


Event = (
    Connected
    | Disconnected
    | Received
    | Tick
    | StorageFailed
    | KeyDown
    | KeyUp
    | CancelPressed
    | TamperOpened
    | PttPressed
    | AnswerPressed
    | Acknowledged
    | EmergencyDown
    | EmergencyUp
    | DutyKey
    | SelectGroup
    | VoiceFitted
    | VoiceSubscribed
    | BurstHeard
    | HowlHeard
    | Played
    | PlayerFailed
    | HardwareState
    | MediaFitted
    | MediaSounds
)

# ------------------------------------------------------------------------------------------------ actions


@dataclass(frozen=True, slots=True)
class Persist:
    """Must be on disk before the next Publish is performed (`Outbox.append`)."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Forget:
    """This message is done with; need not be durable at once (lost, it is sent and receipted again)."""

    key: Key


@dataclass(frozen=True, slots=True)
class Publish:
    """On `up/{kind}` of this device. Lost ones are the agent's to repeat, not the performer's."""

    kind: str
    payload: bytes
    qos: int = 1
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Subscribe:
    """The talk groups to listen to from now on; all others are left."""

    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TryNextPath:
    """No answer on this connection for 5 s: take the next url if there is another."""

    why: str


@dataclass(frozen=True, slots=True)
class Play:
    """Tone (if named) then speech; answered by Played or PlayerFailed with `item`. One plays at a time.

    `rank` as in devices/player.py: while an emergency or a call sounds, radio speech steps back.
    With `frames` these Opus packets of 20 ms are the sound, tone and words in it; Played when the last was heard.
    """

    item: str
    text: str
    lang: str
    volume_pct: int
    tone: str = ""
    rank: int = 0
    frames: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class StopPlaying:
    """Without an answer; nothing happens if `item` is not playing."""

    item: str


@dataclass(frozen=True, slots=True)
class Light:
    """`lamp`: `prompt` (the pillar's own, patterns of protocols.prompts.LIGHTS) or `police` (off, steady, flash)."""

    pattern: str
    lamp: str = "prompt"


@dataclass(frozen=True, slots=True)
class ShowText:
    """Replaces what the display shows; both empty = clear."""

    text: str
    text_en: str = ""


@dataclass(frozen=True, slots=True)
class Vibrate:
    for_ms: int = 800


@dataclass(frozen=True, slots=True)
class Media:
    """The device's sound to the control room and back is open from now on, or closed. `quiet`: nothing is played."""

    open: bool
    quiet: bool


@dataclass(frozen=True, slots=True)
class TakeAnswer:
    """The daemon's answer to an offer of the part `media`."""

    message: down.WebrtcAnswer


@dataclass(frozen=True, slots=True)
class Log:
    """A line of the device's own log: `ev` and `t_ms` (monotonic) always, `site_ms` when known."""

    fields: dict[str, Any]


# --- of a radio (devices/voice/): performed by the voice client ------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listen:
    """The key is down, the floor is asked for: keep what is said, so that the first syllable is not lost."""


@dataclass(frozen=True, slots=True)
class StartTalking:
    """The floor is ours: what was kept, and what is said from now on, is this burst."""

    group: str
    burst: int


@dataclass(frozen=True, slots=True)
class FinishTalking:
    """The key is up: send what was said to its end, flag the last frame."""

    burst: int


@dataclass(frozen=True, slots=True)
class StopTalking:
    """Close the microphone, and send the sealed `last` frame of the burst before anything that follows is performed.

    `last` None: the burst is dead or ended already, nothing of it is to be sent; burst 0: there was none.
    """

    burst: int
    last: bytes | None = None


@dataclass(frozen=True, slots=True)
class Tone:
    """A short signal of the radio itself: granted, denied, revoked, pre-empted, lost."""

    name: str


@dataclass(frozen=True, slots=True)
class TellRadio:
    """One line about the radio: `what` is talks, floor, group or carriage; shown, never spoken."""

    what: str
    text: str
    text_en: str


@dataclass(frozen=True, slots=True)
class HeardOut:
    """This burst is over: nothing more of it is to be waited for."""

    group: str
    burst: int


@dataclass(frozen=True, slots=True)
class CatchingUp:
    """What was said of this burst before has been asked for: its frames come faster than real time."""

    burst: int


@dataclass(frozen=True, slots=True)
class UseAddresses:
    """Where datagrams go from now on ("host:port"), in the daemon's order; none = there is no such carriage."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SendDatagram:
    """`to`: index of an address, None = to all of them."""

    sealed: bytes
    to: int | None


@dataclass(frozen=True, slots=True)
class SubscribeVoice:
    """Frames by MQTT of these groups and no others; answered by VoiceSubscribed. Forgotten with the connection."""

    groups: tuple[str, ...]


VoiceAction = (
    Listen
    | StartTalking
    | FinishTalking
    | StopTalking
    | Tone
    | TellRadio
    | HeardOut
    | CatchingUp
    | UseAddresses
    | SendDatagram
)

Action = (
    Persist
    | Forget
    | Publish
    | Subscribe
    | TryNextPath
    | Play
    | StopPlaying
    | Light
    | ShowText
    | Vibrate
    | Media
    | TakeAnswer
    | Log
    | SubscribeVoice
    | VoiceAction
)
