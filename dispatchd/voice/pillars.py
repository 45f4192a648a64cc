"""Signalling of pillars over MQTT: their offers are answered one after the other, their byes end sessions.

What must hold: only a pillar of the site gets a session; of several offers of one pillar the newest counts; whoever
floods delays himself, for an offer costs the loop some milliseconds.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from dispatchd.core.state import State
from protocols import down, up
from protocols.down import Down

from .sdp import Refused
from .webrtc import Sessions

ANSWER_TTL_MS: Final = 5_000
"""The pillar waits 2 s and offers anew."""
MAX_OFFERS: Final = 200
"""Pillars whose offers wait; beyond it the first is dropped, and its pillar offers again."""
MAX_ERROR_CHARS: Final = 100
"""Of the sentence why there is no answer; what is longer is cut."""

Send = Callable[[str, Down, int], None]
Settled = Callable[[], AbstractAsyncContextManager[State]]


class Pillars:
    """`said` takes what pillars say and returns at once; `run` answers."""

    def __init__(self, sessions: Sessions, settled: Settled, send: Send) -> None:
        self.dropped = 0
        self._sessions = sessions
        self._settled = settled
        self._send = send
        self._offers: dict[str, up.WebrtcOffer] = {}
        self._wake = asyncio.Event()

    def said(self, device: str, message: up.Voice) -> None:
        """An offer or a bye; nothing else concerns this room."""
        if isinstance(message, up.WebrtcOffer):
            self._offers.pop(device, None)
            if len(self._offers) >= MAX_OFFERS:
                del self._offers[next(iter(self._offers))]
                self.dropped += 1
            self._offers[device] = message
            self._wake.set()
        elif isinstance(message, up.WebrtcBye):
            self._bye(device, message.session)

    def _bye(self, device: str, id_: str) -> None:
        waiting = self._offers.get(device)
        if waiting is not None and waiting.session == id_:
            del self._offers[device]
        session = self._sessions.get(device, id_)
        if session is not None:
            self._sessions.end(session, "bye")

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._offers:
                device = next(iter(self._offers))
                await self._answer(device, self._offers.pop(device))

    async def _answer(self, device: str, offer: up.WebrtcOffer) -> None:
        async with self._settled() as state:
            entry = state.site.device.get(device)
        if entry is None or entry.kind != "pillar":
            answer = down.WebrtcAnswer(offer.session, error="Only a pillar of this site has sound by WebRTC.")
        else:
            answer = await self._answer_to(device, offer)
        self._send(device, answer, ANSWER_TTL_MS)

    async def _answer_to(self, pillar: str, offer: up.WebrtcOffer) -> down.WebrtcAnswer:
        try:
            return down.WebrtcAnswer(
                offer.session, await self._sessions.offer(pillar, offer.session, offer.sdp)
            )
        except Refused as refused:
            return down.WebrtcAnswer(offer.session, error=refused.why[:MAX_ERROR_CHARS])
