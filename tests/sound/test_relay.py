"""The relay does to datagrams what its weather says, the same way each time, and never more than its bounds."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from . import relay as module
from .relay import HOST, Address, Lane, Relay, Weather, fate, relay

SEED = 20261122


class Server(asyncio.DatagramProtocol):
    """Answers every datagram with the same; keeps what came and from where."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, Address]] = []

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.heard.append((data, addr))
        self._transport.sendto(data, addr)


class Client(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self._more = asyncio.Event()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.heard.append(data)
        self._more.set()

    async def until(self, enough: Callable[[list[bytes]], bool]) -> None:
        async with asyncio.timeout(5):
            while not enough(self.heard):
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def network(
    up: Weather = module.CLEAR, down: Weather = module.CLEAR
) -> AsyncIterator[tuple[Relay, Server]]:
    loop = asyncio.get_running_loop()
    serving, server = await loop.create_datagram_endpoint(Server, (HOST, 0))
    try:
        async with relay(serving.get_extra_info("sockname"), up, down, seed=SEED) as between:
            yield between, server
    finally:
        serving.close()


@asynccontextmanager
async def client(between: Relay) -> AsyncIterator[tuple[asyncio.DatagramTransport, Client]]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        Client, remote_addr=between.address
    )
    try:
        yield transport, protocol
    finally:
        transport.close()


def decided(weather: Weather, count: int = 20_000) -> list[module.Fate]:
    random = Random(SEED)
    return [fate(random, weather) for _ in range(count)]


# --- what a datagram meets --------------------------------------------------------------------------------------


def test_shares_are_as_asked() -> None:
    all_of_them = decided(Weather(loss=0.05, duplicate=0.1, reorder=0.2))
    copies = Counter(len(one.copies_ms) for one in all_of_them)
    assert copies[0] / len(all_of_them) == pytest.approx(0.05, abs=0.01)
    assert copies[2] / (len(all_of_them) - copies[0]) == pytest.approx(0.1, abs=0.01)
    assert sum(one.overtaken for one in all_of_them) / len(all_of_them) == pytest.approx(0.19, abs=0.015)


def test_jitter_lies_between_the_delay_and_its_bound() -> None:
    waits = [one.copies_ms[0] for one in decided(Weather(delay_ms=50, jitter_ms=30))]
    assert min(waits) >= 50
    assert max(waits) <= 80
    assert sum(waits) / len(waits) == pytest.approx(65, abs=1)


def test_a_lost_datagram_leaves_the_others_as_they_were() -> None:
    calm, stormy = decided(Weather(jitter_ms=30), 500), decided(Weather(jitter_ms=30, loss=0.3), 500)
    assert [two for one, two in zip(calm, stormy, strict=True) if two.copies_ms and one != two] == []
    assert any(not one.copies_ms for one in stormy)


def test_jitter_alone_keeps_the_order_and_reordering_does_not() -> None:
    def times(weather: Weather) -> list[float]:
        lane = Lane(Random(SEED))
        return [at_s for n in range(2_000) for at_s in lane.departures_s(weather, n * 0.02)]

    jittered, overtaken = times(Weather(jitter_ms=60)), times(Weather(reorder=0.1))
    assert jittered == sorted(jittered)
    assert sum(b < a for a, b in pairwise(overtaken)) == pytest.approx(180, abs=40)


# --- on the wire ------------------------------------------------------------------------------------------------


async def test_clear_weather_carries_everything_both_ways_and_in_order() -> None:
    async with network() as (between, server), client(between) as (mine, heard):
        sent = [b"%d" % n for n in range(200)]
        for data in sent:
            mine.sendto(data)
        await heard.until(lambda got: len(got) == 200)
    assert heard.heard == sent
    assert [data for data, _ in server.heard] == sent


async def test_each_client_has_an_address_of_its_own_until_the_relay_moves() -> None:
    async with (
        network() as (between, server),
        client(between) as (one, mine),
        client(between) as (two, yours),
    ):
        one.sendto(b"one")
        await mine.until(lambda got: got == [b"one"])
        two.sendto(b"two")
        await yours.until(lambda got: got == [b"two"])
        between.move()
        one.sendto(b"again")
        await mine.until(lambda got: got == [b"one", b"again"])
    assert yours.heard == [b"two"]
    assert len({addr for _, addr in server.heard}) == 3


async def test_loss_delay_and_doubles_on_the_wire() -> None:
    bad = Weather(loss=0.2, delay_ms=30, duplicate=0.2)
    async with network(down=bad) as (between, server), client(between) as (mine, heard):
        begin = asyncio.get_running_loop().time()
        for n in range(150):
            mine.sendto(b"%d" % n)
        wanted = sum(len(one.copies_ms) for one in fates(bad, 150))
        await heard.until(lambda got: len(got) == wanted)
        took_s = asyncio.get_running_loop().time() - begin
    assert between.counts["down_lost"] == sum(not one.copies_ms for one in fates(bad, 150))
    assert len(server.heard) == 150
    assert took_s >= 0.030


def fates(weather: Weather, count: int) -> list[module.Fate]:
    """What the first client's downlink meets."""
    random = Random(f"{SEED} down 0")
    return [fate(random, weather) for _ in range(count)]


async def test_a_tunnel_and_its_end() -> None:
    async with network() as (between, _), client(between) as (mine, heard):
        mine.sendto(b"before")
        await heard.until(lambda got: got == [b"before"])
        between.weather(Weather(loss=1.0))
        mine.sendto(b"inside")
        while not between.counts["up_lost"]:
            await asyncio.sleep(0)
        between.weather(module.CLEAR)
        mine.sendto(b"after")
        await heard.until(lambda got: got == [b"before", b"after"])


async def test_more_under_way_than_the_bound_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_FLIGHT_MAX", 10)
    async with network(up=Weather(delay_ms=100)) as (between, _), client(between) as (mine, heard):
        for n in range(30):
            mine.sendto(b"%d" % n)
        await heard.until(lambda got: len(got) == 10)
        assert between.counts["too_many_in_flight"] == 20


async def test_more_clients_than_the_bound_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLIENTS_MAX", 1)
    async with network() as (between, _), client(between) as (one, mine), client(between) as (two, yours):
        one.sendto(b"one")
        await mine.until(lambda got: got == [b"one"])
        two.sendto(b"two")
        while not between.counts["too_many_clients"]:
            await asyncio.sleep(0)
    assert yours.heard == []
