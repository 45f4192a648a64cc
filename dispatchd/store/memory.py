"""The store in memory: for tests, simulations and a trial run. Order, bounds and errors are those on disk.

Nothing survives `close`, and it fails only where every store must: it has no switch for faults.
"""

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from heapq import nsmallest
from itertools import islice
from threading import Lock

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
    TrailPoint,
    check_generation,
    check_points,
    check_snapshot,
    closed_error,
    trimmed,
)


class MemoryStore:
    """The true twin of SqliteStore."""

    def __init__(self) -> None:
        self._guard = _Guard()
        self._rows: list[Row] = []
        self._about: dict[str, list[int]] = defaultdict(list)
        self._kind: dict[str, list[int]] = defaultdict(list)
        self._peak_ms = 0
        self._snapshots: dict[int, Snapshot] = {}
        self._starts = 0
        self._generation = FIRST_GENERATION
        self._trail: dict[str, dict[int, TrailPoint]] = defaultdict(dict)
        self._malformed: deque[Malformed] = deque(maxlen=MALFORMED_KEPT)
        self._recordings: dict[str, Recording] = {}

    def commit(self, rows: Sequence[NewRow]) -> int:
        with self._guard:
            for new in rows:
                self._keep(Row(len(self._rows) + 1, *new))
            return len(self._rows)

    def _keep(self, row: Row) -> None:
        self._rows.append(row)
        self._kind[row.kind].append(row.seq)
        self._peak_ms = max(self._peak_ms, row.now_ms)
        if row.about:
            self._about[row.about].append(row.seq)

    def last_seq(self) -> int:
        with self._guard:
            return len(self._rows)

    def last_now_ms(self) -> int:
        with self._guard:
            return max(self._peak_ms, *(s.now_ms for s in self._snapshots.values()), 0)

    def rows(self, after: int = 0, limit: int | None = None) -> Iterator[Row]:
        with self._guard:
            end = len(self._rows)
        start = min(max(after, 0), end)
        return self._walk(start, end if limit is None else min(end, start + limit))

    def _walk(self, start: int, end: int) -> Iterator[Row]:
        for index in range(start, end):
            with self._guard:
                row = self._rows[index]
            yield row

    def rows_about(self, about: str, after: int = 0, limit: int = 100_000) -> list[Row]:
        with self._guard:
            seqs = self._about.get(about, [])
            first = bisect_right(seqs, after)
            return [self._rows[seq - 1] for seq in seqs[first : first + limit]]

    def rows_of_kind(self, kind: str, *, newest: int = 1000) -> list[Row]:
        with self._guard:
            return [self._rows[seq - 1] for seq in islice(reversed(self._kind.get(kind, [])), newest)]

    def save_snapshot(self, snapshot: Snapshot) -> None:
        with self._guard:
            check_snapshot(snapshot, len(self._rows))
            self._snapshots[snapshot.seq] = snapshot
            while len(self._snapshots) > SNAPSHOTS_KEPT:
                del self._snapshots[min(self._snapshots)]

    def latest_snapshot(self) -> Snapshot | None:
        with self._guard:
            return self._snapshots[max(self._snapshots)] if self._snapshots else None

    def next_start(self) -> int:
        with self._guard:
            self._starts += 1
            return self._starts

    def generation(self) -> int:
        with self._guard:
            return self._generation

    def set_generation(self, gen: int) -> None:
        with self._guard:
            check_generation(gen, self._generation)
            self._generation = gen

    def add_trail(self, points: Sequence[TrailPoint]) -> None:
        with self._guard:
            check_points(points)
            for point in points:
                self._trail[point.device][point.at_ms] = point

    def trail(self, device: str, from_ms: int, to_ms: int, limit: int = 10_000) -> list[TrailPoint]:
        with self._guard:
            points = self._trail.get(device, {})
            return [points[at] for at in nsmallest(limit, (at for at in points if from_ms <= at < to_ms))]

    def drop_trail(self, before_ms: int) -> int:
        with self._guard:
            return sum(self._drop(points, before_ms) for points in self._trail.values())

    @staticmethod
    def _drop(points: dict[int, TrailPoint], before_ms: int) -> int:
        gone = [at for at in points if at < before_ms]
        for at in gone:
            del points[at]
        return len(gone)

    def keep_malformed(self, m: Malformed) -> None:
        with self._guard:
            self._malformed.append(trimmed(m))

    def malformed(self, newest: int = 100) -> list[Malformed]:
        with self._guard:
            return list(islice(reversed(self._malformed), newest))

    def add_recording(self, recording: Recording) -> None:
        with self._guard:
            self._recordings[recording.recording] = recording

    def recording(self, id_: str) -> Recording | None:
        with self._guard:
            return self._recordings.get(id_)

    def recordings(self, sought: Sought, limit: int = 200) -> list[Recording]:
        with self._guard:
            found = [r for r in self._recordings.values() if _is_sought(r, sought)]
        return sorted(found, key=_age, reverse=True)[:limit]

    def recordings_due(
        self, *, attached: bool, before_ms: int, after: tuple[int, str] = (0, ""), limit: int = 1000
    ) -> list[Recording]:
        with self._guard:
            kept = [r for r in self._recordings.values() if not r.removed_ms and bool(r.incident) == attached]
        return sorted((r for r in kept if r.wall_ms < before_ms and _age(r) > after), key=_age)[:limit]

    def recordings_bytes(self) -> int:
        with self._guard:
            return sum(r.bytes for r in self._recordings.values() if not r.removed_ms)

    def remove_recording(self, id_: str, at_ms: int, why: str) -> bool:
        with self._guard:
            found = self._recordings.get(id_)
            if found is None or found.removed_ms:
                return False
            self._recordings[id_] = found._replace(removed_ms=at_ms, removed_why=why)
            return True

    def close(self) -> None:
        self._guard.close()


def _age(recording: Recording) -> tuple[int, str]:
    return recording.wall_ms, recording.recording


def _is_sought(r: Recording, sought: Sought) -> bool:
    asked = (
        (sought.group, r.group),
        (sought.talker, r.talker),
        (sought.incident, r.incident),
        (sought.unit, r.unit),
    )
    named = all(wanted in ("", has) for wanted, has in asked)
    theirs = (
        sought.units is None
        or r.unit in sought.units
        or (bool(r.incident) and r.incident in sought.incidents)
    )
    return named and theirs and sought.from_ms <= r.wall_ms < sought.to_ms


class _Guard:
    """A lock that lets nobody in once the store is closed."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._closed = False

    def __enter__(self) -> None:
        self._lock.acquire()
        if self._closed:
            self._lock.release()
            raise closed_error()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def close(self) -> None:
        with self._lock:
            self._closed = True
