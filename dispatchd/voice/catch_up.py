"""What is still owed to those who came late: the last seconds of a burst, faster than real time. Pure.

What must hold: nobody's catching up takes more than its share, and all of it together no more than BUDGET a step.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from protocols.voice import CATCH_UP, CLOCK_HZ, FRAME_MS, Frame

STEP_MS: Final = FRAME_MS
AT_ONCE: Final = 4
"""Frames to one device in one step: four times real time."""
BUDGET: Final = 200
"""Frames to all devices in one step (10,000 a second); with more than 50 devices each gets less."""
MAX_OWED: Final = 1000
"""Bursts being caught up, of all devices; further asks are dropped as `catch-up-full`."""


class Owed(NamedTuple):
    """Whose, and of what."""

    device: str
    group: str
    burst: int


class CatchUps:
    """`ask`, then `step` every STEP_MS while it is `busy`."""

    def __init__(self) -> None:
        self._owed: dict[Owed, deque[Frame]] = {}

    @property
    def busy(self) -> bool:
        return bool(self._owed)

    def ask(self, owed: Owed, frames: Iterable[Frame], last_s: float) -> bool:
        """Owe the frames of the last `last_s` seconds; False when too much is owed already."""
        if owed not in self._owed and len(self._owed) >= MAX_OWED:
            return False
        wanted = list(frames)
        since = wanted[-1].ts - last_s * CLOCK_HZ if wanted else 0
        recent = deque(_flagged(frame) for frame in wanted if frame.ts > since)
        if recent:
            self._owed[owed] = recent
        return True

    def step(self) -> Iterator[tuple[Owed, Frame]]:
        """What to send now; who was served goes to the end of the row."""
        for owed in list(self._owed)[: BUDGET // AT_ONCE]:
            frames = self._owed.pop(owed)
            for _ in range(min(AT_ONCE, len(frames))):
                yield owed, frames.popleft()
            if frames:
                self._owed[owed] = frames


def _flagged(frame: Frame) -> Frame:
    return Frame(frame.burst, frame.seq, frame.ts, frame.opus, frame.flags | CATCH_UP)
