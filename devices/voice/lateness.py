"""How unevenly frames arrive, and how long a listener therefore waits before he plays one. Pure: time is an argument.

A frame's transit is its arrival minus its timestamp. It says nothing by itself, as nobody knows the talker's clock; but
one frame of the last seconds was the quickest, and by how much others are later is what the wait must cover.
Lateness is remembered across bursts, so that the first word of the next one is not clipped; who was the quickest is
not, as every burst has timestamps of its own.
"""

import math
from collections import deque
from typing import Final

from protocols.voice import CLOCK_HZ

PER_MS: Final = CLOCK_HZ // 1000
REMEMBERED: Final = 250
"""Frames whose lateness counts: 5 s of speech; the oldest goes."""
QUICKEST_MS: Final = 5_000
"""How long the quickest frame counts; clocks drift, routes change."""
PERCENT: Final = 97
"""Of the frames come within the wait; the rest is late and lengthens it."""
FEW: Final = 50
"""With fewer frames than that the wait is not shorter than UNKNOWN_MS."""
UNKNOWN_MS: Final = 60
MARGIN_MS: Final = 20
"""One frame: when one is lost, the next must be here (FEC)."""
LEAST_MS: Final = 20
MOST_MS: Final = 240
JUMP_MS: Final = 2_000
"""Transits further apart are not of one clock: the talker's timestamps have jumped, or everything was held up."""


class Lateness:
    """Of the last frames of all bursts; `target_ms` is the wait it advises."""

    def __init__(self) -> None:
        self._late_ms: deque[float] = deque(maxlen=REMEMBERED)
        self._target_ms: float | None = None

    def add(self, late_ms: float) -> None:
        self._late_ms.append(late_ms)
        self._target_ms = None

    @property
    def target_ms(self) -> float:
        """How long after the quickest could have been played a frame is played."""
        if self._target_ms is None:
            self._target_ms = self._advised_ms()
        return self._target_ms

    def _advised_ms(self) -> float:
        late_ms = sorted(self._late_ms)
        covers = late_ms[math.ceil(len(late_ms) * PERCENT / 100) - 1] if late_ms else 0.0
        least = UNKNOWN_MS if len(late_ms) < FEW else LEAST_MS
        return min(MOST_MS, max(least, covers + MARGIN_MS))


class Transits:
    """Of one burst's last frames."""

    def __init__(self, lateness: Lateness) -> None:
        self.lateness = lateness
        self._rising: deque[tuple[float, float]] = deque()
        """(arrival, transit) with every transit greater than the one before: the first is the quickest."""

    def arrived(self, ts: int, now_ms: float) -> None:
        """A frame that was said just now (not one of a catch-up), its timestamp unwrapped."""
        transit_ms, quickest_ms = now_ms - ts / PER_MS, self.quickest_ms
        if quickest_ms is not None and abs(transit_ms - quickest_ms) > JUMP_MS:
            self._rising.clear()
        elif quickest_ms is not None:
            self.lateness.add(max(0.0, transit_ms - quickest_ms))
        self._keep(now_ms, transit_ms)

    def _keep(self, now_ms: float, transit_ms: float) -> None:
        while self._rising and self._rising[-1][1] >= transit_ms:
            self._rising.pop()
        self._rising.append((now_ms, transit_ms))
        while now_ms - self._rising[0][0] > QUICKEST_MS or len(self._rising) > REMEMBERED:
            self._rising.popleft()

    @property
    def quickest_ms(self) -> float | None:
        """The least transit of the last seconds; None before the first frame."""
        return self._rising[0][1] if self._rising else None
