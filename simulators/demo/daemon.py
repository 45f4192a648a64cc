"""The daemon as a process of the demo: started, watched, stopped; when it fails, its last log lines say
why.
"""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Any, Final

import msgspec

READY_WITHIN_S: Final = 30.0
STOP_WITHIN_S: Final = 10.0
"""After SIGTERM; then SIGKILL, which loses nothing that was receipted."""
TALK_WITHIN_S: Final = 20.0
"""From the start of the command to its end."""
LOG_LINES: Final = 15
LOG_TAIL_BYTES: Final = 16 * 1024
MAX_LINE_BYTES: Final = 64 * 1024
"""A longer line on the daemon's standard output ends the demo: it is not the ready line."""


SETTINGS: Final = """\
# Of the demo: ports that are free, so that it never meets another daemon or broker of this machine.
[broker]
listen = "127.0.0.1:0"
"""


class DaemonError(RuntimeError):
    """The daemon did not come up or went away; the text says why, with its last log lines."""


class Ready(msgspec.Struct, frozen=True):
    """The line by which the daemon says that it is up."""

    ready: bool
    http: str
    mqtt: str
    admin_token_file: str
    root: str = "dispatch/v1"


class Daemon:
    """`ready = await daemon.start(...)`, `await daemon.died()` beside the work, `await daemon.stop()` at
    the end.
    """

    def __init__(self, directory: Path, broker: str = "auto") -> None:
        self.directory = directory
        self._broker = broker
        self.log = directory / "daemon.log"
        self._process: Process | None = None

    async def start(self, site: Path) -> Ready:
        """DaemonError when it ends, or says nothing within READY_WITHIN_S."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(site),
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=log,
                start_new_session=True,
                limit=MAX_LINE_BYTES,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                return await self._ready_line()
        except TimeoutError:
            raise DaemonError(self._told(f"dispatchd was not ready within {READY_WITHIN_S:.0f} s")) from None

    def _command(self, site: Path) -> list[str]:
        settings = self.directory / "demo.toml"
        settings.write_text(SETTINGS, encoding="utf-8")
        return [
            *(sys.executable, "-m", "dispatchd", "run", "--dir", str(self.directory), "--site", str(site)),
            *("--config", str(settings), "--http", "127.0.0.1:0", "--broker", self._broker),
        ]

    async def _ready_line(self) -> Ready:
        process = self._running()
        assert process.stdout is not None
        while line := await process.stdout.readline():
            try:
                ready = msgspec.json.decode(line, type=Ready)
            except msgspec.MsgspecError:
                continue
            if ready.ready:
                return ready
        raise DaemonError(self._told(f"dispatchd ended at once with exit code {await process.wait()}"))

    async def died(self) -> None:
        """Waits until the process ends, which is a DaemonError; reads away what it still says."""
        process = self._running()
        assert process.stdout is not None
        while await process.stdout.read(MAX_LINE_BYTES):
            pass
        code = await process.wait()
        raise DaemonError(self._told(f"dispatchd went away with exit code {code}"))

    async def stop(self) -> int | None:
        """SIGTERM, then SIGKILL; the exit code, None if it never ran."""
        process = self._process
        if process is None:
            return None
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        return process.returncode

    async def talk(self, group: str, file: Path) -> dict[str, Any]:
        """The control room says a file in a talk group, by the command line; its report. DaemonError when it cannot."""
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "dispatchd", "ctl", "talk", group, str(file)),
            *("--dir", str(self.directory), "--lang", "en", "--json"),
            stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(TALK_WITHIN_S):
                said, told = await child.communicate()
        except TimeoutError:
            raise DaemonError(f"`dispatchd ctl talk` did not end within {TALK_WITHIN_S:.0f} s") from None
        finally:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
        if child.returncode:
            raise DaemonError(told.decode(errors="replace").strip() or f"exit code {child.returncode}")
        report: dict[str, Any] = msgspec.json.decode(said.splitlines()[-1])
        return report

    def _running(self) -> Process:
        assert self._process is not None, "start it first"
        return self._process

    def _told(self, what: str) -> str:
        lines = last_lines(self.log)
        shown = "\n".join(f"  {line}" for line in lines) or "  (nothing)"
        return f"{what}. Its last words, from {self.log}:\n{shown}"


def last_lines(path: Path) -> list[str]:
    """At most LOG_LINES from the end of a log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-LOG_LINES:]
    except OSError:
        return []
