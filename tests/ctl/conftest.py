"""A daemon's console on a real port, in a thread, for the command line to talk to."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from dispatchd import cli
from dispatchd.config import READY_FILE, Ready
from dispatchd.console.server import listen, serve, url
from tests.console.desk import Desk, desk, token

T = TypeVar("T")
WAIT_S = 20


class Station:
    """Its folder is as a daemon leaves it: daemon.json and a token for each operator."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str] | None) -> None:
        self.directory = directory
        self._capsys = capsys
        self.desk: Desk
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="station", daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(WAIT_S)

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(WAIT_S)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with desk() as self.desk:
            with listen("127.0.0.1", 0) as bound:
                task = asyncio.create_task(serve(self.desk.console.app, bound, self._ready.set), name="http")
                self._write(url(bound))
                await self._stop.wait()
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    def _write(self, http: str) -> None:
        ready = Ready(True, http, "mqtt://127.0.0.1:1883", "dispatch/v1", str(self.directory / "admin.token"))
        (self.directory / READY_FILE).write_bytes(msgspec.json.encode(ready))
        for operator in ("admin", "chief", "north", "south", "north-view"):
            (self.directory / f"{operator}.token").write_text(token(operator) + "\n")

    def do(self, what: Callable[[Desk], Coroutine[Any, Any, T]]) -> T:
        """Run on the daemon's loop."""
        return asyncio.run_coroutine_threadsafe(what(self.desk), self._loop).result(WAIT_S)

    def later(self, what: Callable[[Desk], Coroutine[Any, Any, T]]) -> None:
        """The same without waiting."""
        asyncio.run_coroutine_threadsafe(what(self.desk), self._loop)

    def run(self, *args: str, by: str = "admin") -> tuple[int, str, str]:
        """Exit code, stdout and stderr of `dispatchd ARGS` signed in as `by`."""
        assert self._capsys is not None
        self._capsys.readouterr()
        common = ["--dir", str(self.directory), "--token-file", str(self.directory / f"{by}.token")]
        code = cli.main([*args, *common])
        out, err = self._capsys.readouterr()
        said = "\n".join(line for line in out.splitlines() if "[info" not in line and "[warn" not in line)
        return code, said, err

    def json(self, *args: str, by: str = "admin") -> Any:
        code, out, err = self.run(*args, "--json", by=by)
        assert code == 0, (args, err)
        return msgspec.json.decode(out.splitlines()[-1])


@pytest.fixture
def station(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Station]:
    os.environ.pop("NO_COLOR", None)
    found = Station(tmp_path, capsys)
    found.start()
    yield found
    found.stop()
