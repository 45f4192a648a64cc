"""The durable messages of one device: stamped, persisted, sent, repeated until receipted. Pure; used by the agent.

- Alarms go first and at once, whatever else waits; the rest shares a window of MAX_IN_FLIGHT.
- A message is repeated RETRY_FIRST_S after its first sending, then at doubling distances up to RETRY_MAX_S, as
  long as there is a connection. A new connection sends everything again, alarms first.
- The age of a message is worked out anew at every sending.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from devices.events import Action, Forget, Persist, Publish
from devices.outbox import SEQ_BLOCK, Boot, Note, Receipted, Record, Reserved
from protocols import codec, up
from protocols.errors import ProtocolError
from protocols.types import Key

MAX_IN_FLIGHT: Final = 20
"""Unreceipted messages at a time, alarms not counted; the others wait for a receipt (mosquitto's window)."""
MAX_PENDING: Final = 2000
"""Unreceipted messages kept, alarms not counted: beyond it the oldest rungs go, then `applied`, then the rest.
Alarms are never dropped; their number is bounded by fingers (a press each DEBOUNCE_MS at most) and the disk."""
MAX_KEPT: Final = 10_000
"""Receipted alarms kept; beyond it the oldest is forgotten before its KEEP_RECEIPTED_DAYS are over."""
KEEP_MS: Final = up.KEEP_RECEIPTED_DAYS * 86_400_000
SINCE_SLACK_MS: Final = 300_000
"""Alarms this much older than asked for are sent too: the site's and our idea of their time differ a little."""

_CLASS: Final = {"alarm": 0, "applied": 2, "rung": 3}
"""Order of sending; everything else (answers, duty, reply, cancel) is 1."""
_DROP_ORDER: Final = (3, 2, 1)


class Pending:
    """One unreceipted message."""

    __slots__ = ("again", "born_ms", "due_ms", "message", "record", "tries", "wait_ms")

    def __init__(self, record: Record, message: Any, born_ms: int | None, *, again: bool = False) -> None:
        self.record = record
        self.message = message
        self.born_ms = born_ms
        self.again = again
        self.due_ms: int | None = None
        self.wait_ms = up.RETRY_FIRST_S * 1000
        self.tries = 0


class Sender:
    """`emit` takes the actions; `log(ev, **fields)` the lines of the device's log."""

    def __init__(
        self,
        records: Iterable[Record],
        boot: Boot,
        emit: Callable[[Action], None],
        log: Callable[..., None],
    ) -> None:
        self._boot = boot
        self._seq = boot.seq
        self._reserved = boot.reserved
        self._emit = emit
        self._log = log
        self._connected = False
        self.pending: dict[Key, Pending] = {}
        self.kept: dict[Key, Record] = {}
        self._waiting: list[deque[Key]] = [deque() for _ in range(4)]
        self._dues: list[tuple[int, int, Key]] = []
        self._due_count = 0
        self._in_flight = 0
        for record in records:
            self._restore(record)

    def _restore(self, record: Record) -> None:
        if record.receipted_at is not None:
            self.kept[record.key] = record
            return
        try:
            message = codec.decode_up(record.kind, record.body)
        except ProtocolError as error:
            self._log("outbox-unreadable", key=record.key, why=error.why)
            self._emit(Forget(record.key))
            return
        self.pending[record.key] = Pending(record, message, self._born(record))

    def _born(self, record: Record) -> int | None:
        same_clock = record.clock and record.clock == self._boot.clock
        return record.born_ms if same_clock else None

    # ------------------------------------------------------------------------------------------- making

    def stamp(self) -> Key:
        """The next number; the block after this one is reserved while half of it is still free."""
        key = Key(self._boot.id, self._seq)
        self._seq += 1
        if self._seq + SEQ_BLOCK // 2 >= self._reserved:
            self._reserved += SEQ_BLOCK
            self._emit(Persist(Reserved(self._reserved)))
        return key

    def add(self, kind: str, message: Any, now_ms: int, site_ms: int | None) -> Key:
        """`message` (key stamped, no age) is persisted, and sent as soon as the window allows."""
        key: Key = message.key
        record = Record(key, kind, codec.encode(message), site_ms or 0, now_ms, self._boot.clock)
        self.pending[key] = Pending(record, message, now_ms)
        self._emit(Persist(record))
        if _class(kind) and len(self.pending) > MAX_PENDING:
            self._make_room()
        if key in self.pending:
            self._queue(key)
        return key

    def note(self, name: str, value: bytes) -> None:
        self._emit(Persist(Note(name, value)))

    def _make_room(self) -> None:
        if sum(1 for pending in self.pending.values() if _class(pending.record.kind)) <= MAX_PENDING:
            return
        for class_ in _DROP_ORDER:
            for key, pending in self.pending.items():
                if _class(pending.record.kind) == class_:
                    self._drop(key)
                    self._log("outbox-full", key=key, kind=pending.record.kind)
                    return

    # ---------------------------------------------------------------------------------------- receipts

    def receipted(self, key: Key, *, committed: bool, site_ms: int | None) -> Pending | None:
        """The message that this receipt ends, or None if there is none (a receipt twice)."""
        pending = self.pending.get(key)
        if pending is None:
            return None
        record = pending.record
        if record.kind == "alarm" and committed:
            self._leave(key)
            self._keep(msgspec.structs.replace(record, receipted_at=site_ms or 0))
        else:
            self._drop(key)
        return pending

    def _keep(self, record: Record) -> None:
        self.kept[record.key] = record
        self._emit(Persist(Receipted(record.key, record.receipted_at or 0)))
        if len(self.kept) > MAX_KEPT:
            oldest = next(iter(self.kept))
            del self.kept[oldest]
            self._emit(Forget(oldest))

    def _drop(self, key: Key) -> None:
        self._leave(key)
        self._emit(Forget(key))

    def _leave(self, key: Key) -> None:
        pending = self.pending.pop(key)
        if pending.due_ms is not None and _class(pending.record.kind):
            self._in_flight -= 1

    def prune(self, site_ms: int) -> None:
        """Forget alarms receipted KEEP_RECEIPTED_DAYS ago; date those whose receipt came before site time was known."""
        for key, record in list(self.kept.items()):
            if not record.receipted_at:
                del self.kept[key]
                self._keep(msgspec.structs.replace(record, receipted_at=site_ms))
            elif record.receipted_at < site_ms - KEEP_MS:
                del self.kept[key]
                self._emit(Forget(key))

    def send_again(self, since_ms: int) -> int:
        """Kept alarms made since then are sent once more until receipted; how many."""
        since = since_ms - SINCE_SLACK_MS
        again = [r for r in self.kept.values() if (r.made_at or r.receipted_at or since) >= since]
        for record in again:
            del self.kept[record.key]
            message = codec.decode_up(record.kind, record.body)
            self.pending[record.key] = Pending(record, message, self._born(record), again=True)
            self._queue(record.key)
        return len(again)

    def sends_again(self) -> bool:
        return any(pending.again for pending in self.pending.values())

    # ----------------------------------------------------------------------------------------- sending

    def connected(self) -> None:
        """Everything unreceipted goes out on this connection, alarms first."""
        self._connected = True
        self._dues.clear()
        self._in_flight = 0
        for queue in self._waiting:
            queue.clear()
        for key, pending in self.pending.items():
            pending.due_ms = None
            pending.wait_ms = up.RETRY_FIRST_S * 1000
            self._queue(key)

    def disconnected(self) -> None:
        self._connected = False
        self._dues.clear()

    def waits_for_alarm(self) -> bool:
        """An alarm was sent on this connection and has no receipt."""
        return self._connected and any(
            p.due_ms is not None for p in self.pending.values() if p.record.kind == "alarm"
        )

    def hurry(self, key: Key, now_ms: int, site_ms: int | None) -> None:
        """Send this one again now: the other side has just shown that it does not have it."""
        pending = self.pending[key]
        if self._connected and pending.due_ms is not None:
            self._send(key, pending, now_ms, site_ms)

    def deadline(self) -> int | None:
        while self._dues and self._stale(self._dues[0]):
            heapq.heappop(self._dues)
        return self._dues[0][0] if self._dues else None

    def _stale(self, due: tuple[int, int, Key]) -> bool:
        pending = self.pending.get(due[2])
        return pending is None or pending.due_ms != due[0]

    def pump(self, now_ms: int, site_ms: int | None) -> None:
        """Send what is due and what waits, as far as the window allows."""
        if not self._connected:
            return
        while (due := self.deadline()) is not None and due <= now_ms:
            key = heapq.heappop(self._dues)[2]
            self._send(key, self.pending[key], now_ms, site_ms)
        for class_, queue in enumerate(self._waiting):
            while queue and (class_ == 0 or self._in_flight < MAX_IN_FLIGHT):
                key = queue.popleft()
                pending = self.pending.get(key)
                if pending is not None and pending.due_ms is None:
                    self._in_flight += class_ != 0
                    self._send(key, pending, now_ms, site_ms)

    def _queue(self, key: Key) -> None:
        self._waiting[_class(self.pending[key].record.kind)].append(key)

    def _send(self, key: Key, pending: Pending, now_ms: int, site_ms: int | None) -> None:
        pending.tries += 1
        pending.due_ms = now_ms + pending.wait_ms
        pending.wait_ms = min(pending.wait_ms * 2, up.RETRY_MAX_S * 1000)
        self._due_count += 1
        heapq.heappush(self._dues, (pending.due_ms, self._due_count, key))
        age_ms = _age(pending, now_ms, site_ms)
        self._emit(Publish(pending.record.kind, codec.encode(_aged(pending.message, age_ms))))
        self._log("sent", key=key, kind=pending.record.kind, tries=pending.tries, age_ms=age_ms)


def _class(kind: str) -> int:
    return _CLASS.get(kind, 1)


def _age(pending: Pending, now_ms: int, site_ms: int | None) -> int | None:
    """By the monotonic clock of its press. A kept alarm asked for again: by site time, so that it is not fresh."""
    if pending.born_ms is not None:
        return max(0, now_ms - pending.born_ms)
    if pending.again and site_ms is not None and pending.record.made_at:
        return max(0, site_ms - pending.record.made_at)
    return None


def _aged(message: Any, age_ms: int | None) -> Any:
    if age_ms is None or not hasattr(message, "age_ms"):
        return message
    position = getattr(message, "position", None)
    if position is None:
        return msgspec.structs.replace(message, age_ms=age_ms)
    older = msgspec.structs.replace(position, age_ms=position.age_ms + age_ms)
    return msgspec.structs.replace(message, age_ms=age_ms, position=older)
