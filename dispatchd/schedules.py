"""The hours of scheduled broadcasts: when one is due in the site's time zone, and the task that says so to the engine.

`due` and `next_ms` are pure. An hour that a clock change leaves out comes when it would have been; one that comes twice
runs once, for an occurrence is named by its local date and time. After a start (or a pause of the machine) the newest
occurrence that was missed is told with its lateness: the core sends it within five minutes and records it otherwise.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import structlog

from protocols.down import Clip
from protocols.schedule import runs_on, times
from protocols.site import Schedule

from .core.commands import Refusal
from .core.inputs import Input, ScheduleDue
from .core.schedules import LATE_MAX_MS
from .core.state import State
from .store.base import StoreError

LOOK_EVERY_S: Final = 20.0
"""The site and the wall clock are looked at anew at least this often."""
LOOK_BACK_MS: Final = 86_400_000
"""An occurrence older than this is neither sent nor recorded."""
LOOK_AHEAD_DAYS: Final = 8

log = structlog.get_logger("schedules")


class Occurrence(NamedTuple):
    """`name` is the site's local date and time, `at_ms` when it is, ms UTC."""

    name: str
    at_ms: int


def zone_of(timezone: str) -> ZoneInfo:
    """UTC for a name that nobody knows; `dispatchd check` does not look into the machine's zones."""
    try:
        return ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def occurrences(schedule: Schedule, zone: ZoneInfo, first: date, days: int) -> Iterator[Occurrence]:
    """Of so many local days, in their order."""
    minutes = times(schedule)
    for number in range(days):
        day = first + timedelta(days=number)
        if runs_on(schedule, day):
            for minute in minutes:
                local = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=zone)
                yield Occurrence(f"{local:%Y-%m-%dT%H:%M}", int(local.timestamp() * 1000))


def due(schedule: Schedule, zone: ZoneInfo, since_ms: int, done: str, now_ms: int) -> Occurrence | None:
    """The newest occurrence in (since, now] after the one named `done`; at most LOOK_BACK_MS old."""
    since_ms = max(since_ms, now_ms - LOOK_BACK_MS)
    first = datetime.fromtimestamp(since_ms / 1000, UTC).astimezone(zone).date()
    days = (datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone).date() - first).days + 1
    found = [
        one
        for one in occurrences(schedule, zone, first, days)
        if since_ms < one.at_ms <= now_ms and one.name > done
    ]
    return found[-1] if found and schedule.enabled else None


def next_ms(schedule: Schedule, zone: ZoneInfo, now_ms: int) -> int | None:
    """When it is due next, within LOOK_AHEAD_DAYS."""
    today = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone).date()
    ahead = (one.at_ms for one in occurrences(schedule, zone, today, LOOK_AHEAD_DAYS) if one.at_ms > now_ms)
    return next(ahead, None) if schedule.enabled else None


Speak = Callable[..., Awaitable[Clip | Refusal]]


class Schedules:
    """Run `run`. `speak` makes the sound before the core is told."""

    def __init__(
        self,
        settled: Callable[[], AbstractAsyncContextManager[State]],
        tell: Callable[[Input], Awaitable[Any]],
        speak: Speak,
        wall_ms: Callable[[], int],
    ) -> None:
        self._settled, self._tell, self._speak, self._wall_ms = settled, tell, speak, wall_ms

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            wait_ms = await self.look()
            await asyncio.sleep(max(0.05, wait_ms / 1000))

    async def look(self) -> float:
        """Tell what is due now; ms until the next look."""
        now_ms = self._wall_ms()
        found, next_at = await self._read(now_ms)
        for schedule, occurrence in found:
            await self._run(schedule, occurrence)
        return min(LOOK_EVERY_S * 1000, max(0, next_at - self._wall_ms()))

    async def _read(self, now_ms: int) -> tuple[list[tuple[Schedule, Occurrence]], float]:
        """What is due, and when the next is."""
        found: list[tuple[Schedule, Occurrence]] = []
        next_at = float("inf")
        async with self._settled() as state:
            zone = zone_of(state.site.timezone)
            for id_, schedule in state.site.schedule.items():
                ran = state.schedules.get(id_)
                if ran is None:
                    continue
                if (occurrence := due(schedule, zone, ran.since_ms, ran.occurrence, now_ms)) is not None:
                    found.append((schedule, occurrence))
                next_at = min(next_at, next_ms(schedule, zone, now_ms) or next_at)
        return found, next_at

    async def _run(self, schedule: Schedule, occurrence: Occurrence) -> None:
        late_ms = max(0, self._wall_ms() - occurrence.at_ms)
        clip = None
        if late_ms <= LATE_MAX_MS:
            made = await self._speak(schedule.text, schedule.lang, text_en=schedule.text_en)
            clip = made if isinstance(made, Clip) else None
        try:
            await self._tell(ScheduleDue(schedule.id, occurrence.name, late_ms, clip))
        except StoreError as error:  # looked at again: it is not on record
            log.error("a schedule could not be recorded", schedule=schedule.id, error=str(error))
            return
        log.info("schedule due", schedule=schedule.id, occurrence=occurrence.name, late_ms=late_ms)
