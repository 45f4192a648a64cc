"""Rings, calls, answers, and the items sent to patrols and pillars."""

from typing import Any

from dispatchd.core import facts as f
from dispatchd.core.index import Index
from dispatchd.core.state import RESPONDING, Call, Incident, Ladder, Place, Responder, State

from .ladder import open_ladder, settle_pending
from .owner import calls_say
from .table import count_id, folds, folds_into_incident, key_text


@folds_into_incident(f.RingOpened)
def _ring_opened(state: State, index: Index, incident: Incident, fact: f.RingOpened, now: int) -> None:
    count_id(state, fact.call)
    chosen = [c for c in fact.looked_at if c.chosen]
    patrols = [c.patrol for c in chosen]
    if not fact.by:
        if incident.hold:
            index.arm(now, "everybody", incident.incident)
        incident.ring, incident.ring_call, incident.hold, incident.exhausted = fact.ring, fact.call, "", False
        incident.wanted = fact.wanted
    incident.everybody = incident.everybody or fact.ring == 4
    _end_calls(state, index, incident, set(patrols))
    for c in chosen:
        _forget_stand_down(state, index, incident, c.devices)
    incident.calls.append(fact.call)
    state.calls[fact.call] = Call(
        fact.call, incident.incident, fact.ring, fact.wanted, now, fact.deadline_ms, patrols
    )
    for c in chosen:
        before = incident.responders.get(c.patrol)
        incident.responders[c.patrol] = Responder(
            c.patrol, "called", fact.call, now, distance_m=c.distance_m, keys=before.keys if before else []
        )
    _call_ladder(state, index, incident, fact, now)
    index.arm(fact.deadline_ms, "ring", incident.incident)


def _forget_stand_down(state: State, index: Index, incident: Incident, devices: list[str]) -> None:
    """Called anew: a stand-down that has not arrived yet must not end the new call."""
    for device in devices:
        for item in list(index.pending.get(device, ())):
            ladder = state.ladders.get(item)
            if ladder is not None and ladder.kind == "stand-down" and ladder.about == incident.incident:
                place = ladder.places[device]
                place.left, place.reason = True, "left"
                settle_pending(index, ladder, place)


def _call_ladder(state: State, index: Index, incident: Incident, fact: f.RingOpened, now: int) -> None:
    places = [_place(d, c) for c in fact.looked_at if c.chosen for d in c.devices[:1]]
    fields = {"call": fact.call, **_what_and_where(state, incident)}
    ladder = Ladder(
        fact.call, "call", incident.incident, now, fact.expires_ms, fields=fields, drill=incident.drill
    )
    open_ladder(state, index, ladder, places, now)


def _what_and_where(state: State, incident: Incident) -> dict[str, Any]:
    point = state.site.point.get(incident.point or "")
    return {
        "incident": incident.incident,
        "kind": incident.kind,
        "point": point.number if point else "",
        "place": point.name if point else _device_name(state, incident.device),
        "silent": incident.silent,
    }


def move_call(state: State, id_: str, into: Incident) -> None:
    """Its incident was merged: who came by this call is answered, ordered and stood down there from now on."""
    call, ladder = state.calls.get(id_), state.ladders.get(id_)
    if call is None or ladder is None or id_ in into.calls:
        return
    call.incident = ladder.about = into.incident
    ladder.fields.update(_what_and_where(state, into))
    for place in ladder.places.values():
        place.fields = {}  # distance and bearing were the other place's
    into.calls.append(id_)


def _device_name(state: State, device: str) -> str:
    entry = state.site.device.get(device)
    return entry.name if entry else device


def _place(device: str, c: f.Candidate) -> Place:
    known = {"distance_m": c.distance_m, "bearing_deg": c.bearing_deg}
    return Place(device, c.patrol, fields={k: v for k, v in known.items() if v is not None})


@folds_into_incident(f.RingDelayed)
def _ring_delayed(state: State, index: Index, incident: Incident, fact: f.RingDelayed, now: int) -> None:
    if (call := state.calls.get(fact.call)) is not None:
        call.first_presented_ms, call.deadline_ms = now, fact.deadline_ms
        index.arm(fact.deadline_ms, "ring", incident.incident)


@folds_into_incident(f.RingClosed)
def _ring_closed(state: State, index: Index, incident: Incident, fact: f.RingClosed, now: int) -> None:
    if (call := state.calls.get(fact.call)) is not None:
        call.closed = fact.why
    if incident.ring_call == fact.call:
        incident.ring_call = ""


@folds_into_incident(f.RingsExhausted)
def _rings_exhausted(
    state: State, index: Index, incident: Incident, fact: f.RingsExhausted, now: int
) -> None:
    incident.exhausted = True
    incident.alerts += 1
    relook_ms = int(index.rules(incident.unit).relook_s * 1000)
    incident.relook_ms = now + relook_ms
    index.arm(incident.relook_ms, "ring", incident.incident)


@folds_into_incident(f.Answered)
def _answered(state: State, index: Index, incident: Incident, fact: f.Answered, now: int) -> None:
    responder = incident.responders.get(fact.patrol)
    if responder is None:
        return
    responder.keys = [*responder.keys, key_text(fact.key)][-ANSWER_KEYS_MAX:]
    if not fact.counted:
        return
    if responder.place != fact.place:
        responder.since_ms = now
    responder.place, responder.device, responder.why = fact.place, fact.device, fact.why
    accepted_by(state, incident)
    if fact.place in RESPONDING:
        index.arm(now, "silent", incident.incident)


ANSWER_KEYS_MAX = 64
"""Answers of one patrol to one incident that are known by key; an older double changes nothing but the journal."""


def accepted_by(state: State, incident: Incident) -> None:
    coming = sorted(r.patrol for r in incident.responders.values() if r.place in RESPONDING)[:100]
    calls_say(state, incident, "accepted_by", coming)
    for id_ in incident.calls:
        if (call := state.calls.get(id_)) is not None:
            call.rev += 1
            if id_ in state.ladders:
                state.ladders[id_].fields["rev"] = call.rev


@folds_into_incident(f.PatrolLost)
def _patrol_lost(state: State, index: Index, incident: Incident, fact: f.PatrolLost, now: int) -> None:
    if (responder := incident.responders.get(fact.patrol)) is not None:
        responder.place, responder.why, responder.since_ms = "lost", fact.why, now
        accepted_by(state, incident)


@folds_into_incident(f.StoodDown)
def _stood_down(state: State, index: Index, incident: Incident, fact: f.StoodDown, now: int) -> None:
    count_id(state, fact.item)
    for patrol in fact.patrols:
        if (responder := incident.responders.get(patrol)) is not None and responder.place != "lost":
            responder.place, responder.why, responder.since_ms = "stood-down", fact.reason, now
    accepted_by(state, incident)
    fields = {
        "call": fact.call,
        "incident": incident.incident,
        "reason": fact.reason,
        "silent": incident.silent,
    }
    _to_devices(state, index, fact, "stand-down", fields, now)
    _end_calls(state, index, incident, set(fact.patrols))


def _end_calls(state: State, index: Index, incident: Incident, patrols: set[str]) -> None:
    """A call that was stood down is not sent any more."""
    for id_ in incident.calls:
        if (ladder := state.ladders.get(id_)) is not None:
            for place in ladder.places.values():
                if place.patrol in patrols:
                    place.left, place.reason = True, place.reason or "left"
                    settle_pending(index, ladder, place)


def _to_devices(state: State, index: Index, fact: Any, kind: str, fields: dict[str, Any], now: int) -> None:
    incident = state.incidents[fact.incident]
    ladder = Ladder(fact.item, kind, fact.incident, now, fact.expires_ms, fields=fields, drill=incident.drill)
    patrol_of = {
        device: entry.patrol for device, entry in state.site.device.items() if device in fact.devices
    }
    open_ladder(state, index, ladder, [Place(d, patrol_of.get(d)) for d in fact.devices], now)


@folds_into_incident(f.OrderGiven)
def _order_given(state: State, index: Index, incident: Incident, fact: f.OrderGiven, now: int) -> None:
    count_id(state, fact.item)
    fields = {"incident": fact.incident, "order": fact.order, "text": fact.text, "silent": incident.silent}
    _to_devices(state, index, fact, "order", fields, now)


@folds_into_incident(f.PromptSet)
def _prompt_set(state: State, index: Index, incident: Incident, fact: f.PromptSet, now: int) -> None:
    count_id(state, fact.item)
    incident.prompt, incident.prompt_item = f"{fact.code} {fact.also}".strip(), fact.item
    _to_devices_of(state, index, fact, [fact.device], now)


def _to_devices_of(state: State, index: Index, fact: f.PromptSet, devices: list[str], now: int) -> None:
    fields = {"incident": fact.incident, "code": fact.code, **fact.fields}
    drill = state.incidents[fact.incident].drill
    ladder = Ladder(fact.item, "prompt", fact.incident, now, fact.expires_ms, fields=fields, drill=drill)
    open_ladder(state, index, ladder, [Place(d) for d in devices], now)


@folds_into_incident(f.AlertSent)
def _alert_sent(state: State, index: Index, incident: Incident, fact: f.AlertSent, now: int) -> None:
    count_id(state, fact.item)
    fields = {"incident": fact.incident, "text": fact.text, "count": fact.count}
    _to_devices(state, index, fact, "alert", fields, now)


@folds(f.LampSet)
def _lamp_set(state: State, index: Index, fact: f.LampSet, now: int) -> None:
    count_id(state, fact.item)
    fields = {"pattern": fact.pattern, "until": fact.until_ms}
    ladder = Ladder(fact.item, "lamp", fact.device, now, fact.until_ms, fields=fields, drill=fact.drill)
    open_ladder(state, index, ladder, [Place(fact.device)], now)
