"""The recorder when something fails: a disk that is full, a store that is busy, a process that is killed."""

import contextlib
import hashlib
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

from dispatchd.store import SqliteStore
from dispatchd.voice import ogg
from dispatchd.voice.recordings import DAEMON_ENDED
from dispatchd.voice.tape import Label
from tests.voice.bench import GRANT, PATIENCE_S, Bench, frames, running, until_recorded
from tests.voice.sounds import heard_ms, played, tone


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


def test_a_row_that_the_store_refuses_is_kept_until_it_takes_it(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "site.db", busy_timeout_s=0.05)
    bench = Bench(tmp_path / "recordings", store)
    try:
        with contextlib.closing(sqlite3.connect(tmp_path / "site.db", isolation_level=None)) as somebody:
            somebody.execute("BEGIN IMMEDIATE")
            for burst in (7, 8):
                bench.recorder.began(GRANT._replace(burst=burst), 0)
                bench.say(frames(tone(440, 10), burst=burst))
                bench.recorder.ended(GRANT._replace(burst=burst), 0)
            bench.turn()
            bench.turn(20)
            assert bench.rows() == []
            assert [one.burst for one in bench.recorded] == [7, 8]
            somebody.execute("ROLLBACK")
        bench.turn(20)
        assert {row.recording for row in bench.rows()} == {"r3-7", "r3-8"}
    finally:
        store.close()


CHILD = """
import sys, time
from pathlib import Path
from datetime import UTC
from dispatchd.store import MemoryStore, SqliteStore, Store
from dispatchd.voice.burst import Grant
from dispatchd.voice.about import About, about_of
from dispatchd.voice.recorder import Recorder
from dispatchd.voice.recordings import Recordings
from dispatchd.voice.tape import Label
from tests.voice.sounds import tone
from tests.voice.bench import frames
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
    ((row, core_ms),) = bench.recordings.adopt_newest()
    assert core_ms == 9
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
    ((row, core_ms),) = bench.recordings.adopt_older()
    assert (core_ms, row.why) == (9, DAEMON_ENDED)
    assert (row.recording, row.ms, row.wall_ms) == ("r1-5", 200, 1_700_000_000_000)


async def test_a_file_that_was_closed_and_not_indexed_is_whole_and_told_at_the_next_start(
    tmp_path: Path,
) -> None:
    before, after = Bench(tmp_path), Bench(tmp_path)
    before.recorder.began(GRANT, 1_234)
    before.say(frames(tone(440, 30)))
    before.recorder.ended(GRANT, 0)
    before.recorder.turn()
    async with running(after.recorder):
        await until_recorded(after, 1)
    assert after.recorded == before.recorded
    assert after.rows() == before.rows()
    assert after.recorded[0].started_ms == 1_234
