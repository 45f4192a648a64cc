"""One WebRTC session of a device with the daemon: an Opus track up, tracks down, by aiortc, without its decoders.

The only file on a device that touches private names of aiortc and aioice (pinned: 1.16). What must hold: packets leave
and arrive with the bytes that were given; a daemon that is gone is noticed within LOST_AFTER_S plus one probe.
"""

import asyncio
import secrets
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple

import pylibsrtp
from aioice.candidate import Candidate, candidate_foundation, candidate_priority
from aioice.ice import Connection, StunProtocol
from aioice.stun import Message
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.rtp import RtpPacket

PROBE_EVERY_S: Final = 0.5
"""While the daemon answers; it costs both ends a fraction of a millisecond."""
SUSPECT_EVERY_S: Final = 0.1
"""While it does not."""
LOST_AFTER_S: Final = 1.5
"""Without an answer for so long the link is lost: at 10 % loss each way this does not happen by chance."""
MAX_PROBES: Final = 32
"""Unanswered ones that are remembered; the oldest is forgotten."""
_HEADER: Final = struct.Struct("!BBHII")
_AUDIO = RTCRtpReceiver.getCapabilities("audio")
_OPUS = [codec for codec in (_AUDIO.codecs if _AUDIO else []) if codec.mimeType.lower() == "audio/opus"]


class Packet(NamedTuple):
    """One Opus packet down. `slot`: which track; `begins`: the first of a burst (marker bit)."""

    slot: int
    seq: int
    ts: int
    begins: bool
    opus: bytes


class Peer:
    """`connected` and `ended` are set once each; after `ended` only `close` is of use."""

    def __init__(self, slots: int, heard: Callable[[Packet], None]) -> None:
        self.connected = asyncio.Event()
        self.ended = asyncio.Event()
        self._heard = heard
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._payload_type = 0
        self._seq = secrets.randbelow(1 << 15)
        self._ts = secrets.randbits(32)
        tracks = [self._track(n) for n in range(slots)]
        self._ssrc = tracks[0].sender._ssrc
        self._dtls = tracks[0].receiver.transport
        self._connection = self._dtls.transport._connection
        self._overridden()
        self._pc.on("connectionstatechange", self._changed)

    def _track(self, slot: int) -> RTCRtpTransceiver:
        """The first carries our microphone up, too."""
        found = self._pc.addTransceiver("audio", "recvonly" if slot else "sendrecv")
        found.setCodecPreferences(_OPUS)
        sender, receiver = found.sender, found.receiver

        async def send(parameters: Any) -> None:
            sender.transport._register_rtp_sender(sender, parameters)
            if not slot:
                self._payload_type = parameters.codecs[0].payloadType

        async def receive(parameters: Any) -> None:
            receiver.transport._register_rtp_receiver(receiver, parameters)

        async def one(packet: RtpPacket, arrival_time_ms: int) -> None:
            if packet.payload:
                self._heard(
                    Packet(
                        slot, packet.sequence_number, packet.timestamp, bool(packet.marker), packet.payload
                    )
                )

        sender.send = send  # type: ignore[method-assign]
        receiver.receive = receive  # type: ignore[method-assign]
        receiver._handle_rtp_packet = one  # type: ignore[method-assign]
        return found

    def _overridden(self) -> None:
        """No STUN server, one socket on any address of ours, and a closer watch on the daemon."""
        gather: Callable[[], Any] = partial(_gather, self._connection)
        self._connection.gather_candidates = gather  # type: ignore[method-assign]
        watch: Callable[[], Any] = partial(_watch, self._connection)
        self._connection.query_consent = watch  # type: ignore[method-assign]

    def _changed(self) -> None:
        if self._pc.connectionState == "connected":
            self.connected.set()
        elif self._pc.connectionState in {"failed", "closed"}:
            self.ended.set()

    async def offer(self) -> str:
        """SDP for the daemon."""
        await self._pc.setLocalDescription(await self._pc.createOffer())
        return self._pc.localDescription.sdp

    async def take(self, answer: str) -> None:
        """ValueError when it is none."""
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        except Exception as error:
            raise ValueError(f"the daemon's answer cannot be used: {type(error).__name__} {error}") from error

    def send(self, seq: int, ts: int, opus: bytes) -> bool:
        """Now or never; False when it did not leave. `seq` and `ts` (48 kHz) count from 0."""
        pair = self._connection._nominated.get(1)
        srtp: pylibsrtp.Session | None = self._dtls._tx_srtp
        if pair is None or srtp is None or not self._payload_type:
            return False
        header = _HEADER.pack(
            0x80,
            self._payload_type | (0 if seq else 0x80),
            (self._seq + seq) & 0xFFFF,
            (self._ts + ts) & 0xFFFFFFFF,
            self._ssrc,
        )
        pair.protocol.transport.sendto(srtp.protect(header + opus), pair.remote_addr)
        return True

    async def close(self) -> None:
        """The daemon is told by DTLS if it can be reached."""
        await self._pc.close()


async def _gather(connection: Connection) -> None:
    """The daemon learns our address by our own check, so none is named: this works behind any number of networks."""
    if connection._local_candidates_start:
        return
    connection._local_candidates_start = True
    for found in _sockets():
        _, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: StunProtocol(connection), sock=found
        )
        host, port = found.getsockname()[:2]
        protocol.local_candidate = Candidate(
            candidate_foundation("host", "udp", host),
            1,
            "udp",
            candidate_priority(1, "host"),
            host,
            port,
            "host",
        )
        connection._protocols.append(protocol)
        connection._local_candidates.append(protocol.local_candidate)
    connection._local_candidates_end = True


def _sockets() -> Iterator[socket.socket]:
    """For IPv4, and for IPv6 where there is such a thing."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            found = socket.socket(family, socket.SOCK_DGRAM)
        except OSError:
            continue
        try:
            found.setblocking(False)
            if family is socket.AF_INET6:
                found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            found.bind(("", 0))
        except OSError:
            found.close()
            continue
        yield found


class _Watch:
    """Probes under way; answers are matched by their random transaction id."""

    def __init__(self, now_s: float) -> None:
        self.heard_s = now_s
        self.asked: deque[bytes] = deque()

    def response_received(self, message: Message, addr: tuple[str, int]) -> None:
        self.heard_s = asyncio.get_running_loop().time()


async def _watch(connection: Connection) -> None:
    loop = asyncio.get_running_loop()
    watch = _Watch(loop.time())
    pair = connection._nominated.get(1)
    while pair is not None and loop.time() - watch.heard_s < LOST_AFTER_S:
        _probe(connection, pair, watch)
        suspect = loop.time() - watch.heard_s > PROBE_EVERY_S + SUSPECT_EVERY_S
        await asyncio.sleep(SUSPECT_EVERY_S if suspect else PROBE_EVERY_S)
        pair = connection._nominated.get(1)
    connection._query_consent_task = None  # this one; close would cancel it
    await connection.close()


def _probe(connection: Connection, pair: Any, watch: _Watch) -> None:
    request = connection.build_request(pair, nominate=False)
    request.add_message_integrity((connection.remote_password or "").encode())
    pair.protocol.transactions[request.transaction_id] = watch
    watch.asked.append(request.transaction_id)
    if len(watch.asked) > MAX_PROBES:
        pair.protocol.transactions.pop(watch.asked.popleft(), None)
    pair.protocol.send_stun(request, pair.remote_addr)
