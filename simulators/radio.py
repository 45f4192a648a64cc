"""The air between terminals and the broker: a relay through which a device can lose its network.

One listening port for all devices of a process; who is behind a connection is read from its MQTT
CONNECT. While a
device is out of coverage its bytes stop in both directions and nobody is told, as on a real radio link:
the broker finds out by its keep-alive, the device by its own. Plain TCP only.
"""

import asyncio
from asyncio import StreamReader, StreamWriter
from types import TracebackType
from typing import Final, Self

CONNECT_WITHIN_S: Final = 10.0
"""A connection that has not said who it is by then is closed."""
MAX_CONNECT_BYTES: Final = 4096
CHUNK_BYTES: Final = 16 * 1024
"""Read at a time; with the stream's own limit this bounds what is on its way in one direction."""


CLOSE_S: Final = 0.05
"""For broken connections to be really gone."""


class Radio:
    """`async with Radio(host, port) as radio:` relays from `radio.port` on 127.0.0.1 to the broker at
    host:port.
    """

    def __init__(self, host: str, port: int, listen: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self._broker = (host, port)
        self._listen = listen
        self._of: dict[str, set[StreamWriter]] = {}
        self._air: dict[str, asyncio.Event] = {}
        self._links: set[StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._group = await asyncio.TaskGroup().__aenter__()
        self._server = await asyncio.start_server(self._accept, *self._listen, limit=CHUNK_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        assert self._group is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        for writer in list(self._links):
            writer.transport.abort()
        await self._group.__aexit__(kind, error, trace)
        await asyncio.sleep(CLOSE_S)

    def lose(self, device: str) -> None:
        """From now on nothing of this device comes through."""
        self._gate(device).clear()

    def find(self, device: str) -> None:
        """The device is in coverage again; what was on its way arrives."""
        self._gate(device).set()

    def drop(self, device: str) -> None:
        """Its connections break at once, at both ends; new ones are a matter of coverage."""
        for writer in self._of.get(device, ()):
            writer.transport.abort()

    def _gate(self, device: str) -> asyncio.Event:
        gate = self._air.get(device)
        if gate is None:
            gate = self._air[device] = asyncio.Event()
            gate.set()
        return gate

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        assert self._group is not None
        task = self._group.create_task(self._serve(reader, writer), name="radio link")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._links.add(writer)
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                head = await _connect_packet(reader)
                device = client_id(head)
                gate = self._gate(device)
                await gate.wait()
                upstream, onward = await asyncio.open_connection(*self._broker, limit=CHUNK_BYTES)
        except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            writer.transport.abort()
        else:
            self._links.add(onward)
            self._of.setdefault(device, set()).update((writer, onward))
            onward.write(head)
            try:
                await _relay(gate, (reader, onward), (upstream, writer))
            finally:
                self._of[device] -= {writer, onward}
                self._links.discard(onward)
        finally:
            self._links.discard(writer)
            writer.close()


async def _relay(gate: asyncio.Event, *ways: tuple[StreamReader, StreamWriter]) -> None:
    """Both ways until either side ends; then both are cut."""
    try:
        async with asyncio.TaskGroup() as group:
            for number, (source, sink) in enumerate(ways):
                group.create_task(_pump(gate, source, sink), name=f"radio-{number}")
    except* (OSError, EOFError):
        pass  # one side has gone: the other is cut below, which is all it needs to know
    finally:
        for _, sink in ways:
            sink.close()


async def _pump(gate: asyncio.Event, source: StreamReader, sink: StreamWriter) -> None:
    while data := await source.read(CHUNK_BYTES):
        await gate.wait()
        sink.write(data)
        await sink.drain()
    await gate.wait()
    raise EOFError


async def _connect_packet(reader: StreamReader) -> bytes:
    """The whole first packet; ValueError if it is no CONNECT of bearable length."""
    head = bytearray(await reader.readexactly(2))
    while head[-1] & 0x80:
        if len(head) == 5:
            raise ValueError("no MQTT packet")
        head += await reader.readexactly(1)
    length = sum((byte & 0x7F) << (7 * at) for at, byte in enumerate(head[1:]))
    if head[0] != 0x10 or length > MAX_CONNECT_BYTES:
        raise ValueError("no CONNECT")
    return bytes(head) + await reader.readexactly(length)


def client_id(connect: bytes) -> str:
    """Who a CONNECT packet says it is; ValueError when it cannot be read."""
    body = 1
    while connect[body] & 0x80:
        body += 1
    body += 1
    at = body + 2 + int.from_bytes(connect[body : body + 2], "big") + 4
    return connect[at + 2 : at + 2 + int.from_bytes(connect[at : at + 2], "big")].decode()
