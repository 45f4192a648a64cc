"""How fast the SQLite store is here: `python -m tests.store.measure [FOLDER]`. It prints, it judges nothing.

Commits of 200-byte rows one by one and in batches; then 1,000,000 rows and what a start has to read of them.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from dispatchd.store import SqliteStore
from dispatchd.store.base import Snapshot, TrailPoint
from tests.store.conftest import new_row

SECONDS = 2.0
ROWS = 1_000_000
SNAPSHOT_BYTES = 80_000_000  # 10,000 devices of 8,000 bytes


def timed(what: str, work: Callable[[], object]) -> None:
    start = perf_counter()
    result = work()
    print(f"{what:<46} {1000 * (perf_counter() - start):10.1f} ms   {result}")


def commits(store: SqliteStore, size: int) -> None:
    batch = [new_row(n, about=f"i-{n % 50}", size=200) for n in range(size)]
    took: list[float] = []
    end = perf_counter() + SECONDS
    while perf_counter() < end:
        start = perf_counter()
        store.commit(batch)
        took.append(perf_counter() - start)
    took.sort()
    rate, p99 = len(took) / sum(took), 1000 * took[len(took) * 99 // 100]
    print(f"batches of {size:>2}: {rate:8.0f} commits/s {rate * size:9.0f} rows/s   p99 {p99:.2f} ms")


def load(store: SqliteStore) -> int:
    kinds = ("alarm_raised", "rung", "answer", "presence", "called")
    for first in range(store.last_seq(), ROWS, 10_000):
        rows = range(first, min(first + 10_000, ROWS))
        store.commit([new_row(n, kind=kinds[n % 5], about=f"i-{n // 40}", size=200) for n in rows])
    return store.last_seq()


def trail(store: SqliteStore) -> int:
    for first in range(0, 200_000, 10_000):
        store.add_trail(
            [TrailPoint(f"t-{n % 100}", n, 26.9, 112.6, 5.0) for n in range(first, first + 10_000)]
        )
    return 200_000


def main(folder: str) -> None:
    path = Path(folder) / "site.db"
    store = SqliteStore(path)
    for size in (1, 8, 32):
        commits(store, size)
    timed("load to 1,000,000 rows", lambda: load(store))
    timed("close", store.close)
    store = SqliteStore(path)
    print(f"database {path.stat().st_size / 1e6:.0f} MB")
    timed("last_now_ms", store.last_now_ms)
    timed("rows(after=980_000)", lambda: sum(1 for _ in store.rows(980_000)))
    timed("rows(), all", lambda: sum(1 for _ in store.rows()))
    timed("rows_about, 40 rows", lambda: len(store.rows_about("i-20000")))
    timed("rows_of_kind, newest 1000", lambda: len(store.rows_of_kind("rung")))
    timed("save_snapshot, 80 MB", lambda: store.save_snapshot(Snapshot(ROWS, 0, 1, bytes(SNAPSHOT_BYTES))))
    timed("latest_snapshot, 80 MB", lambda: len((store.latest_snapshot() or Snapshot(0, 0, 0, b"")).body))
    timed("add_trail, 200,000 points", lambda: trail(store))
    timed("drop_trail, half of them", lambda: store.drop_trail(100_000))
    store.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as scratch:
        main(scratch)
