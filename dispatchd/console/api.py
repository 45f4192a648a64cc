"""The HTTP API: reads show committed facts inside `settled()`, commands go to the engine and come back after
the commit.

Every handler answers a struct, or raises ApiError. Nothing here decides about people; roles and levels are
checked here so that a wall answers 404 and 403, and once more by the core.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Final, cast

import msgspec
import structlog
from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route as WebRoute
from starlette.routing import WebSocketRoute

from dispatchd.clock import site_zone
from dispatchd.core.commands import RANK, Command, HoldIncident, Refusal, Target
from dispatchd.core.state import State
from dispatchd.store.base import Recording, StoreError, StoreFull
from protocols.down import Clip
from protocols.site import Operator

from . import broadcasts, heard, metrics, openapi, recordings, replay, routes, talk
from .documents import MalformedDoc
from .errors import STARTING, ApiError, Problem, not_found
from .feed import Feeds
from .guard import Guard
from .ports import Engine, Journal, Malformed, Recordings, Sounds
from .routes import PREFIX, ROUTES, RUNGS, Route
from .signin import SignIn, bearer
from .views import View, health_doc, site_doc
from .voice_api import VoiceApi
from .walls import WALLS, Scope

log = structlog.get_logger("console")
STALLED_S: Final = 2.0  # a commit that takes longer is told by /health and /ready instead of making them wait
MALFORMED_SHOWN: Final = 200
SEEN_EVERY_S: Final = 1.0
NAMED: Final = {
    "incident": "incidents",
    "into": "incidents",
    "broadcast": "broadcasts",
    "device": "fleet",
    "patrol": "patrols",
    "patrols": "patrols",
    "task": "tasks",
    "unit": "units",
    "fault": "faults",
    "item": "items",
    "group": "groups",
    "groups": "groups",
}
"""Field of a command → table its ids are in; an id beyond the operator's walls is answered 404."""
NAMED_IN_TARGET: Final = {
    "units": "units",
    "patrols": "patrols",
    "devices": "fleet",
    "talk_groups": "talk_groups",
}
NOUNS: Final = {"fleet": "device", "talk_groups": "talk group", "groups": "talk group"}
"""Table → what one of its entries is called where its plural does not say so."""
_WALLS: Final[dict[str, Callable[[Scope, str], bool]]] = {
    **WALLS,
    "items": Scope.item,
    "talk_groups": Scope.talk_group,
}


class Console:
    """The API of one daemon. Answers 503 until `attach` gives it the engine and the journal."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.journal: Journal | None = None
        self.recordings: Recordings | None = None
        self.sounds: Sounds | None = None
        self.sign_in = SignIn()
        self.requests = metrics.Requests()
        self.feeds = Feeds()
        self.voice = VoiceApi()
        self._seen: dict[str, float] = {}
        self.app = Guard(_starlette(self))

    def attach(
        self,
        engine: Engine,
        journal: Journal,
        recordings: Recordings | None = None,
        sounds: Sounds | None = None,
    ) -> None:
        """From now on everything is served; without `recordings` there are none, without `sounds` all is text."""
        self.engine, self.journal = engine, journal
        self.recordings, self.sounds = recordings, sounds
        self.feeds.attach(engine)

    @property
    def parts(self) -> tuple[Engine, Journal]:
        """ApiError 503 while starting."""
        if self.engine is None or self.journal is None:
            raise STARTING
        return self.engine, self.journal

    @asynccontextmanager
    async def view(self) -> AsyncIterator[View]:
        """The committed state now; use it without awaiting."""
        engine, _ = self.parts
        async with engine.settled() as state:
            yield View(state, engine.health.now_ms)

    def seen(self, operator: str) -> None:
        """He is there: told to the engine at most once in SEEN_EVERY_S, so that polling does not fill its
        queue."""
        engine, _ = self.parts
        now_s = monotonic()
        if now_s - self._seen.get(operator, -SEEN_EVERY_S) >= SEEN_EVERY_S:
            self._seen[operator] = now_s
            engine.seen(operator, None)

    def who(self, connection: HTTPConnection, state: State) -> Operator:
        """The signed-in operator; ApiError 401 or 429."""
        token = bearer(connection.headers.get("authorization", ""))
        return self.sign_in.operator(state, token, connection.client.host if connection.client else "")


class Handlers:
    """One method per `Route.handler`."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.told = recordings.Told()
        self.uploads = broadcasts.Uploads()

    @asynccontextmanager
    async def scope(self, request: Request, route: Route) -> AsyncIterator[tuple[View, Scope]]:
        """What the asker may see, after his token and role were checked."""
        async with self.console.view() as view:
            operator = self.console.who(request, view.state)
            require_role(operator, route.role)
            yield view, Scope(view.state, operator)
        self.console.seen(operator.id)

    async def health(self, request: Request, route: Route) -> Response:
        engine = self.console.engine
        if engine is None:
            return answer(health_doc(None, None))
        try:
            async with asyncio.timeout(STALLED_S), engine.settled() as state:
                return answer(health_doc(engine.health, state))
        except TimeoutError:
            return answer(health_doc(engine.health, None))

    async def ready(self, request: Request, route: Route) -> Response:
        response = await self.health(request, route)
        doc = msgspec.json.decode(response.body)
        response.status_code = 200 if doc["ready"] else 503
        return response

    async def list(self, request: Request, route: Route) -> Response:
        async with self.scope(request, route) as (view, scope):
            return answer(route.answer(view.now_ms, view.all_of(route.table, scope)))

    async def one(self, request: Request, route: Route) -> Response:
        id_ = request.path_params["id"]
        async with self.scope(request, route) as (view, scope):
            doc = view.one(route.table, id_) if _WALLS[route.table](scope, id_) else None
            if doc is None:
                raise not_found(noun(route.table), id_)
            return answer(doc)

    async def members(self, request: Request, route: Route) -> Response:
        id_ = request.path_params["id"]
        async with self.scope(request, route) as (view, scope):
            if not scope.group(id_):
                raise not_found(noun(route.table), id_)
            docs = [doc for doc in talk.member_docs(view.state, id_) if scope.device(doc.device)]
            return answer(route.answer(view.now_ms, docs))

    async def not_heard(self, request: Request, route: Route) -> Response:
        id_, rung = request.path_params["id"], request.query_params.get("rung", RUNGS[0])
        if rung not in RUNGS:
            why = f"There is no rung {rung!r} to ask for. Use one of {', '.join(RUNGS)}."
            raise ApiError(422, "bad-query", why, field="rung")
        async with self.scope(request, route) as (view, scope):
            ladder = view.state.ladders.get(id_) if _WALLS[route.table](scope, id_) else None
            if ladder is None:
                raise not_found(noun(route.table), id_)
            return answer(heard.not_heard_list(view.state, ladder, rung))

    async def replay(self, request: Request, route: Route) -> Response:
        id_ = request.path_params["id"]
        async with self.scope(request, route) as (view, scope):
            known, sees = id_ in view.state.incidents, scope.incident(id_)
            units, timezone = scope.units, view.state.site.timezone
        _, journal = self.console.parts
        found = await asyncio.to_thread(replay.of, journal, id_, timezone)
        if not found.steps or not (sees if known else not units.isdisjoint(found.units)):
            raise not_found("incident", id_)
        return answer(found)

    async def me(self, request: Request, route: Route) -> Response:
        async with self.scope(request, route) as (view, scope):
            return answer(view.me(scope.operator, scope))

    async def site(self, request: Request, route: Route) -> Response:
        async with self.scope(request, route) as (view, scope):
            return answer(site_doc(view.state, scope))

    async def malformed(self, request: Request, route: Route) -> Response:
        _, journal = self.console.parts
        async with self.scope(request, route) as (view, scope):
            now_ms, root, top = view.now_ms, view.state.site.root, scope.top
            mine = {id_ for id_ in view.state.site.device if scope.device(id_)}
        kept = await asyncio.to_thread(lambda: list(journal.malformed(MALFORMED_SHOWN)))
        shown = [malformed_doc(m) for m in kept if top or _device_of(root, m.topic) in mine]
        return answer(route.answer(now_ms, shown))

    async def recordings(self, request: Request, route: Route) -> Response:
        kept = self.console.recordings
        async with self.scope(request, route) as (view, scope):
            now_ms, zone = view.now_ms, site_zone(view.state.site.timezone)
            holds = {incident: list(names) for incident, names in view.state.holds.items()}
            asked, limit = recordings.sought(request.query_params, scope, view.state, zone)
        rows = await asyncio.to_thread(kept.sought, asked, limit) if kept else []
        return answer(route.answer(now_ms, [recordings.doc(row, zone, holds) for row in rows]))

    async def recording(self, request: Request, route: Route) -> Response:
        row = await self._recording(request, route)
        async with self.scope(request, route) as (view, _):
            return answer(recordings.doc(row, site_zone(view.state.site.timezone), view.state.holds))

    async def recording_sound(self, request: Request, route: Route) -> Response:
        """On record first, then the bytes."""
        engine, _ = self.console.parts
        row = await self._recording(request, route)
        async with self.scope(request, route) as (view, scope):
            operator, zone = scope.operator.id, site_zone(view.state.site.timezone)
            listened = recordings.listened(row, scope)
        kept = self.console.recordings
        path = await asyncio.to_thread(kept.file, row) if kept else None
        if path is None:
            raise recordings.gone(row, zone)
        if self.told.is_due(operator, row.recording):
            await ask(engine, operator, listened)
            self.told.done(operator, row.recording)
        return recordings.sound(row, path, zone)

    async def _recording(self, request: Request, route: Route) -> Recording:
        """The row, if he may hear it; ApiError 404 otherwise."""
        id_, kept = request.path_params["id"], self.console.recordings
        async with self.scope(request, route):
            pass  # nobody makes the store work without a token
        row = await asyncio.to_thread(kept.one, id_) if kept else None
        async with self.scope(request, route) as (_, scope):
            if row is None or not recordings.may_hear(scope, row):
                raise not_found("recording", id_)
        return row

    async def openapi(self, request: Request, route: Route) -> Response:
        return Response(openapi.DOCUMENT, media_type=route.media)

    async def command(self, request: Request, route: Route) -> Response:
        engine, _ = self.console.parts
        async with self.scope(request, route) as (_, scope):
            operator = scope.operator
        command = parse(route, await body(request, route.max_body))
        if isinstance(command, HoldIncident):
            command = msgspec.structs.replace(
                command, unit=await self._unit_of_ended(command.incident, operator)
            )
        async with self.console.view() as view:
            scope = Scope(view.state, operator)
            if not (isinstance(command, HoldIncident) and command.unit):
                require_visible(scope, command)
            self._require_clip(view.state, scope, getattr(command, "clip", None))
        command, note = await broadcasts.with_sound(self.console.sounds, command)
        return answer(broadcasts.noted(await ask(engine, operator.id, command), note))

    async def _unit_of_ended(self, incident: str, operator: Operator) -> str | None:
        """One of his units that it concerned, of an incident that only the journal knows any more."""
        async with self.console.view() as view:
            units, timezone = Scope(view.state, operator).units, view.state.site.timezone
            if incident in view.state.incidents:
                return None
        _, journal = self.console.parts
        found = await asyncio.to_thread(replay.of, journal, incident, timezone)
        return next((unit for unit in found.units if unit in units), None)

    async def upload_clip(self, request: Request, route: Route) -> Response:
        async with self.scope(request, route) as (_, scope):
            operator = scope.operator.id
        raw = await body(request, route.max_body)
        made = await broadcasts.uploaded(self.console.sounds, raw)
        self.uploads.note(operator, made.clip)
        return answer(made)

    def _require_clip(self, state: State, scope: Scope, clip: Clip | None) -> None:
        """ApiError 404 for a clip that is not his to hear."""
        if clip is not None and not self.uploads.may_hear(state, scope, clip.clip):
            raise not_found("clip", clip.clip, "$.clip")

    async def clip_sound(self, request: Request, route: Route) -> Response:
        id_ = request.path_params["id"]
        async with self.scope(request, route) as (view, scope):
            if not self.uploads.may_hear(view.state, scope, id_):
                raise not_found("clip", id_)
        found = await broadcasts.sound(self.console.sounds, id_)
        return Response(found, media_type=route.media, headers={"cache-control": "private, max-age=86400"})


def answer(doc: Any, status: int = 200) -> Response:
    """Encoded at once: a document may share lists with the state it was read from."""
    headers = {"cache-control": "no-store"}
    return Response(msgspec.json.encode(doc), status, headers, media_type="application/json")


def require_role(operator: Operator, role: str) -> None:
    if RANK[operator.role] < RANK[role]:
        raise ApiError(
            403,
            "role",
            f"This needs the role {role}; {operator.id} is {operator.role}. Ask somebody who has it, or an admin.",
        )


async def body(request: Request, limit: int) -> bytes:
    """The body, read no further than `limit` bytes."""
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > limit:
            raise ApiError(413, "too-large", f"The body is longer than {limit} bytes. Send less at once.")
    return bytes(found)


def parse(route: Route, raw: bytes) -> Command:
    """ApiError 422 with the path of the wrong field."""
    try:
        fields = msgspec.json.decode(raw or b"{}")
        if not isinstance(fields, dict):
            raise msgspec.ValidationError(f"Expected `object`, got `{type(fields).__name__}` - at `$`")
        return cast("Command", msgspec.convert(fields, route.body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why, _, field = str(error).partition(" - at ")
        raise ApiError(
            422, "bad-body", f"{why}. See {PREFIX}/openapi.json.", field=field.strip("`") or "$"
        ) from None


def require_visible(scope: Scope, command: Command) -> None:
    """ApiError 404 for an id that the operator may not know of, existing or not."""
    for field, table in NAMED.items():
        _require(scope, table, field, getattr(command, field, None))
    target = getattr(command, "target", None)
    if isinstance(target, Target):
        for field, table in NAMED_IN_TARGET.items():
            _require(scope, table, f"target.{field}", getattr(target, field))


def noun(table: str) -> str:
    """One entry of the table, in a sentence."""
    return NOUNS.get(table, table.removesuffix("s"))


def _require(scope: Scope, table: str, field: str, value: str | list[str] | None) -> None:
    for id_ in [value] if isinstance(value, str) else value or ():
        if not _WALLS[table](scope, id_):
            raise not_found(noun(table), id_, f"$.{field}")


async def ask(engine: Engine, operator: str, command: Command) -> Struct:
    """The engine's Done; ApiError 409 for a refusal, 507 for a full disk, 503 for another fault of the
    store."""
    try:
        result = await engine.ask(operator, command)
    except StoreFull as error:
        raise ApiError(507, "disk-full", f"Nothing was done: {error}") from error
    except StoreError as error:
        raise ApiError(503, "store", f"Nothing was done: {error}", retry_after_s=1) from error
    except asyncio.QueueFull:
        raise ApiError(
            503, "busy", "Too much at once; nothing was done. Try again.", retry_after_s=1
        ) from None
    if isinstance(result, Refusal):
        raise ApiError(409, result.code, result.why)
    return result


def malformed_doc(m: Malformed) -> MalformedDoc:
    return MalformedDoc(m.at_ms, m.topic, m.payload.hex(), m.why)


def _device_of(root: str, topic: str) -> str:
    parts = topic.removeprefix(root + "/").split("/")
    return parts[1] if len(parts) > 1 and parts[0] == "d" else ""


# --- wiring ---


def _starlette(console: Console) -> Starlette:
    handlers = Handlers(console)
    web: list[WebRoute | WebSocketRoute] = [
        WebRoute(PREFIX + route.path, _endpoint(console, handlers, route), methods=[route.method])
        for route in ROUTES
    ]
    web.append(WebRoute("/metrics", _metrics(console), methods=["GET"]))
    web.append(WebSocketRoute(PREFIX + "/feed", console.feeds.endpoint(console.sign_in)))
    web.append(WebSocketRoute(PREFIX + "/voice", console.voice.endpoint(console.sign_in)))
    problems = {ApiError: _problem, HTTPException: _http_problem, Exception: _bug}
    return Starlette(routes=web, exception_handlers=cast("Any", problems))


def _endpoint(console: Console, handlers: Handlers, route: Route) -> Callable[[Request], Awaitable[Response]]:
    handler = getattr(handlers, route.handler)

    async def endpoint(request: Request) -> Response:
        status = 500
        try:
            if console.engine is None and route.handler not in ("health", "ready", "openapi"):
                raise STARTING
            response: Response = await handler(request, route)
            status = response.status_code
        except ApiError as error:
            status = error.status
            raise
        finally:
            console.requests.count(route.path, status)
        return response

    return endpoint


def _metrics(console: Console) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(_: Request) -> Response:
        engine, _journal = console.parts
        async with engine.settled() as state:
            text = metrics.text(engine.health, state, console.requests, console.feeds)
        return Response(text, media_type="text/plain; version=0.0.4")

    return endpoint


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    response = answer(error.problem, error.status)
    if error.retry_after_s is not None:
        response.headers["retry-after"] = str(error.retry_after_s)
    if error.status == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response


async def _http_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    why = {
        404: f"There is no such path. {PREFIX}/openapi.json lists them all.",
        405: "This path takes another method: reads are GET, commands POST.",
    }.get(error.status_code, error.detail)
    code = {404: "no-such-path", 405: "method"}.get(error.status_code, "http")
    return answer(Problem(code, why), error.status_code)


async def _bug(request: Request, error: Exception) -> Response:
    log.error("request failed", path=request.url.path, exc_info=error)
    why = "The daemon made a mistake; nothing was promised. Its log has the trace: report it, then try again."
    return answer(Problem("internal", why), 500)


__all__ = ["Console", "routes"]
