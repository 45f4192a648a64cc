"""The datagram carriage over real sockets: who is let in, what is dropped, where it goes."""

import asyncio
import contextlib
import random
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import pytest

from dispatchd.voice import datagram, fanout
from dispatchd.voice.datagram import Datagrams, Door, bind
from dispatchd.voice.fanout import BatchFan, Fan, LoopFan
from dispatchd.voice.keyring import Keyring, Session
from protocols.sframe import Opener, Sealer
from protocols.voice import MAX_SEALED_BYTES, Frame, Ping, Pong, decode, encode

SOME = Frame(1, 0, 0, b"opus")
FANS: list[Any] = [LoopFan, BatchFan] if fanout.has_sendmmsg() else [LoopFan]


def device_socket() -> socket.socket:
    sock = bind("127.0.0.1", 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    return sock


class Rig:
    """The carriage in this loop, one device with keys, and what came of it."""

    def __init__(self, sock: socket.socket) -> None:
        self.now_ms = 1000
        self.counts: Counter[str] = Counter()
        self.keyring = Keyring(5, random.Random(1).randbytes)
        self.said: asyncio.Queue[tuple[str, Frame]] = asyncio.Queue()
        self.moved: asyncio.Queue[str] = asyncio.Queue()
        self.udp = Datagrams(
            sock, Door(self.keyring, self.counts), self.counts, lambda: self.now_ms,
            lambda device, frame, _: self.said.put_nowait((device, frame)), self.moved.put_nowait,
        )  # fmt: skip
        self.session = self.keyring.join("t1", bytes(8), bytes(65), 0)
        self.sealer = Sealer(self.session.up.kid, self.session.up.key)

    def send(self, sock: socket.socket, data: bytes) -> None:
        sock.sendto(data, ("127.0.0.1", self.udp.port))

    async def counted(self, why: str, at_least: int = 1) -> None:
        async with asyncio.timeout(5):
            while self.counts[why] < at_least:
                await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[tuple[Rig, socket.socket]]:
    with bind("127.0.0.1", 0) as sock, device_socket() as device:
        rig = Rig(sock)
        rig.udp.start()
        try:
            yield rig, device
        finally:
            rig.udp.stop()


async def soon(sock: socket.socket) -> bytes:
    async with asyncio.timeout(5):
        return await asyncio.get_running_loop().sock_recv(sock, 2000)


def pong(session: Session, sealed: bytes) -> object:
    return decode(Opener(session.down.kid, session.down.key).open(sealed))


# --- in ---------------------------------------------------------------------------------------------------------


async def test_a_ping_is_answered_and_tells_where_the_device_is() -> None:
    async with running() as (rig, device):
        rig.send(device, rig.sealer.seal(encode(Ping(41))))
        assert pong(rig.session, await soon(device)) == Pong(41)
        assert rig.udp.places["t1"].address == device.getsockname()
        assert rig.moved.get_nowait() == "t1"


async def test_a_frame_is_passed_on_and_tells_where_the_device_is() -> None:
    async with running() as (rig, device):
        rig.send(device, rig.sealer.seal(encode(SOME)))
        assert await rig.said.get() == ("t1", SOME)
        rig.udp.send("t1", b"back")
        assert await soon(device) == b"back"


async def test_a_device_that_moved_is_followed() -> None:
    async with running() as (rig, device):
        rig.send(device, rig.sealer.seal(encode(Ping(1))))
        await soon(device)
        with device_socket() as other:
            rig.send(other, rig.sealer.seal(encode(Ping(2))))
            await soon(other)
            assert rig.udp.places["t1"].address == other.getsockname()
            assert rig.moved.qsize() == 2


async def test_nobody_moves_by_a_former_key() -> None:
    async with running() as (rig, device):
        former = rig.sealer
        rig.session = rig.keyring.join("t1", bytes(8), bytes(65), rig.now_ms)
        rig.send(device, former.seal(encode(SOME)))
        assert await rig.said.get() == ("t1", SOME)
        assert rig.udp.places == {}


async def test_what_is_not_genuine_is_dropped_counted_and_never_answered() -> None:
    async with running() as (rig, device):
        good = rig.sealer.seal(encode(SOME))
        forged = good[:-1] + bytes([good[-1] ^ 1])
        stranger = Sealer(5 << 16 | 999, bytes(16)).seal(encode(Ping(1)))
        stale = Sealer(4 << 16 | 1, bytes(16)).seal(encode(Ping(1)))
        bad = {
            "forged": forged, "unknown-kid": stranger, "stale-kid": stale, "oversize": bytes(MAX_SEALED_BYTES + 1),
        }  # fmt: skip
        for data in (
            *bad.values(),
            b"",
            b"\xff",
            rig.sealer.seal(b"no frame"),
            rig.sealer.seal(encode(Pong(1))),
        ):
            rig.send(device, data)
        await rig.counted("malformed", 4)
        assert rig.udp.places == {}
        rig.send(device, good)
        rig.send(device, good)
        await rig.counted("replayed")
        assert {why: rig.counts[why] for why in bad} == dict.fromkeys(bad, 1)
        assert rig.said.qsize() == 1
        with pytest.raises(BlockingIOError):
            device.recv(1)


async def test_strangers_are_looked_at_a_thousand_times_a_second() -> None:
    door_rig = Keyring(5, random.Random(1).randbytes)
    counts: Counter[str] = Counter()
    door = Door(door_rig, counts)
    stranger = Sealer(5 << 16 | 999, bytes(16)).seal(encode(Ping(1)))
    for _ in range(1500):
        assert door.open(stranger, 0) is None
    assert counts == {"unknown-kid": datagram.STRANGERS_PER_S, "unlooked": 500}


async def test_a_flood_of_strangers_keeps_no_genuine_frame_out() -> None:
    async with running() as (rig, device):
        stranger = Sealer(5 << 16 | 999, bytes(16)).seal(encode(Ping(1)))
        for _ in range(30):
            for _ in range(100):
                rig.send(device, stranger)
            rig.send(device, rig.sealer.seal(encode(SOME)))
            assert await rig.said.get() == ("t1", SOME)


async def test_too_many_pings_are_not_answered() -> None:
    async with running() as (rig, device):
        for n in range(30):
            rig.send(device, rig.sealer.seal(encode(Ping(n))))
        await rig.counted("pings", 10)
        assert rig.counts["pongs"] == 20


async def test_who_is_silent_is_forgotten() -> None:
    async with running() as (rig, device):
        rig.send(device, rig.sealer.seal(encode(Ping(1))))
        await soon(device)
        rig.udp.tick(rig.now_ms + datagram.SILENT_MS)
        assert "t1" in rig.udp.places
        rig.udp.tick(rig.now_ms + datagram.SILENT_MS + 1)
        assert rig.udp.places == {}
        assert rig.moved.qsize() == 2
        rig.udp.send("t1", b"to nobody")


# --- out --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def listeners(count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(device_socket()) for _ in range(count)]


@pytest.mark.parametrize("kind", FANS)
def test_each_address_gets_it_once_and_as_it_is(kind: type[Fan]) -> None:
    counts: Counter[str] = Counter()
    with bind("127.0.0.1", 0) as sock, listeners(40) as ears:
        fan = kind(sock, counts)
        fan.aim([ear.getsockname() for ear in ears])
        fan.send(b"one")
        fan.aim([ear.getsockname() for ear in ears[:20]])
        fan.send(b"the second")
        for n, ear in enumerate(ears):
            assert ear.recv(100) == b"one"
            if n < 20:
                assert ear.recv(100) == b"the second"
            with pytest.raises(BlockingIOError):
                ear.recv(100)
        assert (counts, len(fan)) == ({"datagrams": 60}, 20)


@pytest.mark.parametrize("kind", FANS)
def test_an_address_that_cannot_be_reached_costs_the_others_nothing(kind: type[Fan]) -> None:
    counts: Counter[str] = Counter()
    with bind("127.0.0.1", 0) as sock, listeners(2) as ears:
        fan = kind(sock, counts)
        fan.aim([ears[0].getsockname(), ("255.255.255.255", 9), ("127.0.0.1", 0), ears[1].getsockname()])
        fan.send(b"x")
        assert [ear.recv(100) for ear in ears] == [b"x", b"x"]
        assert counts == {"datagrams": 2, "send-failed": 2}


@pytest.mark.parametrize("kind", FANS)
def test_more_addresses_than_one_call_takes(kind: type[Fan], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "AT_ONCE", 7)
    counts: Counter[str] = Counter()
    with bind("127.0.0.1", 0) as sock, listeners(1) as ears:
        fan = kind(sock, counts)
        fan.aim([ears[0].getsockname()] * 30)
        fan.send(b"x")
        assert [ears[0].recv(100) for _ in range(30)] == [b"x"] * 30


@pytest.mark.parametrize("kind", FANS)
def test_when_the_kernel_takes_no_more_the_rest_is_dropped(kind: type[Fan]) -> None:
    """A stream-less stand-in for a full send buffer: a Unix datagram pair blocks where loopback UDP would drop."""
    counts: Counter[str] = Counter()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.setblocking(False)
        fan = kind(cast(Any, _Connected(ours)), counts)
        fan.aim([("127.0.0.1", 1)] * 5000)
        _unnamed(fan)
        fan.send(bytes(700))
        assert counts["send-full"] > 0
        assert counts["send-full"] + counts["datagrams"] == 5000


class _Connected:
    """A connected socket that is asked to send to addresses."""

    family = socket.AF_INET

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.fileno = sock.fileno

    def sendto(self, data: bytes, _address: object) -> int:
        return self._sock.send(data)


def _unnamed(fan: Fan) -> None:
    if isinstance(fan, BatchFan):
        for message in fan._messages:
            message.hdr.name, message.hdr.namelen = None, 0


def test_addresses_are_written_as_the_kernel_reads_them() -> None:
    v4 = fanout._sockaddr(socket.AF_INET, ("127.0.0.1", 5004))
    assert v4 == struct.pack("=H", socket.AF_INET) + bytes((5004 >> 8, 5004 & 255, 127, 0, 0, 1)) + bytes(8)
    v6 = fanout._sockaddr(socket.AF_INET6, ("::1", 5004, 0, 7))
    assert v6[:4] == struct.pack("=H", socket.AF_INET6) + bytes((5004 >> 8, 5004 & 255))
    assert v6[4:] == bytes(4) + bytes(15) + b"\x01" + struct.pack("=I", 7)
