"""An operator's screen on the whole daemon: he hears a terminal by WebRTC, and terminals hear him, untranscoded."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.e2e.process import PATIENCE_S
from tests.e2e.voice.stand import GROUP, Stand, stand
from tests.sound.compare import compare
from tests.sound.spoken import encoded, reference, spoken
from tests.voice.peer import Peer

SHORT = "东门有人走失。"


@pytest.fixture(scope="module", autouse=True)
def _spoken_before() -> None:
    reference(SHORT)


class Screen:
    """One socket of /api/v1/voice and its peer connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self.peer = socket, Peer()

    async def say(self, kind: str, **fields: Any) -> None:
        await self._socket.send(json.dumps({"type": kind, **fields}))

    async def told(self, kind: str) -> dict[str, Any]:
        """The next message of this kind."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message: dict[str, Any] = json.loads(await self._socket.recv())
                if message["type"] == kind:
                    return message

    async def hear(self, *channels: str) -> None:
        async def offer(sdp: str) -> str:
            await self.say("offer", sdp=sdp)
            return str((await self.told("answer"))["sdp"])

        await self.peer.connect(offer)
        await self.say("hear", slots=list(channels))
        while (await self.told("hearing"))["slots"] != list(channels):
            pass

    async def speak(self, packets: list[bytes]) -> None:
        """In real time."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        for packet in packets:
            self.peer.say(packet)
            due_s += 0.02
            await asyncio.sleep(max(0.0, due_s - loop.time()))


@contextlib.asynccontextmanager
async def screen(here: Stand) -> AsyncIterator[Screen]:
    client = here.daemon.client
    url = str(client.base_url).replace("http://", "ws://").rstrip("/") + "/voice"
    async with connect(url, additional_headers={"authorization": client.headers["authorization"]}) as socket:
        made = Screen(socket)
        try:
            yield made
        finally:
            await made.peer.pc.close()


@pytest.mark.full
async def test_an_operator_hears_and_is_heard(tmp_path: Path) -> None:
    async with stand(tmp_path) as here, screen(here) as desk:
        talker, listener = here.radios
        await desk.hear(GROUP)
        burst = await talker.say(spoken(SHORT))
        said = [opus for opus in talker.packets(burst) if opus]
        heard = await desk.peer.hears(len(said))
        assert [packet.payload for packet in heard] == said
        await listener.heard_out(burst)

        await desk.say("floor-request", group=GROUP, ref=1, priority="normal")
        burst = (await desk.told("floor-granted"))["burst"]
        since = len(listener.handset.tape.pieces)
        packets = encoded(spoken(SHORT), dtx=False)
        await desk.speak(packets)
        await desk.say("floor-release", group=GROUP, ref=1)
        await listener.heard_out(burst)
        frames = [one.opus for one in listener.frames(burst) if one.opus]
        assert frames == packets[: len(frames)]
        assert len(packets) - len(frames) <= 2
        report = compare(reference(SHORT), listener.handset.tape.sound(since))
        print(report)
        assert not report.faults(), report.faults()
