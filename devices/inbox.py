"""What came down and how far it got: generation and number checks, each item once, its rung. Pure.

- `gen` only grows, and only the answer to our own nonce moves it, since that cannot be a replay; it also sets the
  numbers anew. A lower generation is refused, a higher one not announced yet too (the agent then says hello).
- Within a generation `n` grows per receiver, but several paths may reorder: up to REPLAY_WINDOW behind the
  highest an envelope still counts, and the items' memory is longer than that. So a replay is either refused by
  its number or known by its item, as long as the device runs; after a reboot life (`ttl_ms`) remains.
"""

from typing import Final

from msgspec import Struct

from protocols.envelope import Envelope

REPLAY_WINDOW: Final = 1000
MAX_ITEMS: Final = 2000
"""Items remembered, oldest out; more than REPLAY_WINDOW, see above."""
RANKS: Final = {"failed": 0, "delivered": 1, "presented": 2, "acknowledged": 3}


class Seen(Struct):
    """How far an item came here. `order` (generation, number) tells which of two messages is the newer."""

    order: tuple[int, int]
    rung: str = "delivered"
    reason: str | None = None
    volume_pct: int | None = None
    rev: int = 0


class Inbox:
    def __init__(self, gen: int = 0) -> None:
        self.gen = gen
        self._highest: dict[str, int] = {}
        self._items: dict[str, Seen] = {}

    def check(self, receiver: str, envelope: Envelope) -> str | None:
        """Why this envelope is refused, or None. `receiver` is a talk group, or "" for the device itself."""
        if envelope.gen < self.gen:
            return "stale-generation"
        if envelope.gen > self.gen:
            return "generation-not-announced"
        highest = self._highest.get(receiver, envelope.n)
        if envelope.n + REPLAY_WINDOW < highest:
            return "stale-number"
        self._highest[receiver] = max(highest, envelope.n)
        return None

    def rebase(self, envelope: Envelope) -> None:
        """Numbers start anew from this envelope, whose freshness is beyond doubt."""
        self.gen = envelope.gen
        self._highest = {"": envelope.n}

    def get(self, item: str) -> Seen | None:
        return self._items.get(item)

    def remember(self, item: str, envelope: Envelope, rev: int = 0) -> Seen:
        seen = Seen((envelope.gen, envelope.n), rev=rev)
        self._items[item] = seen
        if len(self._items) > MAX_ITEMS:
            del self._items[next(iter(self._items))]
        return seen
