"""Which of the talk groups a terminal listens to is played. Pure: time is an argument.

One group is heard at a time. An emergency wins over everything, then the group of higher priority; between equals he
who speaks goes on, and after his last word HANG_MS belong to his group, so that the answer is not lost to another.
What was not played, or not to its end, is in the list of what was missed.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

HANG_MS: Final = 2_000
"""After a burst only its group, a higher one or an emergency is heard."""
MAX_OPEN: Final = 64
"""Bursts of all groups that are followed at once; beyond it the oldest counts as ended."""
MAX_MISSED: Final = 50
"""Bursts in the list; the oldest goes."""
SILENT_MS: Final = 3_000
"""A burst of which nothing was heard for so long has ended, whether anybody said so or not."""
EMERGENCY: Final = 1_000_000
"""The priority of an emergency; no group has it."""


class Burst(Struct):
    """One talker's turn in one group, as far as it has come here."""

    group: str
    burst: int
    priority: int
    began_ms: float
    heard_ms: float
    played: int = 0
    """Frames."""
    skipped: int = 0


class Scanner:
    """`priorities`: group → number, higher is heard first, 0 where it says nothing.

    `counts`: played, partly (joined late or broken off), missed, each in bursts; skipped, in frames.
    """

    def __init__(self, priorities: Mapping[str, int] | None = None, *, hang_ms: int = HANG_MS) -> None:
        self.priorities = dict(priorities or {})
        self.missed: list[Burst] = []
        """Bursts of which not all was played, the newest last."""
        self.counts: Counter[str] = Counter()
        self._hang_ms = hang_ms
        self._open: dict[tuple[str, int], Burst] = {}
        self._over: dict[tuple[str, int], bool] = {}
        """The last that ended, MAX_OPEN of them: whether they had the ear."""
        self._playing: Burst | None = None
        self._hang = ("", 0, 0.0)
        """(group, its priority, until when it is kept for it)"""

    def heard(self, group: str, burst: int, now_ms: float, *, emergency: bool = False) -> bool:
        """A frame of this burst has come: is it to be played? Compare `playing` before and after to see a change."""
        if (group, burst) in self._over:  # a straggler: as the rest of it
            return self._over[group, burst]
        self._forget_silent(now_ms)
        one = self._open.get((group, burst)) or self._begin(group, burst, now_ms)
        one.priority = max(one.priority, EMERGENCY if emergency else 0)
        one.heard_ms = now_ms
        if one is not self._playing and self._may_play(one, now_ms):
            self._playing = one
        if one is self._playing:
            one.played += 1
        else:
            one.skipped += 1
            self.counts["skipped"] += 1
        return one is self._playing

    def ended(self, group: str, burst: int, now_ms: float) -> None:
        """Its last frame has come, or the floor is idle. The group keeps the ear for the hang time."""
        if (group, burst) in self._open:
            self._over[group, burst] = self.playing == (group, burst)
            self._close(group, burst, now_ms)
            while len(self._over) > MAX_OPEN:
                self._over.pop(next(iter(self._over)))

    def _close(self, group: str, burst: int, now_ms: float) -> None:
        one = self._open.pop((group, burst))
        if one is self._playing:
            self._playing = None
            self._hang = (group, one.priority, now_ms + self._hang_ms)
        self._book(one)

    @property
    def playing(self) -> tuple[str, int] | None:
        """(group, burst) that has the ear."""
        return None if self._playing is None else (self._playing.group, self._playing.burst)

    def _begin(self, group: str, burst: int, now_ms: float) -> Burst:
        if len(self._open) >= MAX_OPEN:
            oldest = min(self._open.values(), key=lambda one: one.heard_ms)
            self._close(oldest.group, oldest.burst, now_ms)
        priority = min(self.priorities.get(group, 0), EMERGENCY - 1)
        one = self._open[group, burst] = Burst(group, burst, priority, now_ms, now_ms)
        return one

    def _may_play(self, one: Burst, now_ms: float) -> bool:
        if self._playing is not None:
            return one.priority > self._playing.priority
        group, priority, until_ms = self._hang
        return now_ms >= until_ms or group == one.group or one.priority > priority

    def _forget_silent(self, now_ms: float) -> None:
        for one in [one for one in self._open.values() if now_ms - one.heard_ms > SILENT_MS]:
            self._close(one.group, one.burst, one.heard_ms)

    def _book(self, one: Burst) -> None:
        self.counts["played" if not one.skipped else "partly" if one.played else "missed"] += 1
        if one.skipped:
            self.missed.append(one)
            del self.missed[:-MAX_MISSED]
