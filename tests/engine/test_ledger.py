"""Commit before act: what a failed commit leaves behind is nothing, and what is folded again is what was."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dispatchd.core import facts as f
from dispatchd.core.inputs import DeviceSaid, Input, PresenceSeen, Tick
from dispatchd.core.state import State
from dispatchd.ledger import Ledger
from dispatchd.store import MemoryStore, SqliteStore, Store
from dispatchd.store.base import NewRow, StoreBroken, StoreFull
from protocols import up
from protocols.types import Key
from tests.engine.site import MAKE_SITE, STARTED, hello, press, receipted, state

NOW_MS = 1_795_000_000_000


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "site.db")
    yield opened
    opened.close()


@pytest.fixture
def full(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "site.db")
    yield opened
    opened.close()


def play(ledger: Ledger, inputs: Sequence[Input], now_ms: int) -> list[Any]:
    """One committed batch; its rows as listeners see them."""
    batch = ledger.decide(inputs, now_ms, now_ms)
    return ledger.keep(batch, ledger.write(batch))


def opened(store: Store, every: int = 20_000) -> Ledger:
    ledger = Ledger(store, every)
    play(ledger, [STARTED, MAKE_SITE], NOW_MS)
    return ledger


def committed(state: State) -> Any:
    """Everything that facts made, as plain values; what is volatile is left out."""
    plain = msgspec.to_builtins(state)
    for live in plain["live"].values():
        for name in set(live) - {"online", "conn", "boot", "firmware"}:
            del live[name]
    for ladder in plain["ladders"].values():
        for place in ladder["places"].values():
            del place["tries"], place["next_ms"]
    for settings in plain["settings"].values():
        for name in ("tries", "next_ms", "membership_applied", "config_applied"):
            settings.pop(name, None)
    for incident in plain["incidents"].values():
        del incident["owner_acted_ms"], incident["relook_ms"]
    del plain["sessions"], plain["now_ms"]
    return plain


def busy(ledger: Ledger) -> None:
    """A little of everything: presence, presses, answers, time."""
    play(ledger, [hello("radio-1"), hello("radio-2"), hello("pillar-1")], NOW_MS + 10)
    play(ledger, [DeviceSaid("radio-1", state()), press("pillar-1", 1), press("pillar-2", 1)], NOW_MS + 20)
    call = next(iter(ledger.core.state.calls))
    answer = up.Answer(Key("boot-1", 9), call, "patrol-1", "accept", 10)
    play(ledger, [DeviceSaid("radio-1", answer), press("pillar-1", 2)], NOW_MS + 2000)
    play(ledger, [PresenceSeen("radio-2", up.Presence(False, 1))], NOW_MS + 2100)
    for second in range(3, 60):
        play(ledger, [Tick()], NOW_MS + second * 1000)


def test_what_is_folded_again_is_what_was(store: Store) -> None:
    ledger = opened(store)
    busy(ledger)
    assert len(ledger.core.state.incidents) == 2
    assert committed(Ledger(store).core.state) == committed(ledger.core.state)


def test_a_snapshot_and_the_rows_after_it_give_the_same(store: Store) -> None:
    ledger = opened(store, every=10)
    assert ledger.wants_snapshot()
    busy(ledger)
    store.save_snapshot(ledger.snapshot())
    assert not ledger.wants_snapshot()
    play(ledger, [press("pillar-3", 1), hello("pillar-2")], NOW_MS + 70_000)
    again = Ledger(store)
    assert committed(again.core.state) == committed(ledger.core.state)
    assert again.core.state.seq == store.last_seq()


def test_a_snapshot_of_another_form_is_not_used(store: Store) -> None:
    ledger = opened(store)
    busy(ledger)
    store.save_snapshot(ledger.snapshot()._replace(v=0, body=b"another form"))
    assert committed(Ledger(store).core.state) == committed(ledger.core.state)


def test_the_core_has_folded_a_batch_and_nothing_is_on_disk_before_write(store: Store) -> None:
    ledger = opened(store)
    before = store.last_seq()
    batch = ledger.decide([press("pillar-1", 1), press("pillar-1", 1)], NOW_MS + 1, NOW_MS)
    assert batch.waited
    assert store.last_seq() == before
    assert receipted(batch.decisions[1].effects) == [("pillar-1", 1)]
    assert sum(isinstance(fact, f.AlarmRaised) for _, fact in batch.facts) == 1, (
        "the double was seen in the batch"
    )
    rows = ledger.keep(batch, ledger.write(batch))
    assert [seq for seq, _, _ in rows] == list(range(before + 1, store.last_seq() + 1))
    assert [r.kind for r in store.rows(before)] == [type(fact).__name__ for _, _, fact in rows]


def test_presence_is_written_with_the_next_batch_and_once(store: Store) -> None:
    ledger = opened(store)
    before = store.last_seq()
    alone = ledger.decide([DeviceSaid("radio-1", state())], NOW_MS + 1, NOW_MS)
    assert alone.rows
    assert not alone.waited
    told = ledger.postpone(alone)
    assert store.last_seq() == before
    rows = play(ledger, [press("pillar-1", 1)], NOW_MS + 2)
    assert [seq for seq, _, _ in [*told, *rows]] == list(range(before + 1, store.last_seq() + 1))
    assert [r.kind for r in store.rows(before, 1)] == ["DeviceOnline"]
    assert ledger.backlog == []


def shut(store: SqliteStore) -> None:
    """No page more: from the next commit or two on the disk is full."""
    used = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {used}")


def until_full(ledger: Ledger, store: SqliteStore) -> tuple[Any, int]:
    """Press until a commit fails; the state before that batch, and how many presses were kept."""
    shut(store)
    for seq in range(1, 500):
        before = committed(ledger.core.state)
        batch = ledger.decide([press("pillar-1", seq)], NOW_MS + seq, NOW_MS)
        try:
            ledger.keep(batch, ledger.write(batch))
        except StoreFull:
            return before, seq - 1
    raise AssertionError("the disk never became full")


def test_after_a_failed_commit_the_state_is_what_it_was(full: SqliteStore) -> None:
    ledger = opened(full)
    play(ledger, [hello("radio-1"), DeviceSaid("radio-1", state())], NOW_MS)
    before, kept = until_full(ledger, full)
    assert committed(ledger.core.state) != before, "decide folds at once"
    ledger.discard()
    assert committed(ledger.core.state) == before
    assert committed(Ledger(full).core.state) == before
    assert len(full.rows_of_kind("AlarmRaised", newest=1000)) == kept


def test_a_discarded_press_is_new_when_it_comes_again(full: SqliteStore) -> None:
    ledger = opened(full)
    _, kept = until_full(ledger, full)
    ledger.discard()
    full._db.execute("PRAGMA max_page_count = 100000")
    batch = ledger.decide([press("pillar-1", kept + 1)], NOW_MS + 1000, NOW_MS)
    assert any(isinstance(fact, f.AlarmRaised) for _, fact in batch.facts)
    ledger.keep(batch, ledger.write(batch))
    assert len(full.rows_of_kind("AlarmRaised", newest=1000)) == kept + 1


def test_what_devices_said_of_themselves_outlives_a_discard(full: SqliteStore) -> None:
    ledger = opened(full)
    play(ledger, [hello("radio-1"), DeviceSaid("radio-1", state(lat=26.95))], NOW_MS)
    batch = ledger.decide([press("pillar-1", 1)], NOW_MS + 5, NOW_MS)
    assert batch.rows
    ledger.discard()
    live = ledger.core.state.live["radio-1"]
    assert live.position is not None
    assert (live.position.lat, live.heard_ms) == (26.95, NOW_MS)
    assert ledger.core.state.now_ms == NOW_MS + 5, "core time did not step back"


def test_what_nobody_waited_for_outlives_a_discard_and_is_written_later(store: Store) -> None:
    """Its effects have left, so it has happened: a floor does not vanish under its talker when the disk is full."""
    ledger = opened(store)
    ledger.postpone(ledger.decide([DeviceSaid("radio-1", state())], NOW_MS, 1))
    seq = ledger.core.state.seq
    ledger.decide([press("pillar-1", 1)], NOW_MS + 5, NOW_MS)
    ledger.discard()
    assert ledger.core.state.live["radio-1"].online
    assert ledger.core.state.incidents == {}
    assert ledger.core.state.seq == seq == store.last_seq() + 1
    empty = ledger.decide([], NOW_MS + 6, NOW_MS)
    ledger.keep(empty, ledger.write(empty))
    assert store.last_seq() == seq
    assert ledger.backlog == []


def test_a_row_of_a_kind_this_code_never_knew_is_not_passed_over(store: Store) -> None:
    opened(store)
    store.commit([NewRow(NOW_MS, NOW_MS, "FromTheFuture", 1, "", b"\x80")])
    with pytest.raises(StoreBroken, match=r"FromTheFuture.*start the newest one"):
        Ledger(store)


def test_a_row_that_is_damaged_is_not_passed_over(store: Store) -> None:
    opened(store)
    store.commit([NewRow(NOW_MS, NOW_MS, "AlarmRaised", 1, "", b"\x81\xa1x\x01")])
    with pytest.raises(StoreBroken, match="AlarmRaised"):
        Ledger(store)


def test_max_page_count_is_what_makes_these_disks_full(full: SqliteStore) -> None:
    """If SQLite did not obey it, the tests above would prove nothing."""
    shut(full)
    with pytest.raises((StoreFull, sqlite3.Error)):
        full.commit([NewRow(1, 1, "x", 1, "", bytes(1_000_000))])
