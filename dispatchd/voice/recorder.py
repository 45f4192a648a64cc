"""Records every burst from its first to its last frame: a tap of the relay, and a thread that writes.

What must hold: voice never waits for the disk (the tap only appends to a queue that has a bound); a file is whole up to
its last flush, at most a second ago; whatever could not be written is said in `why` of the recording, and a disk that
takes nothing is told to the core once, and once more when it takes something again.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import tzinfo
from pathlib import Path
from threading import Event
from typing import Final, NamedTuple

import structlog

from dispatchd.clock import wall_ms
from dispatchd.core.inputs import Input, Recorded, RecordingFaulted
from dispatchd.store.base import Recording, StoreError
from protocols.voice import Frame

from .about import About
from .burst import Grant
from .recordings import Recordings
from .tape import LONGEST_MS, Label, Tape

TURN_S: Final = 0.5
"""Between looks of the thread at the queue while anything is recorded."""
QUEUE_FRAMES: Final = 20_000
"""Frames that wait for the thread: 6 s of 64 talkers. What comes beyond is not recorded, and the recording says so."""
MAX_TAPES: Final = 256
"""Bursts recorded at once; one more is heard but not recorded, and its row says so."""
PROBE_S: Final = 5.0
"""While the disk takes nothing it is tried this often with PROBE_BYTES."""
PROBE_BYTES: Final = 1_000_000
UNINDEXED: Final = 1_000
"""Rows the store did not take, to be tried again; the oldest beyond are found by their files at the next start."""
DAEMON_STOPPED: Final = "the daemon was stopped"

log = structlog.get_logger("recorder")


class _Began(NamedTuple):
    label: Label
    channel: str
    at_s: float


class _Heard(NamedTuple):
    channel: str
    frame: Frame
    at_s: float


class _Ended(NamedTuple):
    channel: str
    burst: int
    lost: int


class _Open(NamedTuple):
    tape: Tape
    part: int


class Recorder:
    """Put it into the relay's `taps` and run `run`.

    `post` is called on the loop; `about` when a burst begins, there too; `zone` gives the site's time zone.
    """

    def __init__(
        self,
        recordings: Recordings,
        start: int,
        post: Callable[[Input], None],
        about: Callable[[Grant], About],
        zone: Callable[[], tzinfo],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._recordings, self._start, self._post = recordings, start, post
        self._about, self._zone, self._clock = about, zone, clock
        self._queue: deque[_Began | _Heard | _Ended] = deque()
        self._overflow: dict[tuple[str, int], int] = {}
        self._tapes: dict[tuple[str, int], _Open] = {}
        self._unindexed: deque[Recording] = deque(maxlen=UNINDEXED)
        self._wake, self._stopping = Event(), Event()
        self._fault = ""
        self._probe_s = self._index_s = 0.0
        self._tell: Callable[[Input], object] = post
        self._zone_now = zone()

    # --- the tap: on the loop, never waits ----------------------------------------------------------------------

    def began(self, grant: Grant, now_ms: int) -> None:
        """Of the relay, with the first frame."""
        self._zone_now = self._zone()
        about = self._about(grant)
        label = Label(
            f"r{self._start}-{grant.burst}", grant.channel, grant.talker, grant.burst, wall_ms(), now_ms, about.name,
            grant.incident, about.unit, grant.drill,
        )  # fmt: skip
        self._queue.append(_Began(label, grant.channel, self._clock()))
        self._wake.set()

    def hear(self, channel: str, talker: str, frame: Frame) -> None:
        """Of the relay, for each frame."""
        if len(self._queue) >= QUEUE_FRAMES:
            key = (channel, frame.burst)
            self._overflow[key] = self._overflow.get(key, 0) + 1
            return
        self._queue.append(_Heard(channel, frame, self._clock()))

    def ended(self, grant: Grant, now_ms: int) -> None:
        """Of the relay, when nothing more can come."""
        lost = self._overflow.pop((grant.channel, grant.burst), 0)
        self._queue.append(_Ended(grant.channel, grant.burst, lost))
        self._wake.set()

    # --- the thread ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled; then what is open is closed."""
        loop = asyncio.get_running_loop()
        self._tell = lambda one: loop.call_soon_threadsafe(self._post, one)
        with ThreadPoolExecutor(1, thread_name_prefix="recorder") as pool:
            work = loop.run_in_executor(pool, self._work)
            try:
                await asyncio.shield(work)
            finally:
                self._stopping.set()
                self._wake.set()
                await asyncio.wait([work])

    def _work(self) -> None:
        self._adopt()
        while not self._stopping.is_set():
            self._wake.wait(TURN_S if self._busy else None)
            self._wake.clear()
            self.turn()
        self.turn()
        for key in list(self._tapes):
            self._end(key, 0, DAEMON_STOPPED)

    def _adopt(self) -> None:
        try:
            for row, core_ms in self._recordings.adopt_newest():
                self._made(row, core_ms)
        except (OSError, StoreError) as error:
            log.warning("files of the last start wait for the next one to be indexed", error=str(error))

    @property
    def _busy(self) -> bool:
        return bool(self._tapes or self._queue or self._fault or self._unindexed)

    def turn(self) -> None:
        """Take what waits, write what is due."""
        for _ in range(len(self._queue)):
            self._take(self._queue.popleft())
        now_s = self._clock()
        for key, (tape, part) in list(self._tapes.items()):
            self._flush(tape, now_s)
            if tape.ms >= LONGEST_MS:
                self._tapes[key] = _Open(tape.next(part + 1), part + 1)
                self._finish(tape, 0)
        self._index_again(now_s)
        if self._fault and now_s >= self._probe_s:
            self._probe(now_s)

    def _take(self, one: _Began | _Heard | _Ended) -> None:
        if isinstance(one, _Heard):
            found = self._tapes.get((one.channel, one.frame.burst))
            if found is not None:
                found.tape.put(one.frame, one.at_s)
        elif isinstance(one, _Ended):
            self._end((one.channel, one.burst), one.lost)
        else:
            self._begin(one)

    def _begin(self, one: _Began) -> None:
        key, label = (one.channel, one.label.burst), one.label
        if key in self._tapes:
            return
        tape = Tape(self._recordings.folder, label, self._zone_now)
        if len(self._tapes) >= MAX_TAPES:
            tape.why = "not recorded: too many were talking at once"
            self._finish(tape, 0)
            return
        self._tapes[key] = _Open(tape, 1)

    def _end(self, key: tuple[str, int], lost: int, why: str = "") -> None:
        found = self._tapes.pop(key, None)
        if found is not None:
            if lost:
                why = f"not whole: {lost} frames came faster than the disk took them"
            found.tape.why = found.tape.why or why
            self._finish(found.tape, lost)

    def _flush(self, tape: Tape, now_s: float) -> None:
        try:
            tape.flush(now_s)
        except OSError as error:
            tape.failed(error)
            self._faulted(error)

    def _finish(self, tape: Tape, lost: int) -> None:
        before = tape.error
        row = tape.close(self._clock(), lost)
        if tape.error is not None and tape.error is not before:
            self._faulted(tape.error)
        self._index(row)
        self._made(row, tape.label.core_ms)

    def _made(self, row: Recording, core_ms: int) -> None:
        self._tell(
            Recorded(
                row.recording, row.group, row.burst, row.talker, row.incident, core_ms, row.ms, row.frames, row.lost,
                row.bytes, row.why,
            )
        )  # fmt: skip

    # --- what fails ---------------------------------------------------------------------------------------------

    def _index(self, row: Recording) -> None:
        try:
            self._recordings.keep(row)
        except StoreError as error:
            if not self._unindexed:
                log.warning(
                    "a recording is not in the index yet; tried again", recording=row.recording, error=error.what,
                    do=error.next_step,
                )  # fmt: skip
            self._unindexed.append(row)
            self._index_s = self._clock() + PROBE_S

    def _index_again(self, now_s: float) -> None:
        """All that wait, until one is refused: a store that takes nothing is not hammered."""
        if now_s < self._index_s:
            return
        for _ in range(len(self._unindexed)):
            row = self._unindexed[0]
            try:
                self._recordings.keep(row)
            except StoreError:
                self._index_s = now_s + PROBE_S
                return
            self._unindexed.popleft()

    def _faulted(self, error: OSError) -> None:
        why = f"{error.strerror or error} ({error.filename or self._recordings.folder})"
        if not self._fault:
            log.error(
                "recordings cannot be written; voice goes on", error=why,
                do="Free space on the disk of the recordings, or lower recordings.max_gb.",
            )  # fmt: skip
            self._tell(RecordingFaulted(why))
            self._fault, self._probe_s = why, self._clock() + PROBE_S

    def _probe(self, now_s: float) -> None:
        """Whether as much as a recording needs can be written again."""
        self._probe_s = now_s + PROBE_S
        try:
            probe(self._recordings.folder)
        except OSError:
            return
        log.info("recordings can be written again")
        self._tell(RecordingFaulted(""))
        self._fault = ""


def probe(folder: Path) -> None:
    """OSError while the disk does not take PROBE_BYTES."""
    path = folder / ".probe"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        left = bytes(PROBE_BYTES)
        while left:
            left = left[os.write(fd, left) :]
        os.fsync(fd)
    finally:
        os.close(fd)
        path.unlink(missing_ok=True)
