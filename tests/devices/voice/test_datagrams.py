"""The datagram carriage on real sockets of loopback."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

from devices.voice.carriage import MAX_WAITING, Datagrams


class Ear:
    def __init__(self) -> None:
        self.heard: list[tuple[bytes, int]] = []
        self.log: list[dict[str, Any]] = []
        self.changed = asyncio.Event()
        self.datagrams = Datagrams(self._take, self._line)

    def _take(self, data: bytes, by: int) -> None:
        self.heard.append((data, by))
        self.changed.set()

    def _line(self, fields: dict[str, Any]) -> None:
        self.log.append(fields)
        self.changed.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.heard) < count:
                self.changed.clear()
                await self.changed.wait()


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Ear]:
    ear = Ear()
    task = asyncio.create_task(ear.datagrams.run(), name="datagrams")
    try:
        yield ear
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.contextmanager
def peer() -> Any:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


def address(sock: socket.socket) -> str:
    return f"127.0.0.1:{sock.getsockname()[1]}"


async def received(sock: socket.socket) -> tuple[bytes, Any]:
    async with asyncio.timeout(5):
        return await asyncio.get_running_loop().sock_recvfrom(sock, 2_048)


async def test_what_is_sent_while_it_opens_arrives_and_answers_name_their_address() -> None:
    with peer() as one, peer() as two:
        async with running() as ear:
            ear.datagrams.use((address(one), address(two)))
            ear.datagrams.send(b"to all", None)
            for index, sock in enumerate((one, two)):
                data, back = await received(sock)
                assert data == b"to all"
                sock.sendto(b"pong %d" % index, back)
            await ear.until(2)
            assert sorted(ear.heard) == [(b"pong 0", 0), (b"pong 1", 1)]
            ear.datagrams.send(b"to one", 1)
            assert (await received(two))[0] == b"to one"
            assert ear.datagrams.counts["sent"] == 3


async def test_the_same_addresses_again_keep_the_socket() -> None:
    """A new epoch sends them again: the site must not see another port in mid-word."""
    with peer() as one:
        async with running() as ear:
            ports = set()
            for _ in range(3):
                ear.datagrams.use((address(one),))
                ear.datagrams.send(b"x", 0)
                ports.add((await received(one))[1])
            assert len(ports) == 1


async def test_strangers_are_not_heard() -> None:
    with peer() as one, peer() as stranger:
        async with running() as ear:
            ear.datagrams.use((address(one),))
            ear.datagrams.send(b"x", 0)
            _, back = await received(one)
            stranger.sendto(b"forged", back)
            one.sendto(b"genuine", back)
            await ear.until(1)
            assert ear.heard == [(b"genuine", 0)]


async def test_an_address_that_is_none_is_told_and_what_waits_is_bounded() -> None:
    async with running() as ear:
        ear.datagrams.use(("no such host.invalid:5004",))
        for n in range(3 * MAX_WAITING):
            ear.datagrams.send(b"%d" % n, None)
        async with asyncio.timeout(10):
            while not ear.log:
                ear.changed.clear()
                await ear.changed.wait()
        assert ear.log[0]["ev"] == "datagram"
        assert "invalid" in ear.log[0]["why"]


async def test_nobody_at_the_other_end_is_counted_and_survived() -> None:
    with peer() as one:
        gone = address(one)
    async with running() as ear:
        ear.datagrams.use((gone,))
        async with asyncio.timeout(5):
            while not ear.datagrams.counts["refused"]:
                ear.datagrams.send(b"x", 0)
                await asyncio.sleep(0)
