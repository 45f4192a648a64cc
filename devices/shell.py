"""The thin shell round an agent: MQTT, clock, outbox and hardware. Everything that decides is in the agent.

For simulators, kept stable:

    outbox = MemoryOutbox("boot-1")                    # or devices.outbox_file.FileOutbox(path)
    agent = TerminalAgent.restore(outbox.records, outbox.boot, rng=random.Random(7))
    await run_device(agent, credentials, hardware, outbox, log)      # until cancelled

`hardware` is anything with the parts of devices/hardware.py (its `keys.run(feed)` is where a simulated person
acts), `log` a callable that takes the fields of one line. A terminal that is given `voice` (VoiceHardware) is a
radio. Hundreds of devices run in one process: a few tasks each, no thread of their own. Cancelling is how a device is
switched off.
"""

import asyncio
import contextlib
import logging
import random
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, Final

import aiomqtt

from devices.agent import Agent
from devices.connection import BAD_CREDENTIALS, Standing
from devices.credentials import Credentials, split
from devices.events import (
    Action,
    Connected,
    Disconnected,
    Event,
    Forget,
    Light,
    Log,
    Media,
    MediaFitted,
    Persist,
    Play,
    Publish,
    Received,
    ShowText,
    StopPlaying,
    StorageFailed,
    Subscribe,
    SubscribeVoice,
    TakeAnswer,
    Tick,
    TryNextPath,
    Vibrate,
    VoiceAction,
    VoiceFitted,
    VoiceSubscribed,
)
from devices.hardware import Hardware, VoiceHardware, media_of
from devices.outbox import Entry, Forgotten, Outbox, OutboxError
from devices.terminal import TerminalAgent
from devices.voice.client import VoiceClient
from protocols import codec, topics, up
from protocols.errors import ProtocolError

LogLine = Callable[[dict[str, Any]], None]

BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MAX_S: Final = 15.0
"""Between attempts: a random time up to a limit that doubles from the first to the last of these."""
CONNECT_WITHIN_S: Final = 5.0
"""An attempt that takes longer has failed; the next path is tried."""
KEEP_ALIVE_S: Final = 5
"""A dead device's will is out after at most twice this."""
MAX_INBOX: Final = 1000
"""Events waiting for the agent; beyond it down messages are dropped, which the daemon repeats. Keys never are."""
MAX_SETTLING: Final = 100
"""Events that the last ones may set off when it is switched off (a failing outbox); beyond it they are dropped."""
MAX_OUTGOING: Final = 1000
"""Publishes waiting for the broker; beyond it they are dropped, which the agent repeats."""

_quiet = logging.getLogger("devices.mqtt")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False


def monotonic_ms() -> int:
    """By the clock that also counts while the machine sleeps, where there is one."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1_000_000


def clock_id() -> str:
    """Names the clock of `monotonic_ms`: another after a reboot of the machine, "" where nobody knows."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


async def run_device(
    agent: Agent,
    credentials: Credentials,
    hardware: Hardware,
    outbox: Outbox,
    log: LogLine,
    voice: VoiceHardware | None = None,
) -> None:
    """Runs one device until it is cancelled; then it says goodbye (presence death) and disconnects.

    Network trouble of any kind is lived through; only a bug or a failing part of the hardware ends it.
    """
    await _Shell(agent, credentials, hardware, outbox, log, voice).run()


class _Shell:
    def __init__(
        self,
        agent: Agent,
        credentials: Credentials,
        hardware: Hardware,
        outbox: Outbox,
        log: LogLine,
        voice: VoiceHardware | None,
    ) -> None:
        self._agent = agent
        self._credentials = credentials
        self._hardware = hardware
        self._media = media_of(hardware)
        self._outbox = outbox
        self._log = log
        self._inbox: deque[Event] = deque()
        self._wake = asyncio.Event()
        self._client: aiomqtt.Client | None = None
        self._path = 0
        self._leave_path: asyncio.Event = asyncio.Event()
        self._groups: set[str] = set()
        self._groups_changed = asyncio.Event()
        self._jitter = random.SystemRandom()
        self._standing = Standing(credentials.device)
        self._voice_groups: tuple[str, ...] | None = None
        self._voice = None if voice is None else self._voice_client(voice)

    def _voice_client(self, hardware: VoiceHardware) -> VoiceClient | None:
        """Only a terminal is a radio."""
        agent = self._agent
        if not isinstance(agent, TerminalAgent):
            return None
        return VoiceClient(
            lambda: agent.radio, hardware, self._feed, self._publish_voice, self._log, monotonic_ms
        )

    async def run(self) -> None:
        name = self._credentials.device
        try:
            async with asyncio.TaskGroup() as tasks:
                if self._voice is not None:
                    self._feed(VoiceFitted(name))
                    tasks.create_task(self._voice.run(), name=f"{name} voice")
                tasks.create_task(self._decide(), name=f"{name} agent")
                tasks.create_task(self._link(), name=f"{name} link")
                tasks.create_task(self._hardware.keys.run(self._feed), name=f"{name} keys")
                if self._media is not None:
                    self._feed(MediaFitted())
                    tasks.create_task(self._media.run(self._feed, self._say_up), name=f"{name} media")
        finally:
            self._settle()

    # ------------------------------------------------------------------------------------------- agent

    def _feed(self, event: Event) -> None:
        if isinstance(event, Received) and len(self._inbox) >= MAX_INBOX:
            self._log({"ev": "inbox-full", "t_ms": monotonic_ms(), "kind": event.kind})
            return
        self._inbox.append(event)
        self._wake.set()

    async def _decide(self) -> None:
        """The one writer: events in their order, a Tick at the deadline."""
        while True:
            if not await self._something():
                self._feed(self._hardware.sensors.read())
                self._feed(Tick())
            self._wake.clear()
            while self._inbox:
                self._perform(self._agent.handle(self._inbox.popleft(), monotonic_ms()))

    def _settle(self) -> None:
        """Switched off: what was pressed before and is not decided yet becomes durable; what that sets off, too."""
        for _ in range(len(self._inbox) + MAX_SETTLING):
            if not self._inbox:
                return
            self._perform(self._agent.handle(self._inbox.popleft(), monotonic_ms()))

    async def _something(self) -> bool:
        """False when the deadline came first."""
        deadline = self._agent.deadline()
        wait_s = None if deadline is None else max(0, deadline - monotonic_ms()) / 1000
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    def _perform(self, actions: list[Action]) -> None:
        """In order; a run of Persists becomes durable in one go, before anything of it is sent or logged."""
        entries: list[Entry] = []
        for action in actions:
            if isinstance(action, Persist):
                entries.append(action.entry)
                continue
            if isinstance(action, Forget) and entries:
                entries.append(Forgotten(action.key))
                continue
            if entries and isinstance(action, Publish | Log):
                self._persist(entries, sync=True)
                entries = []
            self._act(action)
        if entries:
            self._persist(entries, sync=True)

    def _persist(self, entries: Iterable[Entry], *, sync: bool) -> None:
        try:
            self._outbox.append(entries, sync=sync)
        except OutboxError as error:
            self._feed(StorageFailed(str(error)))

    def _act(self, action: Action) -> None:  # noqa: C901, PLR0912 - a flat table of what each action does
        hardware = self._hardware
        match action:
            case Publish():
                self._publish(action)
            case Forget():
                self._persist([Forgotten(action.key)], sync=False)
            case Log():
                self._log(action.fields)
            case Subscribe():
                self._groups = set(action.groups)
                self._groups_changed.set()
            case SubscribeVoice():
                self._voice_groups = action.groups
                self._groups_changed.set()
            case TryNextPath():
                self._try_next_path(action.why)
            case Play():
                hardware.speaker.play(action, self._feed)
            case StopPlaying():
                hardware.speaker.stop(action.item)
            case Light():
                hardware.lamp.light(action.lamp, action.pattern)
            case ShowText():
                hardware.display.show(action.text, action.text_en)
            case Vibrate():
                hardware.vibrator.vibrate(action.for_ms)
            case Media() | TakeAnswer():
                self._perform_media(action)
            case Persist():
                raise AssertionError("made durable before")
            case _:
                self._perform_voice(action)

    def _perform_media(self, action: Media | TakeAnswer) -> None:
        if self._media is None:
            return
        if isinstance(action, Media):
            self._media.set(open=action.open, quiet=action.quiet)
        else:
            self._media.answer(action.message)

    def _say_up(self, message: up.WebrtcOffer | up.WebrtcBye) -> None:
        """Of the media; not durable, its maker tries again."""
        self._publish(Publish(codec.UP_KIND[type(message)], codec.encode(message)))

    def _publish(self, publish: Publish) -> None:
        topic = topics.up(self._credentials.root, self._credentials.device, publish.kind)
        self._send(topic, publish.payload, publish.qos, retain=publish.retain)

    def _perform_voice(self, action: VoiceAction) -> None:
        if self._voice is not None:
            self._voice.perform(action)

    def _publish_voice(self, sealed: bytes) -> None:
        topic = topics.up(self._credentials.root, self._credentials.device, "voice")
        self._send(topic, sealed, 0, retain=False)

    def _send(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        """Handed to the client's own bounded queue: a receipt counts, not the broker's PUBACK."""
        if self._client is not None:
            self._client._client.publish(topic, payload, qos, retain)

    def _try_next_path(self, why: str) -> None:
        if len(self._credentials.urls) > 1:
            self._log({"ev": "next-path", "t_ms": monotonic_ms(), "why": why})
            self._leave_path.set()

    # -------------------------------------------------------------------------------------------- link

    async def _link(self) -> None:
        """Connect, stay, and when it breaks come again: the next path at once, the whole round after a pause."""
        failures = 0
        while True:
            self._leave_path.clear()
            why, was_connected, refused = await self._one_connection()
            _stop_if_cancelled()
            failures = 0 if was_connected else failures + 1
            self._log({"ev": "link", "t_ms": monotonic_ms(), "url": self._url, "why": why})
            self._tell_standing(self._standing.broken(self._url, why, refused=refused))
            if self._leave_path.is_set() or not was_connected:
                self._path += 1
            await asyncio.sleep(self._pause_s(failures))

    def _tell_standing(self, line: dict[str, Any] | None) -> None:
        if line is not None:
            self._log({**line, "t_ms": monotonic_ms()})

    @property
    def _url(self) -> str:
        return self._credentials.urls[self._path % len(self._credentials.urls)]

    def _pause_s(self, failures: int) -> float:
        rounds = failures // len(self._credentials.urls)
        limit_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(rounds, 10))
        return self._jitter.uniform(BACKOFF_FIRST_S, max(2 * BACKOFF_FIRST_S, limit_s))

    async def _one_connection(self) -> tuple[str, bool, bool]:
        """Why it ended, whether the broker had taken us, and whether it refused our name and secret."""
        why = "left for the next path"
        connected = refused = False
        try:
            conn = self._next_conn()
            async with _entered(self._new_client(conn)) as client:
                await client.subscribe(self._own_filter(), qos=1)
                connected = True
                self._tell_standing(self._standing.connected(self._url))
                await self._stay(client, conn)
        except* (aiomqtt.MqttError, ProtocolError, OSError) as errors:
            why = "; ".join(str(error) or type(error).__name__ for error in errors.exceptions)
            refused = not connected and any(map(_refuses_us, errors.exceptions))
        return why, connected, refused

    def _next_conn(self) -> int:
        try:
            return self._outbox.next_conn()
        except OutboxError as error:
            self._feed(StorageFailed(str(error)))
            return self._outbox.conn

    def _own_filter(self) -> str:
        return topics.device_filter(self._credentials.root, self._credentials.device)

    def _new_client(self, conn: int) -> aiomqtt.Client:
        credentials = self._credentials
        host, port, tls = split(self._url)
        return aiomqtt.Client(
            host,
            port,
            username=credentials.device,
            password=credentials.secret,
            identifier=credentials.device,
            will=aiomqtt.Will(self._presence_topic(), _presence(conn, online=False), 1, retain=True),
            clean_session=True,
            timeout=CONNECT_WITHIN_S,
            keepalive=KEEP_ALIVE_S,
            max_queued_incoming_messages=MAX_INBOX,
            max_queued_outgoing_messages=MAX_OUTGOING,
            tls_context=ssl.create_default_context(cafile=credentials.ca_file) if tls else None,
            logger=_quiet,
        )

    def _presence_topic(self) -> str:
        return topics.presence(self._credentials.root, self._credentials.device)

    async def _stay(self, client: aiomqtt.Client, conn: int) -> None:
        """Birth, then listen until it breaks or another path is wanted; goodbye if we are switched off."""
        self._client = client
        self._send(self._presence_topic(), _presence(conn, online=True), 1, retain=True)
        self._feed(Connected(conn))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_groups(client), name=f"{self._credentials.device} groups")
                tasks.create_task(self._left(), name=f"{self._credentials.device} path")
                await self._listen(client)  # not a task: see _stop_if_cancelled
        finally:
            self._send(self._presence_topic(), _presence(conn, online=False), 1, retain=True)
            self._client = None
            self._voice_groups = None
            self._feed(Disconnected())

    async def _listen(self, client: aiomqtt.Client) -> None:
        root = self._credentials.root
        async for message in client.messages:
            try:
                topic = topics.parse_down(root, message.topic.value)
            except ProtocolError as error:
                self._log({"ev": "malformed", "t_ms": monotonic_ms(), "why": error.why})
                continue
            if isinstance(message.payload, bytes):
                self._arrived(topic, message.payload)

    def _arrived(self, topic: topics.DownTopic, payload: bytes) -> None:
        """Frames of voice are no messages: they go past the agent, and live no longer than they take."""
        if topic.kind != "voice":
            self._feed(Received(topic.kind, payload, topic.to if topic.group else None))
        elif self._voice is not None:
            self._voice.payload(payload)

    async def _follow_groups(self, client: aiomqtt.Client) -> None:
        """Down topics of all groups; on the MQTT carriage their voice, too, of which the radio is told."""
        root, joined = self._credentials.root, set[str]()
        while True:
            await self._groups_changed.wait()
            self._groups_changed.clear()
            voice = self._voice_groups
            down = {topics.group_filter(root, group) for group in self._groups}
            wanted = down | {topics.group_voice(root, group) for group in voice or ()}
            for each in sorted(wanted - joined):
                await client.subscribe(each, qos=int(each in down))
            for each in sorted(joined - wanted):
                await client.unsubscribe(each)
            joined = wanted
            if voice is not None:
                self._feed(VoiceSubscribed(voice))

    async def _left(self) -> None:
        await self._leave_path.wait()
        raise aiomqtt.MqttError("no answer here, trying the next path")


@contextlib.asynccontextmanager
async def _entered(client: aiomqtt.Client) -> AsyncIterator[aiomqtt.Client]:
    """The client's own context, but an attempt under way when we are switched off is seen to its end first.

    It connects in a thread and would otherwise meet a loop that is closed.
    """
    attempt = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.shield(attempt)
    except asyncio.CancelledError:
        await asyncio.wait([attempt], timeout=2 * CONNECT_WITHIN_S)
        if attempt.done() and attempt.exception() is None:
            await client.__aexit__(None, None, None)
        raise
    try:
        yield client
    finally:
        await client.__aexit__(None, None, None)


def _stop_if_cancelled() -> None:
    """A task group that ends by an error at the moment it is cancelled forgets the cancelling (Python < 3.13).

    The count tells it, as long as the group's body is still running when a task of the group fails.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _refuses_us(error: BaseException) -> bool:
    code = error.rc if isinstance(error, aiomqtt.MqttCodeError) else None
    return getattr(code, "value", code) in BAD_CREDENTIALS


def _presence(conn: int, *, online: bool) -> bytes:
    return codec.encode(up.Presence(online, conn))
