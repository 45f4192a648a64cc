"""One talker, a hundred listeners by datagram: against mumble-server, and against the least that a server can do."""

import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.child import Child, child
from benchmarks.metric import Metric, Row

from . import kernel, mumble
from .cost import Word, word
from .size import Size
from .stand import Stand, groups, stand

MUMBLE: Final = "mumble-server, UDP"
CPU_MUMBLE: Final = Metric("datagram_cpu_vs_mumble", "µs/frame", "≤1.1", MUMBLE)
P99_MUMBLE: Final = Metric("datagram_p99_vs_mumble", "ms", "≤0.7", MUMBLE)
CPU_KERNEL: Final = Metric("datagram_cpu_vs_kernel", "µs/frame", "≤1.25", kernel.NAME)
METRICS: Final = (CPU_MUMBLE, P99_MUMBLE, CPU_KERNEL)
WARM_UP: Final = 1
"""Words of each that are not counted."""
SEALED_BYTES: Final = 96
"""One of our datagrams: what the bare loop sends too."""


class Mumble(NamedTuple):
    """A server with everybody in, and its load."""

    server: mumble.Server
    load: Child


async def measure(runs: int, size: Size) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        async with AsyncExitStack() as stack:
            folder = Path(name)
            ours = await stack.enter_async_context(stand(folder / "ours", groups(1, size.listeners)))
            other = await enter_mumble(stack, folder, 1, size.listeners)
            bare = await _enter_kernel(stack, folder, size.listeners)
            mine, theirs, least = [], [], []
            for n in range(WARM_UP + runs):
                mine.append(await say_ours(ours, size.frames))
                theirs += [await say_mumble(other, size.frames)] if other else []
                least += [await _say_kernel(bare, size.frames)] if bare else []
                del mine[: n < WARM_UP], theirs[: n < WARM_UP], least[: n < WARM_UP]
    return _rows(mine, theirs, least)


def _rows(mine: list[Word], theirs: list[Word], least: list[Word]) -> list[Row]:
    us = [one.us for one in mine]
    rows = []
    if theirs:
        rows.append(CPU_MUMBLE.row(us, [one.us for one in theirs]))
        rows.append(P99_MUMBLE.row([x.heard.p99_ms for x in mine], [x.heard.p99_ms for x in theirs]))
    if least:
        rows.append(CPU_KERNEL.row(us, [one.us for one in least]))
    return rows


# --- ours -------------------------------------------------------------------------------------------------------


async def say_ours(on: Stand, frames: int) -> Word:
    """The floor is asked for before and given back after: what is measured is the sound."""
    await on.radios.ask(do="prepare")
    said = await word([on.daemon_pid], on.radios, frames=frames)
    await on.radios.ask(do="release")
    return said


# --- the baselines ----------------------------------------------------------------------------------------------


async def enter_mumble(stack: AsyncExitStack, folder: Path, groups: int, listeners: int) -> Mumble | None:
    """None, and a sentence on stderr, where there is no mumble-server."""
    try:
        return await stack.enter_async_context(_mumble(folder, groups, listeners))
    except mumble.NoMumble as error:
        sys.stderr.write(f"voice: without the rows against mumble: {error}\n")
        return None


@asynccontextmanager
async def _mumble(folder: Path, groups: int, listeners: int) -> AsyncIterator[Mumble]:
    everybody = groups * (listeners + 1) + 1
    async with (
        mumble.server(folder / "mumble", everybody) as server,
        child(folder, "-m", "benchmarks.voice.mumble_load") as load,
    ):
        await load.ask(
            do="join", port=server.port, password=server.password, groups=groups, listeners=listeners
        )
        yield Mumble(server, load)


async def say_mumble(other: Mumble, frames: int) -> Word:
    return await word([other.server.pid], other.load, frames=frames)


async def _enter_kernel(
    stack: AsyncExitStack, folder: Path, listeners: int
) -> tuple[kernel.Loop, Child] | None:
    try:
        program = await kernel.build(folder)
    except kernel.NoCompiler as error:
        sys.stderr.write(f"voice: without the row against the bare send loop: {error}\n")
        return None
    load = await stack.enter_async_context(child(folder, "-m", "benchmarks.voice.kernel"))
    ports = (await load.ask(do="join", listeners=listeners))["ports"]
    return await stack.enter_async_context(kernel.send_loop(program, ports)), load


async def _say_kernel(bare: tuple[kernel.Loop, Child], frames: int) -> Word:
    loop, load = bare
    return await word([loop.pid], load, port=loop.port, frames=frames, size=SEALED_BYTES)
