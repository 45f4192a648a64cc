"""From the operator's command until the last terminal's `delivered` is on disk, against a bare loop without a state.

Both ends are seen from the clients: the clock stops when the last of them has the receipt of its rung, and a receipt of
dispatchd leaves only after the commit. The baseline sends the same bytes over the same mosquitto to the same clients.
"""

import asyncio
import socket
import tempfile
from pathlib import Path
from time import monotonic
from typing import Final

import aiomqtt

from protocols import codec, down, envelope, topics, up

from .broker import BARE_ROOT, BARE_USER, HOST, PASSWORD
from .metric import Metric, Row
from .stage import Stage, stage

SIZES: Final = (100, 1000)
BARE: Final = "bare aiomqtt loop"
METRICS: Final = tuple(Metric(f"broadcast_{size}", "ms", "≤1.3", BARE) for size in SIZES)
TEXT: Final = "请各巡逻组注意:东门集结点有走失儿童,男,五岁,红色上衣,发现后请立即报告。"
TTL_S: Final = 600
WARM_UP: Final = 1
"""Pairs that are played and not counted."""


async def measure(runs: int, sizes: tuple[int, ...] = SIZES) -> list[Row]:
    return [await _measure(Metric(f"broadcast_{size}", "ms", "≤1.3", BARE), size, runs) for size in sizes]


async def _measure(metric: Metric, size: int, runs: int) -> Row:
    ours, bare = [], []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with stage(0, size, Path(folder)) as on, _bare_client(on) as client:
            for _ in range(WARM_UP + runs):
                ours.append(await _ours(on))
                bare.append(await _bare(on, client))
    return metric.row(ours[WARM_UP:], bare[WARM_UP:])


async def _ours(on: Stage) -> float:
    await on.fleet.ask(do="arm", receipts=len(on.who))
    begin = monotonic()
    await on.hand.command("broadcast", text=TEXT, target={"everybody": True}, ttl_s=TTL_S, speak=False)
    return _ms_since(begin, await on.fleet.hear())


def _ms_since(begin: float, said: dict[str, float]) -> float:
    return (said["at"] - begin) * 1000


# --- the baseline -----------------------------------------------------------------------------------------------


def _bare_client(on: Stage) -> aiomqtt.Client:
    """At its best: no Nagle (40 ms a publish otherwise), a window for all, no warning at each call under way."""
    client = aiomqtt.Client(
        HOST, on.port, username=BARE_USER, password=PASSWORD, identifier=BARE_USER,
        max_inflight_messages=2 * len(on.who), socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )  # fmt: skip
    client.pending_calls_threshold = 2 * len(on.who)
    return client


async def _bare(on: Stage, client: aiomqtt.Client) -> float:
    await client.subscribe(topics.daemon_filters(BARE_ROOT)[0], qos=1)
    await on.fleet.ask(do="arm", receipts=len(on.who))
    begin = monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(_send(on, client), name="send")
        group.create_task(_answer(on, client), name="answer")
    return _ms_since(begin, await on.fleet.hear())


async def _send(on: Stage, client: aiomqtt.Client) -> None:
    """To each, all under way at once."""
    now_ms = 1_800_000_000_000
    said = down.Broadcast("b1-1", "b1-1", TEXT, sender="bare", expires_at=now_ms + TTL_S * 1000)

    async def to(number: int, device: str) -> None:
        sealed = envelope.seal(1, number, TTL_S * 1000, now_ms, codec.encode(said))
        await client.publish(topics.down(BARE_ROOT, device, "broadcast"), sealed, qos=1)

    await asyncio.gather(*(to(number, one.id) for number, one in enumerate(on.who)))


async def _answer(on: Stage, client: aiomqtt.Client) -> None:
    """Each answer gets its receipt, as soon as it comes."""
    async with asyncio.TaskGroup() as group:
        missing = len(on.who)
        async for message in client.messages:
            where = topics.parse_up(BARE_ROOT, str(message.topic))
            rung = codec.decode_up(where.kind, bytes(message.payload))
            assert isinstance(rung, up.Rung)
            receipt = codec.encode(down.Receipt([down.Receipted(rung.key)]))
            sealed = envelope.seal(1, missing, 60_000, 1_800_000_000_000, receipt)
            topic = topics.down(BARE_ROOT, where.device, "receipt")
            group.create_task(client.publish(topic, sealed, qos=1), name="receipt")
            missing -= 1
            if not missing:
                return
