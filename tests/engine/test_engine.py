"""The engine with real stores: order, group commit, bounds, a full and a broken disk, and what anybody may see when."""

import asyncio
import itertools
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dispatchd.core.commands import Accept, BroadcastText, Done, Refusal, Target
from dispatchd.core.effects import Effect, Send
from dispatchd.core.inputs import DaemonStarted, MediaHeard, VoiceJoined
from dispatchd.core.site_commands import ADMIN
from dispatchd.engine import FLUSH_S, PROBE_S, RETRY_S, Committed, Engine
from dispatchd.ledger import Ledger
from dispatchd.store import MemoryStore, SqliteStore, Store
from dispatchd.store.base import NewRow, StoreBroken, StoreFull
from protocols import up
from tests.engine.site import MAKE_SITE, PATIENCE_S, STARTED, hello, press, receipted, running, state, until


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "site.db")
    yield opened
    opened.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "site.db")
    yield opened
    opened.close()


class GatedStore(MemoryStore):
    """Commits wait at a gate, as at a slow disk."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.at_gate = threading.Event()
        self.batches: list[list[str]] = []

    def commit(self, rows: Sequence[NewRow]) -> int:
        self.at_gate.set()
        assert self.gate.wait(PATIENCE_S)
        self.at_gate.clear()
        self.batches.append([row.kind for row in rows])
        return super().commit(rows)


async def reached(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, PATIENCE_S)


def said(effect: Effect, name: str) -> bool:
    return isinstance(effect, Send) and type(effect.message).__name__ == name


def kinds(store: Store) -> list[str]:
    return [row.kind for row in store.rows()]


# --- the ordinary ways ------------------------------------------------------------------------------------------


async def test_inputs_are_decided_in_the_order_they_came(store: Store) -> None:
    async with running(store) as daemon:
        presses = [(f"pillar-{n % 4}", n) for n in range(600)]
        await asyncio.gather(*(daemon.press(device, n) for device, n in presses))
        assert receipted(daemon.effects) == presses


async def test_many_inputs_make_few_commits() -> None:
    store = GatedStore()
    async with running(store, batch_max=64) as daemon:
        store.gate.clear()
        first = asyncio.ensure_future(daemon.press("pillar-0", 0))
        await reached(store.at_gate)
        store.batches.clear()
        rest = asyncio.gather(*(daemon.press("pillar-1", n) for n in range(128)))
        await asyncio.sleep(0)
        store.gate.set()
        await asyncio.gather(first, rest)
        alarms = [batch.count("AlarmRaised") for batch in store.batches]
        assert sum(alarms) == 129
        assert max(alarms) in (63, 64), "one place may be the core's own deadline's"
        assert len(alarms) <= 4


async def test_an_operator_is_answered_after_the_commit_or_refused() -> None:
    store = GatedStore()
    async with running(store) as daemon:
        store.gate.clear()
        asked = asyncio.ensure_future(daemon.engine.ask(ADMIN, BroadcastText("集合", Target(everybody=True))))
        await reached(store.at_gate)
        assert not asked.done()
        store.gate.set()
        assert isinstance(await asked, Done)
        assert isinstance(await daemon.engine.ask(ADMIN, Accept("i1-99")), Refusal)
        assert isinstance(await daemon.engine.ask("nobody", Accept("i1-99")), Refusal)


async def test_nobody_sees_what_is_not_on_disk() -> None:
    store = GatedStore()
    async with running(store) as daemon:
        seen: list[Committed] = []
        daemon.engine.listen(seen.append)
        store.gate.clear()
        told = asyncio.ensure_future(daemon.press("pillar-1", 1))
        await reached(store.at_gate)
        assert daemon.engine._ledger.core.state.incidents, "the core has folded it"
        looked = asyncio.ensure_future(daemon.incidents())
        done, _ = await asyncio.wait([told, looked], timeout=0.2)
        assert not done, "shown or answered before the commit"
        assert not receipted(daemon.effects)
        assert not seen
        store.gate.set()
        assert len(await looked) == 1
        await told
        assert receipted(daemon.effects) == [("pillar-1", 1)]
        assert "IncidentOpened" in [type(fact).__name__ for _, _, fact in seen[0].rows]


async def test_listeners_get_every_row_once_with_its_number_and_can_leave(store: Store) -> None:
    async with running(store) as daemon:
        before = store.last_seq()
        seen: list[Committed] = []
        leave = daemon.engine.listen(seen.append)
        for n in range(20):
            daemon.engine.tell_state("radio-1", state())
            await daemon.press(f"pillar-{n % 4}", n)
        rows = [seq for one in seen for seq, _, _ in one.rows]
        assert rows == list(range(before + 1, before + 1 + len(rows)))
        assert "radio-1" in set().union(*(one.heard for one in seen))
        leave()
        count = len(seen)
        await daemon.press("pillar-1", 100)
        assert len(seen) == count


async def test_of_many_states_the_newest_of_each_device_counts() -> None:
    store = GatedStore()
    async with running(store) as daemon:
        store.gate.clear()
        told = asyncio.ensure_future(daemon.press("pillar-1", 1))
        await reached(store.at_gate)
        for n in range(1000):
            daemon.engine.tell_state("radio-1", state(lat=20 + n / 1000))
        assert daemon.engine.health.queue == 1
        inputs = daemon.engine.health.inputs
        store.gate.set()
        await told
        await daemon.press("pillar-1", 2)
        assert daemon.engine.health.inputs - inputs <= 5  # with the core's own deadlines
        async with daemon.engine.settled() as now:
            position = now.live["radio-1"].position
        assert position is not None
        assert position.lat == pytest.approx(20.999)


async def test_presence_is_on_disk_within_the_flush_time(store: Store) -> None:
    async with running(store) as daemon:
        before = store.last_seq()
        daemon.engine.tell_state("radio-1", state())
        await until(lambda: store.last_seq() > before, FLUSH_S + 1.0)
        assert [row.kind for row in store.rows(before)] == ["DeviceOnline"]


async def test_the_cores_deadline_is_kept_without_any_input(store: Store) -> None:
    """An addressee that reports nothing is sent the item again after retry_first_s (2 s)."""
    async with running(store) as daemon:
        await daemon.engine.tell(hello("radio-1"))
        await daemon.engine.ask(ADMIN, BroadcastText("集合", Target(devices=["radio-1"])))
        start = asyncio.get_running_loop().time()
        await until(lambda: sum(said(e, "Broadcast") for e in daemon.effects) >= 2)
        assert 1.9 <= asyncio.get_running_loop().time() - start < 4


async def test_snapshots_are_saved_and_used(store: Store) -> None:
    async with running(store) as daemon:
        daemon.engine._ledger._snapshot_every = 10
        for n in range(30):
            await daemon.press("pillar-1", n)
    latest = store.latest_snapshot()
    assert latest is not None
    assert latest.seq >= store.last_seq() - 20
    assert len(Ledger(store).core.state.seen["pillar-1"]) == 30


# --- bounds -----------------------------------------------------------------------------------------------------


async def test_a_full_queue_makes_links_wait_and_operators_try_again() -> None:
    store = GatedStore()
    async with running(store, queue_max=100) as daemon:
        store.gate.clear()
        first = asyncio.ensure_future(daemon.press("pillar-0", 0))
        await reached(store.at_gate)
        told = [asyncio.ensure_future(daemon.press("pillar-1", n)) for n in range(300)]
        await asyncio.sleep(0)
        assert daemon.engine.health.queue == 100
        with pytest.raises(asyncio.QueueFull):
            await daemon.engine.ask(ADMIN, Accept("i1-1"))
        for n in range(200):
            daemon.engine.tell_state(f"stranger-{n}", state())
        assert daemon.engine.health.states_dropped == 100
        store.gate.set()
        await asyncio.gather(first, *told)
        assert kinds(store).count("AlarmRaised") == 301


async def test_what_the_voice_room_posts_is_decided_and_never_waited_for() -> None:
    async with running(MemoryStore()) as daemon:
        await daemon.engine.tell(hello("radio-1"))
        daemon.engine.post(VoiceJoined("radio-1", "datagram"))
        await daemon.press("pillar-1", 1)
        async with daemon.engine.settled() as state_:
            assert state_.live["radio-1"].carriage == "datagram"


async def test_posts_beyond_the_queue_are_dropped_and_sound_of_a_burst_waits_as_one() -> None:
    store = GatedStore()
    async with running(store, queue_max=100) as daemon:
        await daemon.engine.tell(hello("radio-1"))
        store.gate.clear()
        first = asyncio.ensure_future(daemon.press("pillar-0", 0))
        await reached(store.at_gate)
        for n in range(500):
            daemon.engine.post(MediaHeard("all", 7, last=n == 250))
        assert daemon.engine.health.queue == 1
        for _ in range(150):
            daemon.engine.post(VoiceJoined("radio-1", "mqtt"))
        daemon.engine.post(MediaHeard("all", 7))
        assert (daemon.engine.health.queue, daemon.engine.health.posts_dropped) == (100, 51)
        assert daemon.engine._media["all", 7].last
        store.gate.set()
        await first
        await until(lambda: daemon.engine.health.queue == 0)
        async with daemon.engine.settled() as state_:
            assert state_.live["radio-1"].carriage == "mqtt"


async def test_operators_seen_again_and_again_take_one_place_each() -> None:
    store = GatedStore()
    async with running(store) as daemon:
        store.gate.clear()
        told = asyncio.ensure_future(daemon.press("pillar-0", 0))
        await reached(store.at_gate)
        daemon.engine.seen(ADMIN, 1)
        for _ in range(1000):
            daemon.engine.seen(ADMIN)
        assert daemon.engine.health.queue == 1
        store.gate.set()
        await told
        await daemon.press("pillar-0", 1)
        async with daemon.engine.settled() as now:
            assert now.sessions[ADMIN].connections == 1


# --- a full disk ------------------------------------------------------------------------------------------------


def shut(store: SqliteStore) -> None:
    used = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {used}")


def open_again(store: SqliteStore) -> None:
    store._db.execute("PRAGMA max_page_count = 1000000")


async def test_a_full_disk_receipts_nothing_says_so_and_recovers_by_itself(disk: SqliteStore) -> None:
    async with running(disk) as daemon:
        kept = [1, 2, 3]
        for n in kept:
            await daemon.press("pillar-1", n)
        shut(disk)
        with pytest.raises(StoreFull):
            for n in itertools.count(4):
                await daemon.press("pillar-1", n)
                kept.append(n)
        assert receipted(daemon.effects) == [("pillar-1", n) for n in kept]
        for _ in range(3):
            with pytest.raises(StoreFull):
                await daemon.engine.ask(ADMIN, BroadcastText("x" * 900, Target(everybody=True)))
        health = daemon.engine.health
        assert not health.store_ok
        assert "No space left" in health.store_why
        assert health.store_since_ms
        assert health.refolds >= 4
        async with daemon.engine.settled() as now:
            assert {int(key.split("/")[1]) for key in now.seen["pillar-1"]} == set(kept)
            assert not now.broadcasts
        open_again(disk)
        await until(lambda: daemon.engine.health.store_ok, PROBE_S + RETRY_S + 2)  # nobody presses meanwhile
        assert kinds(disk)[-1] == "StoreFailed"
        await daemon.press("pillar-1", len(kept) + 1)
        assert receipted(daemon.effects) == [("pillar-1", n) for n in [*kept, len(kept) + 1]]
        assert kinds(disk).count("AlarmRaised") == len(kept) + 1


async def test_readers_are_served_while_the_disk_is_full(disk: SqliteStore) -> None:
    async with running(disk) as daemon:
        await daemon.press("pillar-1", 0)
        shut(disk)
        with pytest.raises(StoreFull):
            for n in itertools.count(1):
                await daemon.press("pillar-1", n)
        again = asyncio.gather(*(daemon.press("pillar-2", n) for n in range(20)), return_exceptions=True)
        start = asyncio.get_running_loop().time()
        assert await daemon.incidents()
        assert asyncio.get_running_loop().time() - start < RETRY_S, "the pause is not the readers' business"
        await again


async def test_a_start_on_a_full_disk_waits_for_space(disk: SqliteStore) -> None:
    disk.commit([NewRow(1, 1, "Started", 1, "", b"\x82\xa5start\x01\xa3gen\x01")])
    while True:
        shut(disk)
        try:
            disk.commit([NewRow(1, 1, "StoreFailed", 1, "", b"\x82\xa8since_ms\x01\xa3why\xa0")] * 10)
        except StoreFull:
            break
    engine = Engine(disk, lambda _: None)
    task = asyncio.create_task(engine.run(DaemonStarted(7, 1, "x" * 3000, "1" * 64)))
    await asyncio.sleep(RETRY_S / 2)
    assert not engine.started.is_set(), "it says it started, and nothing of it is on disk"
    assert not engine.health.store_ok
    open_again(disk)
    async with asyncio.timeout(PATIENCE_S):
        await engine.started.wait()
    assert "Started" in kinds(disk)[-6:]
    task.cancel()
    await asyncio.wait([task])


# --- a broken disk ----------------------------------------------------------------------------------------------


async def test_a_broken_store_ends_the_engine_loudly(disk: SqliteStore, tmp_path: Path) -> None:
    async with running(disk) as daemon:
        (tmp_path / "site.db").rename(tmp_path / "elsewhere.db")
        (tmp_path / "site.db").touch()
        with pytest.raises(StoreBroken):
            await daemon.press("pillar-1", 1)
        assert daemon.task is not None
        with pytest.raises(StoreBroken, match="replaced"):
            await asyncio.wait_for(asyncio.shield(daemon.task), PATIENCE_S)
        assert not receipted(daemon.effects)
        daemon.task = asyncio.create_task(asyncio.sleep(0))


# --- the end ----------------------------------------------------------------------------------------------------


async def test_cancelled_in_the_middle_of_a_commit_it_finishes_that_batch_once() -> None:
    store = GatedStore()
    async with running(store) as daemon:
        daemon.engine.tell_state("radio-1", state())
        await until(lambda: daemon.engine._ledger.backlog)
        store.gate.clear()
        told = asyncio.ensure_future(daemon.press("pillar-1", 1))
        await reached(store.at_gate)
        assert daemon.task is not None
        daemon.task.cancel()
        await asyncio.sleep(0.05)
        assert not daemon.task.done()
        store.gate.set()
        await asyncio.wait([daemon.task])
        await told
        assert kinds(store).count("DeviceOnline") == 2, "radio-1, pillar-1: the backlog was written once"
        assert kinds(store).count("AlarmRaised") == 1
        assert receipted(daemon.effects) == [("pillar-1", 1)]


async def test_cancelled_while_it_waits_it_commits_the_presence_of_the_last_second(store: Store) -> None:
    async with running(store) as daemon:
        before = store.last_seq()
        daemon.engine.tell_state("radio-1", state())
        await until(lambda: daemon.engine._ledger.backlog)
        assert store.last_seq() == before
        await daemon.stop()
        assert kinds(store)[before:] == ["DeviceOnline"]


async def test_another_life_goes_on_where_the_last_one_ended(store: Store) -> None:
    async with running(store) as daemon:
        await daemon.press("pillar-1", 1)
        incidents, last_ms = await daemon.incidents(), daemon.engine.clock.now_ms()
    async with running(store, with_site=False) as daemon:
        assert await daemon.incidents() == incidents
        assert daemon.engine.clock.now_ms() >= last_ms
        await daemon.press("pillar-1", 1)
        assert receipted(daemon.effects) == [("pillar-1", 1)]
        assert kinds(store).count("AlarmRaised") == 1


async def test_one_line_is_logged_for_an_input_that_made_something_happen(store: Store) -> None:
    with capture_logs() as lines:
        async with running(store) as daemon:
            await daemon.press("pillar-1", 1)
            await daemon.press("pillar-1", 1)
    alarms = [line for line in lines if line["event"] == "Alarm"]
    assert len(alarms) == 1
    assert alarms[0]["device"] == "pillar-1"
    assert {"IncidentOpened", "AlarmRaised"} <= set(alarms[0]["facts"])


def test_the_site_of_these_tests_is_accepted() -> None:
    ledger = Ledger(MemoryStore())
    batch = ledger.decide([STARTED, MAKE_SITE], 1, 1)
    assert isinstance(batch.decisions[1].result, Done)
    assert isinstance(press("pillar-1", 1).message, up.Alarm)
