"""Recordings over the API: walls, what is shown, ranges, and that a listener is on record before he hears."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from dispatchd.core import facts
from dispatchd.core.commands import Accept, End
from dispatchd.core.voice_facts import RecordingPlayed
from dispatchd.store import MemoryStore
from dispatchd.store.base import Recording
from dispatchd.voice.recordings import Recordings

from .desk import Desk, desk

SOUND = bytes(range(256)) * 20
AT_MS = 1_790_000_000_000  # 2026-09-21 22:13:20 in Shanghai


def row(id_: str, unit: str, incident: str = "", **fields: Any) -> Recording:
    found = Recording(
        id_, "tg-1", "t-n", "巡逻一组", incident, unit, 7, AT_MS, 1500, 75, 2, len(SOUND),
        f"2026-09-21/{id_}.opus", hashlib.sha256(SOUND).hexdigest(),
    )  # fmt: skip
    return found._replace(**fields)


@asynccontextmanager
async def archive(folder: Path, *rows: Recording) -> AsyncIterator[Desk]:
    store = MemoryStore()
    kept = Recordings(folder, store)
    for one in rows:
        path = folder / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(SOUND)
        kept.keep(one)
    async with desk(store) as at:
        at.console.attach(at.engine, store, kept)
        yield at


def played(at: Desk) -> list[tuple[str, str]]:
    """Who listened to what, by the journal."""
    rows = list(at.store.rows())
    found = [facts.decode(r.kind, r.v, r.body) for r in rows if r.kind == RecordingPlayed.__name__]
    return [(fact.by, fact.recording) for fact in found if isinstance(fact, RecordingPlayed)]


async def test_what_lies_beyond_the_wall_does_not_exist(tmp_path: Path) -> None:
    async with archive(tmp_path, row("r1", "north"), row("r2", "north-a"), row("r3", "south")) as at:
        assert await at.ids("north", "/recordings") == {"r1", "r2"}
        assert await at.ids("north-a", "/recordings") == {"r2"}
        assert await at.ids("chief", "/recordings") == {"r1", "r2", "r3"}
        for path in ("/recordings/r3", "/recordings/r3/sound", "/recordings/r4", "/recordings/r4/sound"):
            answer = await at.get("north", path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
        assert (await at.get("south", "/recordings/r3/sound")).content == SOUND
        async with at.client(None) as client:
            assert (await client.get("/recordings/r3/sound")).status_code == 401
        assert played(at) == [("south", "r3")]


async def test_who_sees_the_incident_hears_it(tmp_path: Path) -> None:
    async with archive(tmp_path, row("r2", "top")) as at:
        incident = await at.press("pil-n")
        kept = at.console.recordings
        assert isinstance(kept, Recordings)
        one = row("r1", "top", incident)
        (tmp_path / one.path).write_bytes(SOUND)
        kept.keep(one)
        assert await at.ids("south", "/recordings") == set()
        assert (await at.get("south", "/recordings/r1/sound")).status_code == 404
        assert await at.ids("north", f"/recordings?incident={incident}") == {"r1"}
        assert await at.ids("north", "/recordings") == {"r1"}
        assert (await at.get("north", "/recordings/r1/sound")).content == SOUND
        assert played(at) == [("north", "r1")]


async def test_what_is_shown(tmp_path: Path) -> None:
    async with archive(tmp_path, row("r1", "north", lost=2, drill=True, why="the daemon ended")) as at:
        doc = (await at.get("north-view", "/recordings/r1")).json()
        assert doc == (await at.get("north", "/recordings")).json()["items"][0]
        assert doc["time"] == "2026-09-21 22:13:20.000+08:00"
        assert (doc["talker_name"], doc["ms"], doc["lost"], doc["drill"]) == ("巡逻一组", 1500, 2, True)
        assert (doc["why"], doc["holds"], doc["removed_time"]) == ("the daemon ended", [], "")
        assert "path" not in doc


async def test_an_incident_that_only_the_journal_knows_is_still_held_and_released(tmp_path: Path) -> None:
    async with archive(tmp_path) as at:
        incident = await at.press("pil-n")
        await at.done("north", Accept(incident))
        await at.done("north", End(incident, "true-alarm"))
        async with at.engine.settled() as state:
            state.incidents.pop(incident)  # as it is after keep_ended_s
        assert (await at.command("chief", "hold", incident="i9-9", hold="x", unit="top")).status_code == 404
        assert (await at.command("chief", "hold", incident=incident, hold="case-9")).status_code == 200
        async with at.engine.settled() as state:
            assert state.holds == {incident: ["case-9"]}
        released = await at.command("chief", "hold", incident=incident, hold="case-9", on=False)
        assert released.status_code == 200
        async with at.engine.settled() as state:
            assert not state.holds


async def test_holds_are_shown(tmp_path: Path) -> None:
    async with archive(tmp_path) as at:
        incident = await at.press("pil-n")
        kept = at.console.recordings
        assert isinstance(kept, Recordings)
        kept.keep(row("r1", "north", incident))
        held = await at.command("chief", "hold", incident=incident, hold="case-118", reason="办案")
        assert held.status_code == 200, held.text
        assert (await at.get("north", "/recordings/r1")).json()["holds"] == ["case-118"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["r4", "r3", "r2", "r1"]),
        ("?group=tg-2", ["r2"]),
        ("?talker=@wang", ["r3"]),
        ("?unit=south", ["r4"]),
        (f"?from={AT_MS + 2000}", ["r4", "r3"]),
        (f"?to={AT_MS + 2000}", ["r2", "r1"]),
        ("?from=2026-09-21T22:13:22&to=2026-09-21T22:13:23", ["r3"]),
        ("?from=2026-09-21T14:13:22Z&limit=1", ["r4"]),
        ("?limit=2", ["r4", "r3"]),
        ("?incident=i9-9", []),
    ],
)
async def test_what_is_asked_for(tmp_path: Path, query: str, found: list[str]) -> None:
    rows = [
        row("r1", "north"),
        row("r2", "north", group="tg-2", wall_ms=AT_MS + 1000),
        row("r3", "north", talker="@wang", wall_ms=AT_MS + 2000),
        row("r4", "south", wall_ms=AT_MS + 3000),
    ]
    async with archive(tmp_path, *rows) as at:
        answer = await at.get("chief", "/recordings" + query)
        assert [doc["id"] for doc in answer.json()["items"]] == found


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=000000001999999", "limit"),
        ("limit=" + "0" * 5000 + "1", "limit"),
        ("limit=x", "limit"),
        ("from=yesterday", "from"),
        ("a=b", "a"),
    ],
)
async def test_a_question_that_is_none(tmp_path: Path, query: str, field: str) -> None:
    async with archive(tmp_path) as at:
        answer = await at.get("chief", f"/recordings?{query}")
        assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_a_range_of_it(tmp_path: Path) -> None:
    async with archive(tmp_path, row("r1", "north")) as at, at.client("north") as client:
        whole = await client.get("/recordings/r1/sound")
        assert whole.content == SOUND
        assert whole.headers["content-type"] == "audio/ogg"
        assert whole.headers["accept-ranges"] == "bytes"
        assert whole.headers["cache-control"] == "no-store"
        assert "20260921221320_tg-1_" in whole.headers["content-disposition"]
        for asked, first, last in (("100-199", 100, 199), ("5000-", 5000, 5119), ("-20", 5100, 5119)):
            part = await client.get("/recordings/r1/sound", headers={"range": f"bytes={asked}"})
            assert part.status_code == 206
            assert part.headers["content-range"] == f"bytes {first}-{last}/5120"
            assert part.content == SOUND[first : last + 1]
        beyond = await client.get("/recordings/r1/sound", headers={"range": "bytes=9000-"})
        assert beyond.status_code == 416
        assert played(at) == [("north", "r1")], "the pieces of one playing are one entry"


async def test_a_range_alone_is_on_record_too(tmp_path: Path) -> None:
    async with archive(tmp_path, row("r1", "north"), row("r2", "north")) as at:
        for operator, id_ in (("north", "r1"), ("chief", "r1"), ("north", "r2")):
            async with at.client(operator) as client:
                part = await client.get(f"/recordings/{id_}/sound", headers={"range": "bytes=9-"})
                assert part.status_code == 206
        assert played(at) == [("north", "r1"), ("chief", "r1"), ("north", "r2")]


async def test_a_removed_one_says_since_when_and_why(tmp_path: Path) -> None:
    async with archive(tmp_path, row("r1", "north"), row("r2", "north")) as at:
        at.store.remove_recording("r1", AT_MS + 90 * 86_400_000, "of no incident and older than 90 days")
        (tmp_path / "2026-09-21/r2.opus").unlink()
        for id_, why in (
            ("r1", "removed at 2026-12-20 22:13: of no incident"),
            ("r2", "Its file is missing"),
        ):
            answer = await at.get("north", f"/recordings/{id_}/sound")
            assert (answer.status_code, answer.json()["code"]) == (410, "removed")
            assert why in answer.json()["why"]
        assert (await at.get("north", "/recordings/r1")).json()["removed_why"].startswith("of no incident")
        assert played(at) == []


async def test_a_recording_of_a_unit_that_is_gone_is_the_top_units(tmp_path: Path) -> None:
    async with archive(tmp_path, row("r1", "dissolved")) as at:
        assert (await at.get("north", "/recordings/r1")).status_code == 404
        assert (await at.get("chief", "/recordings/r1/sound")).content == SOUND
        assert played(at) == [("chief", "r1")]


async def test_without_recordings_there_are_none() -> None:
    async with desk() as at:
        assert (await at.get("chief", "/recordings")).json()["items"] == []
        assert (await at.get("chief", "/recordings/r1/sound")).status_code == 404
