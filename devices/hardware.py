"""The parts of a device behind small interfaces: what a maker implements for a real pillar or terminal.

Every method returns at once: it starts something, and the part reports the end by an event through the `feed`
that it is given. Methods are called from the event loop. A part that is missing is a class with empty methods.
"""

from collections.abc import Callable
from typing import Protocol

from devices.events import Event, HardwareState, Play

Feed = Callable[[Event], None]
"""Takes an event of the hardware; never blocks, may be called from within a method of a part."""


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
