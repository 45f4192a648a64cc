"""Wires the daemon and runs it: store, engine, broker, link, console, each a named task of one group.

Start: the folder, its admin token and lock; the store; the engine's first commit; the broker and its access list; the
link; the console. Only then is it ready, which it says in one line on stdout and in DIR/daemon.json. A task that ends
with an error ends the daemon loudly: systemd starts it again.
"""

import asyncio
import contextlib
import gc
import hashlib
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any, Final

import msgspec
import structlog

from protocols import site as site_
from protocols import up
from protocols.down import ClipPart, Membership
from protocols.rules import Rules
from protocols.secret import hash_secret

from . import __version__
from .access import access_of
from .clock import wall_ms
from .config import ADMIN_TOKEN_FILE, READY_FILE, Config, Ready, read_secret
from .console.api import Console
from .console.server import listen, parse_address, serve, url
from .core.commands import ApplySite, Refusal
from .core.effects import Effect, Send, SyncAccess
from .core.inputs import DaemonStarted
from .core.site_commands import ADMIN
from .engine import Engine
from .keeping import Keeper
from .ledger import Ledger
from .links.broker.process import BrokerFailed, EmbeddedBroker
from .links.mqtt import BrokerAddress, MqttLink, Numbers
from .schedules import Schedules
from .store import Store, open_store
from .voice import recordings, wiring
from .voice.announcements import Announcements
from .voice.clip_server import ClipServer
from .voice.clips import ClipStore
from .voice.live import LiveClips
from .voice.recordings import Recordings
from .voice.room import VoiceRoom
from .voice.speech import Speech

DAEMON_USER: Final = "dispatchd"
RECORDINGS_DIR: Final = "recordings"
HELD_MAX: Final = 20_000
"""Memberships that wait for a reload; the oldest beyond are dropped and sent again by the core's own retry."""
ACCESS_SETTLE_S: Final = 0.05
"""Changes of the access list within this go to the broker as one."""

LINK_WAIT_S: Final = 10.0
"""How long the start waits for the broker before the console opens without it."""

log = structlog.get_logger("daemon")


class StartError(Exception):
    """The daemon cannot start; the text says why and what to do."""


def run(config: Config, on_ready: Callable[[Ready], None] | None = None) -> None:
    """Until SIGTERM or SIGINT. `on_ready` is called once; by default the ready line is printed."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(Daemon(config, on_ready or _say_ready).run())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _say_ready(ready: Ready) -> None:
    sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
    sys.stdout.flush()


class Daemon:
    """One life of the daemon."""

    def __init__(self, config: Config, on_ready: Callable[[Ready], None]) -> None:
        self._config = config
        self._on_ready = on_ready
        self._dir = config.directory
        self._secret = secrets.token_urlsafe(32)
        self._sync = asyncio.Event()
        self._reloading = False
        self._held: list[Effect] = []
        self._broker: EmbeddedBroker | None = None
        self._link: MqttLink | None = None
        self._voice: VoiceRoom | None = None
        self._lines = wiring.Lines()

    async def run(self) -> None:
        """Everything, until it is told to stop."""
        try:
            self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            token = _admin_token(self._dir / ADMIN_TOKEN_FILE)
        except OSError as error:
            raise StartError(
                f"The daemon cannot use its folder: {error.filename}: {error.strerror}. "
                f"Give its user the right to write there (chown), or name another folder with --dir."
            ) from error
        host, port = parse_address(self._config.http.address)
        store = await asyncio.to_thread(open_store, self._config.store_url)
        try:
            with listen(host, port) as bound, self._datagrams() as sock:
                await self._serve(store, token, bound, sock)
        finally:
            store.close()

    async def _serve(self, store: Store, token: str, bound: Any, sock: socket | None) -> None:
        limits = self._config.limits
        ledger = await asyncio.to_thread(Ledger, store, limits.snapshot_every_facts)
        engine = Engine(store, self._perform, ledger, limits.queue_inputs, limits.batch_inputs)
        gen, start = store.generation(), store.next_start()
        started = DaemonStarted(start, gen, __version__, hashlib.sha256(token.encode()).hexdigest())
        self._voice = wiring.room(self._config.voice, engine, self._lines, start, sock)
        console = Console()
        stop = _stop_signal()
        with contextlib.suppress(_Stopped):
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(engine.run(started), name="engine")
                    group.create_task(_until(stop), name="stop")
                    await engine.started.wait()
                    await self._first_site(engine)
                    sounds = self._start_sounds(group, engine)
                    await self._start_links(group, store, engine, Numbers(gen, start))
                    recordings_ = self._recordings(group, store, engine)
                    if self._voice is not None:
                        recorder = wiring.recorder(self._voice, engine, recordings_, start)
                        group.create_task(recorder.run(), name="recorder")
                        group.create_task(self._voice.run(), name="voice")
                        self._start_webrtc(group, engine, console, self._voice)
                    console.attach(engine, store, recordings_, sounds)
                    live = LiveClips(recordings_, sounds.kept, engine.tell, engine.settled)
                    engine.listen(live.committed)
                    group.create_task(live.run(), name="live")
                    schedules = Schedules(engine.settled, engine.tell, sounds.spoken, wall_ms)
                    group.create_task(schedules.run(), name="schedules")
                    group.create_task(serve(console.app, bound, lambda: self._ready(bound)), name="http")
            except* _Stopped:
                log.info("stopped")
            finally:
                if self._broker is not None:
                    await self._broker.stop()

    # --- its parts ----------------------------------------------------------------------------------------------

    async def _first_site(self, engine: Engine) -> None:
        """The site file of the settings, while there is no site yet."""
        async with engine.settled() as state:
            root, fresh = state.site.root, not (state.site.device or state.site.patrol)
        if self._config.site and fresh:
            result = await engine.ask(ADMIN, ApplySite(msgspec.to_builtins(_site_file(self._config.site))))
            if isinstance(result, Refusal):
                raise StartError(f"The site file {self._config.site} was refused: {result.why}")
            log.info("site applied", file=self._config.site, **result.counts)
        elif self._config.site:
            log.info("a site is there already; `dispatchd site apply` changes it", root=root)

    def _start_sounds(self, group: asyncio.TaskGroup, engine: Engine) -> Announcements:
        """Speech and clips, and who sends them to devices."""
        store = ClipStore(self._dir / "clips")
        sounds = Announcements(Speech(self._config.speech), store, engine.settled)
        self._clips = ClipServer(store, self._send_clip, asyncio.get_running_loop().time)
        group.create_task(sounds.run(), name="clips")
        group.create_task(self._clips.run(), name="clip parts")
        return sounds

    def _send_clip(self, device: str, part: ClipPart, ttl_ms: int) -> None:
        if self._link is not None:
            self._link.perform([Send(device, part, ttl_ms)])

    def _said_voice(self, device: str, message: up.Voice) -> None:
        """What goes past the engine: to the room it is for."""
        if isinstance(message, up.ClipRequest):
            self._clips.said(device, message)
        elif self._voice is not None:
            self._voice.said(device, message)

    async def _start_links(
        self, group: asyncio.TaskGroup, store: Store, engine: Engine, numbers: Numbers
    ) -> None:
        async with engine.settled() as state:
            root = state.site.root
        address = await self._broker_address(group, engine, root)
        link = MqttLink(address, root, numbers, engine.tell, engine.tell_state, engine.clock.now_ms)
        keeper = Keeper(store, engine)
        link.on_change, link.on_malformed = partial(self._link_changed, engine), keeper.malformed
        link.on_voice = self._said_voice
        if self._voice is not None:
            link.on_voice_payload = self._voice.payload
            self._lines.link = link
        engine.health.messages = link.counts
        self._link, self._url, self._root = link, address.url, root
        group.create_task(link.run(), name="link")
        group.create_task(keeper.run(), name="keeping")
        try:
            async with asyncio.timeout(LINK_WAIT_S):
                await link.connected.wait()
        except TimeoutError:
            log.error("no broker yet: the console starts, alarms cannot arrive", broker=address.url)

    def _start_webrtc(
        self, group: asyncio.TaskGroup, engine: Engine, console: Console, voice: VoiceRoom
    ) -> None:
        """Pillars' sound and operators' browsers."""
        try:
            sessions, pillars = wiring.webrtc(self._config.voice, voice, engine, self._lines)
        except wiring.VoiceError as error:
            raise StartError(str(error)) from error
        group.create_task(sessions.run(), name="webrtc")
        group.create_task(pillars.run(), name="pillars")
        console.voice.attach(engine, sessions, engine.post)
        voice.on_operator = console.voice.on_operator

    def _link_changed(self, engine: Engine, up: bool) -> None:
        engine.link_changed(up)
        if up and self._voice is not None:
            self._voice.link_up()

    def _datagrams(self) -> AbstractContextManager[socket | None]:
        try:
            return wiring.datagrams(self._config.voice)
        except wiring.VoiceError as error:
            raise StartError(str(error)) from error

    def _recordings(self, group: asyncio.TaskGroup, store: Store, engine: Engine) -> Recordings:
        """The folder of recordings and its index, tidied every hour."""
        kept = Recordings(self._dir / RECORDINGS_DIR, store)

        async def look() -> tuple[Rules, dict[str, list[str]]]:
            async with engine.settled() as state:
                return state.site.rules, {incident: list(names) for incident, names in state.holds.items()}

        max_bytes = int(self._config.recordings.max_gb * 1e9)
        group.create_task(recordings.keep(kept, look, max_bytes), name="recordings")
        return kept

    async def _broker_address(self, group: asyncio.TaskGroup, engine: Engine, root: str) -> BrokerAddress:
        """Of the broker that runs already, or of one that is started and watched here."""
        broker = self._config.broker
        if broker.mode == "url":
            password = read_secret(broker.password_file) if broker.password_file else ""
            return BrokerAddress(broker.url, broker.username or DAEMON_USER, password)
        host, _, port = broker.listen.rpartition(":")
        daemon_hash = hash_secret(self._secret)
        async with engine.settled() as state:
            access = access_of(state, root, daemon_hash)
        self._broker = EmbeddedBroker(
            self._dir / "broker", access, port=int(port), prefer=broker.mode, host=host or "127.0.0.1"
        )
        try:
            found = await self._broker.start()
        except BrokerFailed as error:
            raise StartError(str(error)) from error
        group.create_task(self._broker.wait(), name="broker")
        group.create_task(self._keep_access(engine, self._broker, root, daemon_hash), name="access")
        return BrokerAddress(found, DAEMON_USER, self._secret)

    async def _keep_access(self, engine: Engine, broker: EmbeddedBroker, root: str, daemon_hash: str) -> None:
        """The broker's list follows the registry; many changes at once make one reload."""
        while True:
            await self._sync.wait()
            await asyncio.sleep(ACCESS_SETTLE_S)
            async with engine.settled() as state:
                access = access_of(state, root, daemon_hash)
                self._sync.clear()
                self._reloading = True
            await broker.reload(access)
            self._reloading = False
            held, self._held = self._held, []
            if self._link is not None:
                self._link.perform(held)

    def _perform(self, effects: Iterable[Effect]) -> None:
        """Committed: let it happen."""
        effects = list(effects)
        if self._voice is not None:
            self._voice.perform(effects)
        if self._broker is not None and any(isinstance(effect, SyncAccess) for effect in effects):
            self._sync.set()
        if self._link is not None:
            self._link.perform(self._without_early_membership(effects))

    def _without_early_membership(self, effects: list[Effect]) -> list[Effect]:
        """A device may subscribe to a new group only when the broker's list has it: its word waits for the reload."""
        if not (self._sync.is_set() or self._reloading):
            return effects
        early = [e for e in effects if isinstance(e, Send) and isinstance(e.message, Membership)]
        self._held = [*self._held, *early][-HELD_MAX:]
        return [e for e in effects if e not in early]

    # --- ready --------------------------------------------------------------------------------------------------

    def _ready(self, bound: Any) -> None:
        ready = Ready(
            ready=True, http=url(bound), mqtt=self._url, root=self._root,
            admin_token_file=str(self._dir / ADMIN_TOKEN_FILE), voice=self._voice.address if self._voice else "",
        )  # fmt: skip
        write_private(self._dir / READY_FILE, msgspec.json.encode(ready))
        gc.collect()
        gc.freeze()  # what lives as long as the daemon is not searched for garbage again: 50 ms each time
        log.info(
            "ready", http=ready.http, mqtt=ready.mqtt, broker=self._broker.kind if self._broker else "url"
        )
        self._on_ready(ready)


class _Stopped(Exception):
    """SIGTERM or SIGINT: how the task group is told to end."""


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()
    raise _Stopped


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _site_file(path: str) -> site_.Site:
    try:
        text = Path(path).read_text("utf-8-sig")
    except OSError as error:
        raise StartError(f"The site file {path} cannot be read: {error.strerror}. Check the path.") from None
    try:
        return site_.load(text)
    except site_.SiteError as error:
        raise StartError(f"The site file {path} has faults:\n" + "\n".join(error.faults[:50])) from None


def _admin_token(path: Path) -> str:
    """Whoever may read this file is the admin; made at the first start."""
    if path.exists():
        return read_secret(path)
    token = secrets.token_urlsafe(32)
    write_private(path, (token + "\n").encode())
    return token


def write_private(path: Path, content: bytes) -> None:
    """For the owner's eyes, whole or not at all."""
    beside = path.with_name(path.name + ".new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    beside.replace(path)
