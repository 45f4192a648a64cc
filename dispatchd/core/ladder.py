"""Everyone is accounted for: sending an item until its device has it, hearing how far it came, finding another way.

An item is sent to a device that is on line at once and again at doubling distances until the rung *delivered*; to one
that is off line as soon as it says hello. Who has not *presented* it by `second_route_after_s` gets it by the patrol's
other terminal, then by the talk group, then by a task for an operator.
"""

from collections import defaultdict
from typing import Any, Final

import msgspec

from protocols import down, up
from protocols.types import REASONS

from . import facts as f
from .effects import SendGroup
from .fold.ladder import ROUTED
from .state import ACKNOWLEDGED, DELIVERED, PRESENTED, RUNG_OF, Incident, Ladder, Place, State
from .turn import Turn

ROUTES: Final = ("other-terminal", "talk-group", "task")
RESEND_MAX: Final = 200
"""Items sent to one device at its hello; the rest follow by their own retry."""
PASSING: Final = frozenset({"alert", "prompt", "lamp", "microphone"})
"""Items that come again and again: out of the state when they expire; the journal keeps them."""
NORMAL: Final = "normal"
SCHEDULE: Final = "schedule:"
"""How the `by` of a scheduled broadcast begins: nobody is sent to a device that did not play a notice."""
TELLING: Final = frozenset({"prompt", "lamp"})
"""What people at a pillar see or hear."""
FAR_MS: Final = 366 * 86_400_000
"""A device's claim to be older than this is not believed."""


def message(turn: Turn, ladder: Ladder, place: Place) -> down.Item:
    """The down message of one addressee, built from the state as it is now."""
    fields: dict[str, Any] = {**ladder.fields, **place.fields}
    if "clip" in fields:  # as the state keeps it
        fields["clip"] = msgspec.convert(fields["clip"], down.Clip)
    if ladder.kind == "call":
        fields.update(_call_fields(turn, ladder, place))
    return down.KINDS[ladder.kind](item=ladder.item, drill=ladder.drill, **fields)  # type: ignore[return-value]


def _call_fields(turn: Turn, ladder: Ladder, place: Place) -> dict[str, Any]:
    incident = turn.state.incidents[ladder.about]
    rules = turn.rules(incident)
    patrol = turn.state.site.patrol.get(place.patrol or "")
    observe = incident.hazard and patrol is not None and patrol.force == "volunteer"
    return {
        "patrol": place.patrol or "",
        "order": "observe" if observe else "respond",
        "position": aged_position(incident, turn.now),
        "remind_every_s": rules.remind_every_s,
        "remind_for_s": rules.remind_for_s,
        "min_volume_pct": rules.min_volume_pct,
    }


def aged_position(incident: Incident, now: int) -> Any:
    """The incident's position with the age it has by now."""
    position = incident.position
    if position is None or not incident.position_at_ms:
        return position
    return msgspec.structs.replace(position, age_ms=position.age_ms + max(0, now - incident.position_at_ms))


# --- sending ----------------------------------------------------------------------------------------------------


def send_all(turn: Turn, item: str) -> None:
    """First try for every addressee that is on line."""
    ladder = turn.state.ladders[item]
    for place in ladder.places.values():
        if online(turn, place.device):
            send(turn, ladder, place)


def online(turn: Turn, device: str) -> bool:
    live = turn.state.live.get(device)
    return live is not None and live.online


def send(turn: Turn, ladder: Ladder, place: Place) -> None:
    """One try; the next is armed at twice the distance. Nothing tells a pillar anything while it must be silent, and no
    notice while somebody there waits for help.
    """
    if ladder.kind in TELLING and _silenced(turn, place.device) and ladder.fields.get("code") != "silent":
        return
    rules = turn.index.rules(_unit_of(turn, place.device))
    if held_back(turn.state, ladder, place):
        place.next_ms = turn.now + int(rules.retry_max_s * 1000)
        turn.index.arm(place.next_ms, "place", f"{ladder.item} {place.device}")
        return
    wait_s = min(rules.retry_max_s, rules.retry_first_s * 2 ** min(place.tries, 16))
    place.tries += 1
    place.next_ms = turn.now + int(wait_s * 1000)
    turn.index.arm(place.next_ms, "place", f"{ladder.item} {place.device}")
    turn.send(place.device, message(turn, ladder, place), max(1, ladder.expires_ms - turn.now))


def held_back(state: State, ladder: Ladder, place: Place) -> bool:
    """A normal broadcast to a pillar with an open incident, not delivered yet: `release` sends it after the end."""
    if ladder.kind != "broadcast" or ladder.fields.get("priority", NORMAL) != NORMAL or place.rung:
        return False
    entry = state.site.device.get(place.device)
    return (
        entry is not None
        and entry.kind == "pillar"
        and any(
            not incident.ended_ms and incident.device == entry.id for incident in state.incidents.values()
        )
    )


def release(turn: Turn, device: str) -> None:
    """No incident is open at this device any more: what was held back there goes out."""
    if turn.index.open_at.get(device) or not online(turn, device):
        return
    for ladder, place in pending(turn, device):
        if ladder.kind == "broadcast":
            place.tries = 0
            send(turn, ladder, place)


def _silenced(turn: Turn, device: str) -> bool:
    return any(turn.state.incidents[i].silent for i in turn.index.open_at.get(device, ()))


def _unit_of(turn: Turn, device: str) -> str:
    entry = turn.state.site.device.get(device)
    return entry.unit if entry else ""


def place_due(turn: Turn, id_: str) -> None:
    """Timer of one addressee: still not delivered?"""
    item, _, device = id_.partition(" ")
    ladder = turn.state.ladders.get(item)
    place = ladder.places.get(device) if ladder else None
    if ladder is None or place is None or not waiting(turn, ladder, place) or not online(turn, device):
        return
    if place.next_ms > turn.now:
        turn.index.arm(place.next_ms, "place", id_)
    else:
        send(turn, ladder, place)


def over(turn: Turn, ladder: Ladder) -> bool:
    """Nothing of it is sent any more: something newer has its place, or its time is up (even before its Tick)."""
    return ladder.superseded or ladder.expired or turn.now >= ladder.expires_ms


def waiting(turn: Turn, ladder: Ladder, place: Place) -> bool:
    return not (over(turn, ladder) or place.left) and place.rung < DELIVERED


def pending(turn: Turn, device: str) -> list[tuple[Ladder, Place]]:
    """What this device has not got, oldest first, bounded."""
    items = sorted(turn.index.pending.get(device, ()), key=lambda i: int(i.rpartition("-")[2]))
    found = [
        (turn.state.ladders[i], turn.state.ladders[i].places[device])
        for i in items
        if i in turn.state.ladders
    ]
    return [(ladder, place) for ladder, place in found if waiting(turn, ladder, place)][:RESEND_MAX]


def resend(turn: Turn, device: str) -> None:
    """The device is (again) here: all it has not got, now, and from the first distance."""
    for ladder, place in pending(turn, device):
        place.tries = 0
        send(turn, ladder, place)


# --- hearing ----------------------------------------------------------------------------------------------------


def reported(turn: Turn, device: str, said: up.Rung) -> Place | None:
    """Fold a device's report; the place if it climbed to presented or failed (then somebody may care)."""
    ladder = turn.state.ladders.get(said.item)
    if ladder is None:
        turn.receipt(device, said.key, refused="unknown-item")
        return None
    place = ladder.places.get(device)
    if place is None:
        turn.receipt(device, said.key, refused="not-addressed")
        return None
    changed = _climb(turn, ladder, place, said)
    turn.receipt(device, said.key)
    return place if changed else None


def answered(turn: Turn, item: str, device: str, age_ms: int | None) -> None:
    """Who answered a call has read it: the device's own word for *acknowledged*."""
    ladder = turn.state.ladders.get(item)
    place = ladder.places.get(device) if ladder else None
    if ladder is not None and place is not None and place.rung < ACKNOWLEDGED:
        device_ms = turn.now - min(age_ms or 0, FAR_MS)
        turn.record(f.RungReached(ladder.about, item, device, ACKNOWLEDGED, device_ms))
        _close_tasks(turn, ladder)


def _climb(turn: Turn, ladder: Ladder, place: Place, said: up.Rung) -> bool:
    device_ms = turn.now - min(said.age_ms or 0, FAR_MS)
    rung = RUNG_OF.get(said.rung, 0)
    if rung > place.rung:
        turn.record(f.RungReached(ladder.about, ladder.item, place.device, rung, device_ms, said.volume_pct))
        _close_tasks(turn, ladder)
        return rung >= PRESENTED
    if said.rung == "failed" and place.rung < PRESENTED:
        reason = said.reason if said.reason in REASONS else "player-failed"
        if reason != place.reason:
            turn.record(f.RungFailed(ladder.about, ladder.item, place.device, reason, device_ms))
            return True
    return False


def heard(ladder: Ladder) -> set[str]:
    """Addressees who heard, directly or because another terminal of their patrol did."""
    patrols = {
        p.patrol for p in ladder.places.values() if p.rung >= PRESENTED and p.patrol and p.via != "direct"
    }
    return {
        d
        for d, p in ladder.places.items()
        if p.rung >= PRESENTED or (p.patrol in patrols and p.via == "direct")
    }


def unheard(ladder: Ladder) -> list[Place]:
    """Below *presented*, and not by the patrol's other terminal either."""
    done = heard(ladder)
    return [place for place in ladder.places.values() if place.device not in done]


def why_not(state: State, ladder: Ladder, place: Place) -> str:
    """The reason of one who has not heard: what his device said, else what we see. "" while it is simply too early."""
    live = state.live.get(place.device)
    if place.reason:
        return place.reason
    if place.left:
        return "left"
    if ladder.expired:
        return "expired"
    if held_back(state, ladder, place):
        return "incident-open"
    if live is None or not live.online:
        return "offline"
    return "no-answer" if place.route or place.tries > 1 else ""


# --- another way ------------------------------------------------------------------------------------------------


def route_due(turn: Turn, item: str) -> None:
    """Timer of a routed item: who has not heard by now gets the next way; until everybody has or no way is left."""
    ladder = turn.state.ladders.get(item)
    if ladder is None or over(turn, ladder) or ladder.kind not in ROUTED or "live" in ladder.fields:
        return  # what is said live has one other way: its recording (live.py)
    step_ms = int(turn.index.rules(_unit_of_item(turn, ladder)).second_route_after_s * 1000)
    if turn.now >= ladder.opened_ms + step_ms:
        try_routes(turn, ladder, _to_route(turn, ladder))
    if _to_route(turn, ladder):
        due = max(
            ladder.opened_ms + step_ms, turn.now + (step_ms if turn.now >= ladder.opened_ms + step_ms else 0)
        )
        turn.index.arm(due, "route", item)


def _unit_of_item(turn: Turn, ladder: Ladder) -> str:
    about = turn.state.incidents.get(ladder.about) or turn.state.broadcasts.get(ladder.about)
    return about.unit if about else ""


def _to_route(turn: Turn, ladder: Ladder) -> list[Place]:
    """Who needs another way: nobody where a notice waits for the end of an incident, or comes by a schedule."""
    broadcast = turn.state.broadcasts.get(ladder.about)
    if broadcast is not None and broadcast.by.startswith(SCHEDULE):
        return []
    return [
        place
        for place in unheard(ladder)
        if place.route < len(ROUTES) and not place.left and not held_back(turn.state, ladder, place)
    ]


def try_routes(turn: Turn, ladder: Ladder, places: list[Place]) -> None:
    """The next possible way for each, all that share a way in one fact."""
    ways: dict[tuple[int, str], list[str]] = defaultdict(list)
    for place in places:
        number, to = _next_way(turn, ladder, place)
        ways[number, to].append(place.device)
    for (number, to), devices in ways.items():
        _take(turn, ladder, number, to, devices)


def _next_way(turn: Turn, ladder: Ladder, place: Place) -> tuple[int, str]:
    if place.route < 1 and (other := _other_terminal(turn, ladder, place)):
        return 1, other
    if place.route < 2 and (group := _group(turn, ladder, place)):
        return 2, group
    return 3, ""


def _other_terminal(turn: Turn, ladder: Ladder, place: Place) -> str:
    others = turn.index.tree.terminals.get(place.patrol or "", ())
    return next((d for d in others if d not in ladder.places and online(turn, d)), "")


def _group(turn: Turn, ladder: Ladder, place: Place) -> str:
    """Only a broadcast is said to a group: a call must not be taken by one it was not for."""
    if ladder.kind != "broadcast":
        return ""
    return next(iter(turn.index.groups_of(place.device)), "")


def _take(turn: Turn, ladder: Ladder, number: int, to: str, devices: list[str]) -> None:
    if number == 1:
        turn.record(f.RouteTried(ladder.about, ladder.item, devices, ROUTES[0], to, number))
        send(turn, ladder, ladder.places[to])
    elif number == 2:
        said = to in ladder.groups_tried
        turn.record(f.RouteTried(ladder.about, ladder.item, devices, ROUTES[1], to, number))
        if not said:
            to_group = message(turn, ladder, ladder.places[devices[0]])
            turn.do(SendGroup(to, to_group, max(1, ladder.expires_ms - turn.now)))
    else:
        task = _task(turn, ladder, devices)
        turn.record(f.RouteTried(ladder.about, ladder.item, devices, ROUTES[2], task, number))


def _task(turn: Turn, ladder: Ladder, devices: list[str]) -> str:
    """One open task per item; it names all who must be reached by a human."""
    for task in turn.state.tasks.values():
        if task.item == ladder.item and not task.done_ms:
            return task.task
    id_ = turn.next_id("t")
    text = f"{ladder.item} 未听到,请电话或当面通知 / {ladder.kind} not heard: reach these by telephone or in person"
    turn.record(f.TaskOpened(ladder.about, id_, ladder.item, _unit_of_item(turn, ladder), text, devices))
    return id_


def _close_tasks(turn: Turn, ladder: Ladder) -> None:
    """Whoever a human was to reach has heard after all."""
    done = heard(ladder)
    for task in list(turn.state.tasks.values()):
        if task.item == ladder.item and not task.done_ms and done.issuperset(task.devices):
            turn.record(f.TaskDone(task.about, task.task, "heard"))


def route_failed(turn: Turn, ladder: Ladder, place: Place) -> None:
    """Its device will not present it: another way at once, if it is one that gets another way."""
    if any(place is one for one in _to_route(turn, ladder)):
        try_routes(turn, ladder, [place])


def routes_now(turn: Turn, ladder: Ladder) -> int:
    """An operator does not want to wait; the number of addressees tried."""
    places = _to_route(turn, ladder)
    try_routes(turn, ladder, places)
    return len(places)


# --- its end ----------------------------------------------------------------------------------------------------


def expiry_due(turn: Turn, item: str) -> None:
    """Timer: nothing of it is presented any more; who has not heard by now never will."""
    ladder = turn.state.ladders.get(item)
    if ladder is None:
        return
    if not ladder.expired:
        if turn.now < ladder.expires_ms:
            turn.index.arm(ladder.expires_ms, "expiry", item)
            return
        turn.record(f.LadderExpired(ladder.about, item, len(unheard(ladder))))
    if ladder.kind in PASSING:
        turn.record(f.Forgotten("ladders", item))


def supersede(turn: Turn, old_item: str, by_item: str) -> None:
    ladder = turn.state.ladders.get(old_item)
    if ladder is not None and not (ladder.superseded or ladder.expired):
        turn.record(f.LadderSuperseded(ladder.about, old_item, by_item))
