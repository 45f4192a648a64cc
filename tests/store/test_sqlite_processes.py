"""What only real processes show: kill -9 loses nothing that was committed, and a second daemon is refused."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dispatchd.store import SqliteStore
from dispatchd.store.base import Row, StoreBusy

KILLS = 12
ROOT = Path(__file__).parents[2]


@contextmanager
def writer(path: Path, seed: int) -> Iterator["subprocess.Popen[str]"]:
    """A writing child that has the database open; killed at the end at the latest."""
    command = [sys.executable, "-m", "tests.store.writer", str(path), str(seed)]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == f"open {child.pid}\n"
        yield child
    finally:
        child.kill()
        child.communicate(timeout=10)


def kill_while_writing(path: Path, chance: random.Random) -> int:
    """Kill a writer after some of its commits; give the last seq it saw committed."""
    with writer(path, chance.getrandbits(32)) as child:
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(chance.randint(1, 120))]
        for _ in range(chance.randint(0, 3_000)):  # some way into a later commit
            pass
        os.kill(child.pid, signal.SIGKILL)
        told += child.stdout.read().splitlines(keepends=True)
    return max(int(line) for line in told if line.endswith("\n"))


def test_kill_9_keeps_every_row_whose_commit_returned(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance, path, beyond = random.Random(seed), tmp_path / "site.db", 0
    rows: list[Row] = []
    for _ in range(KILLS):
        committed = kill_while_writing(path, chance)
        store = SqliteStore(path)
        rows = list(store.rows())
        store.close()
        assert [r.seq for r in rows] == list(range(1, len(rows) + 1))
        assert [r.now_ms for r in rows] == list(range(1, len(rows) + 1))
        assert len(rows) >= committed, "a committed row is lost"
        assert int(rows[-1].body) == len(rows), "a batch was torn"
        beyond += len(rows) > committed
    print(f"{KILLS} kills, {len(rows)} rows; {beyond} kills fell between the commit and its report")


def test_a_second_daemon_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    path = tmp_path / "site.db"
    with writer(path, 1) as child:
        for _ in range(2):
            with pytest.raises(StoreBusy, match=rf"process {child.pid}\)") as raised:
                SqliteStore(path)
            assert "Stop that one" in raised.value.next_step
        assert child.poll() is None
        child.kill()
        child.wait(10)
        SqliteStore(path).close()


def test_the_same_process_cannot_open_it_twice(tmp_path: Path) -> None:
    path = tmp_path / "site.db"
    store = SqliteStore(path)
    (tmp_path / "link.db").symlink_to(path)
    for name in (path, tmp_path / "link.db"):
        with pytest.raises(StoreBusy, match=f"process {os.getpid()}"):
            SqliteStore(name)
    command = [sys.executable, "-m", "tests.store.writer", str(path), "1"]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert f"process {os.getpid()}" in second.stderr, "the refused try above must not have freed the lock"
    store.close()
    SqliteStore(path).close()


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    """The daemon's own children outlive a kill -9; they must not keep the next daemon out."""
    path = tmp_path / "site.db"
    script = (
        "import os, sys, time; from dispatchd.store import SqliteStore\n"
        f"store = SqliteStore({str(path)!r})\n"
        "child = os.fork()\n"
        "if child == 0: time.sleep(60)\n"
        "print(child, flush=True); os.kill(os.getpid(), 9)\n"
    )
    daemon = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert daemon.stdout is not None
    orphan = int(daemon.stdout.readline())
    try:
        daemon.wait(10)
        os.kill(orphan, 0)
        SqliteStore(path).close()
    finally:
        os.kill(orphan, signal.SIGKILL)
        daemon.stdout.close()
