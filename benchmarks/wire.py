"""As much of MQTT 3.1.1 as a device needs, on asyncio's bare protocol: a thousand of them fit into one process.

Messages come one by one to `received`, which answers with the payloads to publish; the PUBACK goes out in the same
write. No keep-alive, no retries: a lost connection ends the benchmark.
"""

import asyncio
import struct
from typing import Final, cast

CONNECT, PUBLISH, SUBSCRIBE = 0x10, 0x32, 0x82
CONNACK, SUBACK = 0x20, 0x90
QOS1: Final = 1
PACKET_ID_MAX: Final = 0xFFFF


class Refused(Exception):
    """The broker did not let this client in, or went away."""


class Wire(asyncio.Protocol):
    """One connection of one client."""

    def __init__(self, user: str, secret: str, filters: list[str]) -> None:
        self.user, self._secret, self._filters = user, secret, filters
        self.subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rest = b""
        self._packet_id = 0

    def received(self, topic: str, payload: bytes) -> bytes:
        """Bytes to send besides the PUBACK; made with `publish`."""
        raise NotImplementedError

    def publish(self, topic: bytes, payload: bytes) -> bytes:
        """A PUBLISH of QoS 1, to be sent."""
        self._packet_id = self._packet_id % PACKET_ID_MAX + 1
        return packet(PUBLISH, text(topic) + self._packet_id.to_bytes(2, "big") + payload)

    def send(self, data: bytes) -> None:
        self._transport.write(data)

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        flags, keepalive_s = 0b1100_0010, 0  # user, password, clean session
        head = text(b"MQTT") + struct.pack(">BBH", 4, flags, keepalive_s)
        user = text(self.user.encode())
        self.send(packet(CONNECT, head + user + user + text(self._secret.encode())))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.subscribed.done():
            self.subscribed.set_exception(Refused(f"{self.user}: {exc or 'closed by the broker'}"))

    def data_received(self, data: bytes) -> None:
        data, at, out = self._rest + data, 0, []
        while (found := _packet_at(data, at)) is not None:
            start, end = found
            out.append(self._handle(data[at], data[start:end]))
            at = end
        self._rest = data[at:]
        if answer := b"".join(out):
            self._transport.write(answer)

    def _handle(self, head: int, body: bytes) -> bytes:
        kind = head & 0xF0
        if kind == PUBLISH & 0xF0:
            return self._published(head, body)
        if kind == CONNACK:
            return self._subscribe(body)
        if kind == SUBACK:
            self.subscribed.set_result(None)
        return b""

    def _published(self, head: int, body: bytes) -> bytes:
        end = 2 + int.from_bytes(body[:2], "big")
        topic, puback = body[2:end].decode(), b""
        if head >> 1 & QOS1:
            puback, end = b"\x40\x02" + body[end : end + 2], end + 2
        return puback + self.received(topic, body[end:])

    def _subscribe(self, connack: bytes) -> bytes:
        if connack[1]:
            self.subscribed.set_exception(Refused(f"{self.user}: CONNACK {connack[1]}"))
            return b""
        asked = b"".join(text(one.encode()) + bytes([QOS1]) for one in self._filters)
        return packet(SUBSCRIBE, b"\x00\x01" + asked)


def packet(head: int, body: bytes) -> bytes:
    """With its length in front."""
    length, size = bytearray(), len(body)
    while True:
        size, low = divmod(size, 128)
        length.append(low | (0x80 if size else 0))
        if not size:
            return bytes([head]) + bytes(length) + body


def text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def _packet_at(data: bytes, at: int) -> tuple[int, int] | None:
    """Start and end of the body of the packet that begins at `at`; None while it is not whole."""
    size = shift = 0
    for place in range(at + 1, min(at + 5, len(data))):
        size |= (data[place] & 0x7F) << shift
        shift += 7
        if not data[place] & 0x80:
            end = place + 1 + size
            return (place + 1, end) if end <= len(data) else None
    return None
