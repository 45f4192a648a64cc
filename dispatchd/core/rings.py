"""Whom to call, in rings: the nearest, then farther, then the unit, then everybody; until enough have accepted.

Ring 1 takes the nearest few within its reach and the nearest police patrol; ring 2 the next; ring 3 the responsible
unit's patrols (or, where it has none free, its superior's). Enough is `accepts_wanted` accepts, one of them not a
volunteer's. Available = on duty, on line, not committed elsewhere; only a human takes a patrol from another incident.
Every ring's fact holds whom it looked at and why each was chosen or not.
"""

from collections.abc import Iterable
from typing import Final

from protocols.rules import Rules

from . import facts as f
from . import ladder as ladders
from .candidates import Look, look
from .state import RESPONDING, RINGING_KINDS, Call, Incident, Ladder, Responder
from .turn import Turn

EVERYBODY, BY_HAND = 4, 5
BUSY: Final = RESPONDING | {"called"}
LOOKED_AGAIN: Final = "looked-again"
TOLD: Final = frozenset({"elsewhere", "off-duty"})
"""Losses of a patrol whose terminal is there and must stop asking; a silent one is told nothing, it may come back."""
AGAIN: Final = frozenset({"press", "owner"})
"""Rings started for these reasons also ask those who were called before and did not come."""


def enough(turn: Turn, incident: Incident) -> bool:
    """Volunteers alone never count as enough."""
    forces = [_force(turn, r.patrol) for r in incident.responders.values() if r.place in RESPONDING]
    least = 1 if incident.kind == "tamper" else wanted(turn, incident)
    return len(forces) >= least and any(force != "volunteer" for force in forces)


def wanted(turn: Turn, incident: Incident) -> int:
    """Accepts that are enough now; more than the rule's where a press came long after others had set out."""
    return incident.wanted or turn.rules(incident).accepts_wanted


def _force(turn: Turn, patrol: str) -> str:
    entry = turn.state.site.patrol.get(patrol)
    return entry.force if entry else "volunteer"


def start(turn: Turn, incident: Incident, why: str) -> None:
    """From ring 1, unless enough are coming already; a press long after the last wants as many again."""
    if incident.ended_ms:
        return
    if not enough(turn, incident):
        _next(turn, incident, 1, why)
    elif why == "press":
        _next(turn, incident, 1, why, accepted_count(incident) + turn.rules(incident).accepts_wanted)


def _next(turn: Turn, incident: Incident, ring: int, why: str, needed: int = 0) -> None:
    """Open the first ring from `ring` on that has anybody; none left is said once, and looked at again later."""
    quiet = incident.exhausted and why == LOOKED_AGAIN
    for number in range(ring, _last_ring(incident) + 1):
        seen = look(turn, incident, number, again=why in AGAIN)
        if seen.chosen or not quiet:
            open_ring(turn, incident, number, why, seen, needed=needed)
        if seen.chosen:
            return
        if incident.ring_call:
            turn.record(f.RingClosed(incident.incident, incident.ring_call, "empty"))
    if quiet:
        relook_ms = int(turn.rules(incident).relook_s * 1000)
        incident.relook_ms = turn.now + relook_ms
        turn.index.arm(incident.relook_ms, "ring", incident.incident)
    else:
        turn.record(f.RingsExhausted(incident.incident, accepted_count(incident)))


def _last_ring(incident: Incident) -> int:
    return 1 if incident.kind == "tamper" else 3


def accepted_count(incident: Incident) -> int:
    return sum(r.place in RESPONDING for r in incident.responders.values())


# --- opening and closing ----------------------------------------------------------------------------------------


def open_ring(
    turn: Turn, incident: Incident, ring: int, why: str, seen: Look, by: str = "", needed: int = 0
) -> str:
    """Call the chosen; the id of the call. Drills they take part in give way."""
    rules = turn.rules(incident)
    call = turn.next_id("c")
    if incident.ring_call and not by:
        turn.record(f.RingClosed(incident.incident, incident.ring_call, "stopped"))
    deadline = turn.now + int(_answer_within_s(turn, seen.chosen, rules) * 1000)
    expires = turn.now + int(rules.item_ttl_s * 1000)
    needed = 1 if incident.kind == "tamper" else needed or wanted(turn, incident)
    turn.record(
        f.RingOpened(
            incident.incident,
            call,
            ring,
            why,
            needed,
            deadline,
            expires,
            seen.candidates,
            seen.passed,
            seen.reach_m,
            by,
        )
    )
    if not incident.drill:
        _drills_give_way(turn, {c.patrol for c in seen.chosen})
    ladders.send_all(turn, call)
    return call


def _answer_within_s(turn: Turn, chosen: list[f.Candidate], rules: Rules) -> float:
    """Patrols at home are slower: if all are on stand-by, theirs is the time."""
    standby = bool(chosen) and all(turn.state.site.patrol[c.patrol].standby for c in chosen)
    return rules.standby_answer_within_s if standby else rules.answer_within_s


def _drills_give_way(turn: Turn, patrols: set[str]) -> None:
    for other in turn.index.open_incidents():
        if other.drill:
            busy = [p for p in patrols if (r := other.responders.get(p)) is not None and r.place in BUSY]
            stand_down(turn, other, busy, "real-alarm")


def stand_down(turn: Turn, incident: Incident, patrols: Iterable[str], reason: str, by: str = "") -> str:
    """Tell these patrols, on every terminal that was called, that they are not needed; the last item's id or ""."""
    by_call: dict[str, list[str]] = {}
    for patrol in sorted(patrols):
        by_call.setdefault(incident.responders[patrol].call, []).append(patrol)
    item = ""
    for call, names in by_call.items():
        item = turn.next_id("s")
        devices = devices_of(turn, incident, set(names))
        expires = turn.now + int(turn.rules(incident).item_ttl_s * 1000)
        turn.record(f.StoodDown(incident.incident, item, call, names, devices, reason, expires, by))
        ladders.send_all(turn, item)
    return item


def devices_of(turn: Turn, incident: Incident, patrols: set[str]) -> list[str]:
    """Terminals of these patrols that were called to the incident."""
    found: set[str] = set()
    for call in incident.calls:
        ladder = turn.state.ladders.get(call)
        if ladder is not None:
            found |= {p.device for p in ladder.places.values() if p.patrol in patrols}
    return sorted(found)


# --- what moves them --------------------------------------------------------------------------------------------


def presented(turn: Turn, ladder: Ladder) -> None:
    """A call was presented: the first time within the first wait, the time to answer counts from here."""
    call = turn.state.calls.get(ladder.item)
    incident = turn.state.incidents.get(ladder.about)
    if (
        call is None
        or incident is None
        or call.closed
        or call.first_presented_ms
        or turn.now > call.deadline_ms
    ):
        return
    place = next(p for p in ladder.places.values() if p.at_ms[2])
    wait_ms = call.deadline_ms - call.opened_ms
    turn.record(f.RingDelayed(incident.incident, call.call, turn.now + wait_ms, place.device))


def settle(turn: Turn, incident: Incident) -> None:
    """After any answer or loss: enough? everybody answered and not enough? nobody left?"""
    if incident.ended_ms:
        return
    call = turn.state.calls.get(incident.ring_call)
    if enough(turn, incident):
        _close_enough(turn, incident, call)
    elif call is not None and not _open_answers(turn, incident, call):
        turn.record(
            f.RingClosed(incident.incident, call.call, "settled", accepted_count(incident), call.wanted)
        )
        _after(turn, incident, call)


def _close_enough(turn: Turn, incident: Incident, call: Call | None) -> None:
    if call is not None:
        turn.record(
            f.RingClosed(incident.incident, call.call, "enough", accepted_count(incident), call.wanted)
        )
    left = [r.patrol for r in incident.responders.values() if r.place == "called" and not _by_hand(turn, r)]
    stand_down(turn, incident, left, "enough")


def _by_hand(turn: Turn, responder: Responder) -> bool:
    """Whom a human called, a machine does not send home."""
    call = turn.state.calls.get(responder.call)
    return call is not None and call.ring == BY_HAND


def _open_answers(turn: Turn, incident: Incident, call: Call) -> bool:
    """Is somebody of this call still to answer, who could? Whose device refused, failed or left will not."""
    ladder = turn.state.ladders.get(call.call)
    for patrol in call.patrols:
        responder = incident.responders.get(patrol)
        if responder is not None and responder.place == "called" and responder.call == call.call:
            places = [p for p in ladder.places.values() if p.patrol == patrol] if ladder else []
            if not places or any(not p.reason for p in places):
                return True
    return False


def _after(turn: Turn, incident: Incident, call: Call) -> None:
    _next(turn, incident, call.ring + 1, "not-enough")


def ring_due(turn: Turn, id_: str) -> None:
    """Timer: the time to answer is over, or it is time to look again."""
    incident = turn.state.incidents.get(id_)
    if incident is None or incident.ended_ms or incident.hold or enough(turn, incident):
        return
    call = turn.state.calls.get(incident.ring_call)
    if call is None:
        _look_again(turn, incident)
    elif call.deadline_ms > turn.now:
        turn.index.arm(call.deadline_ms, "ring", id_)
    else:
        turn.record(f.RingClosed(id_, call.call, "timeout", accepted_count(incident), call.wanted))
        _after(turn, incident, call)


def _look_again(turn: Turn, incident: Incident) -> None:
    """Somebody may have come on line or become free since the rings were exhausted."""
    if not incident.exhausted:
        return
    if incident.relook_ms > turn.now:
        turn.index.arm(incident.relook_ms, "ring", incident.incident)
    else:
        _next(turn, incident, 1, LOOKED_AGAIN)


def refill(turn: Turn, incident: Incident, why: str) -> None:
    """Somebody who had accepted is gone: replace him, unless a ring is open or enough are left."""
    if incident.ended_ms or incident.hold or incident.ring_call or not incident.ring:
        settle(turn, incident)
    else:
        start(turn, incident, why)


def everybody(turn: Turn, incident: Incident, why: str) -> str:
    """All that are available, in one call."""
    return open_ring(turn, incident, EVERYBODY, why, look(turn, incident, EVERYBODY, again=True))


def everybody_due(turn: Turn, id_: str) -> None:
    """Timer: nobody has accepted for so long that everybody is called by itself. Late alarms and tampers are not."""
    incident = turn.state.incidents.get(id_)
    if incident is None or incident.ended_ms or incident.owner or incident.everybody:
        return
    if (
        incident.hold in ("late", "commissioning")
        or incident.kind not in RINGING_KINDS
        or enough(turn, incident)
    ):
        return
    due = incident.unowned_since_ms + int(turn.rules(incident).everybody_after_s * 1000)
    if due > turn.now:
        turn.index.arm(due, "everybody", id_)
    else:
        everybody(turn, incident, "no-owner")


def hold_due(turn: Turn, id_: str) -> None:
    """Timer of a pillar under verify-first: the owner said nothing, so it rings."""
    incident = turn.state.incidents.get(id_)
    if incident is not None and not incident.ended_ms and incident.hold == "verify":
        if incident.hold_until_ms > turn.now:
            turn.index.arm(incident.hold_until_ms, "hold", id_)
        else:
            start(turn, incident, "verify-over")


def silent_due(turn: Turn, id_: str) -> None:
    """Timer: an accepted patrol of which no terminal is heard any more is replaced."""
    incident = turn.state.incidents.get(id_)
    if incident is None or incident.ended_ms:
        return
    limit_ms = int(turn.rules(incident).patrol_silent_s * 1000)
    coming = [r for r in incident.responders.values() if r.place in RESPONDING]
    silences = {r.patrol: turn.now - _last_heard(turn, r.patrol, r.since_ms) for r in coming}
    for patrol, silence in silences.items():
        if silence >= limit_ms:
            lose(turn, incident, patrol, "silent", silence)
    waits = [limit_ms - silence for silence in silences.values() if silence < limit_ms]
    if waits:
        turn.index.arm(turn.now + max(min(waits), 1000), "silent", id_)


def _last_heard(turn: Turn, patrol: str, since: int) -> int:
    live = turn.state.live
    return max([since, *(live[d].heard_ms for d in turn.index.tree.terminals.get(patrol, ()) if d in live)])


def lose(turn: Turn, incident: Incident, patrol: str, why: str, after_ms: int = 0) -> None:
    """This patrol will not come; another is looked for."""
    responder = incident.responders[patrol]
    was_coming = responder.place in RESPONDING
    turn.record(f.PatrolLost(incident.incident, responder.call, patrol, why, after_ms))
    if why in TOLD:
        stand_down(turn, incident, [patrol], why)
    if was_coming:
        refill(turn, incident, f"lost {patrol}")
    else:
        settle(turn, incident)


def off_duty(turn: Turn, patrol: str) -> None:
    """Clocking out leaves every incident it was called to or going to."""
    for incident in turn.index.open_incidents():
        responder = incident.responders.get(patrol)
        if responder is not None and responder.place in BUSY:
            lose(turn, incident, patrol, "off-duty")
