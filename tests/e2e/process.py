"""One daemon as its supervisor and its operators see it: start, kill -9, what it says, its API.

A killed daemon's broker dies with it; `kill` waits for that, so that the port is free for the next life.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from protocols.secret import hash_secret
from tests.e2e.wire import Connection

ROOT = Path(__file__).parents[2]
READY_WITHIN_S = 30.0
STOP_WITHIN_S = 20.0
GONE_WITHIN_S = 10.0
PATIENCE_S = 15.0
BOTH = pytest.mark.parametrize("broker", ["amqtt", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])


class NotReady(AssertionError):
    """The process ended, or said nothing in time; the text is the end of its log."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def alive(pid: int) -> bool:
    """Whether that process runs (a dead one nobody has waited for does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until(what: Any, within_s: float = PATIENCE_S, every_s: float = 0.02) -> Any:
    """What `what()` gives, as soon as that is true; AssertionError at the end of the time."""
    try:
        async with asyncio.timeout(within_s):
            while True:
                found = what()
                found = await found if asyncio.iscoroutine(found) else found
                if found:
                    return found
                await asyncio.sleep(every_s)
    except TimeoutError:
        raise AssertionError(f"not within {within_s} s: {what}") from None


class Daemon:
    """One life after another in the same folder, on the same ports."""

    def __init__(
        self,
        folder: Path,
        broker: str,
        *,
        store: Path | None = None,
        more: dict[str, Any] | None = None,
        **limits: int,
    ) -> None:
        """`more`: further sections of the settings."""
        self.folder = folder
        self.port, self._http_port = free_port(), free_port()
        self.secrets: dict[str, str] = {}
        self._settings = folder / "settings.json"
        self._settings.write_text(
            json.dumps({
                "dir": str(folder / "state"),
                "http": {"address": f"127.0.0.1:{self._http_port}"},
                "broker": {"mode": broker, "listen": f"127.0.0.1:{self.port}"},
                "store": {"url": f"sqlite:{store}"} if store else {},
                "limits": limits,
                **(more or {}),
            })
        )  # fmt: skip
        self.database = store or folder / "state" / "dispatch.db"
        self.process: asyncio.subprocess.Process | None = None
        self.ready: dict[str, Any] = {}
        self.starts = 0
        self.client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self._http_port}/api/v1", timeout=PATIENCE_S
        )

    # --- life

    async def launch(self) -> None:
        """Start the process, without waiting until it is ready."""
        assert not self.running
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.e2e.launch", str(self._settings),
                cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
        self.starts += 1

    async def start(self) -> None:
        """Returns when it said that it is ready; NotReady if it ended before."""
        await self.launch()
        await self.said_ready()

    async def said_ready(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                line = await self.process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            raise NotReady(self.log()[-6000:])
        self.ready = json.loads(line)
        self.client.headers["authorization"] = f"Bearer {self.admin_token()}"

    def admin_token(self) -> str:
        return Path(self.ready["admin_token_file"]).read_text(encoding="utf-8").strip()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    def children(self) -> list[int]:
        """Process ids of its children: the broker."""
        if self.process is None or not alive(self.process.pid):
            return []
        try:
            listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return []
        return [int(pid) for pid in listed.split()]

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def kill(self) -> None:
        """kill -9, as a power cut would; its broker follows."""
        children = self.children()
        self.send(signal.SIGKILL)
        await self.ended(children)

    def kill_broker(self) -> bool:
        """kill -9 of the broker alone; False when there is none just now."""
        children = self.children()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(children)

    async def ended(self, children: list[int] | None = None) -> int:
        """Its exit code, once it and its broker are gone."""
        assert self.process is not None
        async with asyncio.timeout(STOP_WITHIN_S):
            code = await self.process.wait()
        await until(lambda: not any(alive(pid) for pid in children or []), GONE_WITHIN_S)
        return code

    async def stop(self) -> int:
        """As systemd does."""
        children = self.children()
        self.send(signal.SIGTERM)
        return await self.ended(children)

    def log(self) -> str:
        return (self.folder / "daemon.log").read_text(encoding="utf-8", errors="replace")

    def lines(self) -> list[dict[str, Any]]:
        """What it logged, of all lives."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    # --- the operator's hand

    async def feed_snapshot(self) -> dict[str, dict[str, Any]]:
        """The first message of the live feed: every table, by id."""
        url = str(self.client.base_url).replace("http://", "ws://").rstrip("/") + "/feed"
        headers = {"authorization": self.client.headers["authorization"]}
        async with connect(url, additional_headers=headers, max_size=None) as feed:
            return dict(json.loads(await feed.recv())["snapshot"])

    async def get(self, path: str) -> Any:
        answer = await self.client.get(path)
        answer.raise_for_status()
        return answer.json()

    async def command(self, name: str, **fields: Any) -> Any:
        answer = await self.client.post(f"/commands/{name}", json={"command": name, **fields})
        answer.raise_for_status()
        return answer.json()

    async def health(self) -> Any:
        return (await self.client.get("/health")).json()

    async def metrics(self) -> dict[str, float]:
        """Name (with labels) → value."""
        answer = await self.client.get(f"http://127.0.0.1:{self._http_port}/metrics")
        rows = [line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in rows}

    async def enrol(self, *devices: str) -> None:
        """Give each a secret, and wait until the broker lets the last one in."""
        for device in devices:
            self.secrets[device] = f"secret-of-{device}"
            await self.command("secret", device=device, secret_hash=hash_secret(self.secrets[device]))
        for device in devices:
            await until(lambda device=device: self._let_in(device))

    async def _let_in(self, device: str) -> bool:
        try:
            (await Connection.open(self.port, device, self.secrets[device])).abort()
        except OSError:
            return False
        return True


@contextlib.asynccontextmanager
async def daemon(folder: Path, broker: str, site: dict[str, Any], **limits: Any) -> AsyncIterator[Daemon]:
    """Running, with this site and a secret for each of its devices; ended at last, whatever happened."""
    found = Daemon(folder, broker, **limits)
    try:
        await found.start()
        await found.command("site", site=site)
        await found.enrol(*(entry["id"] for entry in site["device"]))
        yield found
    finally:
        if found.running:
            await found.kill()
        await found.client.aclose()
