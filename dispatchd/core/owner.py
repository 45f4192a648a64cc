"""Every alarm gets a named owner and keeps one.

Nobody yet: the responsible level is alerted at once, the next after `escalate_first_s`, the top after `escalate_top_s`,
then all levels and the duty leaders' terminals every `alert_every_s` without end. An owner who is gone, or does nothing
while nobody is en route, loses the incident, and it begins again.
"""

from protocols.site import Operator

from . import care
from . import facts as f
from . import ladder as ladders
from .state import COMING, Incident, Session
from .turn import Turn


def escalate(turn: Turn, incident: Incident, why: str) -> None:
    """Alert the responsible level and start the steps."""
    _step(turn, incident, 0, why)


def _step(turn: Turn, incident: Incident, step: int, why: str) -> None:
    rules = turn.rules(incident)
    since = incident.unowned_since_ms
    waits = {0: rules.escalate_first_s, 1: rules.escalate_top_s}
    due = since + int(waits[step] * 1000) if step in waits else turn.now + int(rules.alert_every_s * 1000)
    units = _units(turn, incident, step)
    turn.record(f.Escalated(incident.incident, step, units, max(due, turn.now + 1000), why, turn.now - since))
    if step >= 3:
        _alert_leaders(turn, incident)


def _units(turn: Turn, incident: Incident, step: int) -> list[str]:
    """Whom a step alerts: own level, the next, the top, then the whole chain."""
    chain = turn.index.chain(incident.unit)
    units = {0: chain[:1], 1: chain[:2], 2: [*chain[:2], *chain[-1:]]}.get(step, chain)
    return list(dict.fromkeys(units))


def _alert_leaders(turn: Turn, incident: Incident) -> None:
    units = turn.state.site.unit
    leaders = {d for unit in turn.index.chain(incident.unit) for d in units[unit].duty_leaders} - {
        incident.device
    }
    if not leaders:
        return
    item = turn.next_id("l")
    expires = turn.now + int(turn.rules(incident).alert_every_s * 1000)
    text = f"警情 {incident.incident} 无人接警 / nobody has accepted incident {incident.incident}"
    turn.record(f.AlertSent(incident.incident, item, sorted(leaders), text, incident.alerts, expires))
    ladders.send_all(turn, item)


def escalate_due(turn: Turn, id_: str) -> None:
    """Timer of an incident without an owner."""
    incident = turn.state.incidents.get(id_)
    if incident is None or incident.ended_ms or incident.owner:
        return
    if incident.step_next_ms > turn.now:
        turn.index.arm(incident.step_next_ms, "escalate", id_)
    else:
        _step(turn, incident, incident.step + 1, "no-owner")


# --- taking and losing ------------------------------------------------------------------------------------------


def take(turn: Turn, incident: Incident, operator: Operator, why: str = "accept") -> None:
    turn.record(f.OwnerTook(incident.incident, operator.id, operator.police, why))
    care.refresh(turn, incident)


def lose(turn: Turn, incident: Incident, why: str, after_ms: int = 0) -> None:
    """Back to escalation, from the responsible level."""
    assert incident.owner is not None
    turn.record(f.OwnerLost(incident.incident, incident.owner, why, after_ms))
    escalate(turn, incident, why)
    care.refresh(turn, incident)


def acted(turn: Turn, operator: str, incident: str) -> None:
    """The owner did something about his incident (volatile)."""
    found = turn.state.incidents.get(incident)
    if found is not None and found.owner == operator:
        found.owner_acted_ms = turn.now


def seen(turn: Turn, operator: str, connections: int | None) -> None:
    """The operator's session lives (volatile); his last connection closing starts the time."""
    if operator not in turn.state.site.operator:
        return
    session = turn.state.sessions.setdefault(operator, Session())
    session.seen_ms = turn.now
    if connections is None:
        return
    closed = session.connections > 0 and connections == 0
    session.connections = connections
    if closed:
        for incident in turn.state.incidents.values():
            if incident.owner == operator and not incident.ended_ms:
                turn.index.arm(turn.now, "owner", incident.incident)


def owner_due(turn: Turn, id_: str) -> None:
    """Timer: is the owner still there, and doing something?"""
    incident = turn.state.incidents.get(id_)
    if incident is None or incident.ended_ms or incident.owner is None:
        return
    rules = turn.rules(incident)
    dead, dead_due = _dead(turn, incident.owner, int(rules.owner_dead_s * 1000))
    idle = turn.now - incident.owner_acted_ms
    idle_limit = int(rules.owner_idle_s * 1000)
    coming = any(r.place in COMING for r in incident.responders.values())
    if dead_due <= turn.now:
        lose(turn, incident, "dead", dead)
    elif idle >= idle_limit and not coming:
        lose(turn, incident, "idle", idle)
    else:
        look = [dead_due, turn.now + max(1000, idle_limit - idle)]
        turn.index.arm(min(look), "owner", id_)


def _dead(turn: Turn, operator: str, limit_ms: int) -> tuple[int, int]:
    """How long no session has lived, and when that is too long; a live one is looked at again after the limit."""
    session = turn.state.sessions.get(operator)
    if session is None or operator not in turn.state.site.operator:
        return limit_ms, turn.now
    if session.connections > 0:
        return 0, turn.now + limit_ms
    return turn.now - session.seen_ms, session.seen_ms + limit_ms


def handoff_due(turn: Turn, id_: str) -> None:
    """Timer: a hand-off that nobody has confirmed is red."""
    incident = turn.state.incidents.get(id_)
    if incident is None or incident.ended_ms:
        return
    limit_ms = int(turn.rules(incident).handoff_red_s * 1000)
    for handoff in incident.handoffs:
        if handoff.confirmed_ms or handoff.red:
            continue
        if turn.now - handoff.at_ms >= limit_ms:
            turn.record(f.HandOffOverdue(id_, handoff.handoff, turn.now - handoff.at_ms))
        else:
            turn.index.arm(handoff.at_ms + limit_ms, "handoff", id_)
