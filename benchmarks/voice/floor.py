"""How soon one may talk, and how soon a late comer hears: request → granted against an echo, and late entry."""

import tempfile
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

import msgspec

from benchmarks.child import Child, child
from benchmarks.metric import Metric, Row

from .size import Size
from .stand import groups, stand

GRANT: Final = Metric("floor_grant_vs_rtt", "ms", "≤3", "an echo client on the same broker")
ENTRY: Final = Metric("late_entry_ms", "ms", "<350")
METRICS: Final = (GRANT, ENTRY)
WARM_UP: Final = 20
"""Presses of each run that are not counted."""


async def measure(runs: int, size: Size) -> list[Row]:
    """Who presses is in a process of its own: the others' hearing of it must not delay what he hears."""
    granted, echoed, entered = [], [], []
    members = groups(1, size.listeners + 2)
    (group, everybody), *_ = members.items()
    late, one = msgspec.to_builtins(everybody[-2:])
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        async with (
            stand(folder / "ours", members, spare=2) as on,
            child(folder, "-m", "benchmarks.voice.echo") as echo,
            child(folder, "-m", "benchmarks.voice.radios") as presser,
        ):
            await echo.ask(do="join", port=on.port)
            await presser.ask(do="join", port=on.port, groups={group: [one]})
            for _ in range(runs):
                granted.append(_at(99, await presser.ask(do="floor", count=WARM_UP + size.presses)))
                echoed.append(_at(99, await presser.ask(do="echo", count=WARM_UP + size.presses)))
                await on.radios.ask(do="prepare")
                entered.append(_at(95, await _enter(on.radios, late, group, size.entries), skip=0))
                await on.radios.ask(do="release")
    return [GRANT.row(granted, echoed), ENTRY.row(entered)]


async def _enter(radios: Child, one: Any, group: str, count: int) -> dict[str, Any]:
    return dict(await radios.ask(do="enter", device=one, group=group, count=count))


def _at(percent: int, said: dict[str, Any], skip: int = WARM_UP) -> float:
    """That percentile of an answer's milliseconds."""
    return float(quantiles(said["ms"][skip:], n=100, method="inclusive")[percent - 1])
