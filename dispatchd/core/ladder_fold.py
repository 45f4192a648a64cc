"""How a ladder changes: opening, climbing, failing. A rung implies the lower ones and never falls."""

from collections.abc import Iterable

from . import facts as f
from .index import Index
from .state import DELIVERED, PRESENTED, Ladder, Place, State

ROUTED = frozenset({"call", "broadcast", "order", "alert"})
"""Items that get a second route by themselves; prompts, lamps and stand-downs are only repeated."""


def open_ladder(state: State, index: Index, ladder: Ladder, places: Iterable[Place], now: int) -> None:
    """Put it into the state with everybody queued, watched and armed."""
    ladder.places = {place.device: place for place in places}
    state.ladders[ladder.item] = ladder
    for device in ladder.places:
        index.watch(ladder, device)
    index.arm(ladder.expires_ms, "expiry", ladder.item)
    if ladder.kind in ROUTED:
        index.arm(now, "route", ladder.item)


def climb(index: Index, ladder: Ladder, fact: f.RungReached, now: int) -> None:
    place = ladder.places.get(fact.device)
    if place is None or fact.rung <= place.rung:
        return
    for rung in range(place.rung + 1, fact.rung + 1):
        place.at_ms[rung], place.device_ms[rung] = now, fact.device_ms
    place.rung, place.volume_pct = (
        fact.rung,
        fact.volume_pct if fact.volume_pct is not None else place.volume_pct,
    )
    if fact.rung >= PRESENTED:
        place.reason = ""
    settle_pending(index, ladder, place)


def fail(index: Index, ladder: Ladder, fact: f.RungFailed, now: int) -> None:
    """The device has it (so it is delivered) but will not present it."""
    place = ladder.places.get(fact.device)
    if place is not None and place.rung < PRESENTED:
        place.reason = fact.reason
        if place.rung < DELIVERED:
            place.rung, place.at_ms[DELIVERED], place.device_ms[DELIVERED] = DELIVERED, now, fact.device_ms
        settle_pending(index, ladder, place)


def settle_pending(index: Index, ladder: Ladder, place: Place) -> None:
    if place.left or place.rung >= DELIVERED:
        index.unwatch(ladder.item, place.device)
