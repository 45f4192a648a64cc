"""Simulated devices on a real broker: they come on line, fail and come back, and no run repeats another's keys."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devices.credentials import Credentials
from protocols import up
from protocols.types import Key
from simulators.assemble import Manner, assemble
from simulators.check.bench import Bench
from simulators.check.broker import TokenBroker
from simulators.check.run import Broker, bench_client
from simulators.fleet import Fleet
from simulators.roster import Roster

WITHIN_S = 20.0


class Site:
    """A broker, a bench that plays the daemon for every device, and the fleet."""

    def __init__(self, fleet: Fleet, benches: dict[str, Bench]) -> None:
        self.fleet = fleet
        self.benches = benches

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not true():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.fleet.changed.wait(), 0.05)
                self.fleet.changed.clear()

    async def alarm(self, device: str, kind: str) -> Key:
        bench = self.benches[device]
        heard = await bench.expect(kind, lambda one: getattr(one.message, "kind", "") == kind, WITHIN_S)
        assert isinstance(heard.message, up.Alarm)
        return heard.message.key


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    ids = {"t-001": "terminal", "t-002": "terminal", "p-01": "pillar"}
    tokens = {name: "x" for device in ids for name in (device, f"bench-{device}")}
    async with TokenBroker(tokens, folder) as broker, asyncio.TaskGroup() as group:
        url = [f"mqtt://127.0.0.1:{broker.port}"]
        made = {device: Credentials(device, kind, url, "x") for device, kind in ids.items()}
        people = Roster([(made["t-001"], "police"), (made["t-002"], "volunteer")], [(made["p-01"], 40)])
        fleet = assemble(people, Manner(pace=20, logs=folder / "logs"))
        benches = {device: Bench(device, made[device].root, None) for device in ids}
        tasks = [
            group.create_task(
                _listen(bench, Broker("127.0.0.1", broker.port, f"bench-{name}", "x")), name=name
            )
            for name, bench in benches.items()
        ]
        tasks.append(group.create_task(fleet.run(), name="fleet"))
        found = Site(fleet, benches)
        await found.until(lambda: fleet.online() == (2, 1))
        try:
            yield found
        finally:
            for task in tasks:
                task.cancel()


async def _listen(bench: Bench, broker: Broker) -> None:
    async with bench_client(broker) as client:
        await bench.run(client)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


async def test_presses_and_emergencies_are_alarms_with_receipts(folder: Path) -> None:
    async with site(folder) as here:
        here.fleet.press("p-01")
        await here.alarm("p-01", "one-key")
        await here.until(lambda: bool(here.fleet.devices["p-01"].receipts))
        here.fleet.emergency("t-001")
        await here.alarm("t-001", "emergency")
        here.fleet.press("p-01", "duress")
        await here.alarm("p-01", "duress")


async def test_who_loses_his_network_is_gone_and_comes_back(folder: Path) -> None:
    async with site(folder) as here:
        here.fleet.befall("t-002", "offline")
        await here.until(lambda: here.fleet.online() == (1, 1))
        here.fleet.befall("t-002", "offline")
        await here.until(lambda: here.fleet.online() == (2, 1))


async def test_who_runs_flat_says_no_goodbye_and_boots_anew(folder: Path) -> None:
    async with site(folder) as here:
        first = here.benches["t-002"].since(0, "hello")[-1].message
        here.fleet.befall("t-002", "flat")
        await here.until(lambda: here.fleet.online() == (1, 1))
        here.fleet.befall("t-002", "flat")
        await here.until(lambda: here.fleet.online() == (2, 1))
        second = here.benches["t-002"].since(0, "hello")[-1].message
        assert second.boot != first.boot
        assert second.conn > first.conn


async def test_another_run_repeats_no_key_and_no_connection_number(folder: Path) -> None:
    seen: list[tuple[Key, int]] = []

    async def one_run() -> None:
        async with site(folder) as here:
            here.fleet.press("p-01")
            key = await here.alarm("p-01", "one-key")
            seen.append((key, here.benches["p-01"].since(0, "hello")[-1].message.conn))

    await one_run()
    await asyncio.sleep(1.1)
    await one_run()
    assert seen[0][0] != seen[1][0]
    assert seen[0][1] < seen[1][1]
