"""`python -m tests.e2e.launch SETTINGS.json`: the daemon, with switches for tests of what a machine does to it.

SIGUSR1: the store gets not one page more (as on a full disk). SIGUSR2: there is space again. The file `wall` beside
the settings holds seconds by which the wall clock is wrong; the monotonic clock is never touched.
"""

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from dispatchd import app, config, log
from dispatchd.store import SqliteStore, Store, open_store

_opened: list[SqliteStore] = []


def main(path: str) -> None:
    _move_the_wall_clock(Path(path).with_name("wall"))
    settings = config.load(None, json.loads(Path(path).read_text(encoding="utf-8")))
    log.configure("info", "json")
    signal.signal(signal.SIGUSR1, _switch)
    signal.signal(signal.SIGUSR2, _switch)
    vars(app)["open_store"] = _noted
    app.run(settings)


def _move_the_wall_clock(file: Path) -> None:
    true_ns = time.time_ns

    def wall_ns() -> int:
        return true_ns() + (int(file.read_text()) * 1_000_000_000 if file.exists() else 0)

    vars(time).update(time_ns=wall_ns, time=lambda: wall_ns() / 1e9)


def _noted(url: str) -> Store:
    store = open_store(url)
    assert isinstance(store, SqliteStore)
    _opened.append(store)
    return store


def _switch(number: int, _frame: Any) -> None:
    db = _opened[0]._db
    used = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {used if number == signal.SIGUSR1 else 1_000_000_000}")


if __name__ == "__main__":
    main(sys.argv[1])
