"""What happened to one incident or broadcast, in order, from the journal: what was recorded, never
re-decided.

The same reading serves the API (in a thread) and `dispatchd replay` on a store that no daemon has open.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from dispatchd.clock import site_zone
from dispatchd.core import facts
from dispatchd.core.facts import (
    BroadcastOpened,
    Escalated,
    Fact,
    IncidentOpened,
    ReliefOffered,
    Relieved,
    RingOpened,
)

from .ports import Journal, Row
from .words import ring_reasons, say

MOST_STEPS: Final = 100_000  # rows of one incident; what comes later is left out and `cut` says so
SHIFT_CHANGES: Final = 1_000  # newest reliefs looked through for ones that concern it


class Step(Struct, frozen=True):
    """One fact. `time` is wall time in the site's zone; `because_*` say line by line why, for a ring."""

    seq: int
    now_ms: int
    wall_ms: int
    time: str
    kind: str
    zh: str
    en: str
    because_zh: list[str]
    because_en: list[str]
    fact: dict[str, Any]


class Replay(Struct, frozen=True):
    """`units`: the responsible unit and those that were alerted."""

    id: str
    timezone: str
    units: list[str]
    steps: list[Step]
    cut: bool = False


def of(journal: Journal, id_: str, timezone_: str) -> Replay:
    """The replay of `id_`; without steps when the journal knows nothing of it."""
    rows = list(journal.rows_about(id_, limit=MOST_STEPS + 1))
    cut = len(rows) > MOST_STEPS
    told = [*_decoded(rows[:MOST_STEPS]), *(_shift_changes(journal, id_) if rows else ())]
    told.sort(key=lambda pair: pair[0].seq)
    zone = site_zone(timezone_)
    steps = [_step(row, fact, zone) for row, fact in told]
    return Replay(id_, timezone_, sorted(_units(fact for _, fact in told)), steps, cut)


def _decoded(rows: Sequence[Row]) -> Iterator[tuple[Row, Fact]]:
    for row in rows:
        yield row, facts.decode(row.kind, row.v, row.body)


def _shift_changes(journal: Journal, id_: str) -> Iterator[tuple[Row, Fact]]:
    for type_ in (ReliefOffered, Relieved):
        for row, fact in _decoded(journal.rows_of_kind(type_.__name__, newest=SHIFT_CHANGES)):
            if id_ in cast("ReliefOffered | Relieved", fact).incidents:
                yield row, fact


def _units(told: Iterator[Fact]) -> set[str]:
    found: set[str] = set()
    for fact in told:
        if isinstance(fact, IncidentOpened | BroadcastOpened):
            found.add(fact.unit)
        elif isinstance(fact, Escalated):
            found.update(fact.units)
    return found


def _step(row: Row, fact: Fact, zone: tzinfo) -> Step:
    words = say(fact)
    because = ring_reasons(fact) if isinstance(fact, RingOpened) else []
    return Step(
        seq=row.seq,
        now_ms=row.now_ms,
        wall_ms=row.wall_ms,
        time=local_time(row.wall_ms, zone),
        kind=row.kind,
        zh=words.zh,
        en=words.en,
        because_zh=[c.zh for c in because],
        because_en=[c.en for c in because],
        fact=msgspec.to_builtins(fact),
    )


def local_time(wall_ms: int, zone: tzinfo) -> str:
    """ISO 8601 with milliseconds and offset."""
    return datetime.fromtimestamp(wall_ms / 1000, zone).isoformat(sep=" ", timespec="milliseconds")
