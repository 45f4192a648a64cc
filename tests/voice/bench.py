"""A recorder that a test turns itself, with a clock of its own, and frames for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta, timezone
from pathlib import Path

from dispatchd.core.inputs import Input, Recorded, RecordingFaulted
from dispatchd.store import MemoryStore, Store
from dispatchd.store.base import Recording, Sought
from dispatchd.voice.about import About
from dispatchd.voice.burst import Grant
from dispatchd.voice.recorder import Recorder
from dispatchd.voice.recordings import Recordings
from protocols.voice import Frame
from tests.voice.sounds import FRAME

ZONE = timezone(timedelta(hours=8))
PATIENCE_S = 20
GRANT = Grant("tg-1", 7, "t-1", ("tg-1",), "i1-4", drill=True)


class Bench:
    """A recorder that a test turns itself, with a clock of its own."""

    def __init__(self, folder: Path, store: Store | None = None) -> None:
        self.now_s = 100.0
        self.store = store or MemoryStore()
        self.recordings = Recordings(folder, self.store)
        self.posted: list[Input] = []
        self.recorder = Recorder(
            self.recordings, 3, self.posted.append, lambda _: About("north", "巡逻一组"), lambda: ZONE,
            lambda: self.now_s,
        )  # fmt: skip

    def say(self, frames: list[Frame], channel: str = "tg-1", *, step_s: float = 0.02) -> None:
        for frame in frames:
            self.recorder.hear(channel, "t-1", frame)
            self.now_s += step_s

    def turn(self, seconds: float = 1.0) -> None:
        self.now_s += seconds
        self.recorder.turn()

    def rows(self) -> list[Recording]:
        return self.store.recordings(Sought())

    def path(self, row: Recording) -> Path:
        return self.recordings.folder / row.path

    @property
    def faults(self) -> list[str]:
        return [one.why for one in self.posted if isinstance(one, RecordingFaulted)]

    @property
    def recorded(self) -> list[Recorded]:
        return [one for one in self.posted if isinstance(one, Recorded)]


def frames(packets: list[bytes], first: int = 0, *, burst: int = 7, ts: int = 0) -> list[Frame]:
    return [Frame(burst, first + n, ts + (first + n) * FRAME, opus) for n, opus in enumerate(packets)]


@contextlib.asynccontextmanager
async def running(found: Recorder) -> AsyncIterator[None]:
    task = asyncio.create_task(found.run(), name="recorder")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until_recorded(bench: Bench, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while len(bench.recorded) < count:
            await asyncio.sleep(0.01)
