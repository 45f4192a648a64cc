"""Real time for sources and sinks that have no clock of their own: files and synthetic sound.

The clock is handed in: the loop's own (which a test may run in virtual time), or one that never waits.
"""

import asyncio
from typing import Final, Protocol

from devices.voice.sound import LEAD_MS
from protocols.voice import FRAME_MS, RATE_HZ

MAX_BEHIND_S: Final = 0.5
"""A source that was not read for longer starts its pace anew; nobody gets a heap of old sound at once."""


class Clock(Protocol):
    """Seconds that only grow, and a way to wait for them."""

    def now_s(self) -> float: ...

    async def sleep(self, delay_s: float) -> None: ...


class LoopClock:
    """The event loop's time."""

    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)


class FastClock:
    """Time passes as soon as somebody waits for it: sound as fast as the processor makes it."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def now_s(self) -> float:
        return self._now_s

    async def sleep(self, delay_s: float) -> None:
        due_s = self._now_s + delay_s
        await asyncio.sleep(0)
        self._now_s = max(self._now_s, due_s)


class Pace:
    """Of a source: `tick` returns once every 20 ms, without drift."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or LoopClock()
        self._due_s: float | None = None

    async def tick(self) -> None:
        now_s = self._clock.now_s()
        if self._due_s is None or now_s - self._due_s > MAX_BEHIND_S:
            self._due_s = now_s
        self._due_s += FRAME_MS / 1000
        if self._due_s > now_s:
            await self._clock.sleep(self._due_s - now_s)


class PlayedOut:
    """Of a sink: when what it was given will have been heard."""

    def __init__(self, clock: Clock | None = None, lead_ms: int = LEAD_MS) -> None:
        self._clock = clock or LoopClock()
        self._lead_s = lead_ms / 1000
        self._heard_at_s = 0.0

    async def room_for(self, pcm: bytes) -> None:
        """Waits until `pcm` fits into the lead, and counts it as given."""
        length_s = len(pcm) / 2 / RATE_HZ
        now_s = self._clock.now_s()
        self._heard_at_s = max(self._heard_at_s, now_s) + length_s
        ahead_s = self._heard_at_s - now_s - max(self._lead_s, length_s)
        if ahead_s > 0:
            await self._clock.sleep(ahead_s)

    async def drained(self) -> None:
        left_s = self._heard_at_s - self._clock.now_s()
        if left_s > 0:
            await self._clock.sleep(left_s)
