"""A thousand alarms at once, and as many as the daemon takes: from a hundred pillars, each receipt after a FULL commit.

The site has a hundred patrols on line beside its hundred pillars, as the demo city: every first press opens an incident
that looks for the nearest, calls them, escalates and lets the pillar speak; the further ones join it. Whether an alarm
is there is looked up in the store's file, after the daemon has ended.
"""

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from statistics import quantiles
from time import monotonic
from typing import Any, Final, NamedTuple

from dispatchd.core import facts as f
from dispatchd.store import open_store
from dispatchd.store.queries import WRITER_PRAGMAS
from protocols import codec, up
from protocols.types import Key

from .fleet import PRESS
from .metric import Metric, Row
from .stage import Stage, stage

PILLARS, PATROLS = 100, 100
EACH: Final = 10
"""Presses of each pillar in a storm."""
WINDOW: Final = 16
"""Presses of each pillar under way in the closed loop."""
SECONDS: Final = 5.0

P99: Final = Metric("storm_p99_ms", "ms", "<250")
LOST: Final = Metric("storm_lost", "alarms", "=0")
DOUBLED: Final = Metric("storm_doubled", "alarms", "=0")
SHARE: Final = Metric("storm_share", "alarms/s", "≥1.0", "bare SQLite, one row per FULL transaction")
METRICS: Final = (P99, LOST, DOUBLED, SHARE)


class Town(NamedTuple):
    """How large, and for how long."""

    pillars: int = PILLARS
    patrols: int = PATROLS
    seconds: float = SECONDS


DEMO: Final = Town()


class Outcome(NamedTuple):
    """What the clients said of one run, and what the file held afterwards."""

    said: dict[str, Any]
    lost: int
    doubled: int


async def measure(runs: int, town: Town = DEMO) -> list[Row]:
    storms, floods, bare = [], [], []
    for _ in range(runs):
        storms.append(await _run(town, lambda on: on.fleet.ask(do="burst", each=EACH)))
        floods.append(
            await _run(town, lambda on: on.fleet.ask(do="sustain", window=WINDOW, seconds=town.seconds))
        )
        bare.append(bare_rate(town.seconds))
    everything = storms + floods
    return [
        P99.row([p99(one.said["ms"]) for one in storms]),
        LOST.row([sum(one.lost for one in everything)]),
        DOUBLED.row([sum(one.doubled for one in everything)]),
        SHARE.row([one.said["receipted"] / one.said["seconds"] for one in floods], bare),
    ]


async def _run(town: Town, play: Callable[[Stage], Awaitable[dict[str, Any]]]) -> Outcome:
    """On a fresh site; its file is read when the daemon has let go of it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with stage(town.pillars, town.patrols, Path(folder)) as on:
            said = await play(on)
        return Outcome(said, *missing_and_doubled(on.folder / "dispatch.db", said["pressed"]))


def missing_and_doubled(file: Path, pressed: dict[str, int]) -> tuple[int, int]:
    """Presses that the journal does not hold, and those it holds more than once."""
    with closing(open_store(f"sqlite:{file}")) as store:
        raised = (f.decode(row.kind, row.v, row.body) for row in store.rows() if row.kind == "AlarmRaised")
        found = Counter((one.device, one.key) for one in raised if isinstance(one, f.AlarmRaised))
    wanted = [(device, Key(PRESS, n)) for device, last in pressed.items() for n in range(1, last + 1)]
    return sum(key not in found for key in wanted), sum(count > 1 for count in found.values())


def p99(took_ms: list[float]) -> float:
    return quantiles(took_ms, n=100, method="inclusive")[98]


# --- the baseline -----------------------------------------------------------------------------------------------


def bare_rate(seconds: float) -> float:
    """Alarms a second that SQLite alone keeps, each in a transaction of its own, set as ours is."""
    body = codec.encode(up.Alarm(Key(PRESS, 1), age_ms=0))
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        closing(sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)) as db,
    ):
        for pragma in WRITER_PRAGMAS:
            db.execute(pragma).fetchall()
        db.execute("CREATE TABLE alarm (id INTEGER PRIMARY KEY, device TEXT, received_ms INTEGER, body BLOB)")
        begin, count = monotonic(), 0
        while monotonic() < begin + seconds:
            count += 1
            row = (f"pillar-{count % PILLARS}", 1_800_000_000_000 + count, body)
            db.execute("INSERT INTO alarm (device, received_ms, body) VALUES (?, ?, ?)", row)
        return count / (monotonic() - begin)
