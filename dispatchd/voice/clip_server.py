"""Answers `clip-request`s with `clip-part`s: bounded for each device, and paced for all.

A part that is not sent (too fast, too many waiting, unknown clip) is counted by reason; the device asks again, and in
the end says the text itself. Nothing here is an obligation: a restart forgets the line, the devices ask anew.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Final, NamedTuple

from protocols import down, up

from .clips import ClipStore, Kept

PARTS_PER_S: Final = 16
"""Of one device, sustained; 14 KB each."""
PARTS_AT_ONCE: Final = 64
"""And at once: one whole clip."""
ALL_PER_S: Final = 200
"""Of all devices: 3 MB/s, so that alarms and voice have the broker first."""
PACE: Final = 10
"""Parts between two pauses."""
WAITING_MAX: Final = 20_000
"""Parts in line; more are dropped, `full`."""
MAX_DEVICES: Final = 20_000
"""Devices whose rate is remembered; the one heard least recently is forgotten, and starts with a full bucket."""
PART_TTL_MS: Final = 20_000


class Part(NamedTuple):
    device: str
    clip: str
    part: int


class ClipServer:
    """Give `said` what devices ask; run `run`."""

    def __init__(
        self,
        store: ClipStore,
        send: Callable[[str, down.ClipPart, int], None],
        now_s: Callable[[], float],
    ) -> None:
        """`send(device, message, ttl_ms)` must not block."""
        self._store, self._send, self._now_s = store, send, now_s
        self._line: deque[Part] = deque()
        self._waiting: set[Part] = set()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._wake = asyncio.Event()
        self.counts: Counter[str] = Counter()
        """`sent`, and what was not, by reason: too-fast, full, twice, unknown."""

    def said(self, device: str, asked: up.ClipRequest) -> None:
        """Into the line, what of it may."""
        for number in dict.fromkeys(asked.parts):
            part = Part(device, asked.clip, number)
            why = self._refusal(part)
            if why:
                self.counts[why] += 1
                continue
            self._waiting.add(part)
            self._line.append(part)
            self._wake.set()

    def _refusal(self, part: Part) -> str:
        if part in self._waiting:
            return "twice"
        if len(self._line) >= WAITING_MAX:
            return "full"
        return "" if self._take(part.device) else "too-fast"

    def _take(self, device: str) -> bool:
        """One token of the device's bucket."""
        now_s = self._now_s()
        left, at_s = self._left.pop(device, (float(PARTS_AT_ONCE), now_s))
        left = min(float(PARTS_AT_ONCE), left + (now_s - at_s) * PARTS_PER_S)
        self._left[device] = (left - 1 if left >= 1 else left, now_s)
        if len(self._left) > MAX_DEVICES:
            self._left.popitem(last=False)
        return left >= 1

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._line:
                for _ in range(min(PACE, len(self._line))):
                    await self._serve(self._line.popleft())
                await asyncio.sleep(PACE / ALL_PER_S)

    async def _serve(self, part: Part) -> None:
        self._waiting.discard(part)
        kept = await asyncio.to_thread(self._store.get, part.clip)
        frames = _frames(kept, part.part)
        if frames is None:
            self.counts["unknown"] += 1
            return
        self._send(part.device, down.ClipPart(part.clip, part.part, frames), PART_TTL_MS)
        self.counts["sent"] += 1


def _frames(kept: Kept | None, number: int) -> list[bytes] | None:
    if kept is None or number >= kept.clip.parts:
        return None
    return kept.part(number)
