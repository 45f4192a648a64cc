"""WebRTC listeners by aiortc that only count: `python -m benchmarks.voice.peers`.

offer    `listeners` connections, each with one audio track to hear: their SDP offers
answer   the SDP answers to them; returns when all are connected
begin    count from now on
count    how many RTP packets of sound came since

ICE, DTLS and SRTP are real; what comes out is neither buffered nor decoded, so that listeners cost little.
"""

import asyncio
import contextlib
from typing import Any, Final

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from .orders import serve

CONNECT_TIMEOUT_S: Final = 60.0
AT_ONCE: Final = 10


class Peer:
    """One listener."""

    def __init__(self) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.connected = asyncio.Event()
        self.heard = 0
        self.connection.on("connectionstatechange", self._changed)

    async def offer(self) -> str:
        self.connection.addTransceiver("audio", direction="recvonly")
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def answered(self, sdp: str) -> None:
        for receiver in self.connection.getReceivers():
            receiver._handle_rtp_packet = self._count  # type: ignore[method-assign]
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        await self.connected.wait()

    async def _count(self, packet: Any, arrival_time_ms: int) -> None:
        if packet.payload:
            self.heard += 1

    def _changed(self) -> None:
        if self.connection.connectionState == "connected":
            self.connected.set()


class Load:
    """The orders."""

    async def offer(self, listeners: int) -> dict[str, list[str]]:
        self.peers = [Peer() for _ in range(listeners)]
        return {"offers": [await one.offer() for one in self.peers]}

    async def answer(self, answers: list[str]) -> dict[str, int]:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            for first in range(0, len(self.peers), AT_ONCE):
                some = slice(first, first + AT_ONCE)
                pairs = zip(self.peers[some], answers[some], strict=True)
                await asyncio.gather(*(one.answered(sdp) for one, sdp in pairs))
        return {"connected": len(self.peers)}

    async def begin(self) -> dict[str, int]:
        for one in self.peers:
            one.heard = 0
        return {"heard": 0}

    async def count(self) -> dict[str, int]:
        return {"heard": sum(one.heard for one in self.peers)}

    async def end(self) -> dict[str, int]:
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(*(one.connection.close() for one in self.peers))
        return {"closed": len(self.peers)}


if __name__ == "__main__":
    serve(Load)
