"""What is kept beside the journal: bounded, and never in an alarm's way."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dispatchd import keeping
from dispatchd.clock import wall_ms
from dispatchd.keeping import KEEP_PER_S, Keeper
from dispatchd.store import MemoryStore, SqliteStore
from dispatchd.store.base import TrailPoint
from protocols.errors import ProtocolError
from tests.engine.site import Running, hello, running, state, until

ERROR = ProtocolError("malformed", "no alarm")


@pytest.fixture
async def at(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Running, Keeper, MemoryStore]]:
    """A keeper whose second is short."""
    monkeypatch.setattr(keeping, "TRAIL_EVERY_S", 1)
    store = MemoryStore()
    async with running(store) as daemon:
        keeper = Keeper(store, daemon.engine)
        task = asyncio.create_task(keeper.run(), name="keeping")
        yield daemon, keeper, store
        task.cancel()
        await asyncio.wait([task])


async def test_what_cannot_be_read_is_kept_with_its_reason_and_a_bound(
    at: tuple[Running, Keeper, MemoryStore],
) -> None:
    _, keeper, store = at
    for n in range(1000):
        keeper.malformed(f"topic/{n}", b"\xc1", ERROR)
    await until(lambda: len(store.malformed()) == KEEP_PER_S)
    newest = store.malformed()[0]
    assert (newest.topic, newest.payload, newest.why) == ("topic/999", b"\xc1", "malformed: no alarm")
    keeper.malformed("topic/later", b"", ERROR)
    await until(lambda: len(store.malformed()) == KEEP_PER_S + 1)


async def test_a_trail_has_one_point_of_a_position_however_often_it_is_looked_at(
    at: tuple[Running, Keeper, MemoryStore],
) -> None:
    daemon, _, store = at
    await daemon.engine.tell(hello("radio-1"))
    daemon.engine.tell_state("radio-1", state(lat=26.91))
    await until(lambda: len(trail(store)) == 1)
    daemon.engine.tell_state("radio-1", state(lat=26.92))
    await until(lambda: len(trail(store)) == 2)
    await asyncio.sleep(1.5)  # another look or two
    points = trail(store)
    assert [point.lat for point in points] == [26.91, 26.92]
    assert abs(points[-1].at_ms - wall_ms()) < 60_000, "trails are kept by the wall"


def trail(store: MemoryStore) -> list[TrailPoint]:
    return store.trail("radio-1", 0, 2**53)


async def test_a_full_disk_costs_points_and_not_the_keeper(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "site.db")
    try:
        async with running(store) as daemon:
            keeper = Keeper(store, daemon.engine)
            used = store._db.execute("PRAGMA page_count").fetchone()[0]
            store._db.execute(f"PRAGMA max_page_count = {used}")
            task = asyncio.create_task(keeper.run(), name="keeping")
            for n in range(2):
                keeper.malformed("x", bytes(4000), ProtocolError("malformed", f"{n}" * 200))
            await until(lambda: not keeper._malformed or task.done(), 20)
            store._db.execute("PRAGMA max_page_count = 1000000")
            keeper.malformed("after", b"\xc1", ERROR)
            await until(lambda: any(m.topic == "after" for m in store.malformed()))
            assert not task.done()
            task.cancel()
            await asyncio.wait([task])
    finally:
        store.close()
