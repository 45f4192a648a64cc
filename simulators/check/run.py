"""Runs the points in their order and collects what was expected and what was seen."""

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

import aiomqtt
from msgspec import Struct

from . import alarms, connection, items, roles
from .bench import Bench, MissedError
from .hands import Hands
from .point import Check, Point, Timing

BENCH_USER: Final = "dispatchd"
ALL: Final[tuple[Point, ...]] = (
    *connection.POINTS.all,
    *items.POINTS.all,
    *roles.POINTS.all,
    *alarms.POINTS.all,
)
FIRST: Final = "hello"
"""Without it there is no device, and nothing else is tried."""


class Result(Struct):
    point: str
    ok: bool
    expected: str
    seen: str


class Report(Struct):
    device: str
    role: str
    passed: int
    failed: int
    points: list[Result]


class Broker(Struct, frozen=True):
    """Where the bench connects, as whom."""

    host: str
    port: int
    user: str = BENCH_USER
    password: str = ""


async def check_device(
    bench: Bench,
    broker: Broker,
    hands: Hands,
    role: str,
    timing: Timing,
    *,
    only: Collection[str] = (),
    tell: Callable[[Result], None] = lambda _: None,
) -> Report:
    """All points of the role (or `only` these, after the first); aiomqtt.MqttError when the broker
    refuses us.
    """
    results = []
    async with bench_client(broker) as client, asyncio.TaskGroup() as group:
        listening = group.create_task(bench.run(client), name="bench")
        check = Check(bench, hands, role, timing)
        for point in ALL:
            if role in point.roles and (not only or point.id in only or point.id == FIRST):
                results.append(await _try(point, check))
                tell(results[-1])
                if point.id == FIRST and not results[-1].ok:
                    break
        listening.cancel()
    passed = sum(result.ok for result in results)
    return Report(bench.device, role, passed, len(results) - passed, results)


def bench_client(broker: Broker) -> aiomqtt.Client:
    return aiomqtt.Client(
        broker.host,
        broker.port,
        username=broker.user,
        password=broker.password or None,
        identifier=broker.user,
        timeout=10,
    )


async def _try(point: Point, check: Check) -> Result:
    try:
        seen = await point.body(check)
    except MissedError as missed:
        return Result(point.id, False, point.expected, str(missed))
    return Result(point.id, True, point.expected, seen)


def readable(result: Result) -> str:
    if result.ok:
        return f"pass  {result.point:20} {result.seen}"
    return f"FAIL  {result.point:20} expected: {result.expected}\n{'':27}seen: {result.seen}"


def free_folder(folder: Path) -> Path:
    """Made if need be, for nobody else to read."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder
