"""One running broker process as its parent sees it: its log lines, its answers, its end. No task is needed
for it.

Lines on stdout are answers, lines on stderr are logs; both go to structlog. A line that is waited for
(`expect`) wakes its waiter; so does the child's end.
"""

import asyncio
import contextlib
import signal
from typing import cast

import structlog

STOP_TIMEOUT_S = 5.0  # from SIGTERM to SIGKILL
MAX_LINE_BYTES = 8 * 1024  # a longer log line is told in pieces

log = structlog.get_logger(__name__)


class ChildEnded(Exception):
    """The broker process ended while something was expected of it."""


class Child(asyncio.SubprocessProtocol):
    """Runs once `launch` is called; `exited` is set at its end, `pid` is the process the kernel knows."""

    def __init__(self, kind: str, ready_line: str) -> None:
        self._kind = kind
        self._lines: dict[int, bytearray] = {}
        self._expected: dict[str, asyncio.Future[None]] = {}
        self._transport: asyncio.SubprocessTransport | None = None
        self._ready = self.expect(ready_line)
        self.exited = asyncio.Event()

    async def launch(self, command: list[str], env: dict[str, str]) -> None:
        """Start it and return when it has said its ready line. Raises ChildEnded when it ends before."""
        await asyncio.get_running_loop().subprocess_exec(lambda: self, *command, env=env)
        await self._ready

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)

    @property
    def pid(self) -> int:
        """Process id; 0 before the start."""
        return (self._transport.get_pid() or 0) if self._transport else 0

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._transport.get_returncode() if self._transport else None

    def expect(self, text: str) -> asyncio.Future[None]:
        """A future done when a line holding `text` comes; fails with ChildEnded when the child ends first."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._expected[text] = future
        return future

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        pending = self._lines.setdefault(fd, bytearray())
        pending += data
        *lines, rest = pending.split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            lines, rest = [*lines, rest], bytearray()
        self._lines[fd] = bytearray(rest)
        for line in lines:
            self._take_line(line.decode("utf-8", "replace").strip())

    def _take_line(self, line: str) -> None:
        level, _, text = line.partition(" ")
        if level not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
            level, text = "INFO", line
        getattr(log, level.lower())("broker_log", broker=self._kind, pid=self.pid, line=text)
        for expected in [one for one in self._expected if one in line]:
            self._settle(expected)

    def _settle(self, expected: str, error: Exception | None = None) -> None:
        future = self._expected.pop(expected)
        if future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    def process_exited(self) -> None:
        self.exited.set()
        for expected in list(self._expected):
            self._settle(expected, ChildEnded(f"{self._kind} ended with exit code {self.returncode}"))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport:
            self._transport.close()

    def tell(self, line: bytes) -> None:
        """Write one line to its stdin."""
        if self._transport and (pipe := self._transport.get_pipe_transport(0)):
            cast("asyncio.WriteTransport", pipe).write(line + b"\n")

    def send_signal(self, number: signal.Signals) -> None:
        """Signal it; nothing happens when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            if self._transport:
                self._transport.send_signal(number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    async def stop(self) -> None:
        """Terminate it, kill it when it does not obey, and return when it is gone."""
        if self._transport is None:
            self.exited.set()
            return
        self.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self.exited.wait()
        except TimeoutError:
            self.kill()
            await self.exited.wait()
        self._transport.close()
