"""A WebRTC peer of aiortc alone: it says Opus packets it is given and keeps every packet it hears, as it came."""

import asyncio
from collections.abc import Callable, Coroutine
from fractions import Fraction
from typing import Any

import av
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)

from protocols.opus import Encoder
from protocols.voice import PCM_FRAME_BYTES, RATE_HZ

Offer = Callable[[str], Coroutine[Any, Any, str]]


def tone_packets(count: int, hz: int = 440) -> list[bytes]:
    """Opus packets of 20 ms, each different."""
    import math
    import struct

    encoder = Encoder(dtx=False)
    step = 2 * math.pi * hz / RATE_HZ
    samples = PCM_FRAME_BYTES // 2
    return [
        encoder.encode(
            struct.pack(
                f"<{samples}h", *(int(12000 * math.sin(step * (n * samples + i))) for i in range(samples))
            )
        )
        for n in range(count)
    ]


class Saying(MediaStreamTrack):
    """Gives packets as they are pushed; the library sends them unchanged."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.packets: asyncio.Queue[bytes] = asyncio.Queue()
        self._pts = 0

    async def recv(self) -> Any:
        packet = av.Packet(await self.packets.get())
        packet.pts, packet.time_base = self._pts, Fraction(1, 48_000)
        self._pts += 960
        return packet


class Peer:
    """`slots` tracks down beside the one of the microphone."""

    def __init__(self, slots: int = 1, video: bool = False) -> None:
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self.track = Saying()
        self.heard: list[list[Any]] = [[] for _ in range(slots)]
        self.news = asyncio.Event()
        self.connected = asyncio.Event()
        self.ended = asyncio.Event()
        self.answer = ""
        for n in range(slots):
            transceiver = self.pc.addTransceiver(
                self.track if n == 0 else "audio", "sendrecv" if n == 0 else "recvonly"
            )
            self._keep(transceiver.receiver, n)
        if video:
            self.pc.addTransceiver("video", "recvonly")
        self.pc.on("connectionstatechange", self._changed)

    def _keep(self, receiver: Any, slot: int) -> None:
        async def receive(parameters: Any) -> None:
            receiver.transport._register_rtp_receiver(receiver, parameters)

        async def packet(packet: Any, arrival_time_ms: int) -> None:
            self.heard[slot].append(packet)
            self.news.set()

        receiver.receive, receiver._handle_rtp_packet = receive, packet

    def _changed(self) -> None:
        if self.pc.connectionState == "connected":
            self.connected.set()
        elif self.pc.connectionState in {"closed", "failed"}:
            self.ended.set()

    async def connect(self, offer: Offer) -> "Peer":
        """`offer` carries the SDP over and brings the answer."""
        await self.pc.setLocalDescription(await self.pc.createOffer())
        self.answer = await offer(self.pc.localDescription.sdp)
        await self.pc.setRemoteDescription(RTCSessionDescription(self.answer, "answer"))
        async with asyncio.timeout(5):
            await self.connected.wait()
        return self

    def say(self, *packets: bytes) -> None:
        for packet in packets:
            self.track.packets.put_nowait(packet)

    async def hears(self, count: int, slot: int = 0, within_s: float = 5) -> list[Any]:
        """The first `count` packets of a slot."""
        async with asyncio.timeout(within_s):
            while len(self.heard[slot]) < count:
                self.news.clear()
                await self.news.wait()
        return self.heard[slot][:count]

    def cut(self) -> None:
        """The network is gone: nothing leaves and nothing comes, and nobody is told."""
        for transceiver in self.pc.getTransceivers():
            for protocol in transceiver.receiver.transport.transport._connection._protocols:
                protocol.datagram_received = lambda *_: None  # type: ignore[method-assign]
                protocol.transport.sendto = lambda *_: None  # type: ignore[method-assign]
