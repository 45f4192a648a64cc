"""The calls a terminal holds: which rings, which is answered, which the answer keys mean. Pure.

- Messages of one incident may overtake each other; the newer by (generation, number) counts.
- A terminal serves at most one call of an incident: a newer one takes the place of the one held, a stand-down ends
  whichever is held.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from protocols import down

MAX_CALLS: Final = 32
"""Calls held; beyond it the oldest answered one goes, else the oldest."""
MAX_ENDED: Final = 200
"""Incidents whose stand-down, and whose orders, are remembered, oldest out."""
CHANGES: Final[dict[str, frozenset[str]]] = {
    "": frozenset(("accept", "decline", "en-route", "on-scene", "done")),
    "accept": frozenset(("decline", "en-route", "on-scene", "done")),
    "en-route": frozenset(("decline", "on-scene", "done")),
    "on-scene": frozenset(("decline", "done")),
    "decline": frozenset(("accept", "en-route", "on-scene")),
}
"""Last answer → the answers that change something; a call that is done is not held any more."""
Order = tuple[int, int]


class Held(Struct):
    """One call: its latest words and their number, how long it rings (monotonic ms), what was answered."""

    message: down.Call
    order: Order
    rings_until: int
    next_ring: int
    answer: str = ""

    def changes(self, answer: str) -> bool:
        return answer in CHANGES.get(self.answer, ())


class CallBook:
    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self._ended: dict[str, Order] = {}
        self._orders: dict[str, dict[str, tuple[Order, down.Order]]] = {}

    def add(self, message: down.Call, order: Order, now_ms: int) -> tuple[Held | None, list[Held]]:
        """The call as it is held now, and those that it took the place of.

        None if its incident was stood down, or called anew, by a newer message, or it is an older word on it.
        """
        same = self.of(message.incident)
        last = order if same is None else same.order
        if order < max(last, self._ended.get(message.incident, order)):
            return None, []
        if same is not None and same.message.call == message.call:
            return self.renew(message, order), []
        gone = [] if same is None else [self.held.pop(same.message.call)]
        remind_ms = message.remind_every_s * 1000
        message = self._ordered(message, order)
        held = Held(message, order, now_ms + message.remind_for_s * 1000, now_ms + remind_ms)
        self.held[message.call] = held
        return held, gone + self._make_room()

    def of(self, incident: str) -> Held | None:
        return next((held for held in self.held.values() if held.message.incident == incident), None)

    def renew(self, message: down.Call, order: Order) -> Held | None:
        """New words on a call that is held; None if it is not, or they are older."""
        held = self.held.get(message.call)
        if held is None or message.rev < held.message.rev:
            return None
        held.message = self._ordered(message, order)
        held.order = max(order, held.order)
        return held

    def _make_room(self) -> list[Held]:
        if len(self.held) <= MAX_CALLS:
            return []
        answered = (call for call, held in self.held.items() if held.answer)
        return [self.held.pop(next(answered, next(iter(self.held))))]

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

    def end(self, incident: str, order: Order) -> tuple[Held | None, bool]:
        """The call it ended, and whether the word counts: not when the incident was called anew after it."""
        held = self.of(incident)
        if held is not None and held.order > order:
            return None, False
        newest = max(order, self._ended.pop(incident, order))
        self._ended[incident] = newest
        if len(self._ended) > MAX_ENDED:
            del self._ended[next(iter(self._ended))]
        return (None if held is None else self.held.pop(held.message.call)), True

    def meant(self, answer: str, call: str | None = None) -> Held | None:
        """The call that an answer key is for: the newest unanswered, else the newest that was not declined.

        En route, on scene and done are for the call gone to, if there is one: `accept` then `en-route` are one call's.
        """
        if call is not None:
            return self.held.get(call)
        newest = list(reversed(self.held.values()))
        unanswered = [held for held in newest if not held.answer]
        going = [held for held in newest if held.answer not in ("", "decline")]
        if answer in ("accept", "decline"):
            declined = [held for held in newest if held.answer == "decline"]
            return next(iter(unanswered + going + declined), None)
        return next(iter(going + unanswered), None)

    def due(self) -> int | None:
        return min(
            (h.next_ring for h in self.held.values() if not h.answer and h.next_ring <= h.rings_until),
            default=None,
        )


def _under(message: down.Call, order: down.Order) -> down.Call:
    if order.order in ("silent", "sound"):
        return replace(message, silent=order.order == "silent")
    return replace(message, order=order.order)
