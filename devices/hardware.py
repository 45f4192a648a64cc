"""The parts of a device behind small interfaces: what a maker implements for a real pillar or terminal.

Every method returns at once: it starts something, and the part reports the end by an event through the `feed`
that it is given. Methods are called from the event loop. A part that is missing is a class with empty methods.
"""

from collections.abc import Callable
from typing import Protocol

from devices.events import Event, HardwareState, Play
from devices.voice.radio_events import Heard
from protocols import down, up

Feed = Callable[[Event], None]
"""Takes an event of the hardware; never blocks, may be called from within a method of a part."""


SendUp = Callable[[up.WebrtcOffer | up.WebrtcBye], None]
"""Takes a message for the daemon; it may be lost."""


class Key(Protocol):
    """Keys, contacts and whatever else starts an event. Runs until the device stops."""

    async def run(self, feed: Feed) -> None: ...


class Speaker(Protocol):
    """Plays one thing at a time and feeds `Played(item)` at its end or `PlayerFailed(item, why)`."""

    def play(self, play: Play, feed: Feed) -> None: ...

    def stop(self, item: str) -> None: ...


class Lamp(Protocol):
    def light(self, lamp: str, pattern: str) -> None: ...


class Display(Protocol):
    def show(self, text: str, text_en: str) -> None: ...


class Vibrator(Protocol):
    def vibrate(self, for_ms: int) -> None: ...


class Sensors(Protocol):
    """Position, battery, signal, volume; read before every state, so keep it cheap."""

    def read(self) -> HardwareState: ...


Say = Callable[[bytes, int, bool], None]
"""Takes one Opus packet, its time in CLOCK_HZ samples since the first, and whether it is the last; never blocks."""


class VoiceHardware(Protocol):
    """What makes a terminal a radio: sound in and out, as Opus. A device without sound has none.

    `run` owns the sound devices until the device stops, and feeds `BurstHeard` when a burst has been played to its end;
    it ends by an error only if it cannot go on at all.
    """

    async def run(self, feed: Feed) -> None: ...

    def listen(self) -> None:
        """The talk key is down: what is said from now on may be kept until the floor is granted."""

    def talk(self, burst: int, say: Say) -> None:
        """Packets of 20 to 60 ms go to `say` as they are spoken, what was kept first, as this burst."""

    def finish(self) -> None:
        """The key is up: what was said goes to its end, the last packet (it may be empty) says so."""

    def stop(self) -> None:
        """Nothing more is said, nothing is kept; harmless when nobody talks."""

    def hear(self, heard: Heard) -> None:
        """A frame to be played, each once, in the order of arrival: not always that of speaking."""

    def over(self, group: str, burst: int) -> None:
        """Nothing more of it is to be waited for."""

    def catching_up(self, burst: int) -> None:
        """What was said of it before has been asked for."""

    def tone(self, name: str) -> None:
        """A short signal of the radio: granted, denied, revoked, pre-empted, lost."""

    def tell(self, what: str, text: str, text_en: str) -> None:
        """A line for the person: `what` is talks, floor, group or carriage."""


class MediaPart(Protocol):
    """Sound to the control room and back: devices/voice/webrtc.py. A device need not have it."""

    def set(self, *, open: bool, quiet: bool) -> None:  # noqa: A002
        """Open or closed from now on; `quiet`: what comes is not played."""

    def answer(self, message: down.WebrtcAnswer) -> None: ...

    async def run(self, feed: Feed, send: SendUp) -> None:
        """Until the device stops; feeds MediaSounds."""


def media_of(hardware: "Hardware") -> MediaPart | None:
    """The optional part `media`."""
    found: MediaPart | None = getattr(hardware, "media", None)
    return found


class Hardware(Protocol):
    """One device's parts."""

    @property
    def keys(self) -> Key: ...
    @property
    def speaker(self) -> Speaker: ...
    @property
    def lamp(self) -> Lamp: ...
    @property
    def display(self) -> Display: ...
    @property
    def vibrator(self) -> Vibrator: ...
    @property
    def sensors(self) -> Sensors: ...
