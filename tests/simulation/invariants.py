"""What must hold of the live state: incidents looked after, addressees accounted for, one with the journal."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dispatchd.core.core import Core
from dispatchd.core.effects import SetFloor
from dispatchd.core.state import Incident, Ladder, Place, State

from .watch import RESPONDING, Watch
from .world import Violation

WOKEN_LATE_MS: Final = 2_000
VOLATILE_PLACE: Final = ("tries", "next_ms")
VOLATILE_FLOOR: Final = ("heard_ms", "repeats", "next_ms", "not_for")
VOLATILE_SETTINGS: Final = ("tries", "next_ms", "membership_applied", "config_applied", "config_error")


def open_incidents(watch: Watch, state: State, now: int, due: int | None) -> None:
    """Cheap, after every batch: each open incident has an owner or a future alert that somebody will be woken for."""
    for incident in state.incidents.values():
        if incident.ended_ms:
            continue
        seen = watch.incidents.get(incident.incident)
        if seen is None:
            raise Violation("state-is-not-the-journal", f"{incident.incident} is in no committed fact")
        if incident.owner != seen.owner:
            raise Violation(
                "owner-silently-changed",
                f"{incident.incident}: {seen.owner} → {incident.owner} without a fact",
            )
        if incident.owner is None and not (due is not None and due <= max(incident.step_next_ms, now)):
            raise Violation(
                "nobody-looks-after",
                f"{incident.incident}: no owner, next alert {incident.step_next_ms}, woken {due}, now {now}",
            )
        _responders(seen.responders, incident)
        if watch.only_open_at(incident.device) and watch.word.get(incident.device) == incident.incident:
            _pillar(incident)


def _pillar(incident: Incident) -> None:
    """The pillar tells the truth: nobody is said to come who does not, and nobody to have accepted who has not."""
    coming = any(r.place in RESPONDING for r in incident.responders.values())
    if incident.prompt.startswith("coming") and not coming:
        raise Violation("pillar-lies", f"{incident.incident} says {incident.prompt}, nobody is coming")
    if "accepted" in incident.prompt and incident.owner is None:
        raise Violation("pillar-lies", f"{incident.incident} says {incident.prompt}, nobody owns it")


def _responders(seen: dict[str, str], incident: Incident) -> None:
    for patrol, responder in incident.responders.items():
        if seen.get(patrol) != responder.place:
            raise Violation(
                "responder-not-by-facts",
                f"{incident.incident} {patrol}: {responder.place}, by the facts {seen.get(patrol)}",
            )


def everything(watch: Watch, core: Core, now: int) -> None:
    """The full look, sampled and at the end."""
    state = core.state
    armed = {id_ for _, kind, id_ in core.index.heap if kind == "place"}
    for ladder in state.ladders.values():
        for place in ladder.places.values():
            _on_the_ladder(watch, ladder, place)
            over = ladder.superseded or ladder.expired or now >= ladder.expires_ms
            if not (place.rung or over or place.left):
                _being_tried(core, armed, ladder, place)
    for incident in state.incidents.values():
        _owner_lives(core, incident, now)
        if incident.press_count != watch.incidents[incident.incident].presses:
            raise Violation(
                "press-miscounted",
                f"{incident.incident}: {incident.press_count}, facts {watch.incidents[incident.incident].presses}",
            )


def room_knows(core: Core, floors: Mapping[str, SetFloor]) -> None:
    """Whose frames are passed on is what the state says, and nobody else's."""
    active = {floor.group: floor.burst for floor in core.state.floors.values() if floor.burst}
    told = {group: floor.burst for group, floor in floors.items()}
    if active != told:
        raise Violation("room-out-of-step", f"state {active}, voice room {told}")


def _owner_lives(core: Core, incident: Incident, now: int) -> None:
    """An owner without a session is not an owner for longer than the rule says."""
    session = core.state.sessions.get(incident.owner or "")
    if incident.owner is None or incident.ended_ms or session is None or session.connections:
        return
    limit_ms = core.index.rules(incident.unit).owner_dead_s * 1000 + WOKEN_LATE_MS
    if now - session.seen_ms > limit_ms:
        raise Violation(
            "dead-owner-keeps", f"{incident.incident}: {incident.owner} is gone since {session.seen_ms}"
        )


def _on_the_ladder(watch: Watch, ladder: Ladder, place: Place) -> None:
    """By facts alone, and every rung implies the lower ones."""
    said = watch.rungs.get((place.device, ladder.item), 0)
    if place.rung > max(said, 1 if place.reason else 0) or place.rung < said:
        raise Violation("rung-invented", f"{ladder.item} {place.device}: {place.rung}, by the facts {said}")
    if any(later and not earlier for earlier, later in zip(place.at_ms[1:], place.at_ms[2:], strict=False)):
        raise Violation("rung-without-lower", f"{ladder.item} {place.device}: {place.at_ms}")


def _being_tried(core: Core, armed: set[str], ladder: Ladder, place: Place) -> None:
    """Not delivered: while the device is on line a timer will send it again, otherwise its next hello will."""
    live = core.state.live.get(place.device)
    at_hello = ladder.item in core.index.pending.get(place.device, ())
    if not at_hello or (live is not None and live.online and f"{ladder.item} {place.device}" not in armed):
        raise Violation(
            "obligation-lost", f"{ladder.kind} {ladder.item} at {place.device}: nobody will send it again"
        )


def same(live: State, folded: State, name: str) -> None:
    """Both with what is volatile taken out; the first difference is named."""
    left, right = _fixed(live), _fixed(folded)
    if left != right:
        raise Violation(name, _difference(left, right, "state"))


def _fixed(state: State) -> Any:
    plain = msgspec.msgpack.decode(msgspec.msgpack.encode(state))
    plain["live"] = {device: live["online"] for device, live in plain["live"].items()}
    for ladder in plain["ladders"].values():
        for place in ladder["places"].values():
            for name in VOLATILE_PLACE:
                place.pop(name, None)
    for settings in plain["settings"].values():
        for name in VOLATILE_SETTINGS:
            settings.pop(name, None)
    for incident in plain["incidents"].values():
        incident.pop("owner_acted_ms", None)
        incident.pop("relook_ms", None)
    for floor in plain["floors"].values():
        for name in VOLATILE_FLOOR:
            floor.pop(name, None)
    plain.pop("hearing")
    plain.pop("sessions")
    plain.pop("now_ms")
    return plain


def _difference(left: Any, right: Any, path: str) -> str:
    if isinstance(left, dict) and isinstance(right, dict):
        for key in [*left, *(k for k in right if k not in left)]:
            if left.get(key) != right.get(key):
                return _difference(left.get(key), right.get(key), f"{path}.{key}")
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for number, (a, b) in enumerate(zip(left, right, strict=True)):
            if a != b:
                return _difference(a, b, f"{path}[{number}]")
    return f"{path}: live {left!r}, journal {right!r}"
