"""Starts, feeds, watches and restarts the embedded broker. `wait()` is the watch: run it in the daemon's
tasks.

What must hold: the port stays the same over restarts; after `reload` returns no broker serves by an older
list (one that does not confirm is killed); files are 0600; an end the budget does not cover is raised,
never hidden.
"""

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections import deque
from pathlib import Path
from typing import Literal

import msgspec
import structlog

import dispatchd
from dispatchd.links.broker import amqtt_config, mosquitto
from dispatchd.links.broker.access import Access, encode_access
from dispatchd.links.broker.child import Child, ChildEnded

Kind = Literal["mosquitto", "amqtt"]

READY_TIMEOUT_S = 15.0  # from launch to the first CONNACK; then the child is killed and counted as one death
RELOAD_TIMEOUT_S = 5.0  # from telling to confirmation; then the child is killed and starts with the new list
RESTART_LIMIT = 5  # deaths within RESTART_WINDOW_S; at one more, wait() raises
RESTART_WINDOW_S = 60.0
PORT_TRIES = 3  # when port 0 is asked for and another process takes the port that was found free
SYSTEM_PATHS = ("/usr/sbin", "/usr/local/sbin", "/sbin", "/opt/homebrew/sbin")  # often not on a user's PATH

# An MQTT 3.1.1 CONNECT without identity: any CONNACK, also the refusal it earns, proves that somebody serves.
ANONYMOUS_CONNECT = bytes.fromhex("100c00044d5154540402000a0000")
CONNACK_BYTES = 4
CONNACK = 0x20

MOSQUITTO_READY = "running"  # its log line "mosquitto version … running"
MOSQUITTO_RELOADS = "Reloading config"

log = structlog.get_logger(__name__)


class BrokerFailed(Exception):
    """The embedded broker cannot be had; the text says why and what to do."""


def find_mosquitto() -> str | None:
    """Path of mosquitto on PATH or in the system's places, None when it is not installed."""
    return shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM_PATHS]))


class EmbeddedBroker:
    """A broker on loopback for this daemon alone.

    `state_dir` holds its files; `port` 0 takes a free one; `prefer`: "auto" is mosquitto when it is found.
    Call `start()`, then run `wait()` beside your work, and `stop()` last.
    """

    def __init__(
        self,
        state_dir: Path,
        access: Access,
        *,
        port: int = 0,
        prefer: Literal["auto", "mosquitto", "amqtt"] = "auto",
        host: str = "127.0.0.1",
    ) -> None:
        self._folder = Path(state_dir)
        self._access = access
        self._any_port = port == 0
        self._port = port
        self._host = host
        self._mosquitto = None if prefer == "amqtt" else find_mosquitto()
        if prefer == "mosquitto" and self._mosquitto is None:
            raise BrokerFailed("mosquitto is not installed; install its package or set the broker to amqtt")
        self._child: Child | None = None
        self._lock = asyncio.Lock()
        self._stopping = asyncio.Event()

    @property
    def kind(self) -> Kind:
        """Which broker it is."""
        return "mosquitto" if self._mosquitto else "amqtt"

    @property
    def url(self) -> str:
        """`mqtt://host:port`; the port is known after `start()`."""
        return f"mqtt://{self._host}:{self._port}"

    @property
    def port(self) -> int:
        """TCP port; 0 before `start()` when any was asked for."""
        return self._port

    @property
    def pid(self) -> int:
        """The broker's process id; changes with a restart."""
        return self._child.pid if self._child else 0

    # --- life

    async def start(self) -> str:
        """Serve, and return the URL once a CONNECT is answered. Raises BrokerFailed."""
        self._stopping.clear()
        async with self._lock:
            for _ in range(PORT_TRIES if self._any_port else 1):
                if self._any_port:
                    self._port = _free_port(self._host)
                if await self._launch():
                    log.info("broker_started", broker=self.kind, url=self.url, pid=self.pid)
                    return self.url
        raise BrokerFailed(
            f"{self.kind} does not start on {self._host}:{self._port}; its log lines above say why"
            " (is the port taken? try: ss -ltnp)"
        )

    async def reload(self, access: Access) -> None:
        """Put a new list in force: when this returns, identities it lacks are cut, every right follows it."""
        async with self._lock:
            self._access = access
            self._write_files()
            child = self._child
            if child is None or child.exited.is_set():
                return  # the restart reads the new files
            try:
                async with asyncio.timeout(RELOAD_TIMEOUT_S):
                    await self._tell_reload(child)
            except (ChildEnded, OSError, EOFError, TimeoutError) as error:
                log.error("broker_reload_unconfirmed", broker=self.kind, error=repr(error), action="restart")
                child.kill()
                await child.exited.wait()

    async def wait(self) -> None:
        """Watch and restart until `stop()`. Raises BrokerFailed when it dies more often than the budget."""
        deaths: deque[float] = deque()
        while self._child is not None:
            await self._child.exited.wait()
            if self._stopping.is_set():
                return
            self._count_death(deaths, self._child.returncode)
            async with self._lock:
                if not self._stopping.is_set() and await self._launch():
                    log.warning("broker_restarted", broker=self.kind, url=self.url, pid=self.pid)

    async def stop(self) -> None:
        """End the broker; `wait()` then returns."""
        self._stopping.set()
        async with self._lock:
            if self._child is not None:
                await self._child.stop()

    def _count_death(self, deaths: deque[float], code: int | None) -> None:
        now = asyncio.get_running_loop().time()
        deaths.append(now)
        while deaths[0] < now - RESTART_WINDOW_S:
            deaths.popleft()
        log.error("broker_died", broker=self.kind, exit_code=code, deaths=len(deaths), budget=RESTART_LIMIT)
        if len(deaths) > RESTART_LIMIT:
            raise BrokerFailed(
                f"{self.kind} died {len(deaths)} times within {RESTART_WINDOW_S:.0f} s (exit code {code});"
                " its log lines above say why. Devices keep their alarms and retry meanwhile."
            )

    # --- the process

    async def _launch(self) -> bool:
        """Write the files, start the child; False, the reason logged and the child gone, when that fails."""
        self._write_files()
        ready_line = MOSQUITTO_READY if self._mosquitto else amqtt_config.READY
        self._child = child = Child(self.kind, ready_line)
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                await child.launch(self._command(), _environment())
                await self._probe()
        except (ChildEnded, OSError, EOFError, TimeoutError) as error:
            log.error("broker_not_ready", broker=self.kind, url=self.url, error=repr(error))
            await child.stop()
            return False
        return True

    def _command(self) -> list[str]:
        if self._mosquitto is None:
            return [sys.executable, "-m", amqtt_config.MODULE, str(self._path("amqtt.json"))]
        leash = [sys.executable, "-I", "-S", str(Path(__file__).with_name("leash.py")), str(os.getpid())]
        return [*leash, self._mosquitto, "-c", str(self._path("mosquitto.conf"))]

    async def _tell_reload(self, child: Child) -> None:
        if self._mosquitto is None:
            confirmed = child.expect(amqtt_config.RELOADED)
            child.tell(amqtt_config.RELOAD)
        else:
            confirmed = child.expect(MOSQUITTO_RELOADS)
            child.send_signal(signal.SIGHUP)
        await confirmed
        await self._probe()  # mosquitto reloads between two packets: an answer now means it is done

    async def _probe(self) -> None:
        """A CONNECT that is answered. Raises OSError or EOFError when it is not."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(ANONYMOUS_CONNECT)
            answer = await reader.readexactly(CONNACK_BYTES)
        finally:
            writer.close()
        if answer[0] != CONNACK:
            raise OSError(f"{self.url} does not speak MQTT")

    # --- the files

    def _path(self, name: str) -> Path:
        return self._folder.resolve() / name

    def _write_files(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, content in self._files().items():
            _write_private(self._path(name), content)

    def _files(self) -> dict[str, bytes]:
        if self._mosquitto is None:
            config = amqtt_config.ChildConfig(self._host, self._port, str(self._path("access.json")))
            return {"access.json": encode_access(self._access), "amqtt.json": msgspec.json.encode(config)}
        run_as = "root" if os.geteuid() == 0 else None
        config_text = mosquitto.render_config(self._folder.resolve(), self._host, self._port, run_as)
        return {
            mosquitto.USERS_FILE: mosquitto.render_passwords(self._access).encode(),
            mosquitto.ACL_FILE: mosquitto.render_acl(self._access).encode(),
            "mosquitto.conf": config_text.encode(),
        }


def _environment() -> dict[str, str]:
    """Ours, and the place this package was imported from, so that the child runs the same code."""
    here = str(Path(dispatchd.__file__).resolve().parent.parent)
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _write_private(path: Path, content: bytes) -> None:
    """Replace the file as a whole; readable by its owner only, from its first byte."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)
