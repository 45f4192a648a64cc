"""The recorder behind a real relay: files that are whole, cut, crashed, or on a disk that is full."""

import asyncio
import contextlib
import hashlib
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, timedelta, timezone
from itertools import pairwise
from pathlib import Path

import pytest

from dispatchd.core.effects import SetFloor
from dispatchd.core.inputs import Input, Recorded, RecordingFaulted
from dispatchd.store import MemoryStore
from dispatchd.store.base import Recording, Sought
from dispatchd.voice import ogg, recorder
from dispatchd.voice.burst import Grant
from dispatchd.voice.recorder import About, Recorder
from dispatchd.voice.recordings import DAEMON_ENDED, Recordings
from dispatchd.voice.relay import Relay
from dispatchd.voice.tape import Label
from protocols.voice import LAST, Frame
from tests.voice.sounds import FRAME, heard_ms, played, tone

ZONE = timezone(timedelta(hours=8))
PATIENCE_S = 20
GRANT = Grant("tg-1", 7, "t-1", ("tg-1",), "i1-4", drill=True)


class Bench:
    """A recorder that a test turns itself, with a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self.now_s = 100.0
        self.store = MemoryStore()
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


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "recordings")


def frames(packets: list[bytes], first: int = 0, *, burst: int = 7, ts: int = 0) -> list[Frame]:
    return [Frame(burst, first + n, ts + (first + n) * FRAME, opus) for n, opus in enumerate(packets)]


def test_a_burst_is_whole_from_its_first_to_its_last_frame(bench: Bench) -> None:
    said = tone(440, 120)
    bench.recorder.began(GRANT, 5_000)
    bench.say(frames(said, ts=77))
    bench.recorder.ended(GRANT, 8_000)
    bench.recorder.turn()
    (row,) = bench.rows()
    file = bench.path(row)
    assert row._replace(wall_ms=0, path="", bytes=0, sha256="") == Recording(
        "r3-7", "tg-1", "t-1", "巡逻一组", "i1-4", "north", 7, 0, 2400, 120, 0, 0, "", "", True
    )
    assert row.path == f"{file.parent.name}/r3-7.opus"
    assert row.bytes == file.stat().st_size
    assert row.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [p.opus for p in ogg.read(file)] == said
    assert bench.posted == [Recorded("r3-7", "tg-1", 7, "t-1", "i1-4", 5_000, 2400, 120, 0, row.bytes)]
    with file.open("rb") as opened:
        tags = ogg.read_tags(ogg.pages(opened))
    assert tags["DISPATCH_INCIDENT"] == "i1-4"
    assert tags["DATE"].endswith("+08:00")


def test_loss_pause_and_disorder_keep_the_time(bench: Bench) -> None:
    low, high = frames(tone(440, 50)), frames(tone(1000, 50), 51, ts=2 * 48_000)
    low[30], low[31] = low[31], low[30]
    del low[40:43]
    bench.recorder.began(GRANT, 0)
    bench.say(low)
    bench.turn(1)
    bench.turn(1)
    bench.say([*high, Frame(7, 101, high[-1].ts + FRAME, b"", LAST)])
    bench.recorder.ended(GRANT, 0)
    bench.recorder.turn()
    (row,) = bench.rows()
    sound = played(bench.path(row))
    assert (row.ms, row.frames, row.lost) == (2000 + 1020 + 1000, 97, 4)
    begin, end = heard_ms(sound, 1000)
    assert abs(begin - 3020) <= 40
    assert abs(end - 4020) <= 40
    kept = list(ogg.read(bench.path(row)))
    assert [p.ts for p in kept] == sorted(frame.ts for frame in [*low, *high])


def test_while_it_is_said_no_more_than_a_second_is_not_in_the_file(bench: Bench) -> None:
    bench.recorder.began(GRANT, 0)
    for at, frame in enumerate(frames(tone(440, 300))):
        bench.say([frame])
        if at % 10 == 9:  # every 200 ms, as the thread does
            bench.recorder.turn()
            if at > 50:
                (file,) = bench.recordings.folder.glob("*/*.opus")
                with file.open("rb") as opened:
                    found = ogg.pages(opened)
                    ogg.read_tags(found)
                    granule = max(page.granule for page in found)
                assert (at + 1) * FRAME - granule <= 48_000


def test_a_clock_that_jumps_makes_no_hours_of_silence(bench: Bench) -> None:
    said = frames(tone(440, 20))
    said[10:] = [Frame(f.burst, f.seq, f.ts + 3_000_000_000, f.opus) for f in said[10:]]
    bench.recorder.began(GRANT, 0)
    bench.say(said)
    bench.recorder.ended(GRANT, 0)
    bench.recorder.turn()
    (row,) = bench.rows()
    assert (row.ms, row.frames, row.lost) == (400, 20, 0)
    assert "clock" in row.why


def test_what_is_long_is_cut_into_parts_that_fit_together(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "LONGEST_MS", 2_000)
    up = Grant("@up/pil-1", 7, "pil-1", ("@up/pil-1",))
    said = frames(tone(440, 250))
    bench.recorder.began(up, 1_000)
    for at in range(0, 250, 25):
        bench.say(said[at : at + 25], "@up/pil-1")
        bench.turn(0)
    bench.recorder.ended(up, 0)
    bench.recorder.turn()
    rows = sorted(bench.rows(), key=lambda row: row.wall_ms)
    assert [row.recording for row in rows] == ["r3-7", "r3-7-2", "r3-7-3"]
    assert [row.lost for row in rows] == [0, 0, 0]
    assert [b.wall_ms - a.wall_ms for a, b in pairwise(rows)] == [rows[0].ms, rows[1].ms]
    assert [p.opus for row in rows for p in ogg.read(bench.path(row))] == [f.opus for f in said]
    assert bench.recorded[1].started_ms == 1_000 + rows[0].ms
    assert all(row.ms <= 3_000 for row in rows)


def test_more_than_the_queue_holds_is_said_and_voice_does_not_wait(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "QUEUE_FRAMES", 40)
    bench.recorder.began(GRANT, 0)
    bench.say(frames(tone(440, 60)))
    bench.recorder.ended(GRANT, 0)
    bench.recorder.turn()
    (row,) = bench.rows()
    assert (row.frames, row.lost) == (39, 21)
    assert row.why == "not whole: 21 frames came faster than the disk took them"


def test_one_more_than_can_be_recorded_is_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_TAPES", 1)
    bench.recorder.began(GRANT, 0)
    bench.recorder.began(GRANT._replace(burst=8), 0)
    bench.recorder.turn()
    assert [(one.burst, one.bytes, one.why) for one in bench.recorded] == [
        (8, 0, "not recorded: too many were talking at once")
    ]


@contextlib.contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """The kernel refuses every write beyond `size` bytes of a file (EFBIG), in this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_that_takes_nothing_is_told_once_and_the_file_stays_whole(bench: Bench) -> None:
    said = frames(tone(440, 50)) + frames(tone(700, 100), 50) + frames(tone(1000, 100), 150)
    bench.recorder.began(GRANT, 0)
    bench.say(said[:50])
    bench.turn()
    (file,) = bench.recordings.folder.glob("*/*.opus")
    before = file.read_bytes()
    assert before
    with files_no_longer_than(len(before) + 100):
        for at in range(50, 150, 25):
            bench.say(said[at : at + 25])
            bench.turn(0.2)
        assert len(bench.faults) == 1
        assert "File too large" in bench.faults[0]
        assert file.read_bytes() == before, "the part that was written of a page is cut off again"
        bench.turn(10)
        assert len(bench.faults) == 1, "it is still so"
    bench.say(said[150:])
    bench.turn(10)
    assert bench.faults[1:] == [""]
    bench.recorder.ended(GRANT, 0)
    bench.recorder.turn()
    (row,) = bench.rows()
    assert row.why == "not whole: File too large"
    assert (row.ms, row.frames + row.lost) == (5_000, 250)
    assert 100 <= row.lost <= 130
    assert abs(heard_ms(played(file), 1000)[0] - 3_000) <= 700, "what comes after is at its time"
    assert row.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert not (bench.recordings.folder / ".probe").exists()


def test_a_folder_that_cannot_be_made_loses_the_recording_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    bench = Bench(tmp_path / "file" / "recordings")
    bench.recorder.began(GRANT, 0)
    bench.say(frames(tone(440, 10)))
    bench.recorder.ended(GRANT, 0)
    bench.recorder.turn()
    assert [(one.bytes, one.frames, one.lost) for one in bench.recorded] == [(0, 0, 10)]
    assert bench.recorded[0].why == "not whole: Not a directory"
    assert bench.rows()[0].path == ""
    assert len(bench.faults) == 1


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


async def test_behind_the_relay_in_a_thread_of_its_own(bench: Bench) -> None:
    relay = Relay(bench.posted.append)
    relay.taps.append(bench.recorder)
    said = frames(tone(440, 40))
    async with running(bench.recorder):
        relay.set_floor(SetFloor("tg-1", 7, "t-1", ("tg-1",)), 1_000)
        for at, frame in enumerate(said):
            relay.said("t-1", frame, 1_000 + at * 20)
        relay.set_floor(SetFloor("tg-1", ended=7), 1_900)
        relay.tick(10_000)
        await until_recorded(bench, 1)
        relay.open("@up/pil-1", 8, "pil-1")
        relay.said_rtp("pil-1", 5, 960, said[0].opus, 10_000)
    assert [(one.recording, one.frames, one.why) for one in bench.recorded] == [
        ("r3-7", 40, ""),
        ("r3-8", 1, "the daemon was stopped"),
    ]
    assert len(bench.rows()) == 2


CHILD = """
import sys, time
from pathlib import Path
from datetime import UTC
from dispatchd.store import MemoryStore
from dispatchd.voice.burst import Grant
from dispatchd.voice.recorder import About, Recorder
from dispatchd.voice.recordings import Recordings
from dispatchd.voice.tape import Label
from tests.voice.sounds import tone
from tests.voice.test_recorder import frames
import asyncio

async def main():
    found = Recorder(Recordings(Path(sys.argv[1]), MemoryStore()), 1, print, lambda _: About("north"), lambda: UTC)
    async with asyncio.TaskGroup() as group:
        group.create_task(found.run())
        found.began(Grant("tg-1", 7, "t-1", ("tg-1",), "i1-4"), 9)
        begin = time.monotonic()
        for n, frame in enumerate(frames(tone(440, 500))):
            found.hear("tg-1", "t-1", frame)
            print(n + 1, flush=True)
            await asyncio.sleep(max(0, begin + n * 0.02 - time.monotonic()))

asyncio.run(main())
"""


def test_a_killed_process_leaves_all_but_the_last_second(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = 0
    try:
        while said < 125:
            said = int(child.stdout.readline())
    finally:
        child.kill()
        said += len(child.stdout.readlines())
        child.wait(PATIENCE_S)
        child.stdout.close()
    (file,) = folder.glob("*/r1-7.opus")
    sound_ms = len(played(file)) / 48
    assert said * 20 - sound_ms <= 1_040
    bench = Bench(folder)
    (row,) = bench.recordings.adopt_newest()
    assert (row.recording, row.incident, row.unit, row.why) == ("r1-7", "i1-4", "north", DAEMON_ENDED)
    assert abs(row.ms - sound_ms) <= 10
    assert row.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert bench.rows() == [row]
    assert bench.recordings.adopt_newest() == []
    assert list(file.parent.iterdir()) == [file]


def test_what_is_no_recording_is_set_aside(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    day = tmp_path / "2026-11-22"
    day.mkdir()
    (day / "r1-1.opus").write_bytes(b"")
    (day / "r1-2.opus").write_bytes(b"RIFF")
    assert bench.recordings.adopt_newest() == []
    assert sorted(path.name for path in day.iterdir()) == ["r1-1.broken", "r1-2.broken"]
    assert bench.rows() == []


def test_older_folders_are_looked_through_later(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    label = Label("r1-5", "tg-1", "t-1", 5, 1_700_000_000_000, 9)
    stream = ogg.Stream(label.tags(UTC), 1)
    for name in ("2023-11-14", "2026-11-20", "2026-11-21", "2026-11-22"):
        (tmp_path / name).mkdir()
    path = tmp_path / "2023-11-14/r1-5.opus"
    path.write_bytes(stream.head() + stream.pages(tone(440, 10)))
    assert bench.recordings.adopt_newest() == []
    (row,) = bench.recordings.adopt_older()
    assert (row.recording, row.ms, row.wall_ms) == ("r1-5", 200, 1_700_000_000_000)
