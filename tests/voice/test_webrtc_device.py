"""A whole pillar (agent, shell, MQTT, sound) and the daemon's voice: from the press to the desk's word outside."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

from devices import events as ev
from devices.credentials import Credentials
from devices.hardware import Feed
from devices.outbox import MemoryOutbox
from devices.pillar import PillarAgent
from devices.shell import run_device
from devices.voice.synthetic import ToneMicrophone
from devices.voice.webrtc import PillarMedia
from protocols import down, up
from tests.devices.conftest import amqtt, free_port
from tests.devices.site import Site, site
from tests.devices.test_shell import Parts

from .control_room import until
from .test_webrtc_pillar import Ear, Street


class PartsWithSound(Parts):
    def __init__(self) -> None:
        super().__init__()
        self.ear = Ear()
        self.media = PillarMedia(ToneMicrophone(440), self.ear)


class Desk(Street):
    """The daemon's side of a street, reached by MQTT."""

    async def serve(self, here: Site) -> None:
        """Answers every offer that comes up."""
        answered: list[str] = []

        def new() -> list[up.WebrtcOffer]:
            return [offer for offer in here.of("webrtc-offer") if offer.session not in answered]

        while True:
            for offer in await here.until(new, 60):
                answered.append(offer.session)
                sdp = await self.sessions.offer("pil-1", offer.session, offer.sdp, ("@back/pil-1",))
                await here.say("pil-1", down.WebrtcAnswer(offer.session, sdp))


@contextlib.asynccontextmanager
async def device(parts: Parts, port: int) -> AsyncIterator[Feed]:
    outbox = MemoryOutbox("boot-1")
    agent = PillarAgent.restore(outbox.records, outbox.boot, rng=random.Random(7))
    credentials = Credentials("pil-1", "pillar", [f"mqtt://127.0.0.1:{port}"], "secret")
    lines: list[dict[str, Any]] = []
    task = asyncio.create_task(run_device(agent, credentials, parts, outbox, lines.append), name="pillar")
    try:
        await parts.ready.wait()
        assert parts.feed is not None
        yield parts.feed
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_from_the_press_to_the_word_of_the_desk() -> None:
    parts, desk = PartsWithSound(), Desk()
    async with amqtt(free_port()) as port, site(port) as here, device(parts, port) as feed:
        desk.relay.open("@up/pil-1", 1, "pil-1")
        tasks = [asyncio.create_task(run) for run in (desk.sessions.run(), desk.serve(here))]
        try:
            await here.until(lambda: here.of("state"))
            assert here.of("hello")[0].profile == "C"
            feed(ev.KeyDown())
            await here.until(lambda: here.of("alarm"))
            await desk.hears_more(20)
            await here.say("pil-1", down.Microphone("v-1", True, "i-1"))
            await here.until(lambda: [r.rung for r in here.of("rung")] == ["delivered", "presented"])
            before = len(here.of("sounding"))
            await desk.talk_back(880, count=10)
            await here.until(lambda: len(here.of("sounding")) == before + 2)
            assert here.of("sounding")[before:] == [up.Sounding(True), up.Sounding(False)]
            assert parts.ear.pcm
            await here.say("pil-1", down.Microphone("v-2", False, "i-1"))
            await here.until(lambda: here.of("webrtc-bye"))
            assert here.of("webrtc-bye")[0].session == here.of("webrtc-offer")[0].session
            heard = desk.heard()
            await until(lambda: parts.media._peer is None)
            assert desk.heard() - heard < 5
        finally:
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
