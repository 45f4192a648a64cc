"""The hours of schedules in the site's time zone, and that each occurrence reaches the core once."""

import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dispatchd.core.commands import ApplySite, Refusal, RemoveEntry
from dispatchd.core.facts import ScheduleRan
from dispatchd.core.inputs import OperatorAsked
from dispatchd.core.site_commands import ADMIN
from dispatchd.schedules import Schedules, due, next_ms, zone_of
from dispatchd.store.memory import MemoryStore
from protocols.down import Clip
from protocols.site import Schedule
from tests.engine.site import SITE, Running, running

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def schedule(*at: str, **fields: Any) -> Schedule:
    return Schedule(id="notice", unit="station", text="谨防电信诈骗", at=list(at), **fields)


def ms(text: str, zone: ZoneInfo = SHANGHAI) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def local(at_ms: int | None, zone: ZoneInfo = SHANGHAI) -> str:
    assert at_ms is not None
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone):%Y-%m-%dT%H:%M}"


@pytest.mark.parametrize(
    ("fields", "now", "expected"),
    [
        ({}, "2026-11-22T09:59", "2026-11-22T10:00"),
        ({}, "2026-11-22T10:00", "2026-11-22T18:00"),
        ({}, "2026-11-22T18:30", "2026-11-23T10:00"),
        ({"days": [1]}, "2026-11-24T09:00", "2026-11-30T10:00"),
        ({"from_day": "2026-11-25"}, "2026-11-22T09:00", "2026-11-25T10:00"),
        ({"repeat_every_min": 30}, "2026-11-22T10:10", "2026-11-22T10:30"),
        ({"repeat_every_min": 30}, "2026-11-22T18:00", "2026-11-23T10:00"),
    ],
)
def test_the_next_hour(fields: dict[str, Any], now: str, expected: str) -> None:
    assert local(next_ms(schedule("10:00", "18:00", **fields), SHANGHAI, ms(now))) == expected


@pytest.mark.parametrize(
    "fields", [{"enabled": False}, {"until_day": "2026-11-21"}, {"from_day": "2027-01-01"}]
)
def test_no_next_hour(fields: dict[str, Any]) -> None:
    assert next_ms(schedule("10:00", **fields), SHANGHAI, ms("2026-11-22T09:00")) is None


def test_the_hour_is_the_sites_own() -> None:
    assert next_ms(schedule("10:00"), SHANGHAI, ms("2026-11-22T00:00")) == ms(
        "2026-11-22T02:00", ZoneInfo("UTC")
    )
    assert zone_of("No/Such") == ZoneInfo("UTC")


def test_an_hour_that_the_clock_change_leaves_out_comes_when_it_would_have_been() -> None:
    early = next_ms(schedule("02:30"), BERLIN, ms("2026-03-29T01:00", BERLIN))
    assert local(early, BERLIN) == "2026-03-29T03:30"
    found = due(schedule("02:30"), BERLIN, ms("2026-03-29T01:00", BERLIN), "", ms("2026-03-29T03:31", BERLIN))
    assert found is not None
    assert found.name == "2026-03-29T02:30"


def test_an_hour_that_comes_twice_runs_once() -> None:
    before = ms("2026-10-25T01:00", BERLIN)
    first = due(schedule("02:30"), BERLIN, before, "", ms("2026-10-25T02:31", BERLIN))
    assert first is not None
    again = due(schedule("02:30"), BERLIN, before, first.name, ms("2026-10-25T02:31", BERLIN) + HOUR)
    assert again is None


def test_what_was_missed_is_told_once_and_only_the_newest() -> None:
    since = ms("2026-11-20T00:00")
    found = due(schedule("10:00", "18:00"), SHANGHAI, since, "2026-11-20T18:00", ms("2026-11-22T10:07"))
    assert found is not None
    assert (found.name, ms("2026-11-22T10:07") - found.at_ms) == ("2026-11-22T10:00", 7 * MINUTE)


def test_a_schedule_does_not_run_for_an_hour_before_it_was_set() -> None:
    assert due(schedule("10:00"), SHANGHAI, ms("2026-11-22T10:01"), "", ms("2026-11-22T10:02")) is None


@pytest.mark.parametrize("zone", [SHANGHAI, BERLIN])
def test_every_occurrence_of_a_year_is_due_exactly_once(zone: ZoneInfo) -> None:
    """However the looks fall, as long as one comes between two occurrences."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    one = schedule("02:30", "12:00")
    since = now = ms("2026-01-01T00:00", zone)
    end, done, ran = now + 365 * DAY, "", list[str]()
    while now < end:
        now += rng.randrange(MINUTE, 4 * HOUR)
        found = due(one, zone, since, done, now)
        if found is not None:
            done = found.name
            ran.append(done)
    assert len(ran) == len(set(ran)) >= 2 * 365
    assert ran == sorted(ran)


class Clock:
    """A wall clock that the test moves."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


Spoken = Callable[..., Awaitable[Clip | Refusal]]


def speaker(said: list[str], answer: Clip | Refusal) -> Spoken:
    async def spoken(text: str, lang: str, **_: Any) -> Clip | Refusal:
        said.append(f"{lang} {text}")
        return answer

    return spoken


CLIP = Clip("c-1", 2_000, 1, bytes(32))


async def ran(daemon: Running) -> list[tuple[str, str, bool]]:
    rows = daemon.engine._store.rows_of_kind("ScheduleRan")
    found = [f for row in rows if isinstance(f := _fact(row), ScheduleRan)]
    return sorted((f.occurrence, f.why, bool(f.broadcast)) for f in found)


def _fact(row: Any) -> Any:
    from dispatchd.core import facts

    return facts.decode(row.kind, row.v, row.body)


async def test_it_runs_once_with_its_sound_is_late_and_is_gone() -> None:
    said: list[str] = []
    store = MemoryStore()
    entry = {"id": "notice", "unit": "station", "text": "谨防电信诈骗", "at": ["10:00", "18:00"]}
    async with running(store) as daemon:
        await daemon.engine.tell(OperatorAsked(ADMIN, ApplySite({**SITE, "schedule": [entry]})))
        clock = Clock(daemon.engine.clock.now_ms() + 10)
        task = Schedules(daemon.engine.settled, daemon.engine.tell, speaker(said, CLIP), clock)
        assert await task.look() <= 20_000
        first = next_ms(schedule("10:00", "18:00"), SHANGHAI, clock.now_ms)
        assert first is not None
        clock.now_ms = first
        await task.look()
        await task.look()
        assert await ran(daemon) == [(local(first), "", True)]
        assert said == ["zh 谨防电信诈骗"]
        async with daemon.engine.settled() as state:
            [broadcast] = state.broadcasts.values()
            assert (broadcast.clip, broadcast.by) == (CLIP, "schedule:notice")
            assert len(state.ladders[broadcast.broadcast].places) == 4
        second = next_ms(schedule("10:00", "18:00"), SHANGHAI, clock.now_ms)
        assert second is not None
        clock.now_ms = second + 301_000
        await task.look()
        assert (await ran(daemon))[-1] == (local(second), "late", False)
        assert len(said) == 1, "no sound is made for what is not sent"
        await daemon.engine.tell(OperatorAsked(ADMIN, RemoveEntry("schedule", "notice")))
        clock.now_ms += DAY
        await task.look()
        assert len(await ran(daemon)) == 2


async def test_a_restart_within_five_minutes_still_sends_it_and_once() -> None:
    store = MemoryStore()
    entry = {"id": "notice", "unit": "station", "text": "谨防电信诈骗", "at": ["10:00"]}
    async with running(store) as daemon:
        await daemon.engine.tell(OperatorAsked(ADMIN, ApplySite({**SITE, "schedule": [entry]})))
        due_ms = next_ms(schedule("10:00"), SHANGHAI, daemon.engine.clock.now_ms())
    assert due_ms is not None
    for _ in range(2):
        async with running(store, with_site=False) as daemon:
            no_speech = speaker([], Refusal("no-speech", "switched off"))
            task = Schedules(daemon.engine.settled, daemon.engine.tell, no_speech, Clock(due_ms + 240_000))
            await task.look()
            assert await ran(daemon) == [(local(due_ms), "", True)]
