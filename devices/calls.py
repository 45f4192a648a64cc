"""The calls a terminal holds: which rings, which is answered, which the answer keys mean. Pure.

Messages of one incident may overtake each other; the newer by (generation, number) counts.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from protocols import down

MAX_CALLS: Final = 32
"""Calls held; beyond it the oldest answered one goes, else the oldest."""
MAX_ENDED: Final = 200
"""Stand-downs and orders remembered, oldest out."""
Order = tuple[int, int]


class Held(Struct):
    """One call: its latest words, how long it rings (monotonic ms), what was answered."""

    message: down.Call
    rings_until: int
    next_ring: int
    answer: str = ""

    def rings(self, now_ms: int) -> bool:
        return not self.answer and now_ms <= self.rings_until


class CallBook:
    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self._ended: dict[str, Order] = {}
        self._orders: dict[str, dict[str, tuple[Order, down.Order]]] = {}

    def add(self, message: down.Call, order: Order, now_ms: int) -> Held | None:
        """None if it was stood down by a newer message, or is an older word on a call we hold."""
        if self._ended.get(message.call, (-1, -1)) > order:
            return None
        held = self.held.get(message.call)
        if held is not None:
            return None if message.rev < held.message.rev else self._renew(held, message, order)
        remind_ms = message.remind_every_s * 1000
        message = self._ordered(message, order)
        held = Held(message, now_ms + message.remind_for_s * 1000, now_ms + remind_ms)
        self.held[message.call] = held
        self._make_room()
        return held

    def _renew(self, held: Held, message: down.Call, order: Order) -> Held:
        held.message = self._ordered(message, order)
        return held

    def _make_room(self) -> None:
        if len(self.held) > MAX_CALLS:
            answered = (call for call, held in self.held.items() if held.answer)
            del self.held[next(answered, next(iter(self.held)))]

    def _ordered(self, message: down.Call, order: Order) -> down.Call:
        """With the orders that are newer than it."""
        for at, newer in self._orders.get(message.incident, {}).values():
            if at > order:
                message = _under(message, newer)
        return message

    def order(self, message: down.Order, order: Order) -> list[Held]:
        """Lay the order over the calls of its incident: those changed. Behaviour and silence are two orders."""
        sort = "silence" if message.order in ("silent", "sound") else "behaviour"
        orders = self._orders.setdefault(message.incident, {})
        if sort in orders and orders[sort][0] > order:
            return []
        orders[sort] = (order, message)
        if len(self._orders) > MAX_ENDED:
            del self._orders[next(iter(self._orders))]
        changed = [held for held in self.held.values() if held.message.incident == message.incident]
        for held in changed:
            held.message = _under(held.message, message)
        return changed

    def end(self, call: str, order: Order) -> Held | None:
        self._ended[call] = max(order, self._ended.get(call, order))
        if len(self._ended) > MAX_ENDED:
            del self._ended[next(iter(self._ended))]
        return self.held.pop(call, None)

    def meant(self, answer: str, call: str | None) -> Held | None:
        """The call that an answer key is for: accept and decline the oldest unanswered, the others the one accepted."""
        if call is not None:
            return self.held.get(call)
        unanswered = [held for held in self.held.values() if not held.answer]
        going = [held for held in self.held.values() if held.answer not in ("", "decline")]
        declined = [held for held in self.held.values() if held.answer == "decline"]
        if answer in ("accept", "decline"):
            return next(iter(unanswered or going or declined), None)
        return next(iter(reversed(going)), None) or next(iter(unanswered), None)

    def due(self) -> int | None:
        return min(
            (h.next_ring for h in self.held.values() if not h.answer and h.next_ring <= h.rings_until),
            default=None,
        )


def _under(message: down.Call, order: down.Order) -> down.Call:
    if order.order in ("silent", "sound"):
        return replace(message, silent=order.order == "silent")
    return replace(message, order=order.order)
