"""The parts of a simulated pillar or terminal: they take time, can fail, and remember what a person
would notice.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from devices.events import Event, HardwareState, Play, Played, PlayerFailed
from devices.hardware import Feed, MediaPart
from protocols.geo import LatLon
from protocols.types import Position
from protocols.voice import FRAME_MS

TONE_S: Final = 0.4
SIGN_S: Final = 0.12
"""A sign of Chinese text takes so long to say."""
MAX_PLAY_S: Final = 12.0
ACCURACY_M: Final = 6.0
MAX_HEARD: Final = 100


@dataclass(slots=True)
class Condition:
    """What fails or runs down; changed by the city, read by the parts."""

    muted: bool = False
    broken: bool = False
    battery_pct: int | None = None
    volume_pct: int = 80


class SimHardware:
    """Is all of its parts at once. `where` gives the position, `pace` shortens speech."""

    def __init__(self, where: Callable[[], LatLon] | None = None, *, pace: float = 1.0) -> None:
        self.condition = Condition()
        self.media: MediaPart | None = None
        """A pillar's sound to the control room, if it has any."""
        self.lamps: dict[str, str] = {}
        self.text = ("", "")
        self.vibrations = 0
        self.heard: deque[tuple[str, int]] = deque(maxlen=MAX_HEARD)
        """Item and frames of what was begun to be played; 0 frames: its text was said."""
        self._where = where
        self._pace = pace
        self._feed: Feed | None = None
        self._playing: tuple[str, asyncio.TimerHandle] | None = None

    @property
    def keys(self) -> "SimHardware":
        return self

    speaker = lamp = display = vibrator = sensors = keys

    def use(self, event: Event) -> bool:
        """A person uses a key; False while the device is not running."""
        if self._feed is None:
            return False
        self._feed(event)
        return True

    async def run(self, feed: Feed) -> None:
        self._feed = feed
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._feed = None
            self._cut()

    def play(self, play: Play, feed: Feed) -> None:
        self._cut()
        seconds = _length_s(play) / self._pace
        self.heard.append((play.item, len(play.frames)))
        if self.condition.broken:
            end: Event = PlayerFailed(play.item, "the simulated loudspeaker is broken")
        else:
            end = Played(play.item)
        self._playing = (play.item, asyncio.get_running_loop().call_later(seconds, self._end, feed, end))

    def stop(self, item: str) -> None:
        if self._playing is not None and self._playing[0] == item:
            self._cut()

    def light(self, lamp: str, pattern: str) -> None:
        self.lamps[lamp] = pattern

    def show(self, text: str, text_en: str) -> None:
        self.text = (text, text_en)

    def vibrate(self, for_ms: int) -> None:
        self.vibrations += for_ms > 0

    def read(self) -> HardwareState:
        condition = self.condition
        return HardwareState(
            None if self._where is None else _position(self._where()),
            condition.battery_pct,
            80,
            0 if condition.muted else condition.volume_pct,
            condition.muted,
        )

    def _end(self, feed: Feed, end: Event) -> None:
        self._playing = None
        feed(end)

    def _cut(self) -> None:
        if self._playing is not None:
            self._playing[1].cancel()
            self._playing = None


def _length_s(play: Play) -> float:
    """A clip lasts as long as it is; words by their number, without end only up to MAX_PLAY_S."""
    if play.frames:
        return len(play.frames) * FRAME_MS / 1000
    return min(MAX_PLAY_S, bool(play.tone) * TONE_S + len(play.text) * SIGN_S)


def _position(place: LatLon) -> Position:
    return Position(round(place[0], 6), round(place[1], 6), ACCURACY_M)
