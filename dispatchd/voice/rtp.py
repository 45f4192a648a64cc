"""RTP of one session without the library's decoders, encoders, jitter buffers and tasks: packets up are handed on as
they came, frames down are one RTP packet each, sealed and sent at once.

The only file that touches aiortc's private names for media (pinned: 1.16). What must hold: an Opus packet leaves with
the bytes it came with; sequence numbers and timestamps of a slot go on from one talker to the next, and gaps in what
the talker sent stay gaps, so that the listener's own concealment works.
"""

import secrets
import struct
from collections.abc import Callable
from time import monotonic
from typing import Final

import pylibsrtp
from aiortc import RTCRtpReceiver, RTCRtpTransceiver
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters, RTCRtpSendParameters
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import RtcpReceiverInfo, RtcpRrPacket, RtpPacket

from protocols.voice import CLOCK_HZ, FRAME_MS, Frame

from .ice import Path

MARKER: Final = 0x80
"""On the first packet of a burst (RFC 3551): the listener may set its delay anew."""
NEW_STREAM: Final = 1500
"""A frame numbered farther than this (30 s) from the newest begins a stream anew."""
FRAME_TS: Final = CLOCK_HZ * FRAME_MS // 1000
MAX_QUIET_S: Final = 3600
"""The pause between two bursts as the timestamps show it; a longer one looks like this."""
_HEADER: Final = struct.Struct("!BBHII")

Heard = Callable[[int, int, int, bytes], None]
"""SSRC, RTP sequence number, timestamp (48 kHz) and Opus packet as they came, authenticated by SRTP."""


class Stream:
    """All that one talker says, session after session, as one RTP stream: each begins anew at a random number, which
    may by chance look like the past of the one before."""

    def __init__(self) -> None:
        self._source: object = None
        self._seq = self._ts = 0
        self._at_s = monotonic()
        self._seq_0 = self._ts_0 = 0

    def place(self, source: object, seq: int, ts: int) -> tuple[int, int]:
        """Its numbers in the whole; `source` names the session and SSRC."""
        now_s = monotonic()
        if source != self._source:
            quiet_ts = int(min(now_s - self._at_s, MAX_QUIET_S) * CLOCK_HZ)
            self._source, self._seq_0 = source, self._seq + 1 - seq
            self._ts_0 = self._ts + max(FRAME_TS, quiet_ts) - ts
        seq, ts = (seq + self._seq_0) & 0xFFFF, (ts + self._ts_0) & 0xFFFFFFFF
        if (seq - self._seq) & 0xFFFF < 0x8000:
            self._seq, self._ts, self._at_s = seq, ts, now_s
        return seq, ts


class Wire:
    """Where packets of a session go. Not before its handshake is done, and not after its end."""

    def __init__(self, transceiver: RTCRtpTransceiver, path: Path) -> None:
        self._dtls = transceiver.receiver.transport
        self._path = path

    def send(self, packet: bytes) -> bool:
        """False when it did not leave: nothing waits here."""
        srtp: pylibsrtp.Session | None = self._dtls._tx_srtp
        return srtp is not None and self._path.send(srtp.protect(packet))

    def send_rtcp(self, packet: bytes) -> bool:
        srtp: pylibsrtp.Session | None = self._dtls._tx_srtp
        return srtp is not None and self._path.send(srtp.protect_rtcp(packet))


class Slot:
    """One audio track down: a listener of the relay, on one channel at a time."""

    __slots__ = (
        "_burst",
        "_channel",
        "_newest",
        "_payload_type",
        "_sent_s",
        "_seq",
        "_seq_0",
        "_ssrc",
        "_ts",
        "_ts_0",
        "_wire",
        "channel",
        "deaf_to",
        "dropped",
        "sent",
    )  # fmt: skip

    def __init__(self, transceiver: RTCRtpTransceiver, wire: Wire) -> None:
        self.channel = ""
        self.deaf_to: frozenset[str] = frozenset()
        self.sent = 0
        self.dropped = 0
        self._wire = wire
        self._ssrc = transceiver.sender._ssrc
        self._payload_type = 0
        self._channel = ""
        self._burst = -1
        self._newest = 0
        self._seq = secrets.randbelow(1 << 15)  # the lower half, so that SRTP does not wrap at once
        self._ts = secrets.randbits(32)
        self._sent_s = monotonic()
        self._seq_0 = self._ts_0 = 0
        _starts_with(transceiver, self._start)

    def _start(self, parameters: RTCRtpSendParameters) -> None:
        self._payload_type = parameters.codecs[0].payloadType or 0

    def hear(self, channel: str, talker: str, frame: Frame) -> None:
        """One frame, to be sent now or never."""
        if not self._payload_type or talker in self.deaf_to or not frame.opus:
            return
        marker = 0
        if (
            frame.burst != self._burst
            or channel != self._channel
            or abs(frame.seq - self._newest) > NEW_STREAM
        ):
            self._begin(channel, frame)
            marker = MARKER
        seq, ts = (frame.seq + self._seq_0) & 0xFFFF, (frame.ts + self._ts_0) & 0xFFFFFFFF
        header = _HEADER.pack(0x80, self._payload_type | marker, seq, ts, self._ssrc)
        if frame.seq >= self._newest:
            self._newest, self._seq, self._ts, self._sent_s = frame.seq, seq, ts, monotonic()
        if self._wire.send(header + frame.opus):
            self.sent += 1
        else:
            self.dropped += 1

    def _begin(self, channel: str, frame: Frame) -> None:
        """The first frame of a burst follows the last packet in number, and in time by how long it was quiet."""
        quiet_ts = int(min(monotonic() - self._sent_s, MAX_QUIET_S) * CLOCK_HZ)
        self._channel, self._burst, self._newest = channel, frame.burst, frame.seq
        self._seq_0 = self._seq + 1 - frame.seq
        self._ts_0 = self._ts + max(FRAME_TS, quiet_ts) - frame.ts


class Uplink:
    """The track up: what the receiver is sent, before its decoder and its jitter buffer."""

    def __init__(self, transceiver: RTCRtpTransceiver, wire: Wire, heard: Heard) -> None:
        self._wire = wire
        self._heard = heard
        self._own_ssrc = transceiver.sender._ssrc
        self._payload_types: frozenset[int] = frozenset()
        self._ssrc: int | None = None
        self._stream = StreamStatistics(CLOCK_HZ)
        _taps(transceiver.receiver, self._start, self._packet)

    def _start(self, parameters: RTCRtpReceiveParameters) -> None:
        self._payload_types = frozenset(codec.payloadType or 0 for codec in parameters.codecs)

    def _packet(self, packet: RtpPacket) -> None:
        if packet.payload_type not in self._payload_types or not packet.payload:
            return
        if packet.ssrc != self._ssrc:
            self._ssrc, self._stream = packet.ssrc, StreamStatistics(CLOCK_HZ)
        self._stream.add(packet)
        self._heard(packet.ssrc, packet.sequence_number, packet.timestamp, packet.payload)

    def report(self) -> None:
        """Tell the sender what was lost (RTCP receiver report): a browser adds FEC by it."""
        stream, newest = self._stream, self._stream.max_seq
        if self._ssrc is None or newest is None:
            return
        info = RtcpReceiverInfo(
            ssrc=self._ssrc,
            fraction_lost=stream.fraction_lost,
            packets_lost=stream.packets_lost,
            highest_sequence=(stream.cycles + newest) & 0xFFFFFFFF,
            jitter=stream.jitter & 0xFFFFFFFF,
            lsr=0,
            dlsr=0,
        )
        try:
            self._wire.send_rtcp(bytes(RtcpRrPacket(ssrc=self._own_ssrc, reports=[info])))
        except pylibsrtp.Error:  # a report is never worth a session
            return


def _starts_with(transceiver: RTCRtpTransceiver, start: Callable[[RTCRtpSendParameters], None]) -> None:
    """Instead of the sender's own start, which runs two tasks and an encoder for each track."""

    async def send(parameters: RTCRtpSendParameters) -> None:
        transceiver.sender.transport._register_rtp_sender(transceiver.sender, parameters)
        start(parameters)

    transceiver.sender.send = send  # type: ignore[method-assign]


def _taps(
    receiver: RTCRtpReceiver,
    start: Callable[[RTCRtpReceiveParameters], None],
    heard: Callable[[RtpPacket], None],
) -> None:
    """Instead of the receiver's own start, which decodes in a thread whether anybody wants it or not."""

    async def receive(parameters: RTCRtpReceiveParameters) -> None:
        receiver.transport._register_rtp_receiver(receiver, parameters)
        start(parameters)

    async def packet(packet: RtpPacket, arrival_time_ms: int) -> None:
        heard(packet)

    receiver.receive = receive  # type: ignore[method-assign]
    receiver._handle_rtp_packet = packet  # type: ignore[method-assign]


def tap(receiver: RTCRtpReceiver, heard: Callable[[RtpPacket], None]) -> None:
    """Packets down as they came, for a listener of ours."""
    _taps(receiver, lambda _: None, heard)


def ignore(receiver: RTCRtpReceiver) -> None:
    """Of a track up that nobody wants: nothing is decoded, nothing is kept."""
    _taps(receiver, lambda _: None, lambda _: None)
