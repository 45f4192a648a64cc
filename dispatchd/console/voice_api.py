"""The voice of operators: WebSocket /api/v1/voice carries WebRTC signalling, floor control and talk-back (JSON text).

Signed in as the feed is. docs/voice-api.md is its description for whoever writes a client. What must hold: a closed
socket leaves no floor and no talk-back behind; the core knows which talk groups each operator hears; nobody hears what
is beyond his walls, from the next look on when the walls move; a client that does not read, or floods, is dropped.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from dispatchd.core import commands as c
from dispatchd.core.commands import RANK, Refusal
from dispatchd.core.inputs import Input, OperatorAsked, OperatorHears
from dispatchd.core.state import State
from dispatchd.store.base import StoreError
from dispatchd.voice.limits import Bucket
from dispatchd.voice.sdp import Refused
from protocols import down

from . import voice_messages as m
from .errors import STARTING, ApiError
from .hearing import may_hear
from .ports import Committed, Engine
from .signin import SignIn, bearer
from .voice_client import LATE_S, MAX_ASKED, SlowClient, VoiceClient

if TYPE_CHECKING:
    from dispatchd.voice.webrtc import Session, Sessions

log = structlog.get_logger("voice-api")

MAX_SOCKETS: Final = 200
"""At once; further ones are answered 503."""
MESSAGES_PER_S: Final = 20
MESSAGES_AT_ONCE: Final = 60
"""Of one socket; beyond it the socket is closed."""
SLOW_S: Final = 10.0
"""A message not taken by then drops the client: voice that waits is of no use."""
LOOK_EVERY_S: Final = 5.0
"""Without a change: does the operator still exist, may he still hear it."""
LOOK_GAP_S: Final = 0.05
"""From a change of the state to the look at it for one client; changes within it are one."""
CLOSE_S: Final = 1.0
SLOW: Final = 4408
REVOKED: Final = 4401
FLOOD: Final = 4429
"""Close codes, with a sentence as reason."""


class _Closed(Exception):
    """The socket is to be closed with this code and reason."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


class VoiceApi:
    """All voice sockets of one daemon. 503 until `attach`."""

    def __init__(self) -> None:
        self.dropped = 0
        self._engine: Engine | None = None
        self._sessions: Sessions | None = None
        self._post: Callable[[Input], None] = lambda _: None
        self._clients: dict[str, VoiceClient] = {}
        self._hears: dict[str, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def attach(self, engine: Engine, sessions: "Sessions", post: Callable[[Input], None]) -> None:
        """From now on it is served. `post` gives the core an input and never waits."""
        self._engine, self._sessions, self._post = engine, sessions, post
        engine.listen(self.committed)
        for told in (sessions.on_open, sessions.on_tune, sessions.on_end):
            told.append(self._session_changed)

    def committed(self, batch: Committed) -> None:
        """Called by the engine after each batch; wakes, and does nothing else."""
        if batch.rows:
            for client in self._clients.values():
                client.look_soon()

    def on_operator(self, operator: str, message: down.Floor) -> None:
        """TellOperator: to all his screens that it concerns."""
        for client in self._clients.values():
            if client.operator.id == operator:
                client.tell_floor(message)

    def _session_changed(self, session: "Session") -> None:
        client = self._clients.get(session.id)
        if client is None or client.session is not session:
            return
        if session.ended:
            client.session = None
            if session.ended not in {"bye", "replaced"}:
                client.tell(m.error("session-lost", "The sound is lost. Offer again.", "offer"))
        self._tell_hears(client.operator.id)
        client.look_soon()

    def _tell_hears(self, operator: str) -> None:
        """The core knows the union of what all his screens hear."""
        groups = {g for o in self._clients.values() if o.operator.id == operator for g in o.groups()}
        now = tuple(sorted(groups))
        if now == self._hears.get(operator, ()):
            return
        if now:
            self._hears[operator] = now
        else:
            self._hears.pop(operator, None)
        self._post(OperatorHears(operator, now))

    # --- one socket ---------------------------------------------------------------------------------------------

    def endpoint(self, sign_in: SignIn) -> Callable[[WebSocket], Awaitable[None]]:
        async def voice(socket: WebSocket) -> None:
            try:
                client = await self._admit(socket, sign_in)
            except ApiError as error:
                body = msgspec.json.encode(error.problem)
                await socket.send_denial_response(Response(body, error.status, media_type="application/json"))
                return
            await socket.accept()
            await self._serve(socket, client)

        return voice

    @property
    def _parts(self) -> tuple[Engine, "Sessions"]:
        if self._engine is None or self._sessions is None:
            raise STARTING
        return self._engine, self._sessions

    async def _admit(self, socket: WebSocket, sign_in: SignIn) -> VoiceClient:
        engine, _ = self._parts
        if len(self._clients) >= MAX_SOCKETS:
            raise ApiError(
                503, "too-many-sockets", f"{MAX_SOCKETS} voice sockets are open. Close screens nobody uses."
            )
        token = bearer(socket.headers.get("authorization", ""))
        async with engine.settled() as state:
            operator = sign_in.operator(state, token, socket.client.host if socket.client else "")
        return VoiceClient(operator)

    async def _serve(self, socket: WebSocket, client: VoiceClient) -> None:
        self._clients[client.id] = client
        try:
            code, reason = await self._run(socket, client)
        finally:
            self._leave(client)
        if code and socket.application_state is WebSocketState.CONNECTED:
            with suppress(TimeoutError, WebSocketDisconnect, RuntimeError, OSError):
                async with asyncio.timeout(CLOSE_S):
                    await socket.close(code, reason)

    def _leave(self, client: VoiceClient) -> None:
        """Nothing of it stays: no floor, no talk-back, no session."""
        _, sessions = self._parts
        del self._clients[client.id]
        operator = client.operator.id
        for group, ref in client.asked:
            self._post(OperatorAsked(operator, c.ReleaseFloor(group, ref)))
        if client.back:
            self._post(OperatorAsked(operator, c.TalkBack(client.back, False)))
        if client.session is not None:
            sessions.end(client.session, "bye")
        self._tell_hears(operator)

    async def _run(self, socket: WebSocket, client: VoiceClient) -> tuple[int, str]:
        end = (0, "")
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read(socket, client), name=f"voice-read-{client.operator.id}")
                tasks.create_task(self._write(socket, client), name=f"voice-write-{client.operator.id}")
        except* (TimeoutError, SlowClient):
            self.dropped += 1
            log.warning("voice client dropped", operator=client.operator.id, slow_s=SLOW_S)
            end = SLOW, f"You did not read for {SLOW_S:g} s. Connect again."
        except* _Closed as closed:
            first = closed.exceptions[0]
            end = (first.code, first.why) if isinstance(first, _Closed) else end
        except* (WebSocketDisconnect, OSError):
            pass
        return end

    # --- out ----------------------------------------------------------------------------------------------------

    async def _write(self, socket: WebSocket, client: VoiceClient) -> None:
        """Messages at once; what follows from the state at most every LOOK_GAP_S."""
        loop = asyncio.get_running_loop()
        look_at_s = loop.time()
        while True:
            if loop.time() >= look_at_s:
                client.look = False
                await self._look(client)
                look_at_s = loop.time() + LOOK_EVERY_S
            for message in client.take():
                async with asyncio.timeout(SLOW_S):
                    await socket.send_text(message.decode())
            if client.look:
                look_at_s = min(look_at_s, loop.time() + LOOK_GAP_S)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(look_at_s):
                    await client.wake.wait()
            client.wake.clear()

    async def _look(self, client: VoiceClient) -> None:
        """What changed for it in the committed state."""
        engine, sessions = self._parts
        async with engine.settled() as state:
            _still_his(state, client)
            gone = client.lost(state)
            if gone and client.session is not None:
                client.session.tuner.ask(client.wanted)
                sessions.retune(client.session)
            client.refresh(state, engine.health.now_ms)
        for channel in gone:
            client.tell(_not_heard(channel))

    # --- in -----------------------------------------------------------------------------------------------------

    async def _read(self, socket: WebSocket, client: VoiceClient) -> None:
        bucket = Bucket(MESSAGES_PER_S, MESSAGES_AT_ONCE)
        loop = asyncio.get_running_loop()
        while True:
            found = await socket.receive()
            if found["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(found.get("code", 1005))
            if not bucket.take(int(loop.time() * 1000)):
                raise _Closed(FLOOD, f"More than {MESSAGES_PER_S} messages a second. Connect again.")
            await self._take(client, found.get("text") or found.get("bytes") or "")

    async def _take(self, client: VoiceClient, text: str | bytes) -> None:
        try:
            message = m.parse(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            client.tell(m.error("bad-message", f"This message cannot be read: {error}."))
            return
        try:
            await self._handle(client, message)
        except Refused as refused:
            client.tell(m.error(refused.code, refused.why, _about(message)))
        except StoreError as error:
            client.tell(m.error("store", f"Nothing was done: {error}", _about(message)))
        except asyncio.QueueFull:
            client.tell(m.error("busy", "Too much at once; nothing was done. Try again.", _about(message)))

    async def _handle(self, client: VoiceClient, message: m.Message) -> None:
        match message:
            case m.Offer():
                await self._offer(client, message)
            case m.Hear():
                await self._hear(client, message)
            case m.FloorRequest():
                await self._request(client, message)
            case m.FloorRelease():
                await self._release(client, message)
            case m.TalkBack():
                await self._talk_back(client, message)
            case m.Bye():
                if client.session is not None:
                    self._parts[1].end(client.session, "bye")
            case m.Ping():
                client.tell({"type": "pong"})

    async def _offer(self, client: VoiceClient, message: m.Offer) -> None:
        _, sessions = self._parts
        talker = "@" + client.operator.id
        answer = await sessions.offer(talker, client.id, message.sdp, client.wanted)
        client.session = sessions.get(talker, client.id)
        client.hear_again()
        client.set_gate()
        client.tell({"type": "answer", "sdp": answer})
        self._tell_hears(client.operator.id)
        client.look_soon()

    async def _hear(self, client: VoiceClient, message: m.Hear) -> None:
        engine, sessions = self._parts
        async with engine.settled() as state:
            wanted = [
                channel if not channel or may_hear(state, client.operator, channel) else ""
                for channel in message.slots
            ]
        for asked, channel in zip(message.slots, wanted, strict=True):
            if asked != channel:
                client.tell(_not_heard(asked))
        client.wanted = wanted
        client.hear_again()
        if client.session is not None:
            client.session.tuner.ask(wanted)
            sessions.retune(client.session)
        self._tell_hears(client.operator.id)
        client.look_soon()

    async def _request(self, client: VoiceClient, message: m.FloorRequest) -> None:
        _operates(client)
        if client.session is None or not client.session.connected:
            raise Refused("no-session", "Offer a session first: without it nobody can hear you.")
        if self._asks_elsewhere(client, message.group):
            raise Refused("other-screen", "You ask for this floor, or have it, on another screen of yours.")
        if len(client.asked) >= MAX_ASKED:
            raise Refused("too-many", f"You ask for {MAX_ASKED} floors already. Release one.")
        client.asked[message.group, message.ref] = None
        found = await self._ask(client, c.RequestFloor(message.group, message.ref, message.priority))
        if isinstance(found, Refusal) and client.asked.pop((message.group, message.ref), 0) is None:
            # the core's own deny comes as TellOperator and was first if it is wired; this is for refusals before it
            client.tell(m.floor(down.FloorDeny(message.group, message.ref, found.code, "", found.why)))

    def _asks_elsewhere(self, client: VoiceClient, group: str) -> bool:
        """Another screen of his has this floor, or waits for it: one talker is one microphone."""
        others = (
            o for o in self._clients.values() if o is not client and o.operator.id == client.operator.id
        )
        return any(asked == group for other in others for asked, _ in other.asked)

    async def _release(self, client: VoiceClient, message: m.FloorRelease) -> None:
        """Always honoured: a key let go must never stay pressed."""
        client.asked.pop((message.group, message.ref), None)
        asyncio.get_running_loop().call_later(LATE_S, _let_go, client, message.group)
        await self._ask(client, c.ReleaseFloor(message.group, message.ref))

    async def _talk_back(self, client: VoiceClient, message: m.TalkBack) -> None:
        _operates(client)
        if message.on and (client.session is None or not client.session.connected):
            raise Refused("no-session", "Offer a session first: without it nobody can hear you.")
        found = await self._ask(client, c.TalkBack(message.incident, message.on))
        if isinstance(found, Refusal):
            raise Refused(found.code, found.why)
        client.back = message.incident if message.on else ""
        client.set_gate()

    async def _ask(self, client: VoiceClient, command: c.Command) -> c.Done | Refusal:
        return await self._parts[0].ask(client.operator.id, command)


def _still_his(state: State, client: VoiceClient) -> None:
    now = state.site.operator.get(client.operator.id)
    if now is None or now.token_hash != client.operator.token_hash:
        raise _Closed(REVOKED, "Your token is no longer valid. Sign in again.")
    client.operator = now


def _operates(client: VoiceClient) -> None:
    if RANK[client.operator.role] < RANK["operator"]:
        raise Refused("role", "You may listen. To talk you need the role operator; an admin gives it.")


def _let_go(client: VoiceClient, group: str) -> None:
    """Unless he has pressed again meanwhile."""
    if not any(asked == group for asked, _ in client.asked):
        client.talking.discard(group)
        client.set_gate()


def _not_heard(channel: str) -> dict[str, Any]:
    return m.error("unknown-channel", f"There is no channel {channel!r} that you may hear. Check it.", "hear")


def _about(message: m.Message) -> str:
    return str(message.__struct_config__.tag)
