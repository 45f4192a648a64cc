"""What these tests share: a small site, presses, and an engine that runs as the daemon runs it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from dispatchd.core.commands import ApplySite
from dispatchd.core.effects import Effect, Send
from dispatchd.core.inputs import DaemonStarted, DeviceSaid, OperatorAsked
from dispatchd.core.site_commands import ADMIN
from dispatchd.engine import Engine
from dispatchd.ledger import Ledger
from dispatchd.store import Store
from protocols import up
from protocols.down import Receipt
from protocols.types import Key, Position

PATIENCE_S = 10.0  # for anything a test waits for; reaching it is a failure
SITE: dict[str, Any] = {
    "name": "engine test",
    "unit": [{"id": "top"}, {"id": "station", "parent": "top"}],
    "patrol": [{"id": f"patrol-{n}", "unit": "station", "force": "police"} for n in (1, 2)],
    "device": [
        *({"id": f"pillar-{n}", "kind": "pillar", "unit": "station", "lat": 26.9, "lon": 112.6} for n in range(4)),
        *({"id": f"radio-{n}", "kind": "terminal", "unit": "station", "patrol": f"patrol-{n}"} for n in (1, 2)),
    ],
    "talk_group": [{"id": "all", "unit": "top", "units": ["top"]}],
}  # fmt: skip
STARTED = DaemonStarted(1, 1, "test", "0" * 64)
MAKE_SITE = OperatorAsked(ADMIN, ApplySite(SITE))


def press(device: str, seq: int, boot: str = "boot-1") -> DeviceSaid:
    return DeviceSaid(device, up.Alarm(Key(boot, seq), age_ms=100))


def hello(device: str, conn: int = 1) -> DeviceSaid:
    return DeviceSaid(device, up.Hello(bytes(8), conn, "boot-1"))


def state(lat: float = 26.9, conn: int = 1) -> up.State:
    return up.State(conn, Position(lat, 112.6, 5.0))


def receipted(effects: list[Effect]) -> list[tuple[str, int]]:
    """Device and sequence of every key that a receipt among the effects names, in order."""
    sent = [e for e in effects if isinstance(e, Send) and isinstance(e.message, Receipt)]
    return [(e.device, item.key.seq) for e in sent for item in e.message.items]  # type: ignore[union-attr]


async def until(what: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    """Returns as soon as `what()` is true; TimeoutError at the end of the time."""
    async with asyncio.timeout(within_s):
        while not what():
            await asyncio.sleep(0.01)


class Running:
    """An engine, its task, and every effect that left it."""

    def __init__(self, store: Store, **limits: int) -> None:
        self.effects: list[Effect] = []
        self.engine = Engine(store, self.effects.extend, Ledger(store), **limits)
        self.task: asyncio.Task[None] | None = None

    async def press(self, device: str, seq: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self.engine.tell(press(device, seq))

    async def incidents(self) -> set[str]:
        async with self.engine.settled() as now:
            return set(now.incidents)

    async def stop(self) -> None:
        assert self.task is not None
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@contextlib.asynccontextmanager
async def running(store: Store, *, with_site: bool = True, **limits: int) -> AsyncIterator[Running]:
    """Started, with the site; cancelled at the end as the daemon cancels it."""
    found = Running(store, **limits)
    found.task = asyncio.create_task(found.engine.run(STARTED), name="engine")
    try:
        async with asyncio.timeout(PATIENCE_S):
            await found.engine.started.wait()
            if with_site:
                await found.engine.tell(MAKE_SITE)
        yield found
    finally:
        await found.stop()
