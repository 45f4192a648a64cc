"""Alarm → incident. One press is one alarm, however often its message comes; every alarm is receipted.

A press at a device with an open incident joins it and alerts the owner again. A late alarm, a pillar under verify-first
and a device not yet in service open an incident that holds its rings. A fault goes to the maintenance list.
"""

from typing import Final

from protocols import up
from protocols.types import ALARM_KINDS, Key, Position

from . import care, owner, rings
from . import facts as f
from .fold import key_text
from .ladder import FAR_MS
from .state import COMING, RINGING_KINDS, Incident
from .turn import Turn

QUIET_KINDS: Final = frozenset({"fault", "stuck"})


def said_alarm(turn: Turn, device: str, said: up.Alarm) -> None:
    """Receipt, once it is recorded, with the incident it went to."""
    known = turn.state.seen.get(device, {}).get(key_text(said.key))
    incident = known[1] if known is not None else raised(turn, device, said)
    turn.receipt(device, said.key, incident)


def raised(turn: Turn, device: str, said: up.Alarm, by: str = "") -> str:
    """A press not seen before; the id of its incident ("" for the maintenance list)."""
    kind = said.kind if said.kind in ALARM_KINDS else "one-key"
    alarm = turn.next_id("a")
    incident = None if kind in QUIET_KINDS else _joins(turn, device, kind, said.drill)
    opened = incident is None and kind not in QUIET_KINDS
    id_ = incident.incident if incident else turn.next_id("i") if opened else ""
    if opened:
        _open(turn, device, said, kind, alarm, id_)
    last_press = incident.last_press_ms if incident else 0
    turn.record(_raised_fact(turn, device, said, kind, alarm, id_, by))
    if kind in QUIET_KINDS or kind == "tamper":
        turn.record(f.FaultNoted(device, kind, alarm, said.detail))
    if opened:
        _act_on_new(turn, turn.state.incidents[id_])
    elif incident is not None:
        _act_on_joined(turn, incident, kind, alarm, last_press, late=_late(turn, incident.unit, said))
    return id_


def _raised_fact(
    turn: Turn, device: str, said: up.Alarm, kind: str, alarm: str, incident: str, by: str
) -> f.AlarmRaised:
    age = None if said.age_ms is None else min(said.age_ms, FAR_MS)
    return f.AlarmRaised(
        incident, alarm, device, said.key, kind, said.kind, turn.now - (age or 0), age, said.drill,
        said.position, said.detail, by,
    )  # fmt: skip


def _joins(turn: Turn, device: str, kind: str, drill: bool) -> Incident | None:
    """The newest open incident of this device that such a press belongs to: of the same weight, drill or real alike."""
    open_ = [turn.state.incidents[i] for i in turn.index.open_at[device]]
    fits = [i for i in open_ if i.drill == drill and (i.kind in RINGING_KINDS) == (kind in RINGING_KINDS)]
    return max(fits, key=lambda i: (i.opened_ms, i.incident), default=None)


# --- a new incident ---------------------------------------------------------------------------------------------


def _open(turn: Turn, device: str, said: up.Alarm, kind: str, alarm: str, id_: str) -> None:
    unit = unit_of(turn, device)
    entry = turn.state.site.device.get(device)
    late = _late(turn, unit, said)
    hold, until = _hold(turn, device, kind, late)
    turn.record(
        f.IncidentOpened(
            id_, alarm, device, kind, unit, entry.point if entry else None, where(turn, device, said.position),
            silent=kind == "duress", late=late, age_unknown=said.age_ms is None, drill=said.drill,
            hold=hold, hold_until_ms=until, site_version=turn.state.site.version,
        )
    )  # fmt: skip


def _late(turn: Turn, unit: str, said: up.Alarm) -> bool:
    return said.age_ms is not None and said.age_ms > turn.index.rules(unit).late_after_s * 1000


def _hold(turn: Turn, device: str, kind: str, late: bool) -> tuple[str, int]:
    """Why this incident's rings keep still at first, and until when (0 = until the owner says)."""
    entry = turn.state.site.device.get(device)
    if late:
        return "late", 0
    if entry is not None and not entry.in_service:
        return "commissioning", 0
    verify = turn.state.verify.get(device)
    if verify is not None and kind == "one-key" and verify.until_ms > turn.now:
        return "verify", turn.now + int(turn.index.rules(unit_of(turn, device)).verify_ring_after_s * 1000)
    return "", 0


def unit_of(turn: Turn, device: str) -> str:
    """The responsible unit; the top for a device nobody knows: an alarm is never refused."""
    entry = turn.state.site.device.get(device)
    if entry is not None:
        return entry.unit
    return next((u.id for u in turn.state.site.unit.values() if u.parent is None), "")


def where(turn: Turn, device: str, said: Position | None) -> Position | None:
    """What the alarm says, else where the device stands, else where it was last seen (with that age)."""
    if said is not None:
        return said
    entry = turn.state.site.device.get(device)
    if entry is not None and entry.lat is not None and entry.lon is not None:
        return Position(entry.lat, entry.lon)
    point = turn.state.site.point.get(entry.point or "") if entry else None
    if point is not None:
        return Position(point.lat, point.lon)
    live = turn.state.live.get(device)
    if live is None or live.position is None:
        return None
    age = max(0, turn.now - live.position_ms)
    return Position(live.position.lat, live.position.lon, live.position.accuracy_m, age)


def _act_on_new(turn: Turn, incident: Incident) -> None:
    if incident.silent and care.told(turn, incident.device):
        care.hush(turn, incident)
    owner.escalate(turn, incident, "opened")
    if not incident.hold:
        rings.start(turn, incident, "opened")


# --- a further press --------------------------------------------------------------------------------------------


def _act_on_joined(
    turn: Turn, incident: Incident, kind: str, alarm: str, last_press_ms: int, *, late: bool
) -> None:
    """The owner hears of it; the rings start again when nobody is coming or the last press is long ago.

    A late incident waits for its owner only while every press of it is late: a fresh one is somebody there now.
    """
    fresh = incident.hold == "late" and not late
    why = "fresh" if fresh else _again(turn, incident, last_press_ms)
    turn.record(f.PressJoined(incident.incident, alarm, incident.press_count, bool(why), why))
    if kind == "duress" and not incident.silent:
        care.set_silent(turn, incident, True, incident.device)
    if why:
        rings.start(turn, incident, "press")


def _again(turn: Turn, incident: Incident, last_press_ms: int) -> str:
    if incident.hold or incident.ring_call or incident.kind not in RINGING_KINDS:
        return ""
    if not any(r.place in COMING for r in incident.responders.values()):
        return "nobody-coming"
    if turn.now - last_press_ms > turn.rules(incident).rejoin_after_s * 1000:
        return "long-ago"
    return ""


# --- drills and splits ------------------------------------------------------------------------------------------


def drill(turn: Turn, device: str, by: str) -> str:
    """A drill alarm at a device, as if pressed there; from here on it is the real path."""
    key = Key(f"drill-{turn.state.gen}", turn.state.counter + 1)
    return raised(turn, device, up.Alarm(key, age_ms=0, drill=True), by)


def split(turn: Turn, incident: Incident, alarm: str, by: str) -> str | None:
    """Give one press an incident of its own, as silent and as dangerous; None if it is not here or is the only one."""
    press = next((p for p in incident.presses if p.alarm == alarm), None)
    if press is None or incident.press_count < 2:
        return None
    id_ = turn.next_id("i")
    late = press.age_known and press.received_ms - press.pressed_ms > turn.rules(incident).late_after_s * 1000
    turn.record(
        f.IncidentOpened(
            id_, alarm, incident.device, press.kind, incident.unit, incident.point, incident.position,
            silent=incident.silent or press.kind == "duress", late=late, drill=incident.drill,
            hold="late" if late else "", split_from=incident.incident, site_version=turn.state.site.version,
        )
    )  # fmt: skip
    turn.record(f.SplitOff(incident.incident, alarm, id_, by))
    if incident.hazard:
        care.set_hazard(turn, turn.state.incidents[id_], True, by)
    _act_on_new(turn, turn.state.incidents[id_])
    return id_


# --- the citizen's further words --------------------------------------------------------------------------------


def said_cancel(turn: Turn, device: str, said: up.Cancel) -> None:
    """A note to the owner, never an end."""
    incident = _cancelled(turn, device, said)
    if incident is not None and not incident.ended_ms and not incident.cancelled:
        turn.record(f.CitizenCancelled(incident.incident, device, said.key))
    turn.receipt(device, said.key, incident.incident if incident else "")


def _cancelled(turn: Turn, device: str, said: up.Cancel) -> Incident | None:
    """The incident of the alarm it names, so that an old double touches no new one; else the newest open here."""
    if said.alarm is None:
        return _joins(turn, device, "one-key", drill=False) or _joins(turn, device, "one-key", drill=True)
    known = turn.state.seen.get(device, {}).get(key_text(said.alarm))
    return turn.state.incidents.get(known[1]) if known else None


def said_reply(turn: Turn, device: str, said: up.Reply) -> None:
    """Counts inside its open question only, and once."""
    for id_ in turn.index.open_at[device]:
        question = turn.state.incidents[id_].question
        if question is not None and question.question == said.question and question.answer is None:
            pressed = turn.now - min(said.age_ms or 0, FAR_MS)
            counted = pressed <= question.until_ms
            turn.record(f.Replied(id_, device, said.key, said.question, said.yes, counted))
            if counted:
                care.restore(turn, turn.state.incidents[id_])
            break
    turn.receipt(device, said.key)
