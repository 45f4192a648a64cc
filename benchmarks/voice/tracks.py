"""The plain way to give sound to many by aiortc: a track of its own for every listener, fed with av.Packet.
`python -m benchmarks.voice.tracks`.

open     a UDP port that takes frames
answer   SDP answers to `offers`, each with a track
"""

import asyncio
import fractions
from typing import Any, Final

import av
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from .ears import HOST
from .orders import serve

NAME: Final = "an av.Packet track per listener in aiortc"
TIME_BASE: Final = fractions.Fraction(1, 48_000)
SAMPLES: Final = 960
WAITING_MAX: Final = 50
"""Frames of one track that were not sent yet; the next is dropped."""


class Track(MediaStreamTrack):
    """Gives on what it is fed."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._frames: asyncio.Queue[av.Packet[Any]] = asyncio.Queue(WAITING_MAX)

    def feed(self, packet: "av.Packet[Any]") -> None:
        if not self._frames.full():
            self._frames.put_nowait(packet)

    async def recv(self) -> "av.Packet[Any]":
        return await self._frames.get()


class Server(asyncio.DatagramProtocol):
    """Every datagram is one Opus packet for all."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self._pts = 0

    def datagram_received(self, data: bytes, addr: Any) -> None:
        packet = av.Packet(data)
        packet.pts, packet.time_base = self._pts, TIME_BASE
        self._pts += SAMPLES
        for track in self.tracks:
            track.feed(packet)


class Load:
    """The orders."""

    async def open(self) -> dict[str, int]:
        loop = asyncio.get_running_loop()
        transport, self._server = await loop.create_datagram_endpoint(Server, (HOST, 0))
        return {"port": transport.get_extra_info("sockname")[1]}

    async def answer(self, offers: list[str]) -> dict[str, list[str]]:
        self._connections = [RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in offers]
        pairs = zip(self._connections, offers, strict=True)
        return {"answers": [await self._answer(one, sdp) for one, sdp in pairs]}

    async def _answer(self, connection: RTCPeerConnection, offer: str) -> str:
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        track = Track()
        connection.addTrack(track)
        await connection.setLocalDescription(await connection.createAnswer())
        self._server.tracks.append(track)
        return str(connection.localDescription.sdp)


if __name__ == "__main__":
    serve(Load)
