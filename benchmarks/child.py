"""A Python process beside the harness that is told one JSON line and answers one; ended with its parent's context.

Times are `time.monotonic()`, which all processes of a Linux machine share.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

ANSWER_TIMEOUT_S: Final = 120.0
"""For any answer; then the benchmark ends with an error."""
STOP_TIMEOUT_S: Final = 20.0
"""From SIGTERM to the end; then it is killed."""
LINE_MAX_BYTES: Final = 64 * 1024 * 1024


class ChildFailed(Exception):
    """A process of the benchmark ended or said nothing; the text says where to look."""


class Child:
    """`ask` it; `hear` what it says unasked."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, **order: Any) -> Any:
        self.tell(**order)
        return await self.hear()

    def tell(self, **order: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")

    async def hear(self) -> Any:
        """The next line; ChildFailed if there is none in time."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise ChildFailed(f"no answer within {ANSWER_TIMEOUT_S:.0f} s. {self._last_words()}") from None
        if not line.endswith(b"\n"):
            raise ChildFailed(f"the process ended ({await self._process.wait()}). {self._last_words()}")
        return msgspec.json.decode(line)

    def _last_words(self) -> str:
        return "Its last lines:\n" + "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def child(folder: Path, *command: str) -> AsyncIterator[Child]:
    """Runs `python COMMAND`; what it says on stderr goes to a file in `folder`."""
    log = folder / f"{command[1]}.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=stderr, limit=LINE_MAX_BYTES,
        )  # fmt: skip
    started = Child(process, log)
    try:
        yield started
    finally:
        await started.stop()
