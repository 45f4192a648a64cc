"""Which recordings go and when: the rule as a table, and its shell on real files and a real journal."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from dispatchd.core import facts
from dispatchd.store import MemoryStore
from dispatchd.store.base import NewRow, Recording, Sought
from dispatchd.voice.recordings import DAY_MS, Expired, Recordings, expired, keep
from protocols.rules import Rules

NOW_MS = 2_000_000_000_000
RULES = Rules(recording_days=90, record_days=365)


def row(id_: str, age_days: float, incident: str = "", *, size: int = 10) -> Recording:
    at_ms = NOW_MS - int(age_days * DAY_MS)
    return Recording(id_, "g", "t", "", incident, "u", 1, at_ms, 9, 1, 0, size, f"2033-05-18/{id_}.opus", "")


def ended(days: float) -> Mapping[str, int]:
    return {"i1": NOW_MS - int(days * DAY_MS)}


@pytest.mark.parametrize(
    ("one", "ends", "holds", "excess", "goes"),
    [
        (row("r", 89.9), {}, {}, 0, False),
        (row("r", 90), {}, {}, 0, True),
        (row("r", 5000, "i1"), {}, {}, 0, False),  # open, or nobody knows
        (row("r", 5000, "i1"), ended(364.9), {}, 0, False),
        (row("r", 5000, "i1"), ended(365), {}, 0, True),
        (row("r", 5000, "i1"), ended(365), {"i1": ["court"]}, 0, False),
        (row("r", 5000, "i1"), ended(365), {"i1": []}, 0, True),
        (row("r", 5000, "i1"), ended(365), {"i2": ["court"]}, 0, True),
        (row("r", 30), {}, {}, 1, True),
        (row("r", 29.9), {}, {}, 10**12, False),
        (row("r", 40, "i1"), {}, {}, 10**12, False),
        (row("r", 40, "i1"), ended(39), {}, 10**12, False),
        (row("r", 90)._replace(removed_ms=5), {}, {}, 0, False),
    ],
)
def test_what_goes(
    one: Recording, ends: dict[str, int], holds: dict[str, list[str]], excess: int, goes: bool
) -> None:
    assert bool(expired([one], NOW_MS, RULES, holds, ends, excess)) is goes


def test_the_oldest_go_until_the_size_is_right() -> None:
    rows = [
        row("young", 31, size=5),
        row("old", 80, size=10),
        row("over", 91, size=3),
        row("mid", 50, size=10),
    ]
    assert [one.recording for one in expired(rows, NOW_MS, RULES, {}, {}, 12)] == ["over", "old"]
    assert [one.recording for one in expired(rows, NOW_MS, RULES, {}, {}, 14)] == ["over", "old", "mid"]
    assert "90 days" in expired(rows, NOW_MS, RULES, {}, {}, 12)[0].why
    assert "max_gb" in expired(rows, NOW_MS, RULES, {}, {}, 12)[1].why


class Kept:
    """Recordings with a file each."""

    def __init__(self, folder: Path) -> None:
        self.store = MemoryStore()
        self.recordings = Recordings(folder, self.store)

    def add(self, *rows: Recording) -> None:
        for one in rows:
            path = self.recordings.folder / one.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(one.bytes))
            self.recordings.keep(one)

    def journal(self, days_ago: float, fact: facts.Fact) -> None:
        kind, body = type(fact).__name__, facts.encode(fact)
        about = getattr(fact, "incident", "")
        self.store.commit([NewRow(0, NOW_MS - int(days_ago * DAY_MS), kind, fact.V, about, body)])

    def there(self) -> set[str]:
        files = {path.stem for path in self.recordings.folder.glob("*/*.opus")}
        rows = self.store.recordings(Sought())
        assert files == {one.recording for one in rows if not one.removed_ms}
        assert all(one.removed_why for one in rows if one.removed_ms)
        return files


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_files_go_and_rows_say_why(kept: Kept) -> None:
    kept.add(row("r1", 100), row("r2", 80), row("r3", 400, "i1"), row("r4", 400, "i2"), row("r5", 400, "i3"))
    kept.journal(366, facts.Ended("i1", "genuine", "wang"))
    kept.journal(366, facts.Ended("i2", "genuine", "wang"))
    kept.journal(10, facts.Ended("i3", "genuine", "wang"))
    gone = kept.recordings.tidy(NOW_MS, RULES, {"i2": ["court"]})
    assert gone == [
        Expired("r3", "its incident ended more than 365 days before"),
        Expired("r1", "of no incident and older than 90 days"),
    ]
    assert kept.there() == {"r2", "r4", "r5"}
    found = kept.store.recording("r1")
    assert found is not None
    assert (found.removed_ms, kept.recordings.file(found)) == (NOW_MS, None)
    assert kept.recordings.tidy(NOW_MS, RULES, {"i2": ["court"]}) == []
    assert kept.recordings.tidy(NOW_MS, RULES, {}) == [
        Expired("r4", "its incident ended more than 365 days before")
    ]


def test_what_was_merged_lives_as_long_as_what_it_was_merged_into(kept: Kept) -> None:
    kept.add(row("r1", 800, "i1"))
    kept.journal(800, facts.Merged("i1", "i2", "wang"))
    assert kept.recordings.tidy(NOW_MS, RULES, {}) == [], "the other is open"
    kept.journal(400, facts.Ended("i2", "genuine", "wang"))
    assert kept.recordings.tidy(NOW_MS, RULES, {"i2": ["court"]}) == []
    assert len(kept.recordings.tidy(NOW_MS, RULES, {})) == 1


def test_the_size_limit_takes_the_oldest_of_no_incident(kept: Kept) -> None:
    kept.add(*(row(f"r{n}", 80 - n) for n in range(9)), row("young", 20), row("mine", 85, "i1"))
    kept.recordings.tidy(NOW_MS, RULES, {}, 75)
    assert kept.there() == {*(f"r{n}" for n in range(4, 9)), "young", "mine"}
    kept.recordings.tidy(NOW_MS, RULES, {}, 1)
    assert kept.there() == {"young", "mine"}


def test_an_empty_day_goes_too(kept: Kept) -> None:
    kept.add(row("r1", 100))
    kept.recordings.tidy(NOW_MS, RULES, {})
    assert list(kept.recordings.folder.iterdir()) == []


async def test_it_is_done_by_itself(kept: Kept) -> None:
    kept.add(row("r1", 20_000))
    looked = asyncio.Event()

    async def look() -> tuple[Rules, dict[str, list[str]]]:
        looked.set()
        return RULES, {}

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(keep(kept.recordings, look))
        await looked.wait()
        while kept.there():
            await asyncio.sleep(0.01)
        task.cancel()
