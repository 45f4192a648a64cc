"""Our terminals in one process, on one carriage: `python -m benchmarks.voice.radios`.

join      log in `devices`; those of `groups[n]` talk and listen in the talk group of that name, the first is its talker
prepare   every talker asks for the floor and has it; every address is made known once more
talk      one word of `frames` by every talker: ears.Heard
release   the floors are idle again
floor     milliseconds from request to granted, `count` times, by the first talker
echo      the same to the echo client and back
enter     milliseconds from connecting until who talks is known and his sound opened, by `device`, while another talks
"""

import asyncio
from time import monotonic
from typing import Any, Final

from benchmarks.broker import HOST
from benchmarks.town import Somebody

from .ears import Ears, judge, talk
from .orders import serve
from .radio import Radio, everybody

AT_ONCE: Final = 50
JOIN_TIMEOUT_S: Final = 60.0
SETTLE_S: Final = 0.5
"""After the last keys: pings are answered, receipts are out."""
STEP_TIMEOUT_S: Final = 10.0
TALK_KEY_GAP_S: Final = 0.55
"""Between two presses of one talk key: the core takes two a second of one device."""
PRESS_GAP_S: Final = 0.02
"""Between two presses, and two echoes: everybody has heard that the floor is idle, and nobody is still warm."""
ENTRY_GAP_S: Final = 0.6
"""Between two entries: a device may join twice a second."""


class Load:
    """The orders."""

    def __init__(self) -> None:
        self.groups: list[list[Radio]] = []
        self._bursts: list[int] = []

    @property
    def talkers(self) -> list[Radio]:
        return [group[0] for group in self.groups if group]

    @property
    def listeners(self) -> list[Radio]:
        return [one for group in self.groups for one in group[1:]]

    async def join(self, port: int, groups: dict[str, Any], carriage: str = "datagram") -> dict[str, int]:
        self._port = port
        self.groups = [[Radio(one, name, carriage) for one in everybody(who)] for name, who in groups.items()]
        radios = [one for group in self.groups for one in group]
        for one in self.talkers:
            one.attentive = True
        async with asyncio.timeout(JOIN_TIMEOUT_S):
            for first in range(0, len(radios), AT_ONCE):
                await asyncio.gather(*(enter(one, port) for one in radios[first : first + AT_ONCE]))
        await asyncio.sleep(SETTLE_S)
        self._ears = Ears([one.socket for one in self.listeners] if carriage == "datagram" else [])
        return {"radios": len(radios)}

    async def prepare(self) -> dict[str, bool]:
        for group in self.groups:
            for one in group:
                if one.carriage == "datagram":
                    one.ping()
        async with asyncio.timeout(STEP_TIMEOUT_S):
            self._bursts = list(await asyncio.gather(*(one.press() for one in self.talkers)))
        return {"granted": True}

    async def talk(self, frames: int) -> dict[str, float]:
        for one in self.listeners:
            one.heard.clear()

        def sayer(talker: Radio, burst: int) -> Any:
            return lambda n: talker.frame(burst, n, last=n == frames - 1)

        pairs = zip(self.talkers, self._bursts, strict=True)
        sent = await talk([sayer(*one) for one in pairs], self._ears, frames)
        by_socket = self._ears.taken() or [[] for _ in self.listeners]
        talker_of = [n for n, group in enumerate(self.groups) for _ in group[1:]]
        heard = [
            radio.numbered(stamped + radio.heard, self._bursts[n])
            for radio, stamped, n in zip(self.listeners, by_socket, talker_of, strict=True)
        ]
        return judge(sent, heard, talker_of)._asdict()

    async def release(self) -> dict[str, bool]:
        async with asyncio.timeout(STEP_TIMEOUT_S):
            await asyncio.gather(*(one.release() for one in self.talkers))
        return {"idle": True}

    async def floor(self, count: int) -> dict[str, list[float]]:
        took_ms, talker = [], self.talkers[0]
        for _ in range(count):
            begin = monotonic()
            await asyncio.wait_for(talker.press(), STEP_TIMEOUT_S)
            took_ms.append((monotonic() - begin) * 1000)
            await asyncio.wait_for(talker.release(), STEP_TIMEOUT_S)
            await asyncio.sleep(TALK_KEY_GAP_S)
        return {"ms": took_ms}

    async def echo(self, count: int) -> dict[str, list[float]]:
        took_ms, talker = [], self.talkers[0]
        for _ in range(count):
            begin = monotonic()
            await asyncio.wait_for(talker.echo(), STEP_TIMEOUT_S)
            took_ms.append((monotonic() - begin) * 1000)
            await asyncio.sleep(PRESS_GAP_S)
        return {"ms": took_ms}

    async def enter(self, device: Any, group: str, count: int) -> dict[str, list[float]]:
        """The talker's frames go on meanwhile; every time the device is a new one to the broker."""
        (one,) = everybody([device])
        talker, (burst,) = self.talkers[0], self._bursts
        async with asyncio.TaskGroup() as tasks:
            talking = tasks.create_task(_talk_on(talker, burst), name="talker")
            async with asyncio.timeout(STEP_TIMEOUT_S + count):
                took_ms = [await _late(one, group, self._port) for _ in range(count)]
            talking.cancel()
        return {"ms": took_ms}


async def enter(radio: Radio, port: int) -> None:
    """Until it has its keys."""
    await asyncio.get_running_loop().create_connection(lambda: radio, HOST, port)
    await radio.subscribed
    radio.hello()
    await radio.here
    radio.join()
    await radio.keyed.wait()


async def _talk_on(talker: Radio, burst: int) -> None:
    loop, seq = asyncio.get_running_loop(), 0
    begin = loop.time()
    while True:
        talker.frame(burst, seq)
        seq += 1
        await asyncio.sleep(max(0.0, begin + seq * 0.020 - loop.time()))


async def _late(device: Somebody, group: str, port: int) -> float:
    """From the first byte of the connection until who talks is known and his sound is there."""
    radio, loop = Radio(device, group), asyncio.get_running_loop()
    radio.attentive = True
    begin = monotonic()
    await enter(radio, port)
    heard = [(0, await loop.sock_recv(radio.socket, 2048))]
    floor = await radio.taken
    while not radio.numbered(heard, floor.burst):  # the pong comes first
        heard.append((0, await loop.sock_recv(radio.socket, 2048)))
    took_ms = (monotonic() - begin) * 1000
    radio.close()
    await asyncio.sleep(ENTRY_GAP_S)
    return took_ms


if __name__ == "__main__":
    serve(Load)
