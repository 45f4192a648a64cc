"""What only SQLite has: durability settings, full and failing disks, damage, foreign locks, file modes."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dispatchd.store import SqliteStore
from dispatchd.store.base import Malformed, NewRow, Snapshot, StoreBroken, StoreBusy, StoreFull, TrailPoint
from dispatchd.store.sqlite import READERS
from tests.store.conftest import new_row

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "site.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path, busy_timeout_s=0.2)
    yield opened
    opened.close()


def pragma(db: sqlite3.Connection, name: str) -> object:
    return db.execute(f"PRAGMA {name}").fetchone()[0]


def test_commits_are_durable_by_settings(store: SqliteStore) -> None:
    assert pragma(store._db, "journal_mode") == "wal"
    assert pragma(store._db, "synchronous") == 2  # FULL
    assert pragma(store._db, "foreign_keys") == 1
    assert pragma(store._db, "busy_timeout") == 200


def test_readers_cannot_write(store: SqliteStore) -> None:
    for _ in range(READERS):
        with store._reading() as db:
            assert pragma(db, "query_only") == 1


@pytest.mark.full
def test_every_commit_is_synced_before_it_returns(path: Path, tmp_path: Path) -> None:
    """Between two written reports of a traced process lies at least one sync. Needs strace."""
    script = (
        "import os; from dispatchd.store import SqliteStore; from tests.store.conftest import new_row\n"
        f"store = SqliteStore({str(path)!r})\n"
        "for n in range(20): os.write(1, b'before'); store.commit([new_row(n)]); os.write(1, b'after')\n"
    )
    trace = tmp_path / "trace"
    command = [
        "strace",
        "-f",
        "-o",
        str(trace),
        "-e",
        "trace=fdatasync,fsync,write",
        sys.executable,
        "-c",
        script,
    ]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60, capture_output=True)
    calls = [
        line
        for line in trace.read_text().splitlines()
        if "sync(" in line or "before" in line or "after" in line
    ]
    order = "".join("s" if "sync(" in c else "b" if "before" in c else "a" for c in calls)
    commits = order[order.index("b") : order.rindex("a") + 1]
    assert commits.count("b") == 20
    assert "ba" not in commits, "a commit returned without a sync"


def test_everything_is_there_after_reopening(path: Path, store: SqliteStore) -> None:
    rows = [new_row(n, about="i-1") for n in range(1, 100)]
    store.commit(rows)
    store.save_snapshot(Snapshot(40, 5_000, 2, b"state"))
    store.set_generation(4)
    starts = store.next_start()
    store.add_trail([TrailPoint("t-1", 7, 26.9, 112.6, None)])
    store.keep_malformed(Malformed(1, "x", b"\xc1", "never used"))
    store.close()
    again = SqliteStore(path)
    try:
        assert [tuple(r[1:]) for r in again.rows()] == rows
        assert again.latest_snapshot() == Snapshot(40, 5_000, 2, b"state")
        assert (again.generation(), again.next_start(), again.last_now_ms()) == (4, starts + 1, 5_000)
        assert again.trail("t-1", 0, 9) == [TrailPoint("t-1", 7, 26.9, 112.6, None)]
        assert again.malformed() == [Malformed(1, "x", b"\xc1", "never used")]
    finally:
        again.close()


def test_only_the_daemons_user_may_read_the_files(tmp_path: Path) -> None:
    path = tmp_path / "wide.db"
    path.touch(0o644)
    path.chmod(0o644)
    store = SqliteStore(path)
    store.commit([new_row(1)])
    modes = {p.name: p.stat().st_mode & 0o777 for p in tmp_path.iterdir()}
    store.close()
    assert modes == dict.fromkeys(("wide.db", "wide.db-wal", "wide.db-shm", "wide.db.lock"), 0o600)


def commit_batches(store: SqliteStore, batches: int) -> None:
    for n in range(batches):
        store.commit([new_row(n * 4 + k, size=2_000) for k in range(4)])


def fill(store: SqliteStore) -> int:
    """Commit until the disk is full; give the number of rows in the journal."""
    with pytest.raises(StoreFull) as raised:
        commit_batches(store, 1_000)
    assert "Free space" in raised.value.next_step
    assert store.last_seq() % 4 == 0, "half a batch was kept"
    return store.last_seq()


def check_whole(store: SqliteStore, rows: int) -> None:
    assert store.last_seq() == rows
    assert [int.from_bytes(r.body[:8], "big") for r in store.rows()] == list(range(rows))


def test_a_full_database_refuses_whole_batches_and_goes_on_when_space_is_back(
    path: Path, store: SqliteStore
) -> None:
    store._db.execute("PRAGMA max_page_count = 120")
    committed = fill(store)
    check_whole(store, committed)
    with pytest.raises(StoreFull):
        store.save_snapshot(Snapshot(1, 1, 1, bytes(1_000_000)))
    assert store.latest_snapshot() is None
    store._db.execute("PRAGMA max_page_count = 100000")
    more = [new_row(n) for n in range(committed, committed + 10)]
    assert store.commit(more) == committed + 10
    store.close()
    again = SqliteStore(path)
    check_whole(again, committed + 10)
    again.close()


@pytest.mark.full
def test_a_full_disk_refuses_whole_batches_and_goes_on_when_space_is_back(tmp_path: Path) -> None:
    """A real file system of 2 MiB, half of it taken by a file that is then removed. Needs root."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=True)
    try:
        (disk / "other").write_bytes(bytes(1_000_000))
        store = SqliteStore(disk / "site.db")
        committed = fill(store)
        check_whole(store, committed)
        for _ in range(20):
            with pytest.raises(StoreFull):
                store.commit([new_row(0, size=100_000)])
        (disk / "other").unlink()
        assert store.commit([new_row(n) for n in range(committed, committed + 10)]) == committed + 10
        store.close()
        again = SqliteStore(disk / "site.db")
        check_whole(again, committed + 10)
        again.close()
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.full
def test_a_daemon_cannot_start_on_a_full_disk_and_says_why(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    try:
        with pytest.raises(OSError, match="No space"):
            (disk / "other").write_bytes(bytes(2_000_000))
        with pytest.raises(StoreFull):
            SqliteStore(disk / "site.db")
        (disk / "other").unlink()
        SqliteStore(disk / "site.db").close()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_after_a_failed_write_all_writes_are_refused_until_reopened(path: Path) -> None:
    """A file size limit makes write() fail with EFBIG, as a failing disk does with EIO."""
    script = (
        "import resource, sys\n"
        "from dispatchd.store import SqliteStore; from dispatchd.store.base import StoreBroken\n"
        "from tests.store.conftest import new_row\n"
        f"store = SqliteStore({str(path)!r}); store.commit([new_row(0)])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, -1))\n"
        "for n in (1, 2):\n"
        "    try: store.commit([new_row(n, size=100_000)])\n"
        "    except StoreBroken as error: print(error)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))\n"
        "print(store.last_seq())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    first, second, last_seq = done.stdout.splitlines()
    assert "cannot be used (disk I/O error)" in first
    assert "dmesg" in first
    assert (second, last_seq) == (first, "1")
    store = SqliteStore(path)
    check_whole(store, 1)
    store.commit([new_row(1)])
    store.close()


@pytest.mark.full
def test_a_failed_sync_breaks_the_store(path: Path) -> None:
    """The kernel may drop what it could not sync: later commits must not look well. Needs strace."""
    script = (
        "from dispatchd.store import SqliteStore; from dispatchd.store.base import StoreBroken\n"
        "from tests.store.conftest import new_row\n"
        f"store = SqliteStore({str(path)!r})\n"
        "for n in range(30):\n"
        "    try: print(store.commit([new_row(n)]), flush=True)\n"
        "    except StoreBroken: print('broken', flush=True)\n"
    )
    inject = "inject=fdatasync,fsync:error=EIO:when=20"
    command = [
        "strace",
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "trace=fdatasync,fsync",
        "-e",
        inject,
        sys.executable,
        "-c",
        script,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    told = done.stdout.split()
    good = told.index("broken")
    assert good > 0
    assert told == [str(n) for n in range(1, good + 1)] + ["broken"] * (30 - good)
    store = SqliteStore(path)
    assert store.last_seq() in (good, good + 1), "the failed one may be there or not, the returned ones must"
    store.close()


BAD_ROWS: list[Any] = [
    new_row(2)._replace(body="text"),  # type: ignore[arg-type]
    new_row(2)._replace(about=None),  # type: ignore[arg-type]
    new_row(2)._replace(now_ms=2**70),
]


@pytest.mark.parametrize("bad", BAD_ROWS)
def test_a_batch_with_a_bad_row_leaves_nothing(store: SqliteStore, bad: NewRow) -> None:
    store.commit([new_row(0)])
    with pytest.raises((sqlite3.IntegrityError, OverflowError)):
        store.commit([new_row(1), bad])
    store.commit([new_row(1)])
    check_whole(store, 2)


def test_a_foreign_lock_is_named_and_passes(path: Path, store: SqliteStore) -> None:
    store.commit([new_row(0)])
    shell = sqlite3.connect(path, isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy, match="Another program") as raised:
        store.commit([new_row(1)])
    assert "fuser" in raised.value.next_step
    check_whole(store, 1)
    shell.execute("ROLLBACK")
    shell.close()
    store.commit([new_row(1)])
    check_whole(store, 2)


def test_reads_do_not_wait_for_a_write_under_way_nor_see_it(store: SqliteStore) -> None:
    store.commit([new_row(0)])
    with pytest.raises(KeyError), store._writing() as db:
        db.execute("DELETE FROM journal")
        check_whole(store, 1)
        assert store.last_now_ms() == 1_000
        raise KeyError("so that it is rolled back")
    check_whole(store, 1)
    store.commit([new_row(1)])


def test_a_half_read_journal_does_not_hold_up_the_wal(path: Path, store: SqliteStore) -> None:
    store.commit([new_row(n) for n in range(5_000)])
    walk = store.rows()
    next(walk)
    for n in range(200):
        store.commit([new_row(n, size=50_000)])
    wal = path.with_name("site.db-wal")
    assert wal.stat().st_size < 8_000_000, "10 MB were written, the WAL starts again after about 4 MB"
    assert len(list(walk)) == 4_999


def test_a_file_that_is_no_database_is_broken(path: Path) -> None:
    path.write_bytes(b"this is not a database " * 500)
    with pytest.raises(StoreBroken, match="damaged or not an SQLite") as raised:
        SqliteStore(path)
    assert "backup" in raised.value.next_step
    path.unlink()
    SqliteStore(path).close()


def test_damage_found_while_reading_is_broken(path: Path, store: SqliteStore) -> None:
    store.commit([new_row(n, size=500) for n in range(2_000)])
    store.close()
    with path.open("r+b") as file:
        file.seek(40_000)
        file.write(os.urandom(400_000))
    damaged = SqliteStore(path)
    with pytest.raises(StoreBroken, match="damaged"):
        list(damaged.rows())
    damaged.close()


def test_another_programs_database_is_left_alone(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE cookies (name TEXT)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreBroken, match="not made by dispatchd"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreBroken, match="No such file") as raised:
        SqliteStore(tmp_path / "nowhere" / "site.db")
    assert str(tmp_path / "nowhere") in raised.value.next_step


def replace_by_copy(path: Path) -> None:
    shutil.copy(path, f"{path}.copy")
    Path(f"{path}.copy").replace(path)


@pytest.mark.parametrize("change", [replace_by_copy, Path.unlink])
def test_a_database_replaced_or_removed_under_the_daemon_takes_no_commit(
    path: Path, store: SqliteStore, change: Callable[[Path], None]
) -> None:
    store.commit([new_row(1)])
    change(path)
    for _ in range(2):
        with pytest.raises(StoreBroken):
            store.commit([new_row(2)])
