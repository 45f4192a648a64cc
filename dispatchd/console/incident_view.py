"""An incident as its owner needs it: where, how old, who comes, what was said, what wants his eye. Pure."""

from dispatchd.core.state import COMING, RESPONDING, Incident, Responder
from protocols import geo

from . import heard, talk
from .documents import (
    HandoffDoc,
    IncidentDoc,
    IntercomDoc,
    LadderCounts,
    PositionDoc,
    PressDoc,
    QuestionDoc,
    ResponderDoc,
    RingDoc,
)
from .moment import Moment

KIND_ORDER = {"emergency": 0, "duress": 0, "one-key": 1}
"""Of what is equally accepted and silent, a terminal's emergency comes before a pillar's key."""


def order(incident: Incident) -> list[int]:
    """Sorts ascending: open, unaccepted, silent, terminal emergency, one-key, others; then the oldest."""
    return [
        int(incident.ended_ms > 0),
        int(incident.owner is not None),
        int(not incident.silent),
        KIND_ORDER.get(incident.kind, 2),
        incident.opened_ms,
    ]


def attention(view: Moment, incident: Incident) -> list[str]:
    """Why an operator should look, most urgent first; stable words, named in docs/api.md."""
    if incident.ended_ms:
        return []
    device = view.state.live.get(incident.device)
    coming = any(r.place in COMING for r in incident.responders.values())
    flags = {
        "unowned": incident.owner is None,
        "owner-gone": incident.owner is not None and not owner_live(view, incident),
        "nobody-left-to-call": incident.exhausted and not coming,
        "waits-late": incident.hold == "late",
        "waits-verify": incident.hold == "verify",
        "waits-commissioning": incident.hold == "commissioning",
        "handoff-red": any(handoff.red for handoff in incident.handoffs),
        "answered": incident.question is not None and incident.question.answer is not None,
        "pressed-again": incident.press_count > 1,
        "citizen-cancelled": incident.cancelled,
        "device-offline": device is None or not device.online,
        "relief-offered": incident.relief is not None,
        "task-open": any(
            task.about == incident.incident and not task.done_ms for task in view.state.tasks.values()
        ),
    }
    return [name for name, on in flags.items() if on]


def _intercom(view: Moment, incident: Incident) -> IntercomDoc | None:
    found = view.state.intercoms.get(incident.device)
    return talk.intercom_doc(view, found) if found and found.incident == incident.incident else None


def owner_live(view: Moment, incident: Incident) -> bool:
    """Has the owner a live feed?"""
    session = view.state.sessions.get(incident.owner or "")
    return session is not None and session.connections > 0


def position(view: Moment, incident: Incident) -> PositionDoc | None:
    """Of a pillar: where it stands. Of a terminal: what came with its alarm."""
    entry = view.state.site.device.get(incident.device)
    if entry is not None and entry.kind == "pillar":
        return view.position(entry)
    if incident.position is not None:
        return view.heard_position(incident.position, incident.position_at_ms)
    point = view.place(incident)
    return None if point is None else PositionDoc(point.lat, point.lon, source="point")


def ring(view: Moment, incident: Incident) -> RingDoc | None:
    """The open call, if one is."""
    call = view.state.calls.get(incident.ring_call)
    if call is None or call.closed:
        return None
    ladder = view.state.ladders.get(call.call)
    return RingDoc(
        call=call.call,
        ring=call.ring,
        wanted=call.wanted,
        accepted=sum(r.place in RESPONDING for r in incident.responders.values()),
        answer_in_ms=view.ahead(call.deadline_ms),
        ladder=heard.counts(ladder) if ladder else LadderCounts(),
    )


def responder(view: Moment, found: Responder, at: PositionDoc | None) -> ResponderDoc:
    entry = view.state.site.patrol.get(found.patrol)
    where = view.patrol_position(found.patrol)
    return ResponderDoc(
        patrol=found.patrol,
        name=entry.name if entry else "",
        force=entry.force if entry else "",
        place=found.place,
        since_age_ms=view.age(found.since_ms) or 0,
        device=found.device,
        why=found.why,
        distance_m=found.distance_m,
        distance_now_m=distance_m(where, at),
        position_age_ms=where.age_ms if where else None,
    )


def distance_m(a: PositionDoc | None, b: PositionDoc | None) -> float | None:
    """Metres between two places; None when one is not known."""
    if a is None or b is None:
        return None
    return round(geo.distance_m((a.lat, a.lon), (b.lat, b.lon)), 1)


def handoffs(view: Moment, incident: Incident) -> list[HandoffDoc]:
    return [
        HandoffDoc(
            handoff=h.handoff,
            to=h.to,
            by=h.by,
            means=h.means,
            reference=h.reference,
            age_ms=view.age(h.at_ms) or 0,
            confirmed=h.confirmed_ms > 0,
            red=h.red and not h.confirmed_ms,
        )
        for h in incident.handoffs
    ]


def question(view: Moment, incident: Incident) -> QuestionDoc | None:
    asked = incident.question
    if asked is None:
        return None
    return QuestionDoc(asked.question, asked.text, asked.by, view.ahead(asked.until_ms), asked.answer)


def presses(view: Moment, incident: Incident) -> list[PressDoc]:
    return [
        PressDoc(p.alarm, p.kind, p.pressed_ms, p.received_ms, view.age(p.pressed_ms) or 0, p.age_known)
        for p in incident.presses
    ]


def first_press_ms(incident: Incident) -> int:
    """When the key was pressed first, as far as that is known; else when it was received: a press kept during an
    outage shows its true age."""
    known = [press.pressed_ms for press in incident.presses if press.age_known]
    return min([incident.opened_ms, *known])


def incident_doc(view: Moment, incident: Incident) -> IncidentDoc:
    """The whole document."""
    device = view.state.site.device.get(incident.device)
    live = view.state.live.get(incident.device)
    point = view.place(incident)
    owner = view.state.site.operator.get(incident.owner or "")
    at = position(view, incident)
    return IncidentDoc(
        id=incident.incident,
        order=order(incident),
        open=not incident.ended_ms,
        kind=incident.kind,
        device=incident.device,
        device_name=device.name if device else "",
        device_online=live is not None and live.online,
        unit=incident.unit,
        point=incident.point,
        point_number=point.number if point else "",
        place=(point.name if point else "") or (device.name if device else "") or incident.device,
        place_en=(point.name_en if point else "") or (device.name_en if device else ""),
        position=at,
        opened_ms=incident.opened_ms,
        age_ms=view.age(first_press_ms(incident)) or 0,
        ended_age_ms=view.age(incident.ended_ms),
        outcome=incident.outcome,
        owner=incident.owner,
        owner_name=owner.name if owner else "",
        owner_live=owner_live(view, incident),
        owner_age_ms=view.age(incident.owner_since_ms) if incident.owner else None,
        relief=incident.relief,
        alerted=incident.alerted,
        alerts=incident.alerts,
        step=incident.step,
        escalates_in_ms=view.ahead(incident.step_next_ms) if incident.step_next_ms else None,
        ring=ring(view, incident),
        rings=incident.ring,
        exhausted=incident.exhausted,
        everybody=incident.everybody,
        calls=incident.calls,
        responders=[responder(view, r, at) for r in incident.responders.values()],
        prompt=incident.prompt,
        prompt_rung=view.rung(incident.prompt_item, incident.device),
        question=question(view, incident),
        handoffs=handoffs(view, incident),
        presses=presses(view, incident),
        press_count=incident.press_count,
        silent=incident.silent,
        hazard=incident.hazard,
        late=incident.late,
        age_unknown=incident.age_unknown,
        drill=incident.drill,
        hold=incident.hold,
        hold_in_ms=view.ahead(incident.hold_until_ms) if incident.hold_until_ms else None,
        cancelled=incident.cancelled,
        notes=incident.notes,
        merged_into=incident.merged_into,
        split_from=incident.split_from,
        group=group if (group := "inc-" + incident.incident) in view.state.talk else None,
        intercom=_intercom(view, incident),
        attention=attention(view, incident),
    )
