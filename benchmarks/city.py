"""The demo city, recorded: the real simulators on the real daemon for a while, with an operator who does his work.

Recorded is what the daemon's ledger was given to decide, batch by batch, and the journal it kept. Deciding the same
batches again from an empty state gives the same facts, so a figure is taken on what really happens.
"""

import asyncio
import pickle
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple

from dispatchd.config import Broker
from dispatchd.core.inputs import Input
from dispatchd.store import open_store
from dispatchd.store.base import Row
from simulators.demo.make import SITE_FILE

from .broker import HOST
from .daemon import Batches, Hand, daemon

END_AFTER_MS: Final = 10_000
"""The operator ends an incident that is as old as this."""
BROADCAST_EVERY_S: Final = 10.0
PRESS_EVERY_S: Final = 1.0
"""Some pillar's key; a quiet city would show `state` messages only."""
START_TIMEOUT_S: Final = 60.0


class Recording(NamedTuple):
    """`batches` from the first start on; `rows` of the journal they made."""

    batches: Batches
    rows: list[Row]


class Town(NamedTuple):
    """How much of the demo city takes part, and for how long after all are on line."""

    terminals: int = 100
    pillars: int = 12
    seconds: float = 45.0


DEMO: Final = Town()


async def record(folder: Path, town: Town) -> Recording:
    """Plays the city in `folder`."""
    kept = folder / "inputs.pickle"
    broker = Broker("auto", f"{HOST}:0")
    async with daemon(folder / "daemon", broker, str(SITE_FILE), kept) as hand, _city(folder, town, hand):
        await _all_on_line(hand, town.terminals + town.pillars)
        await _operate(hand, town.seconds)
    with closing(open_store(f"sqlite:{folder / 'daemon' / 'dispatch.db'}")) as store:
        return Recording(pickle.loads(kept.read_bytes()), list(store.rows()))


@asynccontextmanager
async def _city(folder: Path, town: Town, hand: Hand) -> AsyncIterator[None]:
    command = [
        "-m", "simulators.cli", "city", "--terminals", str(town.terminals), "--pillars", str(town.pillars),
        "--http", hand.ready.http, "--token-file", hand.ready.admin_token_file, "--mqtt", hand.ready.mqtt,
        "--credentials", str(folder / "credentials"), "--press-every", str(PRESS_EVERY_S),
    ]  # fmt: skip
    with (folder / "city.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        await process.communicate(b"quit\n")


async def _all_on_line(hand: Hand, wanted: int) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        while sum(one["online"] for one in (await hand.read("/fleet"))["items"]) < wanted:
            await asyncio.sleep(0.2)


async def _operate(hand: Hand, seconds: float) -> None:
    """Accepts what nobody owns, ends what is old, says a word now and then."""
    begin, said_at = monotonic(), 0.0
    while monotonic() < begin + seconds:
        for incident in (await hand.read("/incidents"))["items"]:
            await _work(hand, incident)
        if monotonic() > said_at + BROADCAST_EVERY_S:
            said_at = monotonic()
            await hand.command(
                "broadcast", text="各巡逻组报告位置", target={"everybody": True}, ack=True, speak=False
            )
        await asyncio.sleep(0.5)


async def _work(hand: Hand, incident: dict[str, Any]) -> None:
    if not incident["open"]:
        return
    if incident["owner"] is None:
        await hand.command("accept", incident=incident["id"])
    elif incident["age_ms"] > END_AFTER_MS:
        await hand.command("end", incident=incident["id"], outcome="genuine")


def flat(batches: Batches) -> list[tuple[int, Input]]:
    """One by one, with the core time of each."""
    return [(now_ms, one) for now_ms, inputs in batches for one in inputs]
