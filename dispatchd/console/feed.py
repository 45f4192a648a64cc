"""The live feed: WebSocket /api/v1/feed. First a snapshot (n = 0), then numbered changes, at most ten a
second.

What must hold:
  - a client sees only what its operator may see; what leaves his view is sent as null, at the wall's change
  too;
  - an entity that changed is a key in the client's dirty set, never a queued document: a client that does not
    read costs one set, and is dropped after SLOW_S;
  - n grows by one, so a client that misses one asks anew by connecting anew.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

import msgspec
import structlog
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from dispatchd.core.facts import (
    EntryRemoved,
    EntrySet,
    Fact,
    FaultCleared,
    FaultNoted,
    Forgotten,
    SiteSet,
)
from dispatchd.core.state import State
from dispatchd.core.voice_facts import (
    FloorFreed,
    FloorQueued,
    FloorRevoked,
    FloorTaken,
    FloorUnqueued,
    GroupsPatched,
    GroupUnpatched,
    RecordingMade,
    RecordingPlayed,
    RecordingsFaulted,
)
from protocols.site import Operator

from .errors import STARTING, ApiError
from .ports import Committed, Engine
from .signin import SignIn, bearer
from .talk import with_their_patch
from .views import MAKERS, View, health_doc
from .walls import WALLS, Scope

log = structlog.get_logger("feed")

MIN_GAP_S: Final = 0.1  # between two messages to one client: changes of one entity within it are one
HEARTBEAT_S: Final = 5.0  # without changes: reasons that time made, the owner's session, health
SLOW_S: Final = 30.0  # a message not taken by then drops the client
CLOSE_S: Final = 1.0  # to say goodbye to a client that may be deaf
MAX_DIRTY: Final = 20_000  # keys of one client; above it everything is sent anew
MAX_FEEDS: Final = 200  # connected at once; further ones are refused with 503
SLOW: Final = 4408
REVOKED: Final = 4401
"""Close codes, with a sentence as reason."""

Key = tuple[str, str]
"""Table and id; id "*" is every entry of the table."""

_FIELDS: Final = {
    "incident": ("incidents",),
    "into": ("incidents",),
    "new": ("incidents",),
    "about": ("incidents", "broadcasts"),
    "broadcast": ("broadcasts",),
    "device": ("fleet",),
    "devices": ("fleet",),
    "patrol": ("patrols",),
    "patrols": ("patrols",),
    "incidents": ("incidents",),
    "task": ("tasks",),
    "group": ("groups",),
    "groups": ("groups",),
}
"""Field of a fact → tables in which the id it holds may have changed."""
_EVERYTHING: Final = (SiteSet, EntrySet, EntryRemoved)
_TALK: Final = (FloorTaken, FloorFreed, FloorRevoked, FloorQueued, FloorUnqueued)
"""They change their groups only, whatever incident they belong to."""
_NOTHING: Final = (RecordingMade, RecordingPlayed)
_COMPARED: Final = frozenset({"incidents", "broadcasts", "units", "tasks", "faults", "groups", "health"})
"""Few and touched by time: sent only when more than an age changed."""


def touched(fact: Fact) -> Iterator[Key]:
    """What a fact may have changed; `related` adds what depends on it."""
    if isinstance(fact, _EVERYTHING):
        yield "*", "*"
    elif isinstance(fact, _NOTHING):
        return
    elif isinstance(fact, RecordingsFaulted):
        yield "health", "health"
    elif isinstance(fact, GroupsPatched | GroupUnpatched):
        yield "groups", "*"
    elif isinstance(fact, Forgotten):
        yield from ((table, fact.id) for table in ("incidents", "broadcasts", "tasks"))
    elif isinstance(fact, FaultNoted | FaultCleared):
        yield "faults", "*"
    fields = ("group", "groups") if isinstance(fact, _TALK) else _FIELDS
    for field in fields:
        tables = _FIELDS[field]
        value = getattr(fact, field, None)
        for id_ in [value] if isinstance(value, str) else value or ():
            yield from ((table, id_) for table in tables)


def related(view: View, keys: Iterable[Key]) -> set[Key]:
    """With what shows the same thing from another side: the patrols of an incident, their terminals, the
    units above."""
    found = set(keys)
    for table, id_ in list(found):
        found.update(_related(view, table, id_))
    return found


def _related(view: View, table: str, id_: str) -> Iterator[Key]:
    state = view.state
    if table == "incidents" and (incident := state.incidents.get(id_)):
        yield "fleet", incident.device
        yield from (("units", unit) for unit in view.upwards(incident.unit))
        for patrol in incident.responders:
            yield "patrols", patrol
            yield from (("fleet", device) for device in view.terminals.get(patrol, ()))
    elif table == "fleet" and (device := state.site.device.get(id_)):
        if device.patrol:
            yield "patrols", device.patrol
    elif table == "groups":
        yield from (("groups", group) for group in with_their_patch(state, [id_]))
    elif table == "patrols":
        yield from (("fleet", device) for device in view.terminals.get(id_, ()))


def passing(state: State) -> Iterator[Key]:
    """What time alone changes, open incidents and broadcasts and health; and the counts of units and talk groups.

    Counting 10,000 devices takes 70 ms, so units wait for this unless an incident touches them.
    """
    yield "health", "health"
    yield "units", "*"
    yield "groups", "*"
    yield from (("incidents", i.incident) for i in state.incidents.values() if not i.ended_ms)
    yield from (("broadcasts", b.broadcast) for b in state.broadcasts.values() if b.state == "open")


def fingerprint(doc: Any) -> bytes:
    """The document without ages and counters of the daemon."""
    return msgspec.msgpack.encode(_timeless(msgspec.to_builtins(doc)))


_PASSING: Final = frozenset({"now_ms", "inputs", "batches", "queue", "seq"})


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            k: _timeless(v)
            for k, v in value.items()
            if not k.endswith(("age_ms", "_in_ms")) and k not in _PASSING and k != "distance_now_m"
        }
    return [_timeless(v) for v in value] if isinstance(value, list) else value


class Revoked(Exception):
    """The operator was removed, or his token changed."""


class Client:
    """One connected feed: what it was shown, and what is dirty."""

    def __init__(self, operator: Operator) -> None:
        self.operator = operator
        self.n = 0
        self.shown: dict[Key, bytes] = {}
        self.dirty: set[Key] = set()
        self.heard: set[str] = set()
        self.wake = asyncio.Event()
        self.beat_at_s = 0.0

    def mark(self, keys: Iterable[Key]) -> None:
        self.dirty.update(keys)
        if len(self.dirty) > MAX_DIRTY:
            self.dirty = {("*", "*")}
        if self.dirty:
            self.wake.set()

    def listen_to(self, heard: set[str]) -> None:
        """Devices of which only volatile values changed: no count of a unit depends on them."""
        if heard:
            self.heard |= heard
            self.wake.set()

    def take(self, view: View) -> set[Key]:
        """All that may have changed since the last time, spelt out."""
        keys, heard = related(view, self.dirty), self.heard
        self.dirty, self.heard = set(), set()
        self.wake.clear()
        devices = view.state.site.device
        keys.update(("fleet", id_) for id_ in heard)
        keys.update(
            ("patrols", patrol) for id_ in heard if id_ in devices and (patrol := devices[id_].patrol)
        )
        return self._spelt_out(view, keys)

    def scope(self, state: State) -> Scope:
        """What he may see now; Revoked when he may not sign in any more."""
        now = state.site.operator.get(self.operator.id)
        if now is None or now.token_hash != self.operator.token_hash:
            raise Revoked
        return Scope(state, now)

    def snapshot(self, view: View, engine: Engine) -> bytes:
        scope = self.scope(view.state)
        tables: dict[str, dict[str, Any]] = {
            table: {doc.id: doc for doc in view.all_of(table, scope)} for table in MAKERS
        }
        tables["health"] = {"health": health_doc(engine.health, view.state)}
        self.shown = {
            (table, id_): fingerprint(doc) if table in _COMPARED else b""
            for table, docs in tables.items()
            for id_, doc in docs.items()
        }
        return msgspec.json.encode({"n": 0, "now_ms": view.now_ms, "snapshot": tables})

    def changes(self, view: View, engine: Engine) -> bytes | None:
        """The next message, None when nothing that he may see changed."""
        scope = self.scope(view.state)
        found = [
            change for key in sorted(self.take(view)) if (change := self._change(view, engine, scope, key))
        ]
        if not found:
            return None
        self.n += 1
        return msgspec.json.encode({"n": self.n, "now_ms": view.now_ms, "changes": found})

    def _spelt_out(self, view: View, keys: set[Key]) -> set[Key]:
        """With "*" replaced by all ids there are and all that were shown."""
        everything = ("*", "*") in keys
        found = {key for key in keys if key[1] != "*"}
        for table in MAKERS:
            if everything or (table, "*") in keys:
                found.update((table, id_) for id_ in view.ids(table))
                found.update(key for key in self.shown if key[0] == table)
        return found

    def _change(self, view: View, engine: Engine, scope: Scope, key: Key) -> dict[str, Any] | None:
        table, id_ = key
        doc = self._doc(view, engine, scope, key)
        if doc is None:
            gone = self.shown.pop(key, None) is not None
            return {"table": table, "id": id_, "doc": None} if gone else None
        print_ = fingerprint(doc) if table in _COMPARED else b""
        if print_ and self.shown.get(key) == print_:
            return None
        self.shown[key] = print_
        return {"table": table, "id": id_, "doc": doc}

    def _doc(self, view: View, engine: Engine, scope: Scope, key: Key) -> Any:
        table, id_ = key
        if table == "health":
            return health_doc(engine.health, view.state)
        return view.one(table, id_) if WALLS[table](scope, id_) else None


class Feeds:
    """All connected feeds of one daemon."""

    def __init__(self, *, slow_s: float = SLOW_S, heartbeat_s: float = HEARTBEAT_S) -> None:
        self.engine: Engine | None = None
        self.dropped = 0
        self._clients: set[Client] = set()
        self._slow_s = slow_s
        self._heartbeat_s = heartbeat_s

    @property
    def connected(self) -> int:
        return len(self._clients)

    def attach(self, engine: Engine) -> None:
        self.engine = engine
        engine.listen(self.committed)

    def committed(self, batch: Committed) -> None:
        """Called by the engine after each batch; marks, and does nothing else."""
        if not self._clients:
            return
        keys = {key for _, _, fact in batch.rows for key in touched(fact)}
        if not batch.rows and not batch.heard:
            keys.add(("health", "health"))
        for client in self._clients:
            client.mark(keys)
            client.listen_to(batch.heard)

    def endpoint(self, sign_in: SignIn) -> Callable[[WebSocket], Awaitable[None]]:
        async def feed(socket: WebSocket) -> None:
            try:
                client = await self._admit(socket, sign_in)
            except ApiError as error:
                body = msgspec.json.encode(error.problem)
                await socket.send_denial_response(Response(body, error.status, media_type="application/json"))
                return
            await socket.accept()
            await self._serve(socket, client)

        return feed

    async def _admit(self, socket: WebSocket, sign_in: SignIn) -> Client:
        if self.engine is None:
            raise STARTING
        if self.connected >= MAX_FEEDS:
            raise ApiError(
                503, "too-many-feeds", f"{MAX_FEEDS} feeds are open. Close screens nobody looks at."
            )
        token = bearer(socket.headers.get("authorization", ""))
        async with self.engine.settled() as state:
            return Client(sign_in.operator(state, token, socket.client.host if socket.client else ""))

    async def _serve(self, socket: WebSocket, client: Client) -> None:
        self._clients.add(client)
        self._say_seen(client)
        try:
            code, reason = await self._run(socket, client)
        finally:
            self._clients.discard(client)
            self._say_seen(client)
        if code and socket.application_state is WebSocketState.CONNECTED:
            with suppress(TimeoutError, WebSocketDisconnect, RuntimeError, OSError):
                async with asyncio.timeout(CLOSE_S):
                    await socket.close(code, reason)

    def _say_seen(self, client: Client) -> None:
        """The owner's live sessions: how many feeds this operator has now."""
        assert self.engine is not None
        id_ = client.operator.id
        self.engine.seen(id_, sum(other.operator.id == id_ for other in self._clients))

    async def _run(self, socket: WebSocket, client: Client) -> tuple[int, str]:
        """Until either side ends it: the close code and reason, 0 when the client has gone by itself."""
        end = (0, "")
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_until_gone(socket), name=f"feed-read-{client.operator.id}")
                tasks.create_task(self._write(socket, client), name=f"feed-write-{client.operator.id}")
        except* TimeoutError:
            self.dropped += 1
            log.warning("feed dropped", operator=client.operator.id, slow_s=self._slow_s)
            end = SLOW, f"You did not read for {self._slow_s:g} s. Connect again for a fresh snapshot."
        except* Revoked:
            end = REVOKED, "Your token is no longer valid. Sign in again."
        except* (WebSocketDisconnect, OSError):
            pass
        return end

    async def _write(self, socket: WebSocket, client: Client) -> None:
        engine = self.engine
        assert engine is not None
        async with engine.settled() as state:
            message: bytes | None = client.snapshot(View(state, engine.health.now_ms), engine)
        client.beat_at_s = asyncio.get_running_loop().time() + self._heartbeat_s
        while True:
            if message is not None:
                async with asyncio.timeout(self._slow_s):
                    await socket.send_text(message.decode())
                await asyncio.sleep(MIN_GAP_S)
            await self._woken(client)
            async with engine.settled() as state:
                message = client.changes(View(state, engine.health.now_ms), engine)

    async def _woken(self, client: Client) -> None:
        """Something is dirty, or the heartbeat is due; it comes however much else there is to say."""
        loop = asyncio.get_running_loop()
        if loop.time() < client.beat_at_s:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(client.beat_at_s):
                    await client.wake.wait()
                    return
        client.beat_at_s = loop.time() + self._heartbeat_s
        assert self.engine is not None
        self._say_seen(client)
        async with self.engine.settled() as state:
            client.mark(passing(state))


async def _until_gone(socket: WebSocket) -> None:
    """A client has nothing to say here; reading notices that it has gone."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
