"""What a radio is told, and what it gives to be played."""

from dataclasses import dataclass

from devices import events as ev
from protocols import down
from protocols.voice import Frame


@dataclass(frozen=True, slots=True)
class Linked:
    """A connection stands and its hello was answered."""


@dataclass(frozen=True, slots=True)
class Unlinked:
    """There is no connection to the broker."""


@dataclass(frozen=True, slots=True)
class Told:
    """A floor or key message, checked for freshness; of one of our groups or for us alone."""

    message: down.Floor | down.Voice


@dataclass(frozen=True, slots=True)
class Joined:
    """The talk groups this device is in from now on."""

    groups: tuple[down.TalkGroup, ...]


@dataclass(frozen=True, slots=True)
class EmergencyHeld:
    """The emergency key was held long enough; the microphone is to be hot for so long."""

    hot_ms: int


RadioEvent = (
    Linked
    | Unlinked
    | Told
    | Joined
    | EmergencyHeld
    | ev.PttPressed
    | ev.SelectGroup
    | ev.VoiceSubscribed
    | ev.Tick
)


@dataclass(frozen=True, slots=True)
class Heard:
    """One frame to be played. `scan`: the higher is heard first; `volume_pct` of the set volume."""

    group: str
    frame: Frame
    talker: str
    priority: str
    scan: int
    volume_pct: int = 100
