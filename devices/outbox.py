"""What a device must not forget: its own messages until they are receipted, its counters, its settings.

Interfaces first; the durable one is in devices/outbox_file.py.

- A message is durable before it is published; alarms stay KEEP_RECEIPTED_DAYS after their receipt, so that a
  restored site can ask for them again. Everything else is forgotten at its receipt.
- A sequence number is never given twice: numbers come out of a block that was reserved on disk before the first
  of them was stamped. So is it with connection numbers, one by one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from protocols.types import Key

SEQ_BLOCK: Final = 1000
"""Numbers reserved at a time. A crash skips what is left of a block; 2**53 numbers last for ever."""


class Record(Struct, frozen=True, array_like=True, tag="message"):
    """One durable up message. `body` is its encoding without age; the age is worked out at every sending.

    `made_at` is site time (ms) at the press, 0 if unknown. `born_ms` is monotonic time by the clock named
    `clock`: after a reboot of the machine that clock is another one and the age unknown. `receipted_at` is
    site time, None while no receipt names the key.
    """

    key: Key
    kind: str
    body: bytes
    made_at: int = 0
    born_ms: int = 0
    clock: str = ""
    receipted_at: int | None = None


class Receipted(Struct, frozen=True, array_like=True, tag="receipted"):
    """An alarm's receipt came; the record is kept for a restore."""

    key: Key
    at: int


class Forgotten(Struct, frozen=True, array_like=True, tag="forgotten"):
    key: Key


class Reserved(Struct, frozen=True, array_like=True, tag="reserved"):
    """Sequence numbers below `seq` may have been given away."""

    seq: int


class ConnTaken(Struct, frozen=True, array_like=True, tag="conn"):
    conn: int


class Note(Struct, frozen=True, array_like=True, tag="note"):
    """A small named value that outlives a reboot (site generation, configuration, membership, silence)."""

    name: str
    value: bytes


Entry = Record | Receipted | Forgotten | Reserved | ConnTaken | Note


@dataclass(frozen=True, slots=True)
class Boot:
    """What a device knows when it wakes: its new boot id, the numbers it may give, its clock, its notes."""

    id: str
    seq: int
    reserved: int
    clock: str = ""
    notes: dict[str, bytes] = field(default_factory=dict)


class OutboxError(RuntimeError):
    """The outbox could not be opened or written; the text says what to do."""


class Outbox(Protocol):
    """`boot` and `records` are for `Agent.restore`; `append` returns when the entries are durable."""

    @property
    def boot(self) -> Boot: ...

    @property
    def records(self) -> list[Record]:
        """Live records, oldest first."""

    def append(self, entries: Iterable[Entry], *, sync: bool = True) -> None:
        """OutboxError when not durable; they are then kept in memory and written with the next append."""

    def next_conn(self) -> int:
        """A connection number never given before, durable; OutboxError when not (`conn` is it all the same)."""

    @property
    def conn(self) -> int:
        """The last connection number given."""

    def close(self) -> None: ...


class MemoryOutbox:
    """The same without a disk, for simulators: what is lost is lost with the object. `reboot` is a crash."""

    def __init__(self, boot_id: str, *, clock: str = "") -> None:
        self._live: dict[Key, Record] = {}
        self._notes: dict[str, bytes] = {}
        self._reserved = 0
        self._conn = 0
        self._started()
        self.reboot(boot_id, clock=clock)

    def _started(self) -> None:
        """For the durable one: take in what the disk holds."""

    def reboot(self, boot_id: str, *, clock: str = "") -> None:
        """As if the device had been restarted under a new boot id."""
        first = self._reserved
        self._commit([Reserved(first + SEQ_BLOCK)], sync=True)
        self._boot = Boot(boot_id, first, first + SEQ_BLOCK, clock, dict(self._notes))

    @property
    def boot(self) -> Boot:
        return self._boot

    @property
    def records(self) -> list[Record]:
        return list(self._live.values())

    def append(self, entries: Iterable[Entry], *, sync: bool = True) -> None:
        self._commit(list(entries), sync=sync)

    def next_conn(self) -> int:
        self._commit([ConnTaken(self._conn + 1)], sync=True)
        return self._conn

    @property
    def conn(self) -> int:
        return self._conn

    def close(self) -> None:
        """Nothing to close; the twin of the durable one."""

    def _commit(self, entries: list[Entry], *, sync: bool) -> None:
        for entry in entries:
            self._apply(entry)

    def _apply(self, entry: Entry) -> None:
        _APPLY[type(entry)](self, entry)

    def _record(self, entry: Record) -> None:
        self._live[entry.key] = entry

    def _receipted(self, entry: Receipted) -> None:
        record = self._live.get(entry.key)
        if record is not None:
            self._live[entry.key] = replace(record, receipted_at=entry.at)

    def _forgotten(self, entry: Forgotten) -> None:
        self._live.pop(entry.key, None)

    def _reserve(self, entry: Reserved) -> None:
        self._reserved = max(self._reserved, entry.seq)

    def _conn_taken(self, entry: ConnTaken) -> None:
        self._conn = max(self._conn, entry.conn)

    def _note(self, entry: Note) -> None:
        self._notes[entry.name] = entry.value


_APPLY: Final[dict[type[Entry], Callable[[MemoryOutbox, object], None]]] = {
    Record: MemoryOutbox._record,  # type: ignore[dict-item]
    Receipted: MemoryOutbox._receipted,  # type: ignore[dict-item]
    Forgotten: MemoryOutbox._forgotten,  # type: ignore[dict-item]
    Reserved: MemoryOutbox._reserve,  # type: ignore[dict-item]
    ConnTaken: MemoryOutbox._conn_taken,  # type: ignore[dict-item]
    Note: MemoryOutbox._note,  # type: ignore[dict-item]
}
