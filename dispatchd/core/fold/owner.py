"""Who owns an incident, and what he said about it."""

from dispatchd.core import facts as f
from dispatchd.core.index import Index
from dispatchd.core.state import Handoff, Incident, Session, State

from .table import count_id, folds, folds_into_incident


@folds_into_incident(f.Escalated)
def _escalated(state: State, index: Index, incident: Incident, fact: f.Escalated, now: int) -> None:
    incident.step, incident.step_next_ms = fact.step, fact.next_ms
    incident.alerted = [*incident.alerted, *(u for u in fact.units if u not in incident.alerted)]
    incident.alerts += 1
    index.arm(fact.next_ms, "escalate", incident.incident)


def take(state: State, index: Index, incident: Incident, operator: str, now: int) -> None:
    incident.owner, incident.owner_since_ms, incident.owner_acted_ms = operator, now, now
    incident.relief, incident.step_next_ms, incident.unowned_since_ms = None, 0, 0
    state.sessions.setdefault(operator, Session()).seen_ms = now
    index.arm(now, "owner", incident.incident)


@folds_into_incident(f.OwnerTook)
def _took(state: State, index: Index, incident: Incident, fact: f.OwnerTook, now: int) -> None:
    take(state, index, incident, fact.operator, now)


@folds_into_incident(f.OwnerLost)
def _owner_lost(state: State, index: Index, incident: Incident, fact: f.OwnerLost, now: int) -> None:
    incident.owner, incident.relief, incident.unowned_since_ms = None, None, now
    incident.alerted = []
    index.arm(now, "everybody", incident.incident)


@folds(f.ReliefOffered)
def _relief_offered(state: State, index: Index, fact: f.ReliefOffered, now: int) -> None:
    state.reliefs[fact.operator] = fact.successor
    for id_ in fact.incidents:
        if (incident := state.incidents.get(id_)) is not None:
            incident.relief = fact.successor


@folds(f.Relieved)
def _relieved(state: State, index: Index, fact: f.Relieved, now: int) -> None:
    state.reliefs.pop(fact.operator, None)
    for id_ in fact.incidents:
        if (incident := state.incidents.get(id_)) is not None:
            take(state, index, incident, fact.successor, now)


@folds(f.SignedOut)
def _signed_out(state: State, index: Index, fact: f.SignedOut, now: int) -> None:
    state.sessions.pop(fact.operator, None)
    state.reliefs.pop(fact.operator, None)


@folds_into_incident(f.HandOverOffered)
def _hand_over_offered(
    state: State, index: Index, incident: Incident, fact: f.HandOverOffered, now: int
) -> None:
    incident.relief = fact.to
    incident.alerts += 1


@folds_into_incident(f.SilentSet)
def _silent_set(state: State, index: Index, incident: Incident, fact: f.SilentSet, now: int) -> None:
    incident.silent = fact.on
    calls_say(state, incident, "silent", fact.on)


@folds_into_incident(f.HazardSet)
def _hazard_set(state: State, index: Index, incident: Incident, fact: f.HazardSet, now: int) -> None:
    incident.hazard = fact.on


def calls_say(state: State, incident: Incident, name: str, value: object) -> None:
    for call in incident.calls:
        if (ladder := state.ladders.get(call)) is not None:
            ladder.fields[name] = value


@folds_into_incident(f.NoteAdded)
def _note_added(state: State, index: Index, incident: Incident, fact: f.NoteAdded, now: int) -> None:
    incident.notes += 1


@folds_into_incident(f.HandedOff)
def _handed_off(state: State, index: Index, incident: Incident, fact: f.HandedOff, now: int) -> None:
    count_id(state, fact.handoff)
    handoff = Handoff(fact.handoff, fact.to, fact.by, fact.means, fact.reference, now)
    incident.handoffs = [*incident.handoffs, handoff]
    index.arm(now, "handoff", incident.incident)


def _handoff(incident: Incident, id_: str) -> Handoff | None:
    return next((h for h in incident.handoffs if h.handoff == id_), None)


@folds_into_incident(f.HandOffConfirmed)
def _handoff_confirmed(
    state: State, index: Index, incident: Incident, fact: f.HandOffConfirmed, now: int
) -> None:
    if (handoff := _handoff(incident, fact.handoff)) is not None:
        handoff.confirmed_ms, handoff.red = now, False
        handoff.reference = fact.reference or handoff.reference


@folds_into_incident(f.HandOffOverdue)
def _handoff_overdue(
    state: State, index: Index, incident: Incident, fact: f.HandOffOverdue, now: int
) -> None:
    if (handoff := _handoff(incident, fact.handoff)) is not None:
        handoff.red = True
        incident.alerts += 1
