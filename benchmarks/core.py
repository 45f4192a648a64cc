"""What the core costs: time per input of the recorded city, memory per device, time until a long journal is loaded.

The city is the real one (city.py); memory and start-up are taken in a fresh process each, as `python -m benchmarks.core
memory DEVICES` and `python -m benchmarks.core ready STORE`, which answer with one JSON line.
"""

import gc
import sys
import tempfile
import tracemalloc
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any, Final

import msgspec

from dispatchd.core.commands import ApplySite
from dispatchd.core.core import Core
from dispatchd.core.inputs import DaemonStarted, DeviceSaid, Input, OperatorAsked
from dispatchd.core.site_commands import ADMIN
from dispatchd.core.turn import Decision
from dispatchd.ledger import SNAPSHOT_EVERY, Ledger
from dispatchd.store import SqliteStore
from protocols import up
from protocols.types import Key, Position

from . import city, town
from .child import child
from .journal import fill
from .metric import Metric, Row

DEVICES: Final = 10_000
FACTS: Final = 1_000_000
NOW_MS: Final = 1_800_000_000_000

DECIDE: Final = Metric("decide_vs_empty", "inputs/s", "", "empty decide and apply")
BYTES: Final = Metric("bytes_per_device", "bytes", "≤8000")
READY: Final = Metric("ready_s", "s", "<3")
METRICS: Final = (DECIDE, BYTES, READY)


async def measure(
    runs: int, played: city.Town = city.DEMO, devices: int = DEVICES, facts: int = FACTS
) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        recording = await city.record(folder, played)
        store = folder / "long.db"
        fill(store, recording.rows, facts, min(SNAPSHOT_EVERY, facts // 4))
        return [
            decide_row(runs, city.flat(recording.batches)),
            BYTES.row([await _alone(folder, "memory", str(devices)) for _ in range(min(runs, 3))]),
            READY.row([await _alone(folder, "ready", str(store)) for _ in range(runs)]),
        ]


async def _alone(folder: Path, *what: str) -> float:
    async with child(folder, "-m", "benchmarks.core", *what) as process:
        return float(await process.hear())


# --- deciding ---------------------------------------------------------------------------------------------------


class Empty:
    """Decides nothing and applies it: what looping alone costs."""

    def __init__(self) -> None:
        self.state: dict[str, int] = {}

    def decide(self, asked: Input, now_ms: int) -> Decision:
        decision = Decision([], [])
        for fact in decision.facts:
            self.apply(fact, now_ms)
        return decision

    def apply(self, fact: Any, now_ms: int) -> None:
        self.state["now_ms"] = now_ms


def decide_row(runs: int, inputs: list[tuple[int, Input]]) -> Row:
    """From the first word of a device on: the site is there by then."""
    first = next(n for n, (_, one) in enumerate(inputs) if isinstance(one, DeviceSaid))
    ours, empty = [], []
    for _ in range(runs):
        core = Core()
        _rate(core, inputs[:first])
        ours.append(_rate(core, inputs[first:]))
        empty.append(_rate(Empty(), inputs[first:]))
    return DECIDE.row(ours, empty)


def _rate(core: Core | Empty, inputs: Sequence[tuple[int, Input]]) -> float:
    decide = core.decide
    begin = perf_counter()
    for now_ms, one in inputs:
        decide(one, now_ms)
    return len(inputs) / (perf_counter() - begin) if inputs else 0.0


# --- memory -----------------------------------------------------------------------------------------------------


def bytes_per_device(devices: int) -> float:
    """State and indexes of a site, everybody on line with position and membership, without the empty daemon's."""
    tracemalloc.start()
    core = Core()
    core.decide(DaemonStarted(1, 1, admin_hash="x"), NOW_MS)
    who = town.devices(devices // 100, devices - devices // 100)
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    core.decide(OperatorAsked(ADMIN, ApplySite(town.site(who))), NOW_MS)
    for one in who:
        arrive(core, one)
    gc.collect()
    return (tracemalloc.get_traced_memory()[0] - before) / devices


def arrive(core: Core, one: town.Somebody) -> None:
    """As decoded from the wire: nothing of it is shared between devices."""
    position = Position(one.lat, one.lon, 5.0, 100)
    said: list[up.Up] = [
        up.Hello(b"nonce-of-8", 1, f"boot-{one.id}"),
        up.Applied(Key(f"boot-{one.id}", 1), "membership", 1),
        up.State(1, position, 80, 70, 60, firmware="1.0"),
    ]
    for message in said:
        core.decide(DeviceSaid(one.id, message), NOW_MS + 1000)


# --- start-up ---------------------------------------------------------------------------------------------------


def ready_s(file: Path) -> float:
    """Until the first batch of a new life is on disk and the snapshot that is due then is made.

    It is not saved: every run is to find the same journal."""
    begin = monotonic()
    with closing(SqliteStore(file)) as store:
        ledger = Ledger(store)
        now_ms = store.last_now_ms()
        batch = ledger.decide([DaemonStarted(store.next_start(), store.generation())], now_ms, now_ms)
        ledger.keep(batch, ledger.write(batch))
        if ledger.wants_snapshot():
            ledger.snapshot()
        return monotonic() - begin


ALONE: Final = {"memory": lambda what: bytes_per_device(int(what)), "ready": lambda what: ready_s(Path(what))}

if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(ALONE[sys.argv[1]](sys.argv[2])).decode() + "\n")
