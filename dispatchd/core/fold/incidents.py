"""Alarms, incidents, and how they end."""

from typing import Any

import msgspec

from dispatchd.core import facts as f
from dispatchd.core.index import Index
from dispatchd.core.state import RESPONDING, SEEN_MAX, Fault, Incident, Press, Question, State

from .rings import ANSWER_KEYS_MAX, accepted_by, move_call
from .table import count_id, folds, folds_into_incident, key_text


@folds(f.AlarmRaised)
def _alarm_raised(state: State, index: Index, fact: f.AlarmRaised, now: int) -> None:
    count_id(state, fact.alarm)
    seen = state.seen.setdefault(fact.device, {})
    seen[key_text(fact.key)] = [now, fact.incident]
    while len(seen) > SEEN_MAX:
        del seen[next(iter(seen))]
    if (incident := state.incidents.get(fact.incident)) is not None:
        _press(incident, fact, now)


def _press(incident: Incident, fact: f.AlarmRaised, now: int) -> None:
    press = Press(fact.alarm, fact.kind, fact.pressed_ms, now, fact.age_ms is not None)
    incident.presses = [*incident.presses, press][-PRESSES_MAX:]
    incident.press_count += 1
    incident.last_press_ms = max(incident.last_press_ms, fact.pressed_ms)
    if fact.position is not None:
        incident.position, incident.position_at_ms = fact.position, now


PRESSES_MAX = 100
"""Presses shown with an incident; `press_count` counts all, the journal has all."""


@folds(f.IncidentOpened)
def _incident_opened(state: State, index: Index, fact: f.IncidentOpened, now: int) -> None:
    count_id(state, fact.incident)
    names = (
        "incident",
        "device",
        "kind",
        "unit",
        "point",
        "position",
        "silent",
        "late",
        "age_unknown",
        "drill",
    )
    incident = Incident(**{name: getattr(fact, name) for name in names}, opened_ms=now)
    incident.position_at_ms = now if fact.position else 0
    incident.hold, incident.hold_until_ms, incident.split_from = (
        fact.hold,
        fact.hold_until_ms,
        fact.split_from,
    )
    incident.unowned_since_ms = now
    state.incidents[fact.incident] = incident
    index.open_at[fact.device].add(fact.incident)
    if fact.hold_until_ms:
        index.arm(fact.hold_until_ms, "hold", fact.incident)
    index.arm(now, "everybody", fact.incident)


@folds_into_incident(f.PressJoined)
def _press_joined(state: State, index: Index, incident: Incident, fact: f.PressJoined, now: int) -> None:
    incident.alerts += 1


@folds(f.FaultNoted)
def _fault_noted(state: State, index: Index, fact: f.FaultNoted, now: int) -> None:
    id_ = f"{fact.device}-{fact.kind}"
    if (known := state.faults.get(id_)) is not None:
        known.count, known.detail, known.alarm = known.count + 1, fact.detail, fact.alarm
    else:
        state.faults[id_] = Fault(fact.device, fact.kind, fact.alarm, fact.detail, now)


@folds(f.FaultCleared)
def _fault_cleared(state: State, index: Index, fact: f.FaultCleared, now: int) -> None:
    state.faults.pop(fact.fault, None)


@folds_into_incident(f.CitizenCancelled)
def _cancelled(state: State, index: Index, incident: Incident, fact: f.CitizenCancelled, now: int) -> None:
    incident.cancelled = True
    incident.alerts += 1


@folds_into_incident(f.Asked)
def _asked(state: State, index: Index, incident: Incident, fact: f.Asked, now: int) -> None:
    count_id(state, fact.question)
    incident.question = Question(fact.question, fact.text, fact.by, fact.until_ms)


@folds_into_incident(f.Replied)
def _replied(state: State, index: Index, incident: Incident, fact: f.Replied, now: int) -> None:
    if fact.counted and incident.question is not None:
        incident.question.answer = fact.yes
        incident.alerts += 1


def _close(state: State, index: Index, incident: Incident, now: int) -> None:
    incident.ended_ms, incident.ring_call, incident.hold = now, "", ""
    index.open_at[incident.device].discard(incident.incident)
    keep_ms = int(index.rules(incident.unit).keep_ended_s * 1000)
    index.arm(now + keep_ms, "forget", incident.incident)


@folds_into_incident(f.Ended)
def _ended(state: State, index: Index, incident: Incident, fact: f.Ended, now: int) -> None:
    incident.outcome = fact.outcome
    _close(state, index, incident, now)


@folds_into_incident(f.Merged)
def _merged(state: State, index: Index, incident: Incident, fact: f.Merged, now: int) -> None:
    incident.merged_into = fact.into
    _close(state, index, incident, now)
    into = state.incidents.get(fact.into)
    if into is None:
        return
    coming = [r for r in incident.responders.values() if r.place in RESPONDING]
    for known in incident.responders.values():
        if (there := into.responders.get(known.patrol)) is not None:
            there.keys = known.keys = [*there.keys, *known.keys][-ANSWER_KEYS_MAX:]
    for responder in coming:
        there = into.responders.get(responder.patrol)
        if there is None or there.place not in RESPONDING:
            into.responders[responder.patrol] = msgspec.structs.replace(responder, since_ms=now)
        responder.place, responder.why = "lost", "merged"
    for call in sorted({r.call for r in coming}):
        move_call(state, call, into)
    accepted_by(state, into)
    index.arm(now, "silent", into.incident)


@folds_into_incident(f.SplitOff)
def _split_off(state: State, index: Index, incident: Incident, fact: f.SplitOff, now: int) -> None:
    moved = [press for press in incident.presses if press.alarm == fact.alarm]
    incident.presses = [press for press in incident.presses if press.alarm != fact.alarm]
    incident.press_count -= len(moved)
    if (new := state.incidents.get(fact.new)) is not None:
        new.presses, new.press_count = [*new.presses, *moved], new.press_count + len(moved)
        new.last_press_ms = max((press.pressed_ms for press in new.presses), default=now)


@folds(f.Forgotten)
def _forgotten(state: State, index: Index, fact: f.Forgotten, now: int) -> None:
    getattr(state, fact.kind).pop(fact.id, None)
    for table in (state.ladders, state.tasks, state.calls):
        _drop_about(table, fact.id)


def _drop_about(table: dict[str, Any], about: str) -> None:
    for id_ in [k for k, v in table.items() if getattr(v, "about", getattr(v, "incident", "")) == about]:
        del table[id_]
