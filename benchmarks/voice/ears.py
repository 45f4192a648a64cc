"""Listeners on UDP that lie still while a figure is taken, and talkers at an even pace.

The kernel stamps every datagram when it arrives (SO_TIMESTAMPNS) and keeps it in the socket's buffer, so that a
listener in Python adds nothing to a delay and takes the processor from nobody: sockets are emptied a few at a time
between two frames. What a datagram is, is found out afterwards.
"""

import asyncio
import gc
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from random import Random
from statistics import quantiles
from typing import Any, Final, NamedTuple

HOST: Final = "127.0.0.1"
FRAME_S: Final = 0.020
SO_TIMESTAMPNS: Final = 35
BUFFER_BYTES: Final = 1 << 20
"""Of one listener, if the system allows: about 25 s of sound; what does not fit is lost and shows as undelivered."""
ROUND_S: Final = 2.0
"""Every socket is emptied once in so long."""
LINGER_S: Final = 0.3
"""After the last frame, for what is still under way."""
SEED: Final = 20261122
"""Of the talkers' phases: the same for everybody who is compared."""
_timespec = struct.Struct("qq")

Stamped = tuple[int, bytes]
"""When it arrived (ns, wall clock) and the datagram."""


class Heard(NamedTuple):
    """What came of one word: `expected` deliveries, how many arrived, and what was added to the way of each."""

    delivered: int
    expected: int
    p50_ms: float
    p99_ms: float


def ear() -> socket.socket:
    """A listener's socket on loopback."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((HOST, 0))
    made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    made.setblocking(False)
    return made


class Ears:
    """The sockets of all listeners, by number."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        self._sockets = sockets
        self._raw: list[list[tuple[bytes, list[Any]]]] = [[] for _ in sockets]
        self._next = 0

    def some(self) -> None:
        """Empty the next few."""
        count = -(-len(self._sockets) * FRAME_S // ROUND_S)
        for _ in range(int(count)):
            self._empty(self._next)
            self._next = (self._next + 1) % len(self._sockets)

    def all(self) -> None:
        for number in range(len(self._sockets)):
            self._empty(number)

    def _empty(self, number: int) -> None:
        receive, keep = self._sockets[number].recvmsg, self._raw[number].append
        try:
            while True:
                data, stamps, _, _ = receive(2048, 64)
                keep((data, stamps))
        except BlockingIOError:
            return

    def taken(self) -> list[list[Stamped]]:
        """What every listener heard since the last time."""
        found = [[(_stamp_ns(stamps), data) for data, stamps in one] for one in self._raw]
        self._raw = [[] for _ in self._sockets]
        return found


def _stamp_ns(control: list[Any]) -> int:
    seconds, nanos = _timespec.unpack(control[0][2][: _timespec.size])
    return int(seconds) * 1_000_000_000 + int(nanos)


Say = Callable[[int], object]
"""Sends frame `n` of a word."""


async def talk(talkers: Sequence[Say], ears: Ears, frames: int) -> list[list[int]]:
    """Everybody says one word of so many frames; when each frame was given to the kernel (ns, wall clock).

    Listeners that read by themselves are no `Ears`: give an empty one.
    """
    random = Random(SEED)
    ears.all()
    ears.taken()
    gc.collect()
    gc.disable()
    sent: list[list[int]] = [[] for _ in talkers]
    begin = asyncio.get_running_loop().time() + 0.1
    for at_s, who in _slots([random.random() for _ in talkers], frames):
        await _until(begin + at_s)
        sent[who].append(time.time_ns())
        talkers[who](len(sent[who]) - 1)
        if not who:
            ears.some()
    await asyncio.sleep(LINGER_S)
    ears.all()
    gc.enable()
    return sent


def _slots(phases: list[float], frames: int) -> Iterator[tuple[float, int]]:
    """When, in seconds from the begin, and who, in order."""
    order = sorted(range(len(phases)), key=phases.__getitem__)
    for frame in range(frames):
        for who in order:
            yield (frame + phases[who]) * FRAME_S, who


async def _until(at_s: float) -> None:
    while (left := at_s - asyncio.get_running_loop().time()) > 0:
        await asyncio.sleep(left)


def judge(sent: list[list[int]], heard: list[list[tuple[int, int]]], talker_of: Sequence[int]) -> Heard:
    """`heard`: of every listener (stamp in ns, number of the frame), doubles counted once, at the first.

    `talker_of`: whom each listens to."""
    delays_ms = [
        (stamp - sent[talker][frame]) / 1e6
        for one, talker in zip(heard, talker_of, strict=True)
        for frame, stamp in {frame: stamp for stamp, frame in reversed(one)}.items()
        if 0 <= frame < len(sent[talker])
    ]
    cut = quantiles(delays_ms, n=100, method="inclusive") if len(delays_ms) > 1 else [0.0] * 99
    return Heard(len(delays_ms), sum(len(sent[talker]) for talker in talker_of), cut[49], cut[98])
