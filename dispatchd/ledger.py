"""The rule of commit before act, without a clock or a loop: core and store, one batch at a time.

    batch = ledger.decide(inputs, now, wall)     facts folded, effects held back
    ledger.write(batch)                          on disk, or StoreError          (may run in another thread)
    ledger.keep(batch) / ledger.discard()        release the effects / throw the state away and fold it anew

Between `decide` and `keep` or `discard` nobody else may look at the core: its state is not on disk yet. The engine and
the seeded simulation both go through here, so what the simulation proves is what runs.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from dispatchd.core import facts as f
from dispatchd.core.core import Core
from dispatchd.core.inputs import Input
from dispatchd.core.state import STATE_VERSION, State
from dispatchd.core.turn import Decision
from dispatchd.store.base import NewRow, Row, Snapshot, Store, StoreBroken

SNAPSHOT_EVERY: Final = 20_000
"""Facts between two snapshots: what a start has to fold at most besides loading one."""

_state_encoder = msgspec.msgpack.Encoder()
_state_decoder = msgspec.msgpack.Decoder(State)


class Batch(NamedTuple):
    """Decisions of one group commit. `waited`: something in it must be on disk before anybody hears of it."""

    decisions: list[Decision]
    rows: list[NewRow]
    facts: list[tuple[int, f.Fact]]
    waited: bool


BACKLOG_MAX: Final = 100_000
"""Rows that nobody waits for (presence, floors) while the store fails: about 20 MB, days of a busy district."""


class Ledger:
    """Owns the core; `core.state.seq` is the last row known to be on disk or waiting in `backlog`."""

    def __init__(self, store: Store, snapshot_every: int = SNAPSHOT_EVERY) -> None:
        self._store = store
        self._snapshot_every = snapshot_every
        self._snapshot_seq = 0
        self.backlog: list[NewRow] = []
        self.core = self._load()

    # one batch

    def decide(self, inputs: Sequence[Input], now_ms: int, wall_ms: int) -> Batch:
        """Decide all inputs in order; the core has folded them when this returns."""
        decisions = [self.core.decide(one, now_ms) for one in inputs]
        now_ms = self.core.state.now_ms
        facts = [(now_ms, fact) for decision in decisions for fact in decision.facts]
        rows = [row(fact, now_ms, wall_ms) for _, fact in facts]
        return Batch(decisions, rows, facts, any(type(fact).WAITED for _, fact in facts))

    def write(self, batch: Batch) -> int:
        """Commit it with the backlog in front; the last row's number. StoreError: nothing of either is kept."""
        return self._store.commit([*self.backlog, *batch.rows])

    def keep(self, batch: Batch, last_seq: int) -> list[tuple[int, int, f.Fact]]:
        """It is on disk: (row number, core time, fact) of each."""
        self.backlog.clear()
        self.core.state.seq = last_seq
        first = last_seq - len(batch.rows) + 1
        return [(first + n, now, fact) for n, (now, fact) in enumerate(batch.facts)]

    def postpone(self, batch: Batch) -> list[tuple[int, int, f.Fact]]:
        """Journaled but not waited for: written with the next batch, at most what one flush interval brings.

        While the store fails they gather; beyond BACKLOG_MAX the oldest are never written.
        """
        first = self.core.state.seq + 1
        self.backlog.extend(batch.rows)
        del self.backlog[:-BACKLOG_MAX]
        self.core.state.seq += len(batch.rows)
        return [(first + n, now, fact) for n, (now, fact) in enumerate(batch.facts)]

    def discard(self) -> None:
        """A commit failed: forget the batch. What nobody waited for has happened already, and goes on being so:

        its effects have left, so the backlog is folded again and written when the store works. What devices said of
        themselves is kept, too.
        """
        old = self.core.state
        self.core = self._load()
        for one in self.backlog:
            self.core.apply(f.decode(one.kind, one.v, one.body), one.now_ms, self.core.state.seq + 1)
        self.core.refolded()
        self.core.carry_over(old)

    # start and snapshots

    def _load(self) -> Core:
        """Fold the newest usable snapshot and every row after it."""
        snapshot = self._store.latest_snapshot()
        state, after = State(), 0
        if snapshot is not None and snapshot.v == STATE_VERSION:
            state, after = _state_decoder.decode(snapshot.body), snapshot.seq
        core = Core(state)
        for one in self._store.rows(after):
            core.apply(_read(one), one.now_ms, one.seq)
        core.refolded()
        self._snapshot_seq = after
        return core

    def wants_snapshot(self) -> bool:
        return self.core.state.seq - self._snapshot_seq >= self._snapshot_every

    def snapshot(self) -> Snapshot:
        """Of the state as it is now; only between batches and with an empty backlog."""
        assert not self.backlog, "a snapshot would hold rows that are not on disk"
        state = self.core.state
        self._snapshot_seq = state.seq
        return Snapshot(state.seq, state.now_ms, STATE_VERSION, _state_encoder.encode(state))


def _read(one: Row) -> f.Fact:
    """StoreBroken for a fact that this code cannot know: to pass it over would be to forget it."""
    try:
        return f.decode(one.kind, one.v, one.body)
    except (KeyError, msgspec.DecodeError) as error:
        raise StoreBroken(
            f"Row {one.seq} of the journal ({one.kind}, version {one.v}) cannot be read: {error}.",
            "A newer dispatchd wrote it, or it is damaged: start the newest one, or restore the last backup.",
        ) from error


def row(fact: f.Fact, now_ms: int, wall_ms: int) -> NewRow:
    """A fact as the journal keeps it."""
    return NewRow(now_ms, wall_ms, type(fact).__name__, type(fact).V, f.about(fact), f.encode(fact))
