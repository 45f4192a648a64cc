"""Ten talkers at once in ten talk groups of a hundred listeners: what waiting for each other adds."""

import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from benchmarks.metric import Metric, Row

from .datagram import MUMBLE, WARM_UP, enter_mumble, say_mumble, say_ours
from .size import Size
from .stand import groups, stand

TEN: Final = Metric("ten_groups_p99_vs_mumble", "ms", "≤1.0", MUMBLE)
METRICS: Final = (TEN,)


async def measure(runs: int, size: Size) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        async with AsyncExitStack() as stack:
            folder = Path(name)
            other = await enter_mumble(stack, folder, size.groups, size.listeners)
            if other is None:
                return []
            ours = await stack.enter_async_context(
                stand(folder / "ours", groups(size.groups, size.listeners))
            )
            mine, theirs = [], []
            for _ in range(WARM_UP + runs):
                mine.append((await say_ours(ours, size.frames)).heard.p99_ms)
                theirs.append((await say_mumble(other, size.frames)).heard.p99_ms)
    return [TEN.row(mine[WARM_UP:], theirs[WARM_UP:])]
