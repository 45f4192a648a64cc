"""A network between devices and a UDP server, in user space: loss, delay, jitter, doubles, reordering, by a seed.

Every client gets a socket of its own towards the server, as behind a NAT. `weather` may change at any time: `Weather(
loss=1.0)` is a tunnel. Jitter alone keeps the order, as a queue does; what is reordered is overtaken by its followers.
What a datagram meets is decided by `fate`, which is pure; the order of its draws never depends on their outcome, so
that a changed probability leaves everything else as it was.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, NamedTuple, cast

HOST: Final = "127.0.0.1"
CLIENTS_MAX: Final = 1_000
"""Client addresses; datagrams of a further one are dropped and counted."""
IN_FLIGHT_MAX: Final = 20_000
"""Datagrams under way in both directions; a further one is dropped and counted."""
REORDER_HOLD_MS: Final = 25.0
"""How much later a reordered datagram goes: its followers at 20 ms overtake it."""
DOUBLE_AFTER_MS: Final = 5.0
"""How much later the second copy goes."""

Address = tuple[str, int]


class Weather(NamedTuple):
    """Of one direction: shares from 0 to 1, times in ms. Jitter is uniform, 0 to `jitter_ms` on top of the delay."""

    loss: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0


CLEAR: Final = Weather()


class Fate(NamedTuple):
    """What happens to one datagram: after how long each copy goes, and whether it may be overtaken."""

    copies_ms: tuple[float, ...]
    overtaken: bool


def fate(random: Random, weather: Weather) -> Fate:
    lost, doubled, overtaken, wait = (random.random() for _ in range(4))
    after_ms = weather.delay_ms + wait * weather.jitter_ms
    if lost < weather.loss:
        return Fate((), overtaken=False)
    late = overtaken < weather.reorder
    first_ms = after_ms + (REORDER_HOLD_MS if late else 0.0)
    return Fate((first_ms, first_ms + DOUBLE_AFTER_MS) if doubled < weather.duplicate else (first_ms,), late)


@dataclass
class Lane:
    """One direction of one client: its own generator, and when the last datagram that keeps its place goes."""

    random: Random
    free_at_s: float = 0.0

    def departures_s(self, weather: Weather, now_s: float) -> list[float]:
        """When the copies of a datagram go that came at `now_s`; none: it is lost."""
        decided = fate(self.random, weather)
        times = [now_s + after_ms / 1000 for after_ms in decided.copies_ms]
        if times and not decided.overtaken:
            times[0] = self.free_at_s = max(times[0], self.free_at_s)
        return times


class Relay:
    """Made by `relay`. `up` and `down` are the weather from now on; `counts` says what happened so far."""

    def __init__(self, server: Address, up: Weather, down: Weather, seed: int) -> None:
        self.server, self.up, self.down, self.seed = server, up, down, seed
        self.counts: Counter[str] = Counter()
        self._links: dict[Address, _Link] = {}
        self._making: dict[Address, list[bytes]] = {}
        self._in_flight = 0
        self._tasks: asyncio.TaskGroup | None = None
        self._front: asyncio.DatagramTransport | None = None

    @property
    def address(self) -> Address:
        """Where clients send to."""
        assert self._front is not None
        return cast("Address", self._front.get_extra_info("sockname")[:2])

    @property
    def port(self) -> int:
        return self.address[1]

    def weather(self, both: Weather) -> None:
        self.up = self.down = both

    def move(self) -> None:
        """Every client gets a new address at the server, as when a NAT forgets."""
        for link in self._links.values():
            link.close()
        self._links.clear()

    def close(self) -> None:
        self.move()
        if self._front is not None:
            self._front.close()

    async def open(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._front, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Receiver(self._from_client), (HOST, 0)
        )

    # --- datagrams

    def _from_client(self, data: bytes, client: Address) -> None:
        link = self._links.get(client)
        if link is not None:
            self._carry("up", data, link.up, self.up, link.to_server)
        elif client in self._making:
            self._making[client].append(data)
        elif len(self._links) + len(self._making) >= CLIENTS_MAX:
            self.counts["too_many_clients"] += 1
        else:
            self._making[client] = [data]
            assert self._tasks is not None
            self._tasks.create_task(self._make(client), name=f"relay-{client[1]}")

    async def _make(self, client: Address) -> None:
        """The client's own socket towards the server; what came meanwhile follows."""
        number = len(self._links)
        link = _Link(Lane(Random(f"{self.seed} up {number}")), Lane(Random(f"{self.seed} down {number}")))
        await link.open(self.server, lambda data, _: self._from_server(client, link, data))
        self._links[client] = link
        for data in self._making.pop(client):
            self._from_client(data, client)

    def _from_server(self, client: Address, link: "_Link", data: bytes) -> None:
        assert self._front is not None
        front = self._front
        self._carry("down", data, link.down, self.down, lambda copy: front.sendto(copy, client))

    def _carry(
        self, way: str, data: bytes, lane: Lane, weather: Weather, send: Callable[[bytes], None]
    ) -> None:
        self.counts[way] += 1
        loop = asyncio.get_running_loop()
        times = lane.departures_s(weather, loop.time())
        if not times:
            self.counts[f"{way}_lost"] += 1
        for at_s in times:
            if self._in_flight >= IN_FLIGHT_MAX:
                self.counts["too_many_in_flight"] += 1
                continue
            self._in_flight += 1
            loop.call_at(at_s, self._depart, send, data)

    def _depart(self, send: Callable[[bytes], None], data: bytes) -> None:
        self._in_flight -= 1
        if self._front is not None and not self._front.is_closing():
            send(data)


@dataclass
class _Link:
    """One client's two lanes and its socket towards the server."""

    up: Lane
    down: Lane
    _transport: asyncio.DatagramTransport | None = field(default=None)

    async def open(self, server: Address, received: Callable[[bytes, Any], None]) -> None:
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Receiver(received), remote_addr=server
        )

    def to_server(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class _Receiver(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, Any], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._received(data, addr)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there: a datagram lost, as on any network."""


@asynccontextmanager
async def relay(
    server: Address, up: Weather = CLEAR, down: Weather = CLEAR, *, seed: int = 1
) -> AsyncIterator[Relay]:
    """A relay in front of `server` while the context lasts."""
    made = Relay(server, up, down, seed)
    async with asyncio.TaskGroup() as tasks:
        await made.open(tasks)
        try:
            yield made
        finally:
            made.close()
