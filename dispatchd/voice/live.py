"""What was said live becomes a clip: waits for its recordings, joins them, tells the core.

What must hold: every ended live broadcast is answered by LiveRecorded within WAIT_S, with a clip or without one, so
that nobody who has not heard it is forgotten; also those that ended just before the daemon did.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import structlog

from dispatchd.core.commands import Refusal
from dispatchd.core.facts import LiveEnded
from dispatchd.core.inputs import Input, LiveRecorded
from dispatchd.core.state import State
from dispatchd.engine import Committed
from dispatchd.store.base import Sought, StoreError
from protocols.down import Clip
from protocols.errors import ProtocolError
from protocols.opus import samples_48k

from . import ogg
from .recordings import Recordings

WAIT_S: Final = 10.0
"""From the end of a live broadcast until its recordings are taken as they are."""
SETTLE_S: Final = 1.5
"""The recorder's thread is this much behind at most, on a disk that works."""
MAX_BURSTS: Final = 100
FRAME_48K: Final = 960
GAP_MAX: Final = 50
"""Packets of silence for one pause, 1 s: a longer pause of the talker is shortened to it."""
MAX_WAITING: Final = 100
"""Live broadcasts whose recording is awaited; of more the oldest wait for the next start."""

log = structlog.get_logger("live")


class LiveClips:
    """Give `committed` to the engine's `listen`, and run `run`."""

    def __init__(
        self,
        recordings: Recordings,
        keep: Callable[[list[bytes]], Awaitable[Clip | Refusal]],
        tell: Callable[[Input], Awaitable[Any]],
        settled: Callable[[], AbstractAsyncContextManager[State]],
    ) -> None:
        self._recordings, self._keep, self._tell, self._settled = recordings, keep, tell, settled
        self._ended: deque[tuple[str, str]] = deque(maxlen=MAX_WAITING)
        self._wake = asyncio.Event()

    def committed(self, told: Committed) -> None:
        """Of the engine, after every commit."""
        for _, _, fact in told.rows:
            if isinstance(fact, LiveEnded):
                self._ended.append((fact.broadcast, fact.group))
                self._wake.set()

    async def run(self) -> None:
        """Until cancelled; first what a dead daemon left."""
        async with self._settled() as state:
            left = [b for b in state.broadcasts.values() if b.said_ms and b.state == "open"]
            self._ended.extendleft((b.broadcast, b.live) for b in left)
        while True:
            while self._ended:
                await self._one(*self._ended[0])
            self._wake.clear()
            await self._wake.wait()

    async def _one(self, broadcast: str, group: str) -> None:
        clip = await self._clip(group)
        try:
            await self._tell(LiveRecorded(broadcast, clip))
        except StoreError as error:
            log.error("who missed a live broadcast is not told yet", broadcast=broadcast, error=str(error))
            return
        self._ended.popleft()

    async def _clip(self, group: str) -> Clip | None:
        """Of all that was said in that group; None when nothing was, or nothing of it was kept."""
        await asyncio.sleep(SETTLE_S)
        try:
            async with asyncio.timeout(WAIT_S):
                packets = await asyncio.to_thread(self._packets, group)
                clip = await self._keep(packets) if packets else None
        except (OSError, StoreError, TimeoutError) as error:
            log.error("no recording of a live broadcast", group=group, error=str(error))
            return None
        if isinstance(clip, Refusal):
            log.warning("no clip of a live broadcast", group=group, why=clip.why)
            return None
        return clip

    def _packets(self, group: str) -> list[bytes]:
        rows = self._recordings.sought(Sought(group=group), MAX_BURSTS)
        files = [self._recordings.file(row) for row in sorted(rows, key=lambda row: row.wall_ms)]
        return [packet for path in files if path is not None for packet in whole(ogg.read(path))]


def whole(read: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """Packets of 20 ms without holes: pauses are filled with packets that say nothing, others than 20 ms left out."""
    due = None
    for ts, opus in read:
        if not _is_20_ms(opus):
            continue
        gap = 0 if due is None else (ts - due) // FRAME_48K
        yield from [opus[:1]] * max(0, min(gap, GAP_MAX))
        yield opus
        due = ts + FRAME_48K


def _is_20_ms(opus: bytes) -> bool:
    try:
        return samples_48k(opus) == FRAME_48K
    except ProtocolError:
        return False
