"""Recordings over HTTP: who may hear which, what of it is shown, and the sound itself. No I/O but the file's answer.

An operator hears what belongs to a unit of his subtree or to an incident that he may see; the rest does not exist for
him. That he listened is on record before the first byte leaves.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from pathlib import Path
from time import monotonic
from typing import Final

from msgspec import Struct
from starlette.responses import FileResponse

from dispatchd.core.commands import Listened
from dispatchd.core.state import State
from dispatchd.store.base import Recording, Sought

from .errors import ApiError
from .replay import local_time
from .walls import Scope

LIMIT: Final = 200
LIMIT_MAX: Final = 1_000
"""Of one answer; older ones with `to`."""
QUERY: Final[dict[str, tuple[str, ...]]] = {
    "group": (), "talker": (), "incident": (), "unit": (), "from": (), "to": (), "limit": (),
}  # fmt: skip
TOLD_AGAIN_S: Final = 60.0
"""A player asks for one recording in many pieces: of one operator that is one entry of the journal in so long."""
TOLD_MAX: Final = 10_000
"""Pairs of operator and recording remembered; the oldest are forgotten, and told once more."""


class RecordingDoc(Struct, frozen=True, kw_only=True):
    """One burst, or a part of a long one. `ms`, `bytes`: of the file; `lost`: frames that never came; `why`: what it
    lacks, "" = whole. `wall_ms` is UTC, `time` the same in the site's zone. `holds` keep its incident; `removed_time`
    "" = it is there."""

    id: str
    group: str
    talker: str
    talker_name: str
    incident: str
    unit: str
    burst: int
    wall_ms: int
    time: str
    ms: int
    frames: int
    lost: int
    bytes: int
    sha256: str
    drill: bool
    why: str
    holds: list[str]
    removed_time: str = ""
    removed_why: str = ""


def doc(row: Recording, zone: tzinfo, holds: Mapping[str, Sequence[str]]) -> RecordingDoc:
    return RecordingDoc(
        id=row.recording,
        group=row.group,
        talker=row.talker,
        talker_name=row.name,
        incident=row.incident,
        unit=row.unit,
        burst=row.burst,
        wall_ms=row.wall_ms,
        time=local_time(row.wall_ms, zone),
        ms=row.ms,
        frames=row.frames,
        lost=row.lost,
        bytes=row.bytes,
        sha256=row.sha256,
        drill=row.drill,
        why=row.why,
        holds=list(holds.get(row.incident, ())),
        removed_time=local_time(row.removed_ms, zone) if row.removed_ms else "",
        removed_why=row.removed_why,
    )


def may_hear(scope: Scope, row: Recording) -> bool:
    return scope.top or row.unit in scope.units or (bool(row.incident) and scope.incident(row.incident))


def sought(params: Mapping[str, str], scope: Scope, state: State, zone: tzinfo) -> tuple[Sought, int]:
    """What of the query lies within his walls. ApiError 422 for a parameter that is none."""
    if unknown := set(params) - set(QUERY):
        raise _bad(min(unknown), f"There is no such parameter. Use {', '.join(QUERY)}.")
    seen = frozenset(incident for incident in state.incidents if scope.incident(incident))
    found = Sought(
        group=params.get("group", ""),
        talker=params.get("talker", ""),
        incident=params.get("incident", ""),
        unit=params.get("unit", ""),
        from_ms=_moment(params.get("from", ""), "from", zone, 0),
        to_ms=_moment(params.get("to", ""), "to", zone, 2**62),
        units=None if scope.top else scope.units,
        incidents=seen,
    )
    return found, _limit(params.get("limit", ""))


def _limit(text: str) -> int:
    if not text:
        return LIMIT
    if not (re.fullmatch(r"[0-9]{1,4}", text) and 1 <= int(text) <= LIMIT_MAX):
        raise _bad("limit", f"Give a number from 1 to {LIMIT_MAX}.")
    return int(text)


def _moment(text: str, name: str, zone: tzinfo, default: int) -> int:
    """Wall time in ms of a number of ms, or of ISO 8601 (a time without offset is the site's)."""
    if not text:
        return default
    if re.fullmatch(r"[0-9]{1,15}", text):
        return int(text)
    try:
        at = datetime.fromisoformat(text)
        return int((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise _bad(name, "Give ms since 1970 UTC, or a time like 2026-11-22T08:30:00.") from None


def _bad(name: str, why: str) -> ApiError:
    return ApiError(422, "bad-query", f"{name}: {why}", field=name)


def listened(row: Recording, scope: Scope) -> Listened:
    """The command that puts it on record. A recording of a unit that is gone is the top unit's."""
    unit = row.unit if row.unit in scope.units else scope.operator.unit if scope.top else None
    return Listened(row.recording, row.incident or None, unit or None)


class Told:
    """Who is on record as having listened to what, lately."""

    def __init__(self) -> None:
        self._at: dict[tuple[str, str], float] = {}

    def is_due(self, operator: str, recording: str) -> bool:
        return monotonic() - self._at.get((operator, recording), -TOLD_AGAIN_S) >= TOLD_AGAIN_S

    def done(self, operator: str, recording: str) -> None:
        self._at.pop((operator, recording), None)
        self._at[operator, recording] = monotonic()
        while len(self._at) > TOLD_MAX:
            del self._at[next(iter(self._at))]


def sound(row: Recording, path: Path, zone: tzinfo) -> FileResponse:
    """The file; Range and If-Range are answered. Its name says when, where and who."""
    time = re.sub(r"[^0-9]", "", local_time(row.wall_ms, zone)[:19])
    name = "_".join(re.sub(r"[^\w.-]", "-", part) for part in (time, row.group, row.name or row.talker))
    return FileResponse(
        path,
        media_type="audio/ogg",
        filename=f"{name}_{row.recording}.opus",
        content_disposition_type="inline",
        headers={"cache-control": "no-store"},
    )


def gone(row: Recording, zone: tzinfo) -> ApiError:
    """Its row is there and its sound is not."""
    when = local_time(row.removed_ms, zone)[:16] if row.removed_ms else ""
    why = f"It was removed at {when}: {row.removed_why}." if when else row.why or "Its file is missing."
    return ApiError(410, "removed", f"There is no sound of {row.recording} any more. {why}")
