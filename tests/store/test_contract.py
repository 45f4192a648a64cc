"""What both stores promise, tested through the interface only; random batches are judged by a plain list."""

from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dispatchd.store import MemoryStore, Store, open_store
from dispatchd.store.base import (
    FIRST_GENERATION,
    MALFORMED_KEPT,
    MALFORMED_PAYLOAD_BYTES,
    MALFORMED_TEXT_CHARS,
    Malformed,
    NewRow,
    Recording,
    Row,
    Snapshot,
    Sought,
    StoreBroken,
    TrailPoint,
)
from tests.store.conftest import Opener, new_row

fresh = settings(
    max_examples=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
ids = st.sampled_from(["", "i-1", "it's 中文"])
kinds = st.sampled_from(["alarm_raised", "rung"])
int64 = st.integers(-(2**63), 2**63 - 1)
small = st.integers(0, 2**40)
new_rows = st.builds(
    NewRow, small, int64, kinds | st.text(max_size=8), st.integers(1, 99), ids, st.binary(max_size=64)
)
batches = st.lists(st.lists(new_rows, max_size=12), min_size=1, max_size=8)


def numbered(given_batches: list[list[NewRow]]) -> list[Row]:
    flat = [row for batch in given_batches for row in batch]
    return [Row(seq, *row) for seq, row in enumerate(flat, 1)]


def test_an_empty_store_says_so(store: Store) -> None:
    assert (store.last_seq(), store.last_now_ms(), list(store.rows())) == (0, 0, [])
    assert (store.latest_snapshot(), store.generation()) == (None, FIRST_GENERATION)
    assert (store.rows_about("i-1"), store.rows_of_kind("rung"), store.malformed()) == ([], [], [])
    assert (store.trail("t-1", 0, 2**60), store.drop_trail(2**60), store.commit([])) == ([], 0, 0)


@fresh
@given(batches=batches, after=st.integers(-3, 110), limit=st.integers(0, 110))
def test_rows_come_back_as_committed(
    opener: Opener, batches: list[list[NewRow]], after: int, limit: int
) -> None:
    store, kept = opener(), numbered(batches)
    done = 0
    for batch in batches:
        done += len(batch)
        assert store.commit(batch) == done == store.last_seq()
    assert list(store.rows()) == kept
    assert list(store.rows(after)) == [r for r in kept if r.seq > after]
    assert list(store.rows(after, limit)) == [r for r in kept if r.seq > after][:limit]
    assert store.last_now_ms() == max((r.now_ms for r in kept), default=0)
    assert all(type(r) is Row for r in store.rows())


@fresh
@given(batches=batches, about=ids, kind=kinds, after=st.integers(0, 100), limit=st.integers(0, 40))
def test_rows_are_found_by_what_they_are_about_and_by_kind(
    opener: Opener, batches: list[list[NewRow]], about: str, kind: str, after: int, limit: int
) -> None:
    store, kept = opener(), numbered(batches)
    for batch in batches:
        store.commit(batch)
    of_it = [r for r in kept if r.about == about and about != "" and r.seq > after]
    of_kind = [r for r in reversed(kept) if r.kind == kind]
    assert store.rows_about(about, after, limit) == of_it[:limit]
    assert store.rows_about(about, after) == of_it
    assert store.rows_of_kind(kind, newest=limit) == of_kind[:limit]
    assert store.rows_of_kind(kind) == of_kind


def test_rows_about_come_oldest_first_and_rows_of_a_kind_newest_first(store: Store) -> None:
    for n in range(6):
        store.commit([new_row(n, about="i-1", kind="rung"), new_row(n, about=""), new_row(n, about="i-2")])
    assert [r.seq for r in store.rows_about("i-1", 1, 3)] == [4, 7, 10]
    assert [r.seq for r in store.rows_of_kind("rung", newest=3)] == [16, 13, 10]
    assert store.rows_about("") == []


def test_rows_end_where_the_journal_ended_at_the_call(store: Store) -> None:
    store.commit([new_row(n) for n in range(1, 4)])
    walk = store.rows()
    store.commit([new_row(4)])
    assert [r.seq for r in walk] == [1, 2, 3]


def test_rows_cross_pages(store: Store) -> None:
    store.commit([new_row(n) for n in range(1, 4_502)])
    assert [r.seq for r in store.rows(1, 4_321)] == list(range(2, 4_323))
    assert [r.seq for r in store.rows(4_499)] == [4_500, 4_501]


def test_now_goes_on_from_the_highest_of_rows_and_snapshots(store: Store) -> None:
    store.commit([new_row(50), new_row(7)])
    assert store.last_now_ms() == 1_050
    store.commit([new_row(20)])
    assert store.last_now_ms() == 1_050
    store.save_snapshot(Snapshot(3, 9_000, 1, b"state"))
    assert store.last_now_ms() == 9_000


def test_the_newest_two_snapshots_are_kept(store: Store) -> None:
    store.commit([new_row(n) for n in range(9)])
    for seq, now_ms in ((2, 90_000), (8, 300), (5, 400)):
        store.save_snapshot(Snapshot(seq, now_ms, 3, b"%d" % seq))
    assert store.latest_snapshot() == Snapshot(8, 300, 3, b"8")
    assert store.last_now_ms() == 1_008, "the snapshot of row 2 is gone and its time with it"
    store.save_snapshot(Snapshot(8, 301, 4, b"again"))
    assert store.latest_snapshot() == Snapshot(8, 301, 4, b"again")
    assert store.last_now_ms() == 1_008


def test_a_snapshot_of_rows_that_do_not_exist_is_refused(store: Store) -> None:
    store.commit([new_row(1)])
    for seq in (2, -1):
        with pytest.raises(ValueError, match="ends at row 1"):
            store.save_snapshot(Snapshot(seq, 1, 1, b""))
    assert store.latest_snapshot() is None
    store.save_snapshot(Snapshot(1, 1, 1, b"fine"))


def test_starts_are_counted_and_the_generation_only_grows(store: Store) -> None:
    assert [store.next_start() for _ in range(3)] == [1, 2, 3]
    store.set_generation(7)
    for gen in (7, 6, 0, -1):
        with pytest.raises(ValueError, match="only grows"):
            store.set_generation(gen)
    assert store.generation() == 7
    assert store.next_start() == 4


points = st.builds(
    TrailPoint, st.sampled_from(["t-1", "t-2"]), st.integers(0, 30), st.floats(-90, 90), st.floats(-180, 180),
    st.none() | st.floats(0, 500),
)  # fmt: skip


@fresh
@given(
    points=st.lists(points, max_size=60),
    start=st.integers(0, 31),
    end=st.integers(0, 31),
    cut=st.integers(0, 31),
)
def test_trails_in_order_by_time_and_dropped_by_age(
    opener: Opener, points: list[TrailPoint], start: int, end: int, cut: int
) -> None:
    store = opener()
    store.add_trail(points[:30])
    store.add_trail(points[30:])
    kept = {(p.device, p.at_ms): p for p in points}
    mine = [kept[key] for key in sorted(kept) if key[0] == "t-1" and start <= key[1] < end]
    assert store.trail("t-1", start, end) == mine
    assert store.trail("t-1", start, end, 3) == mine[:3]
    assert store.drop_trail(cut) == sum(at < cut for _, at in kept)
    assert store.trail("t-1", start, end) == [p for p in mine if p.at_ms >= cut]


def test_many_trail_points_are_dropped(store: Store) -> None:
    store.add_trail([TrailPoint(f"t-{n % 7}", n, 26.9, 112.6, None) for n in range(12_000)])
    assert store.drop_trail(11_993) == 11_993
    assert [p.at_ms for d in range(7) for p in store.trail(f"t-{d}", 0, 2**60)] == list(
        range(11_998, 12_000)
    ) + list(range(11_993, 11_998))


def test_a_trail_point_that_is_no_number_is_refused_with_its_batch(store: Store) -> None:
    good = TrailPoint("t-1", 1, 26.9, 112.6, 5.0)
    for bad in (
        good._replace(lat=float("nan")),
        good._replace(lon=float("inf")),
        good._replace(accuracy_m=float("nan")),
    ):
        with pytest.raises(ValueError, match="not finite"):
            store.add_trail([good, bad])
    assert store.trail("t-1", 0, 10) == []


def test_malformed_messages_are_a_ring_and_cut(store: Store) -> None:
    for n in range(MALFORMED_KEPT + 5):
        store.keep_malformed(Malformed(n, "d/x/up/alarm", b"\xc1%d" % n, "no map"))
    assert [m.at_ms for m in store.malformed(MALFORMED_KEPT * 2)] == list(range(MALFORMED_KEPT + 4, 4, -1))
    assert [m.payload for m in store.malformed(2)] == [b"\xc11004", b"\xc11003"]
    store.keep_malformed(Malformed(1, "t\ud800" + "x" * 70_000, b"p" * 300_000, "w" * 9_000))
    (kept,) = store.malformed(1)
    assert kept.topic.startswith("t\\ud800x")
    assert (len(kept.topic), len(kept.why)) == (MALFORMED_TEXT_CHARS, MALFORMED_TEXT_CHARS)
    assert kept.payload == b"p" * MALFORMED_PAYLOAD_BYTES
    assert len(store.malformed()) == 100


some = st.sampled_from(["", "a", "b"])
recordings = st.builds(
    Recording, st.sampled_from([f"r1-{n}" for n in range(30)]), some, some, st.just("王"), some, some, st.just(7),
    st.integers(0, 9), st.just(900), st.just(45), st.just(1), st.integers(0, 99), st.just("2026-11-22/x.opus"),
    st.just("0" * 64), st.booleans(), st.just("") | st.text(max_size=9), st.just(0) | st.integers(1, 9), st.just(""),
)  # fmt: skip
sought = st.builds(
    Sought, some, some, some, some, st.integers(0, 9), st.integers(0, 10),
    st.none() | st.frozensets(some, max_size=2), st.frozensets(some, max_size=2),
)  # fmt: skip


@fresh
@given(rows=st.lists(recordings, max_size=40), asked=sought, limit=st.integers(0, 20))
def test_recordings_are_found_newest_first(
    opener: Opener, rows: list[Recording], asked: Sought, limit: int
) -> None:
    store = opener()
    for row in rows:
        store.add_recording(row)
    kept = {row.recording: row for row in rows}
    found = [
        row
        for row in kept.values()
        if asked.group in ("", row.group) and asked.talker in ("", row.talker)
        and asked.incident in ("", row.incident) and asked.unit in ("", row.unit)
        and asked.from_ms <= row.wall_ms < asked.to_ms
        and (asked.units is None or row.unit in asked.units or (row.incident and row.incident in asked.incidents))
    ]  # fmt: skip
    found.sort(key=lambda row: (row.wall_ms, row.recording), reverse=True)
    assert store.recordings(asked, limit) == found[:limit]
    assert store.recordings(asked) == found
    assert [store.recording(id_) for id_ in kept] == list(kept.values())
    assert all(type(row.drill) is bool for row in store.recordings(Sought()))


@fresh
@given(
    rows=st.lists(recordings, max_size=40),
    attached=st.booleans(),
    cut=st.integers(0, 10),
    page=st.integers(1, 5),
)
def test_recordings_due_come_oldest_first_in_pages(
    opener: Opener, rows: list[Recording], attached: bool, cut: int, page: int
) -> None:
    store = opener()
    for row in rows:
        store.add_recording(row)
    there = [row for row in {row.recording: row for row in rows}.values() if not row.removed_ms]
    due = [row for row in there if bool(row.incident) == attached and row.wall_ms < cut]
    due.sort(key=lambda row: (row.wall_ms, row.recording))
    found: list[Recording] = []
    after = (0, "")
    while more := store.recordings_due(attached=attached, before_ms=cut, after=after, limit=page):
        found += more
        after = (more[-1].wall_ms, more[-1].recording)
    assert found == due
    assert store.recordings_bytes() == sum(row.bytes for row in there)


def test_a_removed_recording_keeps_its_row_with_why_and_when(store: Store) -> None:
    row = Recording(
        "r1-1", "g", "t-1", "", "i1-4", "north", 1, 5, 9, 1, 0, 80, "d/r1-1.opus", "", True, "why"
    )
    store.add_recording(row)
    assert store.remove_recording("r1-1", 1_000, "older than 90 days")
    assert not store.remove_recording("r1-1", 2_000, "again")
    assert not store.remove_recording("r1-2", 2_000, "unknown")
    assert store.recording("r1-1") == row._replace(removed_ms=1_000, removed_why="older than 90 days")
    assert store.recording("r1-2") is None
    assert store.recordings_bytes() == 0


ANY_POINT = TrailPoint("t-1", 1, 0.0, 0.0, None)
ANY_RECORDING = Recording("r1-1", "g", "t-1", "", "", "", 1, 1, 1, 1, 0, 1, "p", "")
CALLS: dict[str, Callable[[Store], object]] = {
    "commit": lambda s: s.commit([new_row(1)]),
    "commit nothing": lambda s: s.commit([]),
    "last_seq": lambda s: s.last_seq(),
    "last_now_ms": lambda s: s.last_now_ms(),
    "rows": lambda s: list(s.rows()),
    "rows_about": lambda s: s.rows_about("i-1"),
    "rows_of_kind": lambda s: s.rows_of_kind("rung"),
    "save_snapshot": lambda s: s.save_snapshot(Snapshot(0, 0, 1, b"")),
    "latest_snapshot": lambda s: s.latest_snapshot(),
    "next_start": lambda s: s.next_start(),
    "generation": lambda s: s.generation(),
    "set_generation": lambda s: s.set_generation(99),
    "add_trail": lambda s: s.add_trail([ANY_POINT]),
    "trail": lambda s: s.trail("t-1", 0, 1),
    "drop_trail": lambda s: s.drop_trail(1),
    "keep_malformed": lambda s: s.keep_malformed(Malformed(1, "", b"", "")),
    "malformed": lambda s: s.malformed(),
    "add_recording": lambda s: s.add_recording(ANY_RECORDING),
    "recording": lambda s: s.recording("r1-1"),
    "recordings": lambda s: s.recordings(Sought()),
    "recordings_due": lambda s: s.recordings_due(attached=False, before_ms=1),
    "recordings_bytes": lambda s: s.recordings_bytes(),
    "remove_recording": lambda s: s.remove_recording("r1-1", 1, ""),
}


def test_a_closed_store_says_so(store: Store) -> None:
    store.commit([new_row(1), new_row(2)])
    walk = store.rows()
    store.close()
    store.close()
    for call in CALLS.values():
        with pytest.raises(StoreBroken, match="closed") as raised:
            call(store)
        assert raised.value.next_step
    with pytest.raises(StoreBroken, match="closed"):
        next(walk)


def test_every_method_is_tried_on_a_closed_store() -> None:
    public = {name for name in dir(Store) if not name.startswith("_")}
    assert public - {"close"} == {name.split()[0] for name in CALLS}


def test_threads_commit_and_read_side_by_side(store: Store) -> None:
    """Four threads commit batches of 5; two walk meanwhile and see whole batches in order, nothing torn."""
    start, wrong = Barrier(6), list[str]()

    def write(writer: int) -> None:
        start.wait()
        for n in range(20):
            store.commit([new_row(n, about=f"w-{writer}", kind=str(n)) for _ in range(5)])

    def read() -> None:
        start.wait()
        while len(rows := list(store.rows())) < 400:
            if len(rows) % 5 or [r.seq for r in rows] != list(range(1, len(rows) + 1)):
                wrong.append(f"{len(rows)} rows")

    threads = [Thread(target=write, args=(w,), daemon=True) for w in range(4)]
    threads += [Thread(target=read, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert wrong == []
    for writer in range(4):
        assert [r.kind for r in store.rows_about(f"w-{writer}")] == [
            str(n) for n in range(20) for _ in range(5)
        ]


@pytest.mark.parametrize("url", ["", "sqlite:", "sqlite", "postgres://x", "memory", "/var/lib/x.db"])
def test_an_unknown_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"memory: or sqlite:PATH"):
        open_store(url)


def test_the_address_chooses_the_store(tmp_path: Path) -> None:
    assert isinstance(open_store("memory:"), MemoryStore)
    store = open_store(f"sqlite:{tmp_path / 'site.db'}")
    store.close()
    assert (tmp_path / "site.db").exists()
