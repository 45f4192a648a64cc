"""Tiny real runs: real daemon, real broker, real clients. What they measure is not judged, only that it is whole."""

from contextlib import closing
from pathlib import Path

import pytest

from benchmarks import broadcast, city, core, journal, storm, town, voice
from benchmarks.metric import Row as Figure
from benchmarks.voice import mumble
from benchmarks.voice.size import Size
from dispatchd.core import facts as f
from dispatchd.core.commands import ApplySite
from dispatchd.core.core import Core
from dispatchd.core.inputs import DaemonStarted, DeviceSaid, Input, OperatorAsked
from dispatchd.ledger import Ledger, row
from dispatchd.store import SqliteStore, open_store
from dispatchd.store.base import NewRow, Row
from protocols import up
from protocols.types import Key


def whole(rows: list[Figure], names: list[str]) -> None:
    assert [row.metric for row in rows] == names
    for one in rows:
        assert one.baseline is None or one.ratio == pytest.approx(one.ours / one.baseline, rel=1e-3)


@pytest.mark.full
@pytest.mark.mosquitto
async def test_broadcast() -> None:
    rows = await broadcast.measure(2, sizes=(3,))
    whole(rows, ["broadcast_3"])
    assert rows[0].ours > 0
    assert rows[0].baseline


@pytest.mark.full
@pytest.mark.mosquitto
async def test_storm_finds_every_alarm_in_the_file() -> None:
    rows = await storm.measure(1, storm.Town(pillars=3, patrols=4, seconds=0.3))
    whole(rows, [metric.name for metric in storm.METRICS])
    by_name = {one.metric: one for one in rows}
    assert by_name["storm_lost"].ours == by_name["storm_doubled"].ours == 0
    assert by_name["storm_p99_ms"].ours > 0
    assert by_name["storm_share"].ours > 0


@pytest.mark.timeout(300)
@pytest.mark.full
@pytest.mark.mosquitto
async def test_voice_has_every_row_that_this_machine_can_compare() -> None:
    tiny = Size(listeners=3, groups=2, frames=25, web=3, presses=5, entries=2, words=1)
    rows = await voice.measure(1, tiny)
    missing = "mumble" if mumble.find() is None else "nothing"
    whole(rows, [metric.name for metric in voice.METRICS if missing not in metric.name])
    assert all(one.ours > 0 for one in rows)


def test_a_lost_alarm_and_a_doubled_one_are_counted(tmp_path: Path) -> None:
    with closing(open_store(f"sqlite:{tmp_path / 'dispatch.db'}")) as store:
        store.commit([_pressed(n) for n in (1, 2, 2, 4)])
    assert storm.missing_and_doubled(tmp_path / "dispatch.db", {"pillar-0": 5}) == (2, 1)


def _pressed(number: int) -> NewRow:
    fact = f.AlarmRaised("i1-1", "a1-1", "pillar-0", Key("press", number), "one-key", "one-key", 0, 0)
    return NewRow(1, 1, "AlarmRaised", 1, "i1-1", f.encode(fact))


@pytest.mark.timeout(120)
@pytest.mark.full
async def test_core(tmp_path: Path) -> None:
    rows = await core.measure(1, city.Town(terminals=5, pillars=2, seconds=3), devices=200, facts=4000)
    whole(rows, [metric.name for metric in core.METRICS])
    assert all(one.ours > 0 for one in rows)


def test_a_device_is_counted_on_line_with_position_and_membership() -> None:
    site = Core()
    site.decide(DaemonStarted(1, 1, admin_hash="x"), core.NOW_MS)
    who = town.devices(1, 2)
    site.decide(OperatorAsked("admin", ApplySite(town.site(who))), core.NOW_MS)
    for one in who:
        core.arrive(site, one)
    assert all(site.state.live[one.id].online and site.state.live[one.id].position for one in who)
    assert all(site.state.settings[one.id].membership_applied == 1 for one in who)


def test_the_long_journal_lives_again_and_again(tmp_path: Path) -> None:
    """Of one press a journal of many incidents; those since the hour before the snapshot are in the state."""
    journal.fill(tmp_path / "long.db", _day(), 400, 100)
    with closing(SqliteStore(tmp_path / "long.db")) as store:
        rows, snapshot = list(store.rows()), store.latest_snapshot()
        incidents = Ledger(store).core.state.incidents
    lived = {row.about for row in rows[-2 * 99 :] if row.kind == "IncidentOpened"}
    assert len(rows) == 400
    assert snapshot is not None
    assert snapshot.seq == 400 - 99
    assert set(incidents) == lived
    assert len(lived) > 10


def _day() -> list[Row]:
    site = Core()
    inputs: list[Input] = [
        DaemonStarted(1, 1, admin_hash="x"),
        OperatorAsked("admin", ApplySite(town.site(town.devices(1, 1)))),
        DeviceSaid("pillar-0", up.Alarm(Key("press", 1), age_ms=0)),
    ]
    facts = [fact for one in inputs for fact in site.decide(one, core.NOW_MS).facts]
    return [Row(number, *row(fact, core.NOW_MS + number, 0)) for number, fact in enumerate(facts, 1)]
