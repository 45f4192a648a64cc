"""What the core is told. Links make these; the engine gives each with one `now_ms`."""

from msgspec import Struct

from protocols import up
from protocols.down import Clip

from .commands import Command


class DeviceSaid(Struct, frozen=True):
    """An authenticated device's message below `up/`."""

    device: str
    message: up.Up


class PresenceSeen(Struct, frozen=True):
    """The retained birth or death of a device."""

    device: str
    presence: up.Presence


class OperatorAsked(Struct, frozen=True):
    """A command of a signed-in operator."""

    operator: str
    command: Command


class OperatorSeen(Struct, frozen=True):
    """`connections` live feeds of this operator now; also sent at any request of his."""

    operator: str
    connections: int | None = None


class DaemonStarted(Struct, frozen=True):
    """First input after the state was folded. `start` is the store's start counter.

    `admin_hash` is the token of whoever may read the daemon's folder: the admin of the top unit.
    """

    start: int
    gen: int
    code: str = ""
    admin_hash: str = ""


class LinkUp(Struct, frozen=True):
    """The link to the broker stands again: everything pending is sent anew."""


class StoreFailed(Struct, frozen=True):
    """Nothing could be committed since `since_ms` (core time), for this reason; the engine tries whether it can now."""

    since_ms: int
    why: str


class VoiceJoined(Struct, frozen=True):
    """A device has voice keys and listens by this carriage; "none": it does not any more."""

    device: str
    carriage: str


class OperatorHears(Struct, frozen=True):
    """The talk groups that an operator's live voice sessions listen to now, all of them; () = no session left."""

    operator: str
    groups: tuple[str, ...]


class MediaHeard(Struct, frozen=True):
    """Sound of a burst arrives: said at its first frame, then every second, and `last` at its last."""

    group: str
    burst: int
    last: bool = False


class MediaRefused(Struct, frozen=True):
    """A talker's frames are dropped: `no-floor` (no or another's burst), `unreadable` (no Opus) or `too-fast`."""

    talker: str
    burst: int
    why: str


class Recorded(Struct, frozen=True):
    """A burst was recorded from its first to its last frame; `why` when it was not, or not whole."""

    recording: str
    group: str
    burst: int
    talker: str
    incident: str
    started_ms: int
    ms: int
    frames: int
    lost: int
    bytes: int
    why: str = ""


class RecordingFaulted(Struct, frozen=True):
    """Recordings cannot be written (`why`, e.g. disk full), or can again (""); voice goes on."""

    why: str


class LiveRecorded(Struct, frozen=True):
    """The recording of a live broadcast as a clip; None when there is none (nothing was said, or it was not kept)."""

    broadcast: str
    clip: Clip | None = None


class ScheduleDue(Struct, frozen=True):
    """A scheduled broadcast's hour has come; `occurrence` names it for ever (site date and time).

    `clip`: its sound, made before; None when there is no speech, then it goes as text.
    """

    schedule: str
    occurrence: str
    late_ms: int = 0
    clip: Clip | None = None


class Tick(Struct, frozen=True):
    """The deadline the core named has come."""


Media = VoiceJoined | OperatorHears | MediaHeard | MediaRefused | Recorded | RecordingFaulted
Input = (
    DeviceSaid
    | PresenceSeen
    | OperatorAsked
    | OperatorSeen
    | DaemonStarted
    | LinkUp
    | StoreFailed
    | Media
    | ScheduleDue
    | LiveRecorded
    | Tick
)
