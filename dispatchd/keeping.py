"""What is kept beside the journal, at leisure: unreadable messages and the trails of devices.

Both are bounded: unreadable messages to KEEP_PER_S (the rest is only counted), trails to one point per device and
TRAIL_EVERY_S, dropped after the site's `trail_days`. A full disk costs points, never an alarm.
"""

import asyncio
from collections import deque
from typing import Final

import structlog

from dispatchd.clock import wall_ms
from dispatchd.engine import Engine
from dispatchd.store.base import Malformed, Store, StoreError, TrailPoint
from protocols.errors import ProtocolError

KEEP_PER_S: Final = 10
TRAIL_EVERY_S: Final = 15
TRAIL_TIDY_S: Final = 3600
DAY_MS: Final = 86_400_000

log = structlog.get_logger("keeping")


class Keeper:
    """Run `run`; the link calls `malformed`."""

    def __init__(self, store: Store, engine: Engine) -> None:
        self._store = store
        self._engine = engine
        self._malformed: deque[Malformed] = deque(maxlen=KEEP_PER_S)
        self._seen: dict[str, int] = {}

    def malformed(self, topic: str, payload: bytes, error: ProtocolError) -> None:
        """Remember it until the next look; of more than KEEP_PER_S the newest stay."""
        self._malformed.append(Malformed(wall_ms(), topic, payload, f"{error.code}: {error.why}"))

    async def run(self) -> None:
        """Once a second what could not be read, every TRAIL_EVERY_S the trails."""
        for second in range(10**12):
            await asyncio.sleep(1)
            try:
                await self._second(second)
            except StoreError as error:
                log.warning("histories are not kept", error=str(error))

    async def _second(self, second: int) -> None:
        while self._malformed:
            await asyncio.to_thread(self._store.keep_malformed, self._malformed.popleft())
        if second % TRAIL_EVERY_S == 0:
            await self._trails()
        if second % TRAIL_TIDY_S == 0:
            async with self._engine.settled() as state:
                days = state.site.rules.trail_days
            await asyncio.to_thread(self._store.drop_trail, wall_ms() - days * DAY_MS)

    async def _trails(self) -> None:
        """Positions that are new since the last look."""
        behind = wall_ms() - self._engine.clock.now_ms()
        points = []
        async with self._engine.settled() as state:
            for device, live in state.live.items():
                if live.position is not None and self._seen.get(device) != live.position_ms:
                    self._seen[device] = live.position_ms
                    p = live.position
                    points.append(TrailPoint(device, live.position_ms + behind, p.lat, p.lon, p.accuracy_m))
        if points:
            await asyncio.to_thread(self._store.add_trail, points)
