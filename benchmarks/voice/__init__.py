"""Voice: what carrying a word to a hundred listeners costs and adds, and how soon one may talk and is heard.

Every server is a process of its own, whose processor time the kernel counts; ours is the daemon with its store on disk.
Baselines that are not installed here (mumble-server, a C compiler) are named on stderr and their rows left out.
"""

import sys
from typing import Final

from benchmarks.machine import load
from benchmarks.metric import Metric, Row

from . import datagram, floor, many, mouth, mqtt, web
from .size import FULL, Size

METRICS: Final[tuple[Metric, ...]] = (
    *datagram.METRICS,
    *mqtt.METRICS,
    *web.METRICS,
    *many.METRICS,
    *floor.METRICS,
    *mouth.METRICS,
)


async def measure(runs: int, size: Size = FULL) -> list[Row]:
    """One after the other: at any time only what is compared is running."""
    rows: list[Row] = []
    for part in (datagram, mqtt, web, many, floor, mouth):
        for row in await part.measure(runs, size):
            sys.stderr.write(f"voice: {row.metric} {row.ours:g} {row.unit}, ratio {row.ratio}, {load()}\n")
            rows.append(row)
    return rows
