"""The one table of the HTTP API: Starlette's routes and the OpenAPI document are both made of it."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from dispatchd.core.commands import RANK, ROLES, ApplySite, Command, Done
from protocols.down import Clip
from protocols.site import MAX_SITE_BYTES, Site

from .documents import (
    BroadcastDoc,
    DeviceDoc,
    FaultDoc,
    GroupDoc,
    HealthDoc,
    IncidentDoc,
    MalformedDoc,
    MeDoc,
    MemberDoc,
    NotHeardList,
    PatrolDoc,
    TaskDoc,
    UnitDoc,
)
from .recordings import QUERY, RecordingDoc
from .replay import Replay

PREFIX: Final = "/api/v1"
RUNGS: Final = ("presented", "acknowledged")  # one may ask who has not reached them
MAX_SOUND_BYTES: Final = 10 * 1024 * 1024  # of an uploaded sound file
MAX_BODY_BYTES: Final = 1024 * 1024  # of a command; 413 above it
BODY_BYTES: Final[dict[type[Struct], int]] = {
    ApplySite: 2 * MAX_SITE_BYTES
}  # a site is longer as JSON than as TOML


def _list(name: str, doc: Any) -> type[Struct]:
    """`now_ms` is the core time of the ages in `items`."""
    return msgspec.defstruct(name, [("now_ms", int), ("items", list[doc])], frozen=True)


FleetList: Final = _list("FleetList", DeviceDoc)
UnitList: Final = _list("UnitList", UnitDoc)
PatrolList: Final = _list("PatrolList", PatrolDoc)
IncidentList: Final = _list("IncidentList", IncidentDoc)
BroadcastList: Final = _list("BroadcastList", BroadcastDoc)
TaskList: Final = _list("TaskList", TaskDoc)
FaultList: Final = _list("FaultList", FaultDoc)
GroupList: Final = _list("GroupList", GroupDoc)
MemberList: Final = _list("MemberList", MemberDoc)
MalformedList: Final = _list("MalformedList", MalformedDoc)
RecordingList: Final = _list("RecordingList", RecordingDoc)


class Route(Struct, frozen=True, kw_only=True):
    """One path. `handler` names a method of api.Handlers; `role` "" = no token needed; `query`: parameter → values,
    the default first; () = any text. A `media` that is not JSON is sent as it is; `takes`: media type of a body that is
    no JSON."""

    path: str
    handler: str
    summary: str
    answer: Any
    role: str = "viewer"
    method: str = "GET"
    body: Any = None
    table: str = ""
    media: str = "application/json"
    statuses: tuple[int, ...] = ()
    max_body: int = 0
    query: dict[str, tuple[str, ...]] = {}
    takes: str = ""


def _lists() -> list[Route]:
    tables = {
        "fleet": (FleetList, "Devices with presence, age, position, battery, patrol and engagement"),
        "units": (UnitList, "Units with counts over all below"),
        "patrols": (PatrolList, "Patrols with their freshest position"),
        "incidents": (IncidentList, "Incidents in the order an operator works them"),
        "broadcasts": (BroadcastList, "Broadcasts with their ladders"),
        "tasks": (TaskList, "What a human must do because every machine route failed"),
        "faults": (FaultList, "The maintenance list"),
        "groups": (GroupList, "Talk groups you may hear, with who talks there and who waits"),
    }
    return [
        Route(path=f"/{table}", handler="list", table=table, summary=summary, answer=answer)
        for table, (answer, summary) in tables.items()
    ]


def _reads() -> list[Route]:
    return [
        Route(path="/health", handler="health", summary="Is the process alive", answer=HealthDoc, role=""),
        Route(
            path="/ready",
            handler="ready",
            summary="Can it take alarms: 503 and why while not",
            answer=HealthDoc,
            role="",
            statuses=(503,),
        ),
        *_lists(),
        Route(
            path="/incidents/{id}",
            handler="one",
            table="incidents",
            summary="One incident",
            answer=IncidentDoc,
        ),
        Route(
            path="/incidents/{id}/replay",
            handler="replay",
            summary="What happened, in order, and why each ring was chosen; also of ended ones",
            answer=Replay,
        ),
        Route(
            path="/broadcasts/{id}",
            handler="one",
            table="broadcasts",
            summary="One broadcast",
            answer=BroadcastDoc,
        ),
        Route(
            path="/broadcasts/{id}/not-heard",
            handler="not_heard",
            table="broadcasts",
            summary="Who has not heard a broadcast now, and why; rung=acknowledged: who has not acknowledged",
            answer=NotHeardList,
            statuses=(422,),
            query={"rung": RUNGS},
        ),
        Route(
            path="/items/{id}/not-heard",
            handler="not_heard",
            table="items",
            summary="The same for any item: call, order, stand-down, prompt",
            answer=NotHeardList,
            statuses=(422,),
            query={"rung": RUNGS},
        ),
        Route(path="/groups/{id}", handler="one", table="groups", summary="One talk group", answer=GroupDoc),
        Route(
            path="/groups/{id}/members",
            handler="members",
            table="groups",
            summary="The devices of a talk group that are in your units, and whether they have sound",
            answer=MemberList,
        ),
        Route(
            path="/recordings",
            handler="recordings",
            summary="Recordings, newest first: from and to in ms or ISO 8601; limit up to 1000, older ones with to",
            answer=RecordingList,
            statuses=(422,),
            query=QUERY,
        ),
        Route(path="/recordings/{id}", handler="recording", summary="One recording", answer=RecordingDoc),
        Route(
            path="/recordings/{id}/sound",
            handler="recording_sound",
            summary="Its sound (Ogg Opus), whole or a range; that you listened is put on record before",
            answer=bytes,
            media="audio/ogg",
            statuses=(206, 409, 410, 416, 507),
        ),
        Route(path="/operators/me", handler="me", summary="Who you are signed in as", answer=MeDoc),
        Route(path="/site", handler="site", summary="Your part of the site, without secrets", answer=Site),
        Route(
            path="/malformed",
            handler="malformed",
            summary="Messages nobody could read, newest first",
            answer=MalformedList,
            role="admin",
        ),
        Route(
            path="/openapi.json", handler="openapi", summary="This document", answer=dict[str, Any], role=""
        ),
    ]


def _clips() -> list[Route]:
    return [
        Route(
            path="/clips",
            handler="upload_clip",
            method="POST",
            summary="A sound file (WAV, MP3, Ogg, FLAC; 10 MB, 5 minutes) becomes a clip to broadcast",
            answer=Clip,
            role="operator",
            takes="audio/*",
            statuses=(413, 422, 503),
            max_body=MAX_SOUND_BYTES,
        ),
        Route(
            path="/clips/{id}/sound",
            handler="clip_sound",
            summary="The sound of a clip or broadcast, to listen to it",
            answer=bytes,
            media="audio/ogg",
        ),
    ]


def _command(type_: type[Struct]) -> Route:
    name = str(type_.__struct_config__.tag)
    first = (type_.__doc__ or name).strip().splitlines()[0]
    return Route(
        path=f"/commands/{name}",
        handler="command",
        method="POST",
        summary=name if first.startswith(type_.__name__ + "(") else first,
        answer=Done,
        body=type_,
        role=ROLES.get(type_, "operator"),
        statuses=(409, 413, 422, 507),
        max_body=BODY_BYTES.get(type_, MAX_BODY_BYTES),
    )


COMMANDS: Final[dict[str, type[Struct]]] = {
    str(type_.__struct_config__.tag): type_ for type_ in Command.__args__
}
ROUTES: Final[list[Route]] = [*_reads(), *_clips(), *(_command(type_) for type_ in COMMANDS.values())]
assert all(route.role in {"", *RANK} for route in ROUTES)
