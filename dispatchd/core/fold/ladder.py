"""How a ladder changes: opening, climbing, failing. A rung implies the lower ones and never falls."""

from collections.abc import Iterable

from dispatchd.core import facts as f
from dispatchd.core.index import Index
from dispatchd.core.state import DELIVERED, PRESENTED, Ladder, Place, State, Task

from .table import count_id, folds

ROUTED = frozenset({"call", "broadcast", "order"})
"""Items that get a second route by themselves; the others are only repeated, and an alert comes anew."""


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


@folds(f.RungReached)
def _rung_reached(state: State, index: Index, fact: f.RungReached, now: int) -> None:
    if (ladder := state.ladders.get(fact.item)) is not None:
        climb(index, ladder, fact, now)


@folds(f.RungFailed)
def _rung_failed(state: State, index: Index, fact: f.RungFailed, now: int) -> None:
    if (ladder := state.ladders.get(fact.item)) is not None:
        fail(index, ladder, fact, now)


@folds(f.RouteTried)
def _route_tried(state: State, index: Index, fact: f.RouteTried, now: int) -> None:
    ladder = state.ladders.get(fact.item)
    if ladder is None:
        return
    for device in fact.devices:
        place = ladder.places[device]
        place.route = max(place.route, fact.number)
        if fact.route == "other-terminal":
            _other_terminal(index, ladder, place, fact.to, now)
    if fact.route == "talk-group" and fact.to not in ladder.groups_tried:
        ladder.groups_tried.append(fact.to)
    if (task := state.tasks.get(fact.to)) is not None:
        task.devices = [*task.devices, *(d for d in fact.devices if d not in task.devices)]


def _other_terminal(index: Index, ladder: Ladder, place: Place, to: str, now: int) -> None:
    if to not in ladder.places:
        ladder.places[to] = Place(to, place.patrol, "other-terminal", fields=dict(place.fields), route=1)
        index.watch(ladder, to)
        index.arm(now, "place", f"{ladder.item} {to}")


@folds(f.AddresseeLeft)
def _addressee_left(state: State, index: Index, fact: f.AddresseeLeft, now: int) -> None:
    ladder = state.ladders.get(fact.item)
    if ladder is not None and fact.device in ladder.places:
        place = ladder.places[fact.device]
        place.left, place.reason = True, "left"
        settle_pending(index, ladder, place)


@folds(f.LadderExpired)
def _ladder_expired(state: State, index: Index, fact: f.LadderExpired, now: int) -> None:
    if (ladder := state.ladders.get(fact.item)) is not None:
        ladder.expired = True
        drop_pending(index, ladder)


@folds(f.LadderSuperseded)
def _ladder_superseded(state: State, index: Index, fact: f.LadderSuperseded, now: int) -> None:
    if (ladder := state.ladders.get(fact.item)) is not None:
        ladder.superseded = True
        drop_pending(index, ladder)


def drop_pending(index: Index, ladder: Ladder) -> None:
    for place in ladder.places.values():
        index.unwatch(ladder.item, place.device)


@folds(f.TaskOpened)
def _task_opened(state: State, index: Index, fact: f.TaskOpened, now: int) -> None:
    count_id(state, fact.task)
    state.tasks[fact.task] = Task(
        fact.task, fact.about, fact.item, fact.unit, fact.text, now, list(fact.devices)
    )


@folds(f.TaskDone)
def _task_done(state: State, index: Index, fact: f.TaskDone, now: int) -> None:
    if (task := state.tasks.get(fact.task)) is not None:
        task.done_ms, task.by = now, fact.by
