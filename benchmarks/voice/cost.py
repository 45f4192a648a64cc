"""What one word costs: processor time of the servers while it is said, for every frame that arrived."""

import sys
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from benchmarks.child import Child

from .cpu import cpu_s
from .ears import Heard

WHOLE: Final = 0.99
"""Share of the deliveries that must arrive; below it the figure is of a loaded machine, and this is said."""


class Word(NamedTuple):
    """Of one word: server processor time per delivered frame, and what the listeners heard."""

    us: float
    heard: Heard


async def word(pids: Sequence[int], load: Child, **order: Any) -> Word:
    """`load` says a word (its order `talk`); `pids` are all processes of the server."""
    before = sum(map(cpu_s, pids))
    heard = Heard(**await load.ask(do="talk", **order))
    return Word(us_each(sum(map(cpu_s, pids)) - before, heard), heard)


def us_each(spent_s: float, heard: Heard) -> float:
    if heard.delivered < WHOLE * heard.expected:
        sys.stderr.write(
            f"voice: {heard.delivered} of {heard.expected} frames arrived; the machine is too busy\n"
        )
    return spent_s / max(heard.delivered, 1) * 1e6
