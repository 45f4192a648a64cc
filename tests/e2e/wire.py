"""A few packets of MQTT 3.1.1 on a bare socket: what a small board sends. Nothing is repaired or hidden."""

import asyncio
import contextlib
from typing import NamedTuple

from tests.links.broker.harness import connect_packet, packet, text

PUBLISH, PUBACK, SUBSCRIBE, PINGREQ = 0x30, 0x40, 0x82, 0xC0
CONNECT_WITHIN_S = 5.0
KEEP_ALIVE_S = 30


class Refused(ConnectionError):
    """The broker answered the CONNECT with this code."""


class Published(NamedTuple):
    topic: str
    payload: bytes
    retained: bool


class Connection:
    """One clean connection. Every method raises OSError when it is lost."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._last_id = 0
        self.acked: set[int] = set()

    @classmethod
    async def open(cls, port: int, user: str, secret: str) -> "Connection":
        """Logged in; Refused with the code if not."""
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                made = cls(*await asyncio.open_connection("127.0.0.1", port))
                try:
                    await made._log_in(user, secret)
                except BaseException:
                    made.abort()
                    raise
                return made
        except TimeoutError:
            raise ConnectionError(f"no CONNACK in {CONNECT_WITHIN_S} s") from None

    async def _log_in(self, user: str, secret: str) -> None:
        self._writer.write(connect_packet(user, secret, keep_alive_s=KEEP_ALIVE_S))
        try:
            code = (await self._reader.readexactly(4))[3]
        except asyncio.IncompleteReadError as error:
            raise ConnectionError("the broker closed the connection") from error
        if code:
            raise Refused(code)

    async def subscribe(self, topic_filter: str) -> None:
        self._writer.write(
            packet(SUBSCRIBE, self._next_id().to_bytes(2, "big") + text(topic_filter) + b"\x01")
        )
        await self._drain()

    async def publish(self, topic: str, payload: bytes, qos: int = 1, *, retain: bool = False) -> int:
        """Handed to the kernel when it returns; the packet id (0 for QoS 0)."""
        number = self._next_id() if qos else 0
        head = text(topic) + (number.to_bytes(2, "big") if qos else b"")
        self._writer.write(packet(PUBLISH | qos << 1 | retain, head + payload))
        await self._drain()
        return number

    async def received(self) -> Published:
        """The next message, acknowledged; PUBACKs on the way are noted in `acked`."""
        while True:
            kind, body = await self._packet()
            if kind & 0xF0 == PUBACK:
                self.acked.add(int.from_bytes(body[:2], "big"))
            elif kind & 0xF0 == PUBLISH:
                return self._published(kind, body)

    def _published(self, kind: int, body: bytes) -> Published:
        end = 2 + int.from_bytes(body[:2], "big")
        topic = body[2:end].decode()
        if kind & 0x06:
            self._writer.write(packet(PUBACK, body[end : end + 2]))
            end += 2
        return Published(topic, body[end:], bool(kind & 1))

    async def _packet(self) -> tuple[int, bytes]:
        try:
            kind = (await self._reader.readexactly(1))[0]
            length = shift = 0
            while True:
                byte = (await self._reader.readexactly(1))[0]
                length |= (byte & 0x7F) << shift
                shift += 7
                if not byte & 0x80:
                    break
            return kind, await self._reader.readexactly(length)
        except asyncio.IncompleteReadError as error:
            raise ConnectionError("the broker closed the connection") from error

    async def ping(self) -> None:
        self._writer.write(packet(PINGREQ, b""))
        await self._drain()

    async def _drain(self) -> None:
        if self._writer.is_closing():
            raise ConnectionError("the connection is closed")
        await self._writer.drain()

    def _next_id(self) -> int:
        self._last_id = self._last_id % 0xFFFF + 1
        return self._last_id

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            self._writer.transport.abort()
