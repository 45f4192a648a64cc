"""A bare mosquitto, and subscribers and a publisher for it or for any other: `python -m benchmarks.voice.fanout`.

bare   a broker without users, access list or store: the least mosquitto can cost
join   `listeners` subscribers of TOPIC and one publisher, at `port`
talk   one word of `frames` publishes of `size` bytes, QoS 0: ears.Heard
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple, cast

from benchmarks.broker import NoMosquitto
from benchmarks.wire import Wire, packet, text
from dispatchd.links.broker.process import find_mosquitto

from .ears import HOST, Ears, judge, talk
from .orders import serve

TOPIC: Final = "bare/voice"
NAME: Final = "bare mosquitto (no users, no access list), one publisher at QoS 0"
PUBLISH_QOS0: Final = 0x30
START_TIMEOUT_S: Final = 10.0
AT_ONCE: Final = 50


class Bare(NamedTuple):
    """Where it listens, and its process."""

    port: int
    pid: int


@asynccontextmanager
async def bare(folder: Path) -> AsyncIterator[Bare]:
    """Runs while the context lasts."""
    program = find_mosquitto()
    if program is None:
        raise NoMosquitto("mosquitto is not installed: apt-get install mosquitto")
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    config = folder / "bare.conf"
    config.write_text(
        f"listener {port} {HOST}\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n"
        "sys_interval 0\nlog_type error\n"
    )
    process = await asyncio.create_subprocess_exec(program, "-c", str(config))
    try:
        await serving(port)
        yield Bare(port, process.pid)
    finally:
        process.terminate()
        await process.wait()


async def serving(port: int) -> None:
    """Until somebody accepts there."""
    async with asyncio.timeout(START_TIMEOUT_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


class Subscriber(Wire):
    """Keeps when each frame was read, by its number in the first four bytes."""

    def __init__(self, user: str, filters: list[str]) -> None:
        super().__init__(user, "", filters)
        self.heard: list[tuple[int, int]] = []

    def received(self, topic: str, payload: bytes) -> bytes:
        self.heard.append((time.time_ns(), int.from_bytes(payload[:4], "big")))
        return b""


class Load:
    """The orders."""

    async def join(self, port: int, listeners: int) -> dict[str, int]:
        loop = asyncio.get_running_loop()
        self._all = [Subscriber(f"listener-{n}", [TOPIC]) for n in range(listeners)]
        self._talker = Subscriber("talker", ["bare/nothing"])
        everybody = [*self._all, self._talker]
        for first in range(0, len(everybody), AT_ONCE):
            some = everybody[first : first + AT_ONCE]
            for one in some:
                transport, _ = await loop.create_connection(lambda one=one: one, HOST, port)  # type: ignore[misc]
                plug = cast("socket.socket", transport.get_extra_info("socket"))
                plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.gather(*(one.subscribed for one in some))
        return {"listeners": len(self._all)}

    async def talk(self, frames: int, size: int) -> dict[str, float]:
        topic, rest = text(TOPIC.encode()), bytes(size - 4)
        for one in self._all:
            one.heard.clear()
        sent = await talk(
            [lambda n: self._talker.send(packet(PUBLISH_QOS0, topic + n.to_bytes(4, "big") + rest))],
            Ears([]),
            frames,
        )
        return judge(sent, [one.heard for one in self._all], [0] * len(self._all))._asdict()


if __name__ == "__main__":
    serve(Load)
