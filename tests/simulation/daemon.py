"""The daemon of the simulation: the real ledger and core, a store that fails, a process that dies.

Only what surrounds the ledger in `dispatchd/engine.py` is modelled, line for line: the queue, the timer, the flush, the
clock after a start, the callers. A crash can come before the commit, after it, and between any two effects; a commit
can fail with nothing written, or break although everything was written.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from dispatchd.clock import CoreClock
from dispatchd.core import facts as f
from dispatchd.core.commands import Done, Refusal
from dispatchd.core.effects import Effect, Send, SendGroup, SetFloor
from dispatchd.core.inputs import (
    DaemonStarted,
    DeviceSaid,
    Input,
    LinkUp,
    LiveRecorded,
    OperatorAsked,
    OperatorSeen,
    PresenceSeen,
    StoreFailed,
    Tick,
)
from dispatchd.core.state import State
from dispatchd.ledger import Batch, Ledger
from dispatchd.store.base import NewRow, StoreBroken, StoreError, StoreFull
from dispatchd.store.memory import MemoryStore
from protocols import up
from protocols.down import Clip

from . import invariants
from .network import Network
from .talk import VoiceRoom
from .watch import Watch
from .world import FIRST_MS, Violation, World

FLUSH_MS: Final = 1_000
SNAPSHOT_ROWS: Final = 400
CHECK_EVERY: Final = 60
REFOLD_EVERY: Final = 300
"""Batches between two full looks at the live state, and between two comparisons of it with the journal."""


class Crash(BaseException):
    """The process dies here."""


class Faults:
    """Chances per batch; all nothing after healing."""

    def __init__(self, world: World) -> None:
        rng = world.rng
        self.full = rng.choice([0.0, 0.01, 0.04])
        self.broken = rng.choice([0.0, 0.01])
        self.crash = rng.choice([0.0, 0.003, 0.01])

    def heal(self) -> None:
        self.full = self.broken = self.crash = 0.0


class FaultyStore(MemoryStore):
    """The memory twin, with the faults of a disk and of a process in front of it. What it keeps, `watch` is told."""

    def __init__(self, world: World, faults: Faults, watch: Watch) -> None:
        super().__init__()
        self.world, self.faults, self.watch = world, faults, watch

    def commit(self, rows: Sequence[NewRow]) -> int:
        world, faults = self.world, self.faults
        if not rows:
            return super().commit(rows)
        chance = world.rng.random()
        if chance < faults.full:
            world.counts["commits refused"] += 1
            raise StoreFull("No space left.", "Free some.")
        if chance < faults.full + faults.crash:
            world.counts["crashes before commit"] += 1
            raise Crash("before commit")
        first = super().commit(rows) - len(rows) + 1
        for number, row in enumerate(rows):
            self.watch.committed(first + number, row.now_ms, f.decode(row.kind, row.v, row.body))
        if chance < faults.full + 2 * faults.crash:
            world.counts["crashes after commit"] += 1
            raise Crash("after commit")
        if chance < faults.full + 2 * faults.crash + faults.broken:
            world.counts["commits of unknown outcome"] += 1
            raise StoreBroken("The disk failed.", "Open it again.")
        return first + len(rows) - 1


class Daemon:
    """Queue, batch, timer. `up` says whether the process lives."""

    def __init__(self, world: World, network: Network, watch: Watch) -> None:
        self.world, self.network, self.watch = world, network, watch
        self.faults = Faults(world)
        self.store = FaultyStore(world, self.faults, watch)
        self.up = False
        self.life = 0
        self.inputs = 0
        self.batches = 0
        self.queue: list[Input] = []
        self.flushing = False
        self.flush_at: int | None = None
        self.wall_skew_ms = 0
        self.armed_ms: int | None = None
        self.failed: StoreFailed | None = None
        self.room = VoiceRoom(world, self.put)
        self.on_start: list[Callable[[], None]] = []
        network.ear = self

    # the world's side

    @property
    def state(self) -> State | None:
        return self.ledger.core.state if self.up else None

    def said(self, device: str, message: up.Up) -> None:
        self.put(DeviceSaid(device, message))

    def seen(self, device: str, presence: up.Presence) -> None:
        self.put(PresenceSeen(device, presence))

    def ask(self, operator: str, command: Any) -> None:
        self.put(OperatorAsked(operator, command))

    def connected(self, operator: str, connections: int) -> None:
        self.put(OperatorSeen(operator, connections))

    def put(self, input_: Input) -> None:
        if not self.up:
            return
        self.queue.append(input_)
        if not self.flushing:
            self.flushing = True
            self.world.at(self.world.rng.choice([0, 1, 10, 40]), self._batch, self.life)

    # life

    def start(self) -> None:
        """Fold the journal, continue the core's time, say that we started."""
        if self.up:
            return
        self.up = True
        self.life += 1
        self.ledger = Ledger(self.store, SNAPSHOT_ROWS)
        last = max(self.store.last_now_ms(), self.ledger.core.state.now_ms)
        self.clock = CoreClock(last, self.wall, lambda: (self.world.now - FIRST_MS) / 1000)
        self.world.counts["starts"] += 1
        self.world.says("daemon starts, life", self.life)
        self.put(DaemonStarted(self.store.next_start(), self.store.generation(), "sim", "hash"))
        self._retained()
        self.room.began()
        self.world.at(2_000, self._said_before, self.life)
        for start in self.on_start:
            self.world.at(self.world.rng.uniform(100, 700), start)

    def _said_before(self, life: int) -> None:
        """Live broadcasts that were over when the daemon died are answered after its start, as voice/live.py."""
        if life == self.life and self.state is not None:
            for broadcast in self.state.broadcasts.values():
                if broadcast.said_ms and broadcast.state == "open":
                    self.put(LiveRecorded(broadcast.broadcast))

    def _retained(self) -> None:
        for device, presence in self.network.retained.items():
            self.put(PresenceSeen(device, presence))

    def die(self) -> None:
        self.up = self.flushing = False
        self.queue.clear()
        self.armed_ms = self.flush_at = self.failed = None
        self.life += 1
        self.world.says("daemon dies")
        self.world.at(self.world.rng.choice([200, 2_000, 30_000]) if self.world.chaos else 200, self.start)

    def link(self, up_: bool) -> None:
        """The connection to the broker."""
        self.network.up_link = up_
        if up_ and self.up:
            self.put(LinkUp())
            self._retained()

    def wall(self) -> int:
        return self.world.now + self.wall_skew_ms

    def now(self) -> int:
        return self.clock.now_ms()

    # one batch

    def _batch(self, life: int) -> None:
        if life != self.life or not self.up:
            return
        self.flushing = False
        taken, self.queue = self.queue, []
        self.inputs += len(taken)
        self.batches += 1
        self.watch.begin(self.batches, taken)
        try:
            self._run(taken)
        except (Crash, StoreBroken) as end:
            self.world.says("process ends:", end)
            self.die()
        except StoreError as error:
            self.world.says("commit failed", error.what)
            self.flush_at = None
            self.failed = self.failed or StoreFailed(self.now(), error.what)
            self.ledger.discard()
            self._same_as_journal()
            if taken and isinstance(taken[0], DaemonStarted):
                self.put(taken[0])  # a life begins with it, so it is tried until it is on disk
            self._rearm()

    def _run(self, taken: list[Input]) -> None:
        now = self.now()
        if self.failed is not None:
            taken = [
                self.failed,
                *taken,
            ]  # asks the disk whether it works again, and says how long it did not
        batch = self.ledger.decide(taken, now, self.wall())
        self._commit(batch)
        self.failed = None
        for decision in batch.decisions:
            for effect in decision.effects:
                self._crash_between_effects()
                self._perform(effect, now)
        for input_, decision in zip(taken, batch.decisions, strict=True):
            if isinstance(input_, OperatorAsked) and decision.result is not None:
                self._answer(input_, decision.result)
        self.watch.batch_done()
        for broadcast in self.watch.said_live:
            clip = Clip("c-1", 2_000, 1, bytes(32)) if self.world.likely(0.8) else None
            self.world.at(self.world.rng.choice([500, 5_000]), self.put, LiveRecorded(broadcast, clip))
        self.watch.said_live.clear()
        self._check(taken, now)
        self._rearm()

    def _commit(self, batch: Batch) -> None:
        """As the engine does it: waited for, or with the next flush."""
        if batch.waited or (self.flush_at is not None and self.world.now >= self.flush_at):
            last_seq = self.ledger.write(batch)
            self.flush_at = None
            self.ledger.keep(batch, last_seq)
        else:
            if batch.rows and self.flush_at is None:
                self.flush_at = self.world.now + FLUSH_MS
                self.world.at(FLUSH_MS, self._flush, self.life)
            self.ledger.postpone(batch)
        if self.ledger.wants_snapshot() and not self.ledger.backlog:
            self.store.save_snapshot(self.ledger.snapshot())

    def _flush(self, life: int) -> None:
        if life == self.life and self.up and self.flush_at is not None:
            self._batch(life)

    def _crash_between_effects(self) -> None:
        if self.faults.crash and self.world.rng.random() < self.faults.crash / 4:
            self.world.counts["crashes between effects"] += 1
            raise Crash("between effects")

    def _perform(self, effect: Effect, now: int) -> None:
        self.watch.performed(effect, now)
        if isinstance(effect, Send):
            self.network.tell(effect.device, effect.message, effect.ttl_ms, now)
        elif isinstance(effect, SendGroup):
            self.network.tell_group(effect.group, effect.message, effect.ttl_ms, now)
        elif isinstance(effect, SetFloor):
            self.room.set_floor(effect)

    def _answer(self, asked: OperatorAsked, result: Done | Refusal) -> None:
        self.world.counts["commands refused" if isinstance(result, Refusal) else "commands done"] += 1
        self.watch.answered(asked.operator, asked.command, result)

    def _rearm(self) -> None:
        due = self.ledger.core.deadline()
        if due is None or (self.armed_ms is not None and self.armed_ms <= due):
            return
        self.armed_ms = due
        self.world.at(max(0, due - self.now()), self._tick, self.life)

    def _tick(self, life: int) -> None:
        if life == self.life and self.up:
            self.armed_ms = None
            self.put(Tick())

    # checks

    def _check(self, taken: list[Input], now: int) -> None:
        core = self.ledger.core
        due = core.deadline()
        if due is not None and due <= now and taken and isinstance(taken[-1], Tick):
            raise Violation("deadline-past", f"due at {due} after a tick at {now}")
        invariants.open_incidents(self.watch, core.state, now, due)
        invariants.room_knows(core, self.room.floors)
        if self.batches % REFOLD_EVERY == 0:
            self._same_as_journal()
        if self.batches % CHECK_EVERY == 0:
            invariants.everything(self.watch, core, now)

    def _same_as_journal(self) -> None:
        """What is in memory is what the journal makes, but for what is volatile or still in the backlog."""
        if not self.ledger.backlog:
            folded = Ledger(self.store).core.state
            invariants.same(self.ledger.core.state, folded, "state-is-not-the-journal")


def refolded_from_start(store: MemoryStore) -> State:
    """The state that a start would fold if there were no snapshot."""
    copy = MemoryStore()
    copy.commit([NewRow(*row[1:]) for row in store.rows()])
    return Ledger(copy).core.state
