"""`dispatch-sim check-device`: our own agents pass every point, spoilt ones fail that of their fault."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from devices.credentials import Credentials
from devices.outbox import MemoryOutbox
from simulators.check.bench import Bench
from simulators.check.broker import TokenBroker
from simulators.check.point import Timing
from simulators.check.run import ALL, Broker, Report, check_device, readable
from simulators.radio import Radio

from . import devices_under_check as bad
from .devices_under_check import CountingHardware, CrashedError, Deafness, Fault, SimHands, StuckOutbox

QUICK = Timing(patience_s=8, soon_s=4, repeats_s=4.5, cut_s=1, back_s=15, quiet_s=6)


class Spoil(NamedTuple):
    """One bad device: which points must fail, and why."""

    role: str
    points: tuple[str, ...]
    fault: Fault | None = None
    ear: Deafness | None = None
    stuck: bool = False


SPOILT = {
    "mute": Spoil("pillar", ("hello",), bad.edit("hello", lambda spoilt, message: None)),
    "wrong-role": Spoil("terminal", ("hello",), bad.edit("hello", bad.wrong_role)),
    "same-nonce": Spoil("pillar", ("hello-again", "growing-conn"), bad.edit("hello", bad.same_nonce)),
    "no-state": Spoil("terminal", ("state",), bad.edit("state", lambda spoilt, message: None)),
    "state-qos1": Spoil("terminal", ("state",), bad.qos("state", 1)),
    "stuck-conn": Spoil("pillar", ("growing-conn",), stuck=True),
    "config-deaf": Spoil("pillar", ("applied",), ear=bad.deaf_to("config")),
    "alarm-qos0": Spoil("pillar", ("alarm",), bad.qos("alarm", 0)),
    "says-once": Spoil(
        "pillar", ("alarm-repeated", "growing-age", "alarm-survives-cut"), bad.edit("alarm", bad.only_first)
    ),
    "new-key": Spoil(
        "terminal", ("alarm-repeated", "alarm-survives-cut"), bad.edit("alarm", bad.new_key_each_time)
    ),
    "one-key": Spoil("pillar", ("keys-are-new",), bad.edit("alarm", bad.one_key_for_all)),
    "no-age": Spoil("pillar", ("growing-age", "alarm-survives-cut"), bad.edit("alarm", bad.age_stands_still)),
    "receipt-deaf": Spoil("pillar", ("receipt-ends-it",), ear=bad.deaf_to("receipt")),
    "no-presented": Spoil("terminal", ("rungs", "stand-down"), bad.edit("rung", bad.is_rung("presented"))),
    "hasty": Spoil("pillar", ("rungs", "expired"), bad.edit("rung", bad.presented_at_once)),
    "rung-once": Spoil("terminal", ("rung-repeated",), bad.edit("rung", bad.only_first)),
    "plays-twice": Spoil(
        "terminal",
        ("item-once",),
        bad.edit("rung", bad.under_true_name),
        bad.remakes(bad.every_item_is_new, "broadcast"),
    ),
    "no-expiry": Spoil("terminal", ("expired",), ear=bad.remakes(bad.never_expires)),
    "any-gen": Spoil("pillar", ("old-generation",), ear=bad.remakes(bad.newest_generation)),
    "strict": Spoil("terminal", ("unknown-field",), ear=bad.strict_fields),
    "curious": Spoil(
        "pillar", ("unknown-kind",), ear=bad.crashes_on(lambda event: event.kind == "from-the-future")
    ),
    "fragile": Spoil("terminal", ("garbage",), ear=bad.crashes_on(bad.unreadable)),
    "prompt-deaf": Spoil("pillar", ("prompt", "ended"), ear=bad.deaf_to("prompt")),
    "lamp-deaf": Spoil("pillar", ("lamp",), ear=bad.deaf_to("lamp")),
    "no-ack": Spoil("terminal", ("broadcast-ack",), bad.edit("rung", bad.is_rung("acknowledged"))),
    "no-answer": Spoil(
        "terminal", ("call-accepted", "call-declined"), bad.edit("answer", lambda spoilt, message: None)
    ),
}
UNSPOILT_POINTS = {"birth", "will", "wrong-nonce"}
"""Their faults lie in the shell or in a clock that jumps: shown by the raw devices below."""


class Desk:
    """One broker and one radio for all devices of a test."""

    def __init__(self, broker: TokenBroker, radio: Radio) -> None:
        self.broker = broker
        self.radio = radio

    async def check(self, device: str, spoil: Spoil, only: tuple[str, ...]) -> Report:
        hardware = CountingHardware()
        credentials = Credentials(device, spoil.role, [f"mqtt://127.0.0.1:{self.radio.port}"], "secret")
        outbox = StuckOutbox("stuck", clock="test") if spoil.stuck else None
        async with asyncio.TaskGroup() as group:
            living = group.create_task(_lives(credentials, hardware, spoil, outbox), name=device)
            report = await check_device(
                Bench(device, credentials.root, self.radio),
                Broker("127.0.0.1", self.broker.port, f"bench-{device}", "secret"),
                SimHands(hardware, spoil.role),
                spoil.role,
                QUICK,
                only=only,
            )
            living.cancel()
        return report


async def _lives(
    credentials: Credentials, hardware: CountingHardware, spoil: Spoil, outbox: MemoryOutbox | None
) -> None:
    """A device that falls over is switched on again a moment later, at most ten times."""
    for _ in range(10):
        try:
            await bad.live(credentials, hardware, fault=spoil.fault, ear=spoil.ear, outbox=outbox)
        except* CrashedError:
            await asyncio.sleep(0.2)


async def at_the_desk(folder: Path, names: list[str], work: Callable[[Desk], Awaitable[None]]) -> None:
    tokens = {name: "secret" for device in names for name in (device, f"bench-{device}")}
    async with TokenBroker(tokens, folder) as broker, Radio("127.0.0.1", broker.port) as radio:
        await work(Desk(broker, radio))


@pytest.mark.timeout(120)
async def test_our_own_agents_pass_every_point(tmp_path: Path) -> None:
    reports: list[Report] = []

    async def work(desk: Desk) -> None:
        roles = ("pillar", "terminal")
        reports.extend(await asyncio.gather(*(desk.check(role, Spoil(role, ()), ()) for role in roles)))

    await at_the_desk(tmp_path, ["pillar", "terminal"], work)
    for report in reports:
        wanted = [point.id for point in ALL if report.role in point.roles]
        told = "\n".join(readable(result) for result in report.points)
        assert [result.point for result in report.points if result.ok] == wanted, told
        assert (report.passed, report.failed) == (len(wanted), 0)


@pytest.mark.full
@pytest.mark.timeout(120)
async def test_a_spoilt_device_fails_the_point_that_is_about_its_fault(tmp_path: Path) -> None:
    reports: dict[str, Report] = {}

    async def work(desk: Desk) -> None:
        found = await asyncio.gather(
            *(desk.check(name, spoil, spoil.points) for name, spoil in SPOILT.items())
        )
        reports.update(zip(SPOILT, found, strict=True))

    await at_the_desk(tmp_path, list(SPOILT), work)
    for name, spoil in SPOILT.items():
        told = f"{name}:\n" + "\n".join(readable(result) for result in reports[name].points)
        failed = {result.point for result in reports[name].points if not result.ok}
        assert failed == set(spoil.points), told
        assert all(result.seen for result in reports[name].points), told


def test_every_point_has_a_device_that_fails_it() -> None:
    shown = {point for spoil in SPOILT.values() for point in spoil.points}
    assert {point.id for point in ALL} - shown == UNSPOILT_POINTS
