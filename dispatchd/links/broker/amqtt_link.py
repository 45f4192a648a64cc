"""One client's connection to the amqtt child: bytes in with a cap, messages out with bounds.

What must hold: no packet is longer than the cap in force, and none is read before its length is known; a
client that is slow or silent costs a bounded amount of memory and is cut rather than waited for; QoS 0 is
dropped, QoS 1 never silently.
"""

# amqtt ships no type information.
# mypy: disable-error-code="import-untyped, misc"

import asyncio
import contextlib
import ssl
from collections import deque
from typing import cast

from amqtt.adapters import ReaderAdapter, WriterAdapter
from amqtt.errors import NoDataError

from dispatchd.links.broker import limits

PUBLISH = 0x30
RETAIN_FLAG = 0x01
LENGTH_BYTES = 4  # at most, in an MQTT fixed header
BEHIND_BYTES = 64 * 1024  # unsent bytes at which a client counts as behind: asyncio's own high-water mark


class PacketStream(ReaderAdapter, WriterAdapter):
    """A TCP connection as amqtt's codec wants it, handing out whole packets of bounded size only."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.max_packet_bytes = limits.MAX_LOGIN_PACKET_BYTES
        self._reader = reader
        self._writer = writer
        self._packet = b""
        self._offset = 0

    async def next_packet(self) -> None:
        """Read one whole packet for `read` to serve. Raises NoDataError at end of stream or over the cap."""
        try:
            header = await self._reader.readexactly(1)
            length, header_rest = await self._read_length()
            if 1 + len(header_rest) + length > self.max_packet_bytes:
                raise NoDataError(f"packet of {length} bytes is over the cap of {self.max_packet_bytes}")
            self._packet = header + header_rest + await self._reader.readexactly(length)
            self._offset = 0
        except (asyncio.IncompleteReadError, OSError) as error:
            raise NoDataError("the connection ended") from error

    async def _read_length(self) -> tuple[int, bytes]:
        raw = b""
        length = 0
        while len(raw) < LENGTH_BYTES:
            byte = await self._reader.readexactly(1)
            length += (byte[0] & 0x7F) << (7 * len(raw))
            raw += byte
            if not byte[0] & 0x80:
                return length, raw
        raise NoDataError("packet length is malformed")

    async def read(self, n: int = -1) -> bytes:
        """The next `n` bytes of the current packet; fewer, or none, at its end."""
        start = self._offset
        self._offset = len(self._packet) if n < 0 else min(start + n, len(self._packet))
        return self._packet[start : self._offset]

    def feed_eof(self) -> None:
        self._reader.feed_eof()

    def write(self, data: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(data)

    def backlog_bytes(self) -> int:
        """Bytes handed over and not yet taken by the kernel."""
        return self._writer.transport.get_write_buffer_size()

    async def drain(self) -> None:
        await self._writer.drain()

    def get_peer_info(self) -> tuple[str, int] | None:
        peer = self._writer.get_extra_info("peername")
        return (peer[0], peer[1]) if peer else None

    def get_ssl_info(self) -> ssl.SSLObject | None:
        return cast("ssl.SSLObject | None", self._writer.get_extra_info("ssl_object"))

    async def close(self) -> None:
        """Close after what is buffered has gone; does not wait for a peer that does not read."""
        self._writer.close()

    def abort(self) -> None:
        """Close at once and drop what is buffered."""
        self._writer.transport.abort()


class Frame:
    """A PUBLISH encoded once for all its receivers; only the packet id differs between them."""

    __slots__ = ("_body", "_topic", "retain")

    def __init__(self, topic: str, data: bytes, retain: bool = False) -> None:
        name = topic.encode()
        self._topic = len(name).to_bytes(2, "big") + name
        self._body = data
        self.retain = retain

    def encode(self, packet_id: int | None) -> bytes:
        """The packet: QoS 0 without a packet id, QoS 1 with one."""
        number = b"" if packet_id is None else packet_id.to_bytes(2, "big")
        flags = PUBLISH | (RETAIN_FLAG if self.retain else 0) | (0 if packet_id is None else 0x02)
        length = _encode_length(len(self._topic) + len(number) + len(self._body))
        return b"".join((bytes((flags,)), length, self._topic, number, self._body))


def _encode_length(length: int) -> bytes:
    raw = bytearray()
    while length > 0x7F:
        raw.append(length & 0x7F | 0x80)
        length >>= 7
    raw.append(length)
    return bytes(raw)


class Outbox:
    """What is on its way to one client: a window of unacknowledged QoS 1 messages and a queue behind it."""

    def __init__(self, stream: PacketStream) -> None:
        self._stream = stream
        self._inflight: set[int] = set()
        self._waiting: deque[Frame] = deque()
        self._last_id = 0
        self.dropped_qos0 = 0
        self.room = asyncio.Event()  # clear while more than half of the queue is taken
        self.room.set()

    def offer(self, frame: Frame, qos: int, shared: bytes) -> bool:
        """Send or queue; `shared` is the frame as QoS 0. False when the queue is over its bound."""
        if qos == 0:
            self._send_qos0(shared)
            return True
        self._waiting.append(frame)
        self._advance()
        return len(self._waiting) <= limits.MAX_QUEUED_MESSAGES

    def acknowledged(self, packet_id: int) -> None:
        """A PUBACK came: the window moves on. One for an unknown id is ignored."""
        self._inflight.discard(packet_id)
        self._advance()

    def is_behind(self) -> bool:
        """Whether senders that can wait should."""
        return not self.room.is_set() or self._stream.backlog_bytes() > BEHIND_BYTES

    async def wait_for_room(self) -> None:
        """Until a sender may add to this outbox again, or its client has gone."""
        await self.room.wait()
        with contextlib.suppress(OSError):  # a lost connection is told by its own reader
            await self._stream.drain()

    def _send_qos0(self, packet: bytes) -> None:
        if self._stream.backlog_bytes() > limits.MAX_SEND_BUFFER_BYTES:
            self.dropped_qos0 += 1
            return
        self._stream.write(packet)

    def _advance(self) -> None:
        while self._waiting and len(self._inflight) < limits.MAX_INFLIGHT_MESSAGES:
            self._stream.write(self._waiting.popleft().encode(self._next_id()))
        if len(self._waiting) > limits.MAX_QUEUED_MESSAGES // 2:
            self.room.clear()
        else:
            self.room.set()

    def _next_id(self) -> int:
        self._last_id = self._last_id % 0xFFFF + 1
        while self._last_id in self._inflight:
            self._last_id = self._last_id % 0xFFFF + 1
        self._inflight.add(self._last_id)
        return self._last_id
