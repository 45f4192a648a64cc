"""When a scheduled broadcast is due, as the site file writes it: times of day, days, dates. Pure; knows no time zone.

What must hold: `faults` of a schedule is empty, or every fault is a sentence; `times` of a sound one is sorted and
holds each time once.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final, Protocol

MAX_TIMES: Final = 288
"""A day, one every five minutes; more is a fault."""
LEAST_REPEAT_MIN: Final = 5
EVERY_DAY: Final = (1, 2, 3, 4, 5, 6, 7)
"""Monday is 1."""
_CLOCK: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


class Schedule(Protocol):
    """What of protocols.site.Schedule is read here."""

    @property
    def id(self) -> str: ...
    @property
    def at(self) -> Sequence[str]: ...
    @property
    def days(self) -> Sequence[int]: ...
    @property
    def from_day(self) -> str: ...
    @property
    def until_day(self) -> str: ...
    @property
    def repeat_every_min(self) -> int | None: ...
    @property
    def pillars(self) -> bool: ...
    @property
    def terminals(self) -> bool: ...


def minutes(clock: str) -> int | None:
    """Of the day; None for what is no HH:MM."""
    found = _CLOCK.fullmatch(clock.strip().replace(":", ":"))
    return int(found[1]) * 60 + int(found[2]) if found else None


def day(text: str) -> date | None:
    """Of YYYY-MM-DD; None for what is no date."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def times(schedule: Schedule) -> list[int]:
    """Minutes of the day at which it is due; with a repeat, from its first time to its last."""
    named = sorted({found for clock in schedule.at if (found := minutes(clock)) is not None})
    if schedule.repeat_every_min is None or not named:
        return named
    return list(range(named[0], named[-1] + 1, schedule.repeat_every_min))


def runs_on(schedule: Schedule, when: date) -> bool:
    """Is that a day of it?"""
    first, last = day(schedule.from_day), day(schedule.until_day)
    return (
        when.isoweekday() in (schedule.days or EVERY_DAY)
        and (first is None or when >= first)
        and (last is None or when <= last)
    )


def faults(schedule: Schedule) -> Iterator[str]:
    """Why it could never run, or not as written."""
    yield from (
        f"at {clock!r}: write a time of day as HH:MM" for clock in schedule.at if minutes(clock) is None
    )
    yield from (f"days {n}: use 1 (Monday) to 7 (Sunday)" for n in schedule.days if n not in EVERY_DAY)
    yield from _date_faults(schedule)
    repeat = schedule.repeat_every_min
    if not schedule.at:
        yield "at is empty: give at least one time of day, like 10:00"
    elif repeat is not None and len(schedule.at) != 2:
        yield "repeat_every_min: give exactly two times in `at`, the first and the last of the day"
    elif repeat is not None and repeat < LEAST_REPEAT_MIN:
        yield f"repeat_every_min {repeat}: use at least {LEAST_REPEAT_MIN}"
    elif len(times(schedule)) > MAX_TIMES:
        yield f"it would run {len(times(schedule))} times a day; at most {MAX_TIMES}"
    if not (schedule.pillars or schedule.terminals):
        yield "it is for nobody: set pillars or terminals to true"


def _date_faults(schedule: Schedule) -> Iterator[str]:
    for name, text in (("from_day", schedule.from_day), ("until_day", schedule.until_day)):
        if text and day(text) is None:
            yield f"{name} {text!r}: write a date as YYYY-MM-DD"
    first, last = day(schedule.from_day), day(schedule.until_day)
    if first is not None and last is not None and last < first:
        yield f"until_day {schedule.until_day} lies before from_day {schedule.from_day}"
