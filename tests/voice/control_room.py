"""A control room: a real engine on a memory store, relay, WebRTC sessions and the voice WebSocket, wired as the daemon
wires them. The site is that of tests/console/desk.py.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from dispatchd.console.api import Console
from dispatchd.console.server import listen, serve
from dispatchd.console.signin import token_hash
from dispatchd.core.commands import Accept, ApplySite, Command, Done
from dispatchd.core.effects import Effect, Send, SetFloor, SyncVoice, TellOperator
from dispatchd.core.inputs import DaemonStarted, DeviceSaid, Input
from dispatchd.core.site_commands import ADMIN
from dispatchd.engine import Engine
from dispatchd.store.memory import MemoryStore
from dispatchd.voice.ice import PortRange, Ports
from dispatchd.voice.intercom import Intercoms
from dispatchd.voice.relay import Relay
from dispatchd.voice.webrtc import Session, Sessions
from protocols import up
from protocols.types import Key
from protocols.voice import Frame
from tests.console.desk import site, token

from .peer import Peer

PORTS = Ports(41_400, 41_463)


class Recorder:
    """A tap: what a recorder would get, by channel."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, Frame]] = []

    def began(self, grant: Any, now_ms: int) -> None: ...
    def ended(self, grant: Any, now_ms: int) -> None: ...

    def hear(self, channel: str, talker: str, frame: Frame) -> None:
        self.heard.append((channel, talker, frame))

    def opus(self, channel: str) -> list[bytes]:
        return [frame.opus for c, _, frame in self.heard if c == channel]


class Room:
    """What a test works with."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.engine = Engine(self.store, self._perform)
        self.console = Console()
        self.inputs: asyncio.Queue[Input] = asyncio.Queue()
        self.posted: list[Input] = []
        self.sent: list[Send] = []
        self.relay = Relay(self.post)
        self.recorder = Recorder()
        self.relay.taps.append(self.recorder)
        self.sessions = Sessions(self.relay, PortRange("127.0.0.1", PORTS), self.engine.clock.now_ms)
        self.intercoms = Intercoms(self.relay, self.sessions)
        self.port = 0
        self.peers: list[Peer] = []
        self._sync = asyncio.Event()
        self._sequence = 0

    def post(self, one: Input) -> None:
        self.posted.append(one)
        self.inputs.put_nowait(one)

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, SetFloor):
                self.relay.set_floor(effect, self.engine.clock.now_ms())
            elif isinstance(effect, TellOperator):
                self.console.voice.on_operator(effect.operator, effect.message)
            elif isinstance(effect, SyncVoice):
                self._sync.set()
            elif isinstance(effect, Send):
                self.sent.append(effect)

    async def _sync_voice(self) -> None:
        while True:
            await self._sync.wait()
            self._sync.clear()
            async with self.engine.settled() as state:
                self.intercoms.sync(state)

    async def _tell(self) -> None:
        while True:
            await self.engine.tell(await self.inputs.get())

    async def online(self, device: str, *, voice: bool = False) -> None:
        await self.engine.tell(DeviceSaid(device, up.Hello(nonce=b"12345678", conn=1, boot="boot-1")))
        await self.engine.tell(DeviceSaid(device, up.State(conn=1)))

    async def press(self, pillar: str, kind: str = "one-key") -> str:
        """The incident of an alarm."""
        self._sequence += 1
        await self.engine.tell(DeviceSaid(pillar, up.Alarm(Key("boot-1", self._sequence), kind, age_ms=0)))
        async with self.engine.settled() as state:
            return max(state.incidents.values(), key=lambda i: i.opened_ms).incident

    async def done(self, operator: str, command: Command) -> Done:
        answer = await self.engine.ask(operator, command)
        assert isinstance(answer, Done), answer
        return answer

    async def accept(self, operator: str, incident: str) -> None:
        await self.done(operator, Accept(incident))

    async def pillar(self, device: str, slots: int = 2) -> Peer:
        """Its session, made by aiortc alone."""
        peer = Peer(slots)
        self.peers.append(peer)
        await peer.connect(lambda sdp: self.sessions.offer(device, f"s{len(self.peers)}", sdp))
        await until(lambda: all(session.connected for session in self.sessions.of(device)))
        return peer

    @asynccontextmanager
    async def screen(self, operator: str) -> AsyncIterator["Screen"]:
        headers = {"Authorization": f"Bearer {token(operator)}"}
        url = f"ws://127.0.0.1:{self.port}/api/v1/voice"
        async with connect(url, additional_headers=headers, proxy=None) as socket:
            screen = Screen(self, operator, socket)
            reader = asyncio.create_task(screen.read(), name="screen")
            try:
                yield screen
            finally:
                reader.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reader


class Screen:
    """An operator's socket and peer."""

    def __init__(self, room: Room, operator: str, socket: ClientConnection) -> None:
        self.room, self.operator, self.socket = room, operator, socket
        self.peer = Peer(0)
        self.messages: list[dict[str, Any]] = []
        self.news = asyncio.Event()

    async def read(self) -> None:
        """Until either side closes it."""
        with contextlib.suppress(ConnectionClosed):
            async for text in self.socket:
                self.messages.append(json.loads(text))
                self.news.set()

    async def say(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def told(self, kind: str, within_s: float = 5, **fields: Any) -> dict[str, Any]:
        """The next message of this type with these fields; those before it are read over."""
        async with asyncio.timeout(within_s):
            while True:
                while self.messages:
                    message = self.messages.pop(0)
                    if message["type"] == kind and fields.items() <= message.items():
                        return message
                self.news.clear()
                await self.news.wait()

    async def session(self, slots: int = 3) -> Session:
        """Offers over the socket, and waits until both ends are connected."""
        self.peer = Peer(slots)
        self.room.peers.append(self.peer)

        async def offer(sdp: str) -> str:
            await self.say("offer", sdp=sdp)
            return str((await self.told("answer"))["sdp"])

        await self.peer.connect(offer)
        found = self.room.sessions.of("@" + self.operator)[-1]
        await until(lambda: found.connected)
        return found


async def until(condition: Callable[[], object], within_s: float = 5) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


def _site_with_voice() -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(site())
    for device in found["device"]:
        device["profile"] = "C"
    return found


@asynccontextmanager
async def control_room() -> AsyncIterator[Room]:
    room = Room()
    started = DaemonStarted(
        room.store.next_start(), room.store.generation(), "test", token_hash(token(ADMIN))
    )
    bound = listen("127.0.0.1", 0)
    room.port = bound.getsockname()[1]
    ready = asyncio.Event()
    tasks = [asyncio.create_task(room.engine.run(started), name="engine")]
    try:
        await room.engine.started.wait()
        room.engine.link_changed(True)
        answer = await room.engine.ask(ADMIN, ApplySite(_site_with_voice()))
        assert isinstance(answer, Done), answer
        room.console.attach(room.engine, room.store)
        room.console.voice.attach(room.engine, room.sessions, room.post)
        for name, run in (
            ("sessions", room.sessions.run()),
            ("sync", room._sync_voice()),
            ("tell", room._tell()),
            ("http", serve(room.console.app, bound, ready.set)),
        ):
            tasks.append(asyncio.create_task(run, name=name))
        await ready.wait()
        yield room
    finally:
        for peer in room.peers:
            await peer.pc.close()
        for task in reversed(tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        bound.close()
