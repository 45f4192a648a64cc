"""What an operator does to an incident: take it, call, stand down, hush, warn, hand over, end.

Only the owner changes an incident; anybody who sees it may take it while nobody owns it, note, or confirm a hand-off.
"""

from collections.abc import Callable
from typing import Any

from . import alarms, answers, broadcasts, candidates, care, intercom, owner, rings
from . import commands as c
from . import facts as f
from . import ladder as ladders
from .commands import Done, Refusal
from .levels import commands_unit, incident_for, owned_by, sees_incident
from .state import RESPONDING, Incident
from .turn import Turn

Result = Done | Refusal


def accept(turn: Turn, by: str, asked: c.Accept) -> Result:
    """One owns it, the other is told."""
    incident = incident_for(turn, by, asked.incident)
    if isinstance(incident, Refusal):
        return incident
    if incident.owner == by:
        return Done({"incident": incident.incident}, note="you own it already")
    if incident.owner is not None and incident.relief != by:
        return Refusal("owned", f"{incident.owner} owns incident {incident.incident}")
    why = "hand-over" if incident.owner else "accept"
    owner.take(turn, incident, turn.state.site.operator[by], why)
    return Done({"incident": incident.incident, "owner": by})


def _owner_only(function: Callable[[Turn, str, Incident, Any], Result]) -> Callable[[Turn, str, Any], Result]:
    def command(turn: Turn, by: str, asked: Any) -> Result:
        incident = owned_by(turn, by, asked.incident)
        return incident if isinstance(incident, Refusal) else function(turn, by, incident, asked)

    return command


def _call(turn: Turn, by: str, incident: Incident, asked: c.CallMore) -> Result:
    """Patrols of the operator's choice; only he may take one from another incident."""
    chosen, _, refusal = broadcasts.resolve(turn, by, asked.target)
    if refusal is not None:
        return refusal
    wanted = {d.patrol for d in chosen if d.patrol}
    by_name = set(asked.target.patrols)
    by_eye = candidates.eye(turn, incident)
    everyone = [
        candidates.candidate(turn, incident, p, by_eye)
        for p in turn.state.site.patrol.values()
        if p.id in wanted
    ]
    picked = [one for one in everyone if _callable(one, by_name) or _asked_in_vain(turn, incident, one)]
    if not picked:
        return Refusal("nobody", "none of these patrols can be called now: " + _reasons(everyone))
    look = candidates.looked(turn, incident, everyone, picked, None)
    call = rings.open_ring(turn, incident, rings.BY_HAND, "operator", look, by)
    return Done({"incident": incident.incident, "call": call}, {"called": len(picked)})


def _callable(one: f.Candidate, by_name: set[str]) -> bool:
    """By hand also those who declined or are committed; off duty only if named; never whom no device can reach."""
    if not one.devices or one.why in ("raised-it", "accepted", "en-route", "on-scene", "called"):
        return False
    return one.why != "off-duty" or one.patrol in by_name


def _asked_in_vain(turn: Turn, incident: Incident, one: f.Candidate) -> bool:
    """Called before, not answered, and that ring is over: a human may ask once more."""
    if one.why != "called" or not one.devices:
        return False
    call = turn.state.calls.get(incident.responders[one.patrol].call)
    return call is None or bool(call.closed)


def _reasons(everyone: list[f.Candidate]) -> str:
    return ", ".join(f"{one.patrol} {one.why}" for one in everyone[:5]) or "the target holds no patrol"


def _ring(turn: Turn, by: str, incident: Incident, asked: c.Ring) -> Result:
    if rings.enough(turn, incident):
        return Refusal("enough", "enough patrols have accepted; call more by name if you want them")
    rings.start(turn, incident, "owner")
    return Done({"incident": incident.incident, "call": incident.ring_call})


def _stand_down(turn: Turn, by: str, incident: Incident, asked: c.StandDown) -> Result:
    busy = care.busy_patrols(turn, incident)
    wrong = [p for p in asked.patrols if p not in busy]
    if wrong:
        return Refusal("not-called", f"not called to this incident: {', '.join(wrong[:5])}")
    names = set(asked.patrols) or busy
    if not names:
        return Refusal("nobody", "nobody is called or on the way")
    _stop_ring(turn, incident, names)
    item = rings.stand_down(turn, incident, names, "owner", by)
    care.refresh(turn, incident)
    return Done({"incident": incident.incident, "item": item}, {"stood_down": len(names)})


def _stop_ring(turn: Turn, incident: Incident, names: set[str]) -> None:
    """If nobody of the open ring is left, the owner has stopped it."""
    call = turn.state.calls.get(incident.ring_call)
    if call is not None and set(call.patrols) <= names:
        turn.record(f.RingClosed(incident.incident, call.call, "stopped"))


def _silent(turn: Turn, by: str, incident: Incident, asked: c.SetSilent) -> Result:
    if asked.on == incident.silent:
        return Done({"incident": incident.incident}, note="already so")
    if not asked.on and not asked.confirm:
        return Refusal("confirm", "leaving silence can endanger the caller: repeat with confirm")
    care.set_silent(turn, incident, asked.on, by)
    return Done({"incident": incident.incident})


def _hazard(turn: Turn, by: str, incident: Incident, asked: c.SetHazard) -> Result:
    if asked.on == incident.hazard:
        return Done({"incident": incident.incident}, note="already so")
    care.set_hazard(turn, incident, asked.on, by)
    return Done({"incident": incident.incident})


def _ask(turn: Turn, by: str, incident: Incident, asked: c.Ask) -> Result:
    if care.silenced(turn, incident):
        return Refusal("silent", "a silent incident is open there: nothing is asked aloud at the pillar")
    if care.pillar_of(turn, incident) is None:
        return Refusal("no-pillar", "only a pillar can be asked")
    return Done(
        {"incident": incident.incident, "question": care.ask(turn, incident, asked.text, asked.text_en, by)}
    )


def _hand_off(turn: Turn, by: str, incident: Incident, asked: c.HandOff) -> Result:
    id_ = turn.next_id("h")
    turn.record(f.HandedOff(incident.incident, id_, asked.to, by, asked.means, asked.reference))
    return Done({"incident": incident.incident, "handoff": id_})


def _hand_over(turn: Turn, by: str, incident: Incident, asked: c.HandOver) -> Result:
    """To a named operator it is offered and stays with its owner until he accepts; else it escalates."""
    if asked.to is None:
        owner.lose(turn, incident, "handed-over")
        return Done({"incident": incident.incident})
    to = turn.state.site.operator.get(asked.to)
    if to is None or not turn.index.within(incident.unit, to.unit):
        return Refusal("unknown-operator", f"{asked.to} is nobody who commands unit {incident.unit}")
    turn.record(f.HandOverOffered(incident.incident, by, asked.to))
    return Done({"incident": incident.incident, "to": asked.to})


def _end(turn: Turn, by: str, incident: Incident, asked: c.End) -> Result:
    """Only a human ends an incident; everybody is told to stand down and the pillar goes dark."""
    if incident.ring_call:
        turn.record(f.RingClosed(incident.incident, incident.ring_call, "stopped"))
    rings.stand_down(turn, incident, care.busy_patrols(turn, incident), "ended", by)
    turn.record(f.Ended(incident.incident, asked.outcome, by, asked.note))
    care.refresh(turn, incident)
    return Done({"incident": incident.incident})


def _split(turn: Turn, by: str, incident: Incident, asked: c.Split) -> Result:
    new = alarms.split(turn, incident, asked.alarm, by)
    if new is None:
        return Refusal(
            "no-split", f"press {asked.alarm} is not one of several presses of {incident.incident}"
        )
    return Done({"incident": new})


def _merge(turn: Turn, by: str, incident: Incident, asked: c.Merge) -> Result:
    """Whoever responds here responds there; the rest is stood down."""
    into = incident_for(turn, by, asked.into)
    if isinstance(into, Refusal):
        return into
    if into is incident or into.drill != incident.drill:
        return Refusal("no-merge", "an incident merges into another of its own sort, drill or real")
    called = {r.patrol for r in incident.responders.values() if r.place == "called"}
    if incident.ring_call:
        turn.record(f.RingClosed(incident.incident, incident.ring_call, "stopped"))
    rings.stand_down(turn, incident, called, "merged", by)
    moved = {r.patrol for r in incident.responders.values() if r.place in RESPONDING}
    turn.record(f.Merged(incident.incident, into.incident, by))
    _keep_care(turn, incident, into, moved, by)
    answers.tell_others(turn, into)
    rings.settle(turn, into)
    care.refresh(turn, into)
    return Done({"incident": into.incident})


def _keep_care(turn: Turn, merged: Incident, into: Incident, moved: set[str], by: str) -> None:
    """Silence and hazard of either are of both: only a human who confirms it leaves silence."""
    if merged.silent and not into.silent:
        care.set_silent(turn, into, True, by)
    elif into.silent and not merged.silent:
        if merged.device != into.device:
            care.hush(turn, merged)
        care.order(turn, into, "silent", moved, by, care.SILENTLY)
    if merged.hazard and not into.hazard:
        care.set_hazard(turn, into, True, by)
    elif into.hazard and not merged.hazard:
        volunteers = care.busy_patrols(turn, into, "volunteer")
        care.order(turn, into, "observe", moved & volunteers, by, care.OBSERVE)


def note(turn: Turn, by: str, asked: c.Note) -> Result:
    """Also after the end: people remember later."""
    incident = incident_for(turn, by, asked.incident, open_=False)
    if isinstance(incident, Refusal):
        return incident
    turn.record(f.NoteAdded(incident.incident, by, asked.text))
    return Done({"incident": incident.incident})


def confirm_hand_off(turn: Turn, by: str, asked: c.ConfirmHandOff) -> Result:
    incident = incident_for(turn, by, asked.incident)
    if isinstance(incident, Refusal):
        return incident
    if not any(h.handoff == asked.handoff and not h.confirmed_ms for h in incident.handoffs):
        return Refusal(
            "unknown-handoff", f"incident {incident.incident} has no open hand-off {asked.handoff}"
        )
    turn.record(f.HandOffConfirmed(incident.incident, asked.handoff, by, asked.reference))
    return Done({"incident": incident.incident, "handoff": asked.handoff})


# --- the device, without an incident ----------------------------------------------------------------------------


def lamp(turn: Turn, by: str, asked: c.Lamp) -> Result:
    entry = turn.state.site.device.get(asked.device)
    if entry is None or not commands_unit(turn, by, entry.unit):
        return Refusal("unknown-device", f"there is no device {asked.device} in your unit")
    if any(turn.state.incidents[i].silent for i in turn.index.open_at[asked.device]):
        return Refusal("silent", "a silent incident is open there: its lamp does not change")
    item = turn.next_id("k")
    turn.record(f.LampSet(asked.device, item, asked.pattern, turn.now + asked.for_s * 1000, by))
    ladders.send_all(turn, item)
    return Done({"device": asked.device, "item": item})


def verify_first(turn: Turn, by: str, asked: c.VerifyFirst) -> Result:
    entry = turn.state.site.device.get(asked.device)
    if entry is None or entry.kind != "pillar" or not commands_unit(turn, by, entry.unit):
        return Refusal("unknown-device", f"there is no pillar {asked.device} in your unit")
    longest = turn.index.rules(entry.unit).verify_max_s
    if asked.for_s > longest:
        return Refusal("too-long", f"verify-first lasts {longest:.0f} s at most")
    turn.record(
        f.VerifySet(asked.device, turn.now + asked.for_s * 1000 if asked.for_s else 0, asked.reason, by)
    )
    return Done({"device": asked.device})


def verify_due(turn: Turn, device: str) -> None:
    """Timer: verify-first ends by itself."""
    verify = turn.state.verify.get(device)
    if verify is None:
        return
    if verify.until_ms > turn.now:
        turn.index.arm(verify.until_ms, "verify", device)
    else:
        turn.record(f.VerifySet(device, 0, "over", "time"))


def drill(turn: Turn, by: str, asked: c.Drill) -> Result:
    entry = turn.state.site.device.get(asked.device)
    if entry is None or not commands_unit(turn, by, entry.unit):
        return Refusal("unknown-device", f"there is no device {asked.device} in your unit")
    return Done({"incident": alarms.drill(turn, asked.device, by)})


# --- shift change -----------------------------------------------------------------------------------------------


def _open_of(turn: Turn, operator: str) -> list[Incident]:
    return [i for i in turn.state.incidents.values() if i.owner == operator and not i.ended_ms]


def relieve(turn: Turn, by: str, asked: c.Relieve) -> Result:
    """Offered to one named successor, who must see all of them."""
    own = _open_of(turn, by)
    successor = turn.state.site.operator.get(asked.successor)
    if successor is None or successor.id == by or successor.role == "viewer":
        return Refusal("unknown-operator", f"{asked.successor} is nobody who could take over")
    hidden = [i.incident for i in own if not sees_incident(turn, successor.id, i)]
    if hidden:
        return Refusal("level", f"{asked.successor} does not command {', '.join(hidden[:5])}")
    turn.record(f.ReliefOffered(by, successor.id, [i.incident for i in own]))
    return Done({"successor": successor.id}, {"incidents": len(own)})


def take_relief(turn: Turn, by: str, asked: c.TakeRelief) -> Result:
    """What the predecessor took since the offer passes, too, as far as the successor commands it."""
    if turn.state.reliefs.get(asked.predecessor) != by:
        return Refusal("no-relief", f"{asked.predecessor} has offered you nothing")
    own = [i for i in _open_of(turn, asked.predecessor) if sees_incident(turn, by, i)]
    police = turn.state.site.operator[by].police
    turn.record(f.Relieved(asked.predecessor, by, [i.incident for i in own], police))
    for incident in own:
        care.refresh(turn, incident)
    return Done({"predecessor": asked.predecessor}, {"incidents": len(own)})


def sign_out(turn: Turn, by: str, asked: c.SignOut) -> Result:
    own = _open_of(turn, by)
    if own:
        names = ", ".join(i.incident for i in own[:5])
        return Refusal(
            "owns-incidents", f"you own {names}: end them, hand them over, or relieve to a successor first"
        )
    turn.record(f.SignedOut(by))
    intercom.signed_out(turn, by)
    return Done()


call_more = _owner_only(_call)
ring = _owner_only(_ring)
stand_down = _owner_only(_stand_down)
set_silent = _owner_only(_silent)
set_hazard = _owner_only(_hazard)
ask = _owner_only(_ask)
hand_off = _owner_only(_hand_off)
hand_over = _owner_only(_hand_over)
end = _owner_only(_end)
split = _owner_only(_split)
merge = _owner_only(_merge)
