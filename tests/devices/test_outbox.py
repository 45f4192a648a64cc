"""The outboxes under one contract; the durable one under torn tails, rot, failing disks, crashes at every byte."""

import os
import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import outbox_file
from devices.outbox import (
    SEQ_BLOCK,
    Entry,
    Forgotten,
    MemoryOutbox,
    Note,
    Outbox,
    OutboxError,
    Receipted,
    Record,
    Reserved,
)
from devices.outbox_file import FileOutbox, framed, scan
from protocols.types import Key

Again = Callable[[], Outbox]


def record(seq: int, kind: str = "alarm", body: bytes = b"body") -> Record:
    return Record(Key("boot", seq), kind, body, made_at=5, born_ms=6, clock="c")


@pytest.fixture(params=["memory", "file"])
def again(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Again]:
    """Opens the outbox; the next call is after a crash."""
    if request.param == "memory":
        memory = MemoryOutbox("boot-0")
        boots = iter(range(1, 1000))

        def reopen() -> Outbox:
            memory.reboot(f"boot-{next(boots)}", clock="c")
            return memory

        yield reopen
        return
    opened: list[FileOutbox] = []

    def reopen_file() -> Outbox:
        for box in opened:
            box.close()
        opened.append(FileOutbox(tmp_path / "state" / "outbox", clock="c"))
        return opened[-1]

    yield reopen_file
    opened[-1].close()


# ------------------------------------------------------------------------------------------------ contract


def test_what_was_appended_lives_on_in_its_order(again: Again) -> None:
    box = again()
    box.append([record(3), record(1)])
    box.append([Note("gen", b"7"), record(2, "rung")])
    box = again()
    assert box.records == [record(3), record(1), record(2, "rung")]
    assert box.boot.notes == {"gen": b"7"}


def test_receipted_stays_and_forgotten_goes(again: Again) -> None:
    box = again()
    box.append([record(1), record(2), record(3)])
    box.append([Receipted(Key("boot", 1), 99), Forgotten(Key("boot", 2))], sync=False)
    box.append([Forgotten(Key("boot", 77)), Receipted(Key("boot", 78), 1)])
    box = again()
    assert [(r.key.seq, r.receipted_at) for r in box.records] == [(1, 99), (3, None)]


def test_every_boot_has_its_own_name_and_fresh_numbers(again: Again) -> None:
    boots = [again().boot for _ in range(5)]
    assert len({boot.id for boot in boots}) == 5
    for earlier, later in pairwise(boots):
        assert later.seq >= earlier.reserved
        assert later.reserved == later.seq + SEQ_BLOCK
    assert {boot.clock for boot in boots} == {"c"}


def test_a_reserved_block_counts_from_then_on(again: Again) -> None:
    box = again()
    box.append([Reserved(50_000)])
    assert again().boot.seq == 50_000


def test_connection_numbers_are_never_given_twice(again: Again) -> None:
    numbers = []
    for _ in range(3):
        box = again()
        numbers += [box.next_conn(), box.next_conn()]
        assert box.conn == numbers[-1]
    assert numbers == sorted(set(numbers))


# ----------------------------------------------------------------------------------------------- durability


@given(cut=st.integers(0, 10_000), tail=st.binary(max_size=40), seed=st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_a_torn_tail_costs_only_what_it_tore(cut: int, tail: bytes, seed: int) -> None:
    rng = random.Random(seed)
    entries: list[Entry] = [record(n, body=rng.randbytes(rng.randrange(80))) for n in range(20)]
    frames = [framed(entry) for entry in entries]
    data = b"".join(frames)
    cut %= len(data) + 1
    whole, at = 0, 0
    while whole < len(frames) and at + len(frames[whole]) <= cut:
        at += len(frames[whole])
        whole += 1
    found, damaged = scan(data[:cut] + tail)
    assert found[:whole] == entries[:whole]
    assert damaged <= cut - at + len(tail)


@given(at=st.integers(0, 100_000), rot=st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_a_rotten_byte_costs_one_entry(at: int, rot: int) -> None:
    entries: list[Entry] = [record(n, body=bytes([n]) * 30) for n in range(10)]
    data = bytearray(b"".join(map(framed, entries)))
    data[at % len(data)] ^= rot
    found, damaged = scan(bytes(data))
    assert len(found) == 9
    assert damaged > 0
    assert all(entry in entries for entry in found)


@given(st.binary(max_size=500))
def test_any_bytes_are_scanned(data: bytes) -> None:
    scan(data)
    scan(framed(record(1)) + data)
    assert scan(framed(record(1)) + data)[0][0] == record(1)


def test_a_crash_at_every_byte_of_a_life_loses_nothing_that_was_appended(tmp_path: Path) -> None:
    """The file cut at every length: each append that was whole is there, and the next life works."""
    path = tmp_path / "outbox"
    box = FileOutbox(path)
    ends = {}
    for number in range(6):
        box.append([record(number, body=b"x" * number)])
        ends[path.stat().st_size] = number
    box.close()
    data = path.read_bytes()
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        again = FileOutbox(path)
        due = max((number for end, number in ends.items() if end <= cut), default=-1)
        assert [r.key.seq for r in again.records] == list(range(due + 1))
        again.append([record(99)])
        again.close()
        third = FileOutbox(path)
        assert third.damaged_bytes == 0
        assert [r.key.seq for r in third.records] == [*range(due + 1), 99]
        assert third.boot.seq >= again.boot.reserved
        third.close()


def test_it_is_synced_at_creation_with_its_folder_and_at_every_durable_append(tmp_path: Path) -> None:
    synced: list[str] = []

    def sync(fd: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
        os.fsync(fd)

    path = tmp_path / "new" / "outbox"
    box = FileOutbox(path, sync=sync)
    assert str(path.parent) in synced
    synced.clear()
    box.append([record(1), record(2)])
    assert synced == [str(path)]
    box.append([Forgotten(Key("boot", 1))], sync=False)
    assert synced == [str(path)]
    box.close()


def test_a_failing_disk_is_told_and_made_good_by_the_next_append(tmp_path: Path) -> None:
    failing = False

    def sync(fd: int) -> None:
        if failing:
            raise OSError(28, "No space left on device")
        os.fsync(fd)

    box = FileOutbox(tmp_path / "outbox", sync=sync)
    box.append([record(1)])
    failing = True
    with pytest.raises(OutboxError, match="No space left"):
        box.append([record(2)])
    with pytest.raises(OutboxError):
        box.next_conn()
    assert [r.key.seq for r in box.records] == [1, 2], "sent from memory"
    failing = False
    box.append([record(3)])
    box.close()
    again = FileOutbox(tmp_path / "outbox")
    assert [r.key.seq for r in again.records] == [1, 2, 3]
    assert again.conn == 1
    again.close()


def test_it_stays_small_and_a_crash_within_the_rewrite_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_file, "COMPACT_BYTES", 4_000)
    path = tmp_path / "outbox"
    box = FileOutbox(path)
    box.append([record(0)])
    for number in range(1, 2_000):
        box.append([record(number, "rung")])
        box.append([Forgotten(Key("boot", number))], sync=False)
        assert path.stat().st_size < 8_000
    box.close()
    path.with_suffix(".new").write_bytes(b"half a rewri")
    again = FileOutbox(path)
    assert [r.key.seq for r in again.records] == [0]
    again.close()


def test_one_process_has_it_at_a_time(tmp_path: Path) -> None:
    box = FileOutbox(tmp_path / "outbox")
    with pytest.raises(OutboxError, match="in use by another process"):
        FileOutbox(tmp_path / "outbox")
    box.close()
    FileOutbox(tmp_path / "outbox").close()


def test_a_place_that_cannot_be_used_is_told_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutboxError, match="Check the folder's owner"):
        FileOutbox(tmp_path / "file" / "outbox")
