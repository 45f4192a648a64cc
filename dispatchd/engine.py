"""The engine: one writer, one bounded queue, one timer. decide → commit → release → re-arm.

Inputs are taken in batches; a batch is committed in a thread of its own while new inputs gather (group commit). Effects
and answers leave only after that. If the commit fails the state is folded anew, nothing leaves, every waiting input
gets the error, and the next batch waits RETRY_S so that a full disk is not hammered; every PROBE_S a fact of its own
tries the store, so that the fault ends by itself and the journal says how long it was. A broken store ends the daemon:
nobody knows what its disk holds, and systemd starts it again.

Whoever reads the state does so inside `settled()`: between batches, when all of it is on disk.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import structlog
from msgspec import Struct, field

from protocols import up

from .clock import CoreClock, wall_ms
from .core import inputs as i
from .core.commands import Command, Done, Refusal
from .core.effects import Effect
from .core.facts import Fact
from .core.state import State
from .ledger import Batch, Ledger
from .store.base import Store, StoreBroken, StoreError

QUEUE_MAX: Final = 10_000
"""Inputs waiting; above it senders wait (the broker keeps what we do not take) and states are dropped and counted."""
BATCH_MAX: Final = 256
"""Inputs in one group commit."""
FLUSH_S: Final = 1.0
"""Facts nobody waits for (presence) are on disk within this."""
RETRY_S: Final = 0.5
"""Pause after a failed commit."""
PROBE_S: Final = 2.0
"""While the store fails and nobody else needs a commit it is tried this often, so that health says when it is over."""

_T = TypeVar("_T")
log = structlog.get_logger("engine")


class Committed(NamedTuple):
    """What a listener learns: rows (number, core time, fact) and devices whose volatile values changed.

    Neither: the health changed."""

    rows: list[tuple[int, int, Fact]]
    heard: set[str]


class Health(Struct):
    """For /health and /metrics. `*_since_ms` are core times, 0 = not so; `messages` are the link's counts, `voice`
    those of the voice room."""

    now_ms: int = 0
    store_since_ms: int = 0
    store_why: str = ""
    link_up: bool = False
    link_since_ms: int = 0
    queue: int = 0
    inputs: int = 0
    batches: int = 0
    facts: int = 0
    refolds: int = 0
    states_dropped: int = 0
    posts_dropped: int = 0
    commit_ms: float = 0.0
    messages: Counter[str] = field(default_factory=Counter)
    voice: Counter[str] = field(default_factory=Counter)

    @property
    def store_ok(self) -> bool:
        return not self.store_why


class _Waiting(NamedTuple):
    one: i.Input
    answer: "asyncio.Future[Done | Refusal | None]"


class Engine:
    """Start `run` as a task; then `tell` and `ask`."""

    def __init__(
        self,
        store: Store,
        perform: Callable[[list[Effect]], None],
        ledger: Ledger | None = None,
        queue_max: int = QUEUE_MAX,
        batch_max: int = BATCH_MAX,
    ) -> None:
        self._queue_max, self._batch_max = queue_max, batch_max
        self._store = store
        self._perform = perform
        self._ledger = ledger or Ledger(store)
        self.clock = CoreClock(max(store.last_now_ms(), self._ledger.core.state.now_ms))
        self._health = Health()
        self.started = asyncio.Event()
        self._queue: deque[_Waiting] = deque()
        self._states: dict[str, i.DeviceSaid] = {}
        self._wake = asyncio.Event()
        self._space = asyncio.Event()
        self._space.set()
        self._settled = asyncio.Lock()
        self._listeners: list[Callable[[Committed], None]] = []
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._flush_at: float | None = None
        self._probe_at: float | None = None
        self._seen: dict[str, i.OperatorSeen] = {}
        self._media: dict[tuple[str, int], i.MediaHeard] = {}
        self._ending = False

    # --- from outside -------------------------------------------------------------------------------------------

    async def tell(self, one: i.Input) -> Done | Refusal | None:
        """Queue an input and wait until it is committed; raises StoreError if it could not be."""
        while len(self._queue) >= self._queue_max:
            self._space.clear()
            await self._space.wait()
        answer = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(one, answer))
        self._wake.set()
        return await answer  # type: ignore[no-any-return]

    def tell_state(self, device: str, said: up.State) -> None:
        """Volatile: the newest of each device counts, nobody waits for it."""
        if len(self._states) >= self._queue_max and device not in self._states:
            self._health.states_dropped += 1
            return
        self._states[device] = i.DeviceSaid(device, said)
        self._wake.set()

    def post(self, one: i.Input) -> None:
        """Nobody waits for it: what the voice room hears. Dropped and counted when the queue is full; of the sound of
        one burst only the newest word waits, and that it was the last is not forgotten."""
        heard = self._media.get((one.group, one.burst)) if isinstance(one, i.MediaHeard) else None
        if heard is None and len(self._queue) + len(self._media) >= self._queue_max:
            self._health.posts_dropped += 1
            return
        if isinstance(one, i.MediaHeard):
            last = one.last or (heard is not None and heard.last)
            self._media[one.group, one.burst] = i.MediaHeard(one.group, one.burst, last)
        else:
            self._queue.append(_nobody(one))
        self._wake.set()

    async def ask(self, operator: str, command: Command) -> Done | Refusal:
        """An operator's command, answered after its commit; asyncio.QueueFull instead of waiting for a place."""
        if len(self._queue) >= self._queue_max:
            raise asyncio.QueueFull
        answer = await self.tell(i.OperatorAsked(operator, command))
        assert answer is not None
        return answer

    def seen(self, operator: str, connections: int | None = None) -> None:
        """An operator's session lives; `connections` = his open feeds, if that changed. Nobody waits for it."""
        before = self._seen.get(operator)
        if connections is None and before is not None:
            return
        self._seen[operator] = i.OperatorSeen(operator, connections)
        self._wake.set()

    def link_changed(self, up_: bool) -> None:
        """The link to the broker stands, or does not."""
        self._health.link_up, self._health.link_since_ms = up_, self.clock.now_ms()
        self._told(Committed([], set()))

    @asynccontextmanager
    async def settled(self) -> AsyncIterator[State]:
        """The committed state. Hold it without awaiting anything."""
        async with self._settled:
            yield self._ledger.core.state

    @property
    def unsettled(self) -> State:
        """The state as decided, perhaps not on disk yet: for names and units only, never for what people are told."""
        return self._ledger.core.state

    def listen(self, listener: Callable[[Committed], None]) -> Callable[[], None]:
        """Call `listener` after every commit; returns how to stop that."""
        self._listeners.append(listener)
        return partial(self._listeners.remove, listener)

    @property
    def health(self) -> Health:
        """How it is now."""
        self._health.now_ms, self._health.queue = self.clock.now_ms(), self._waiting()
        return self._health

    # --- the loop -----------------------------------------------------------------------------------------------

    async def run(self, started: i.DaemonStarted) -> None:
        """Until cancelled; what was taken is committed first."""
        try:
            while not await self._turn([_nobody(started)]):
                pass
            self.started.set()
            while not self._ending:
                await self._wait()
                await self._turn(self._take())
            raise asyncio.CancelledError
        finally:
            await asyncio.shield(self._close())

    def _waiting(self) -> int:
        return len(self._queue) + len(self._states) + len(self._seen) + len(self._media)

    async def _wait(self) -> None:
        """For an input, the core's deadline, the flush or the probe, whichever is first."""
        if self._waiting():
            return
        self._wake.clear()
        due = [at for at in (self._flush_at, self._probe_at) if at is not None]
        deadline = self._ledger.core.deadline()
        loop = asyncio.get_running_loop()
        if deadline is not None:
            due.append(loop.time() + self.clock.seconds_until(deadline))
        timer = loop.call_at(min(due), self._wake.set) if due else None
        await self._wake.wait()
        if timer is not None:
            timer.cancel()

    def _take(self) -> list[_Waiting]:
        """What is due first, then what was said, bounded."""
        taken = [_nobody(one) for one in self._due()]
        while self._queue and len(taken) < self._batch_max:
            taken.append(self._queue.popleft())
        newest: tuple[dict[Any, Any], ...] = (self._media, self._seen, self._states)
        for gathered in newest:
            while gathered and len(taken) < self._batch_max:
                taken.append(_nobody(gathered.pop(next(iter(gathered)))))
        if len(self._queue) < self._queue_max:
            self._space.set()
        return taken

    def _due(self) -> Iterator[i.Input]:
        """What time itself asks for."""
        deadline = self._ledger.core.deadline()
        if deadline is not None and deadline <= self.clock.now_ms():
            yield i.Tick()
        if self._probe_at is not None and (
            self._queue or self._probe_at <= asyncio.get_running_loop().time()
        ):
            yield i.StoreFailed(self._health.store_since_ms, self._health.store_why)

    async def _turn(self, taken: list[_Waiting]) -> bool:
        """One batch, and a pause if it failed; readers get their turn meanwhile."""
        done = await self._batch(taken)
        if not done:
            await asyncio.sleep(RETRY_S)
        return done

    async def _batch(self, taken: list[_Waiting]) -> bool:
        """Decide and commit; False after a commit that failed."""
        async with self._settled:
            batch = self._ledger.decide([w.one for w in taken], self.clock.now_ms(), wall_ms())
            try:
                rows = await self._commit(batch)
            except StoreError as error:
                await self._failed(taken, error)
                if isinstance(error, StoreBroken):
                    raise
                return False
            self._release(taken, batch, rows)
            await asyncio.sleep(0)  # it leaves by the sockets now, not after the next batch is decided
            await self._snapshot()
        return True

    async def _commit(self, batch: Batch) -> list[tuple[int, int, Fact]]:
        """On disk when it returns, unless nobody has to wait for it."""
        loop = asyncio.get_running_loop()
        flush = self._flush_at is not None and loop.time() >= self._flush_at
        if batch.waited or flush:
            before = loop.time()
            last_seq = await self._on_disk(self._ledger.write, batch)
            self._flush_at = None
            self._stored(loop.time() - before)
            return self._ledger.keep(batch, last_seq)
        if batch.rows and self._flush_at is None:
            self._flush_at = loop.time() + FLUSH_S
        return self._ledger.postpone(batch)

    async def _on_disk(self, work: Callable[..., _T], *args: Any) -> _T:
        """In the store's thread, and to its end: a cancellation meanwhile takes effect after the batch."""
        future = asyncio.get_running_loop().run_in_executor(self._disk, work, *args)
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                self._ending = True
        return future.result()

    def _stored(self, took_s: float) -> None:
        health = self._health
        health.commit_ms = took_s * 1000
        if not health.store_ok:
            log.info("store works again", failed_for_ms=self.clock.now_ms() - health.store_since_ms)
            health.store_since_ms, health.store_why = 0, ""
            self._probe_at = None
            self._told(Committed([], set()))

    def _release(self, taken: list[_Waiting], batch: Batch, rows: list[tuple[int, int, Fact]]) -> None:
        """Committed: effects leave, callers are answered, listeners are told."""
        health = self._health
        health.inputs += len(taken)
        health.batches += 1
        health.facts += len(rows)
        effects = [effect for decision in batch.decisions for effect in decision.effects]
        if effects:
            self._perform(effects)
        bound = log.bind()  # once a batch: binding costs as much as the line
        for waiting, decision in zip(taken, batch.decisions, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(decision.result)
            if decision.facts:
                _canonical(bound, waiting.one, decision.facts, decision.result)
        committed = Committed(rows, _heard(w.one for w in taken))
        if committed.rows or committed.heard:
            self._told(committed)

    def _told(self, committed: Committed) -> None:
        """With neither rows nor devices it is the health that changed."""
        for listener in list(self._listeners):
            listener(committed)

    async def _failed(self, taken: list[_Waiting], error: StoreError) -> None:
        """Nothing of the batch has happened: fold anew, tell who waits."""
        health = self._health
        worked = health.store_ok
        if worked:
            health.store_since_ms = self.clock.now_ms()
            log.error(
                "commit failed: nothing is receipted until the store works",
                error=error.what,
                do=error.next_step,
            )
        health.store_why = str(error)
        health.refolds += 1
        self._flush_at = None
        self._probe_at = asyncio.get_running_loop().time() + PROBE_S
        for waiting in taken:
            if not waiting.answer.done():
                waiting.answer.set_exception(error)
        await self._on_disk(self._ledger.discard)
        if worked:
            self._told(Committed([], set()))

    async def _snapshot(self) -> None:
        if self._ledger.wants_snapshot() and not self._ledger.backlog:
            snapshot = self._ledger.snapshot()
            try:
                await self._on_disk(self._store.save_snapshot, snapshot)
            except StoreError as error:
                log.error(
                    "snapshot failed: the next start takes longer", error=error.what, do=error.next_step
                )

    async def _close(self) -> None:
        if self._ledger.backlog:
            empty = Batch([], [], [], waited=True)
            try:
                await self._on_disk(self._ledger.write, empty)
            except StoreError as error:
                log.error(
                    "presence of the last second is not in the journal", error=error.what, do=error.next_step
                )
        self._disk.shutdown(wait=True)


def _nobody(one: i.Input) -> _Waiting:
    """An input whose outcome nobody awaits."""
    answer = asyncio.get_running_loop().create_future()
    answer.add_done_callback(_seen)
    return _Waiting(one, answer)


def _seen(answer: "asyncio.Future[Any]") -> None:
    """Read the error, so that nobody warns of one that was handled as a failed commit."""
    if not answer.cancelled():
        answer.exception()


def _heard(inputs: Iterable[i.Input]) -> set[str]:
    return {one.device for one in inputs if isinstance(one, i.DeviceSaid | i.PresenceSeen)}


def _canonical(bound: Any, one: i.Input, facts: list[Fact], result: Done | Refusal | None) -> None:
    """The one log line of an input that made something happen."""
    said = getattr(one, "message", None) or getattr(one, "command", None)
    bound.info(
        type(one).__name__ if said is None else type(said).__name__,
        device=getattr(one, "device", None),
        operator=getattr(one, "operator", None),
        incident=next((x for fact in facts if (x := getattr(fact, "incident", ""))), None),
        facts=[type(fact).__name__ for fact in facts[:10]],
        refused=result.code if isinstance(result, Refusal) else None,
    )
