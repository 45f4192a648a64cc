"""Virtual time and chance: a heap of (time, number, action) and one seeded generator. Nothing else decides order."""

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from protocols import site

FIRST_MS: Final = 1_795_000_000_000
TRANSCRIPT_LINES: Final = 60
"""The last so many lines are kept for a failure's report; older ones are dropped."""


class Violation(AssertionError):
    """An invariant does not hold. `name` is what a planted fault is recognised by."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"{name}: {what}")
        self.name = name


class World:
    """Everything that happens goes through `at`; `now` is true time in ms and never steps back."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = FIRST_MS
        self.chaos = True
        self.counts: Counter[str] = Counter()
        self.site = site.Site()
        self.transcript: deque[tuple[int, tuple[object, ...]]] = deque(maxlen=TRANSCRIPT_LINES)
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = 0

    def at(self, delay_ms: float, action: Callable[..., None], *args: Any) -> None:
        self._number += 1
        heapq.heappush(self._heap, (self.now + int(delay_ms), self._number, action, args))

    def run(self, for_ms: int) -> None:
        until = self.now + for_ms
        heap = self._heap
        while heap and heap[0][0] <= until:
            self.now, _, action, args = heapq.heappop(heap)
            action(*args)
        self.now = until

    def says(self, *parts: object) -> None:
        """A line of the transcript; made into text only when somebody reads it."""
        self.transcript.append((self.now, parts))

    def story(self) -> list[str]:
        return [
            f"{(at - FIRST_MS) / 1000:9.3f}  {' '.join(map(str, parts))}" for at, parts in self.transcript
        ]

    def likely(self, share: float) -> bool:
        return self.rng.random() < share
