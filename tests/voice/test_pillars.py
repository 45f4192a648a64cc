"""Offers over MQTT: who is answered, what is dropped, and byes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dispatchd.voice import pillars as room
from dispatchd.voice.pillars import Pillars
from protocols import down, up
from protocols.down import Down

from .control_room import Room, control_room, until
from .peer import Peer


class Line:
    """To the broker and back."""

    def __init__(self, at: Room) -> None:
        self.at = at
        self.sent: list[tuple[str, down.WebrtcAnswer]] = []
        self.pillars = Pillars(at.sessions, at.engine.settled, self._send)

    def _send(self, device: str, message: Down, ttl_ms: int) -> None:
        assert isinstance(message, down.WebrtcAnswer)
        self.sent.append((device, message))

    async def offer(self, device: str, session: str) -> str:
        """SDP of the answer, "" when there is none."""
        peer = Peer()
        self.at.peers.append(peer)
        self.pillars.said(device, up.WebrtcOffer(session, (await peer.pc.createOffer()).sdp))
        count = len(self.sent)
        await until(lambda: len(self.sent) > count)
        answered, answer = self.sent[-1]
        assert (answered, answer.session) == (device, session)
        return answer.sdp


@asynccontextmanager
async def line() -> AsyncIterator[Line]:
    async with control_room() as at:
        found = Line(at)
        task = asyncio.create_task(found.pillars.run(), name="pillars")
        try:
            yield found
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def test_a_pillar_is_answered_and_its_bye_ends_it() -> None:
    async with line() as here:
        assert (await here.offer("pil-n", "m-1")).startswith("v=0")
        here.pillars.said("pil-n", up.WebrtcBye("m-other"))
        assert here.at.sessions.get("pil-n", "m-1")
        here.pillars.said("pil-n", up.WebrtcBye("m-1"))
        assert not here.at.sessions.of("pil-n")


async def test_only_pillars_of_the_site_are_answered() -> None:
    async with line() as here:
        for device in ("t-n", "nobody"):
            assert await here.offer(device, "m-1") == ""
            assert here.sent[-1][1].error.endswith(".")
        assert len(here.at.sessions) == 0


async def test_what_is_no_offer_is_refused_in_one_short_sentence() -> None:
    async with line() as here:
        here.pillars.said("pil-n", up.WebrtcOffer("m-1", "hello"))
        await until(lambda: here.sent)
        assert 0 < len(here.sent[0][1].error) <= room.MAX_ERROR_CHARS


async def test_the_newest_offer_counts_and_what_waits_is_bounded() -> None:
    async with control_room() as at:
        here = Line(at)
        for session in ("m-1", "m-2"):
            here.pillars.said("pil-n", up.WebrtcOffer(session, "hello"))
        for n in range(room.MAX_OFFERS):
            here.pillars.said(f"p-{n}", up.WebrtcOffer("m-1", "hello"))
        here.pillars.said("p-3", up.WebrtcBye("m-1"))
        assert here.pillars.dropped == 1
        task = asyncio.create_task(here.pillars.run(), name="pillars")
        await until(lambda: len(here.sent) == room.MAX_OFFERS - 1)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert "p-3" not in dict(here.sent)
