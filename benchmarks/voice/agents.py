"""Two real terminals with sound of their own: `python -m benchmarks.voice.agents`.

start    both log in, by `url`, as `talker` and `listener` of talk group `group`; answers when both are on the datagram
         carriage
say      the talker presses, says the sound in `pcm` (base64) and lets go; answers what the listener's loudspeaker gave
         from the moment of the first sample on

Everything is the agents' own: floor, keys, capture, Opus, jitter buffer, playout. Only microphone and loudspeaker are
ours: they keep the time at which each sample is said and is audible.
"""

import asyncio
import base64
import random
from typing import Any, Final

from devices.credentials import Credentials
from devices.events import PttPressed
from devices.outbox import MemoryOutbox
from devices.shell import run_device
from devices.terminal import TerminalAgent
from devices.voice.handset import Handset
from devices.voice.pace import Pace
from devices.voice.sound import LEAD_MS, SILENCE, Microphone, Speaker
from protocols.voice import FRAME_MS, PCM_FRAME_BYTES, RATE_HZ
from simulators.hardware import SimHardware

from .orders import serve

START_S: Final = 1.5
"""Until keys, pings and memberships have settled."""
BEFORE_S: Final = 0.5
"""From the talk key to the first word: the floor is granted by then, which is another figure."""
AFTER_S: Final = 0.2
"""From the last word to letting go."""
REST_S: Final = 1.5
"""Until the listener has played all of it."""
BYTES_PER_S: Final = RATE_HZ * 2
SEED: Final = 7


class Mouth(Microphone):
    """Silence, and what it is told to say. `said_at`: when the first sample of that was said."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._rest = b""
        self.said_at = 0.0
        self.done = asyncio.Event()

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    def say(self, pcm: bytes) -> None:
        self._rest, self.said_at = pcm, 0.0
        self.done.clear()

    async def read(self) -> bytes:
        await self._pace.tick()
        if not self._rest:
            return SILENCE
        self.said_at = self.said_at or asyncio.get_running_loop().time() - FRAME_MS / 1000
        piece, self._rest = self._rest[:PCM_FRAME_BYTES], self._rest[PCM_FRAME_BYTES:]
        if not self._rest:
            self.done.set()
        return piece.ljust(PCM_FRAME_BYTES, b"\0")


class Ear(Speaker):
    """Keeps every piece with the time at which its first sample is audible."""

    def __init__(self) -> None:
        self.pieces: list[tuple[float, bytes]] = []
        self._until = 0.0

    async def open(self) -> None: ...
    async def close(self) -> None: ...

    async def write(self, pcm: bytes) -> None:
        now = asyncio.get_running_loop().time()
        begin = max(now, self._until)
        self._until = begin + len(pcm) / BYTES_PER_S
        self.pieces.append((begin, pcm))
        if (ahead := self._until - now - LEAD_MS / 1000) > 0:
            await asyncio.sleep(ahead)

    async def drained(self) -> None:
        await asyncio.sleep(max(0.0, self._until - asyncio.get_running_loop().time()))

    def since(self, begin: float) -> bytes:
        """All of it on one line of time; silence where nothing was played."""
        end = max((at + len(pcm) / BYTES_PER_S for at, pcm in self.pieces), default=begin)
        line = bytearray(2 * max(0, round((end - begin) * RATE_HZ)))
        for at, pcm in self.pieces:
            place = 2 * round((at - begin) * RATE_HZ)
            if place >= 0:
                line[place : place + len(pcm)] = pcm
        return bytes(line)


class Load:
    """The orders."""

    async def start(self, url: str, talker: dict[str, Any], listener: dict[str, Any]) -> dict[str, bool]:
        self._mouth, self._ear, self._key = Mouth(), Ear(), SimHardware()
        self._tasks = [
            asyncio.create_task(_run(url, talker, self._key, self._mouth, Ear()), name="talker"),
            asyncio.create_task(_run(url, listener, SimHardware(), Mouth(), self._ear), name="listener"),
        ]
        await asyncio.sleep(START_S)
        for task in self._tasks:
            if task.done():
                task.result()
        return {"started": True}

    async def say(self, pcm: str) -> dict[str, str]:
        self._ear.pieces.clear()
        assert self._key.use(PttPressed(True))
        await asyncio.sleep(BEFORE_S)
        self._mouth.say(base64.b64decode(pcm))
        await self._mouth.done.wait()
        await asyncio.sleep(AFTER_S)
        self._key.use(PttPressed(False))
        await asyncio.sleep(REST_S)
        return {"pcm": base64.b64encode(self._ear.since(self._mouth.said_at)).decode()}


async def _run(url: str, who: dict[str, Any], hardware: SimHardware, mouth: Mouth, ear: Ear) -> None:
    outbox = MemoryOutbox("boot-1")
    agent = TerminalAgent.restore(outbox.records, outbox.boot, rng=random.Random(SEED))
    handset = Handset(mouth, ear, lambda _what, _text: None)
    credentials = Credentials(
        who["id"], "terminal", [url], who["secret"], patrol=who["id"].replace("terminal", "patrol")
    )
    await run_device(agent, credentials, hardware, outbox, lambda _line: None, handset)


if __name__ == "__main__":
    serve(Load)
