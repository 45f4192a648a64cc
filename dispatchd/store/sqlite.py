"""The store in one SQLite file: WAL, synchronous FULL, one writer connection, a few readers beside it.

What must hold:
  - only the writer writes and checkpoints, under one lock, one transaction per call;
  - a transaction that fails for whatever reason is rolled back before its error leaves;
  - once a write ended in StoreBroken, all later writes do: after a failed fsync the kernel may have dropped
    the data, so only opening anew shows what is really there (the daemon exits, systemd starts it again);
  - reads fetch in pages and hold no transaction between them, so they never hold up a checkpoint of the WAL.

Files: PATH, PATH-wal, PATH-shm (all 0600) and PATH.lock. They must lie on a local disk, not on NFS or SMB.
"""

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any

from dispatchd.store import queries as q
from dispatchd.store.base import (
    FIRST_GENERATION,
    MALFORMED_KEPT,
    SNAPSHOTS_KEPT,
    Malformed,
    NewRow,
    Recording,
    Row,
    Snapshot,
    Sought,
    StoreBroken,
    TrailPoint,
    check_generation,
    check_points,
    check_snapshot,
    closed_error,
    trimmed,
)
from dispatchd.store.lock import DaemonLock
from dispatchd.store.schema import apply, load_migrations, missing
from dispatchd.store.sqlite_errors import check_version, from_os, from_sqlite

BUSY_TIMEOUT_S = 5.0  # how long a write waits for a foreign lock; then StoreBusy
READERS = 4  # connections; a further read waits for one to come back
PAGE_ROWS = 2_000  # rows fetched at once by `rows`
DROP_ROWS = 5_000  # trail points removed per transaction, so that an alarm's commit need not wait for long


class SqliteStore:
    """Locks, opens and migrates the database. StoreBusy if a daemon has it, StoreBroken if it is unusable."""

    def __init__(self, path: str | Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._path = Path(path).resolve()
        self._busy_timeout_s = busy_timeout_s
        self._write_lock = Lock()
        self._refusal: StoreBroken | None = None
        self._readers: SimpleQueue[sqlite3.Connection | None] = SimpleQueue()
        check_version()
        with ExitStack() as opened, self._translated():
            opened.callback(DaemonLock(self._path).release)
            _create_private(self._path)
            self._db = self._open_writer(opened)
            for _ in range(READERS):
                self._readers.put(self._connect(opened, q.READER_PRAGMAS))
            self._inode = self._path.stat().st_ino
            self._opened = opened.pop_all()

    def _open_writer(self, opened: ExitStack) -> sqlite3.Connection:
        db = self._connect(opened, ())
        steps = missing(db, load_migrations())  # first: the pragmas would change a file we refuse
        _set(db, q.WRITER_PRAGMAS)
        for step in steps:
            apply(db, step)
        return db

    def _connect(self, opened: ExitStack, pragmas: Sequence[str]) -> sqlite3.Connection:
        timeout_s = self._busy_timeout_s
        db = sqlite3.connect(self._path, timeout=timeout_s, isolation_level=None, check_same_thread=False)
        opened.callback(db.close)
        _set(db, pragmas)
        return db

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if translated := from_sqlite(error, self._path):
                raise translated from error
            raise
        except OSError as error:
            raise from_os(error, self._path) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._write_lock:
            if self._refusal:
                raise StoreBroken(self._refusal.what, self._refusal.next_step)
            try:
                with self._translated():
                    self._check_file()
                    with _transaction(self._db):
                        yield self._db
            except StoreBroken as error:
                self._refusal = error
                raise

    def _check_file(self) -> None:
        """A database moved away while open would take commits that nobody finds again."""
        if self._path.stat().st_ino != self._inode:
            raise StoreBroken(
                f"{self._path} was replaced while dispatchd was running.",
                "Start dispatchd again; stop it before you restore a backup.",
            )

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        db = self._readers.get()
        try:
            if db is None:
                raise closed_error()
            with self._translated():
                yield db
        finally:
            self._readers.put(db)

    def _read(self, statement: str, *parameters: object) -> list[Any]:
        with self._reading() as db:
            return db.execute(statement, parameters).fetchall()

    # journal

    def commit(self, rows: Sequence[NewRow]) -> int:
        if not rows:
            return self.last_seq()
        with self._writing() as db:
            held = db.execute(q.LAST_PEAK).fetchone() or (0,)
            peaks = list(accumulate((row.now_ms for row in rows), max, initial=held[0]))
            db.executemany(q.INSERT_ROW, [(*row, peak) for row, peak in zip(rows, peaks[1:], strict=True)])
            return _value(db, q.LAST_SEQ)

    def last_seq(self) -> int:
        with self._reading() as db:
            return _value(db, q.LAST_SEQ)

    def last_now_ms(self) -> int:
        with self._reading() as db:
            return _value(db, q.LAST_NOW)

    def rows(self, after: int = 0, limit: int | None = None) -> Iterator[Row]:
        last = self.last_seq()
        after = max(after, 0)
        return self._pages(after, last if limit is None else min(last, after + limit))

    def _pages(self, after: int, last: int) -> Iterator[Row]:
        while after < last:
            page = self._read(q.ROWS, after, last, PAGE_ROWS)
            yield from map(Row._make, page)
            after = page[-1][0] if page else last

    def rows_about(self, about: str, after: int = 0, limit: int = 100_000) -> list[Row]:
        return [Row._make(row) for row in self._read(q.ROWS_ABOUT, about, after, limit)]

    def rows_of_kind(self, kind: str, *, newest: int = 1000) -> list[Row]:
        return [Row._make(row) for row in self._read(q.ROWS_OF_KIND, kind, newest)]

    # snapshots and counters

    def save_snapshot(self, snapshot: Snapshot) -> None:
        with self._writing() as db:
            check_snapshot(snapshot, _value(db, q.LAST_SEQ))
            db.execute(q.SAVE_SNAPSHOT, snapshot)
            db.execute(q.DROP_SNAPSHOTS, (SNAPSHOTS_KEPT,))

    def latest_snapshot(self) -> Snapshot | None:
        found = self._read(q.LATEST_SNAPSHOT)
        return Snapshot._make(found[0]) if found else None

    def next_start(self) -> int:
        with self._writing() as db:
            start = _counter(db, "start", 0) + 1
            db.execute(q.SET_COUNTER, ("start", start))
        return start

    def generation(self) -> int:
        with self._reading() as db:
            return _counter(db, "generation", FIRST_GENERATION)

    def set_generation(self, gen: int) -> None:
        with self._writing() as db:
            check_generation(gen, _counter(db, "generation", FIRST_GENERATION))
            db.execute(q.SET_COUNTER, ("generation", gen))

    # trails

    def add_trail(self, points: Sequence[TrailPoint]) -> None:
        check_points(points)
        with self._writing() as db:
            db.executemany(q.ADD_TRAIL, points)

    def trail(self, device: str, from_ms: int, to_ms: int, limit: int = 10_000) -> list[TrailPoint]:
        return [TrailPoint._make(point) for point in self._read(q.TRAIL, device, from_ms, to_ms, limit)]

    def drop_trail(self, before_ms: int) -> int:
        dropped = 0
        while True:
            with self._writing() as db:
                gone = db.execute(q.DROP_TRAIL, (before_ms, DROP_ROWS)).rowcount
            dropped += gone
            if gone < DROP_ROWS:
                return dropped

    # malformed messages

    def keep_malformed(self, m: Malformed) -> None:
        with self._writing() as db:
            db.execute(q.KEEP_MALFORMED, trimmed(m))
            db.execute(q.DROP_MALFORMED, (MALFORMED_KEPT,))

    def malformed(self, newest: int = 100) -> list[Malformed]:
        return [Malformed._make(m) for m in self._read(q.MALFORMED, newest)]

    # recordings

    def add_recording(self, recording: Recording) -> None:
        with self._writing() as db:
            db.execute(q.ADD_RECORDING, recording)

    def recording(self, id_: str) -> Recording | None:
        found = self._read(q.RECORDING, id_)
        return _recording(found[0]) if found else None

    def recordings(self, sought: Sought, limit: int = 200) -> list[Recording]:
        named = {**sought._asdict(), "talk_group": sought.group, "limit": limit}
        lead = next((name for name in ("incident", "talker", "talk_group", "unit") if named[name]), "")
        named["units"] = None if sought.units is None else json.dumps(sorted(sought.units))
        named["incidents"] = json.dumps(sorted(sought.incidents))
        with self._reading() as db:
            return [_recording(row) for row in db.execute(q.RECORDINGS[lead], named).fetchall()]

    def recordings_due(
        self, *, attached: bool, before_ms: int, after: tuple[int, str] = (0, ""), limit: int = 1000
    ) -> list[Recording]:
        rows = self._read(q.RECORDINGS_DUE, int(attached), before_ms, *after, limit)
        return [_recording(row) for row in rows]

    def recordings_bytes(self) -> int:
        with self._reading() as db:
            return _value(db, q.RECORDINGS_BYTES)

    def remove_recording(self, id_: str, at_ms: int, why: str) -> bool:
        with self._writing() as db:
            return db.execute(q.REMOVE_RECORDING, (at_ms, why, id_)).rowcount > 0

    def close(self) -> None:
        """Wait for the write and the reads under way, then close all connections, the writer last."""
        with self._write_lock:
            self._refusal = closed_error()
            for _ in range(READERS):
                self._readers.get()
            self._opened.close()  # does nothing the second time
            for _ in range(READERS):
                self._readers.put(None)


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute(q.BEGIN)
    try:
        yield
        db.execute(q.COMMIT)
    finally:
        if db.in_transaction:
            db.execute(q.ROLLBACK)


def _set(db: sqlite3.Connection, pragmas: Sequence[str]) -> None:
    for pragma in pragmas:
        db.execute(pragma).fetchall()


def _recording(row: Any) -> Recording:
    found = Recording._make(row)
    return found._replace(drill=bool(found.drill))


def _value(db: sqlite3.Connection, statement: str) -> int:
    return int(db.execute(statement).fetchone()[0])


def _counter(db: sqlite3.Connection, name: str, default: int) -> int:
    found = db.execute(q.COUNTER, (name,)).fetchone()
    return int(found[0]) if found else default


def _create_private(path: Path) -> None:
    """Only the daemon's user may read the journal. SQLite gives -wal and -shm the mode of the database."""
    if not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
