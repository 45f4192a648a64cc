"""The devices' TCP path to the broker, in user space: it can go dark, as in a tunnel, and can be cut."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

HOST: Final = "127.0.0.1"
CHUNK: Final = 16_384
"""Bytes taken at once; what is held while it is dark waits in the sockets, which bound it."""


class Line:
    """Made by `line`. While `lit` is not set nothing passes and nobody new comes through; nothing is lost by that."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.lit = asyncio.Event()
        self.lit.set()
        self._server: asyncio.Server | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def open(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._server = await asyncio.start_server(self._came, HOST, 0)

    def cut(self) -> None:
        """Every connection is reset."""
        for writer in list(self._writers):
            writer.transport.abort()

    def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.lit.set()
        self.cut()

    def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._tasks is not None
        self._writers.add(writer)
        self._tasks.create_task(self._carry(reader, writer), name="line")

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both ways, until one side ends it."""
        await self.lit.wait()
        try:
            there, out = await asyncio.open_connection(HOST, self._to)
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(out)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, out), name="line up")
                both.create_task(self._pump(there, writer), name="line down")
        finally:
            self._writers -= {writer, out}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await self.lit.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def line(port: int) -> AsyncIterator[Line]:
    """To the broker at this port, which may come and go."""
    made = Line(port)
    async with asyncio.TaskGroup() as tasks:
        await made.open(tasks)
        try:
            yield made
        finally:
            made.close()
