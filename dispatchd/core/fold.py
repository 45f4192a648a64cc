"""State + fact → state: total, in place, and the only way facts change anything.

Each fact kind has one function here; it reads nothing but the state and the fact, so that replay ends where life did.
A fact about something the state no longer holds (ended long ago, forgotten) changes nothing.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from protocols import site as site_
from protocols.types import Key

from . import facts as f
from .index import Index
from .ladder_fold import climb, fail, open_ladder, settle_pending
from .state import (
    RESPONDING,
    SEEN_MAX,
    Broadcast,
    Call,
    Fault,
    Handoff,
    Incident,
    Ladder,
    Live,
    Place,
    Press,
    Question,
    Responder,
    Session,
    Settings,
    State,
    Task,
    Verify,
)

_F = TypeVar("_F", bound=f.Fact)
_Fold = Callable[[State, Index, Any, int], None]
FOLDS: Final[dict[type[f.Fact], _Fold]] = {}


def apply(state: State, index: Index, fact: f.Fact, now: int) -> None:
    """Fold one fact that happened at core time `now`."""
    state.now_ms = max(state.now_ms, now)
    FOLDS[type(fact)](state, index, fact, now)


def _folds(kind: type[_F]) -> Callable[[Callable[[State, Index, _F, int], None]], Callable[..., None]]:
    def register(function: Callable[[State, Index, _F, int], None]) -> Callable[..., None]:
        FOLDS[kind] = function
        return function

    return register


def _count(state: State, id_: str) -> None:
    state.counter = max(state.counter, int(id_.rpartition("-")[2]))


def key_text(key: Key) -> str:
    return f"{key.boot}/{key.seq}"


# --- daemon and site --------------------------------------------------------------------------------------------


@_folds(f.Started)
def _started(state: State, index: Index, fact: f.Started, now: int) -> None:
    state.start, state.gen = fact.start, fact.gen
    for live in state.live.values():
        live.heard_ms = now if live.online else live.heard_ms
    for session in state.sessions.values():
        session.connections, session.seen_ms = 0, now


@_folds(f.StoreFailed)
def _store_failed(state: State, index: Index, fact: f.StoreFailed, now: int) -> None:
    """For the record only."""


@_folds(f.SiteSet)
def _site_set(state: State, index: Index, fact: f.SiteSet, now: int) -> None:
    site = state.site
    site.name, site.timezone, site.root = fact.name, fact.timezone, fact.root
    site.rules, site.overrides = fact.rules, fact.overrides
    _site_grew(state, index)


def _site_grew(state: State, index: Index) -> None:
    state.site.version += 1
    index.site_changed()


@_folds(f.EntrySet)
def _entry_set(state: State, index: Index, fact: f.EntrySet, now: int) -> None:
    table: dict[str, site_.Entry] = getattr(state.site, fact.table)
    table[fact.id] = msgspec.convert(fact.entry, site_.TABLES[fact.table])
    _site_grew(state, index)


@_folds(f.EntryRemoved)
def _entry_removed(state: State, index: Index, fact: f.EntryRemoved, now: int) -> None:
    getattr(state.site, fact.table).pop(fact.id, None)
    if fact.table == "device":
        for gone in (state.site.secret, state.live, state.settings, state.verify):
            gone.pop(fact.id, None)
        index.pending.pop(fact.id, None)
    if fact.table == "operator":
        state.sessions.pop(fact.id, None)
        state.reliefs.pop(fact.id, None)
    _site_grew(state, index)


@_folds(f.SecretSet)
def _secret_set(state: State, index: Index, fact: f.SecretSet, now: int) -> None:
    state.site.secret[fact.device] = fact.secret_hash


@_folds(f.DutySet)
def _duty_set(state: State, index: Index, fact: f.DutySet, now: int) -> None:
    if (patrol := state.site.patrol.get(fact.patrol)) is not None:
        state.site.patrol[fact.patrol] = msgspec.structs.replace(patrol, on_duty=fact.on)
    if fact.key is not None:
        settings_of(state, fact.device).duty_key = key_text(fact.key)


def settings_of(state: State, device: str) -> Settings:
    return state.settings.setdefault(device, Settings())


@_folds(f.ConfigSet)
def _config_set(state: State, index: Index, fact: f.ConfigSet, now: int) -> None:
    settings = settings_of(state, fact.device)
    settings.config, settings.config_version, settings.tries = dict(fact.values), fact.version, 0
    settings.next_ms = 0
    index.arm(now, "settings", fact.device)


@_folds(f.MembershipSet)
def _membership_set(state: State, index: Index, fact: f.MembershipSet, now: int) -> None:
    settings = settings_of(state, fact.device)
    settings.membership_version, settings.patrol = fact.version, fact.patrol
    settings.on_duty, settings.groups, settings.tries = fact.on_duty, list(fact.groups), 0
    settings.next_ms = 0
    index.arm(now, "settings", fact.device)


@_folds(f.Applied)
def _applied(state: State, index: Index, fact: f.Applied, now: int) -> None:
    settings = settings_of(state, fact.device)
    if fact.what == "membership":
        settings.membership_applied = fact.version
    else:
        settings.config_applied, settings.config_error = fact.version, fact.error


@_folds(f.VerifySet)
def _verify_set(state: State, index: Index, fact: f.VerifySet, now: int) -> None:
    if fact.until_ms <= now:
        state.verify.pop(fact.device, None)
        return
    state.verify[fact.device] = Verify(fact.device, fact.until_ms, fact.reason, fact.by)
    index.arm(fact.until_ms, "verify", fact.device)


# --- presence ---------------------------------------------------------------------------------------------------

PRESENCE_LOOK_MS: Final = 5000
"""First look at a device that came; no site may call one dead earlier."""


@_folds(f.DeviceOnline)
def _online(state: State, index: Index, fact: f.DeviceOnline, now: int) -> None:
    live = state.live.setdefault(fact.device, Live())
    live.online, live.heard_ms, live.changed_ms = True, now, now
    live.conn, live.boot, live.firmware = fact.conn, fact.boot, fact.firmware or live.firmware
    if not live.watching:
        live.watching = True
        index.arm(now + PRESENCE_LOOK_MS, "presence", fact.device)


@_folds(f.DeviceOffline)
def _offline(state: State, index: Index, fact: f.DeviceOffline, now: int) -> None:
    live = state.live.setdefault(fact.device, Live())
    live.online, live.changed_ms = False, now


# --- alarms and incidents ---------------------------------------------------------------------------------------


@_folds(f.AlarmRaised)
def _alarm_raised(state: State, index: Index, fact: f.AlarmRaised, now: int) -> None:
    _count(state, fact.alarm)
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


@_folds(f.IncidentOpened)
def _incident_opened(state: State, index: Index, fact: f.IncidentOpened, now: int) -> None:
    _count(state, fact.incident)
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
    incident.unowned_since_ms = incident.last_press_ms = now
    state.incidents[fact.incident] = incident
    index.open_at[fact.device].add(fact.incident)
    if fact.hold_until_ms:
        index.arm(fact.hold_until_ms, "hold", fact.incident)
    index.arm(now, "everybody", fact.incident)


def _on(kind: type[_F]) -> Callable[[Callable[[State, Index, Incident, _F, int], None]], Callable[..., None]]:
    """Folds a fact about an incident the state still holds."""

    def register(function: Callable[[State, Index, Incident, _F, int], None]) -> Callable[..., None]:
        def fold(state: State, index: Index, fact: _F, now: int) -> None:
            incident = state.incidents.get(getattr(fact, "incident"))  # noqa: B009
            if incident is not None:
                function(state, index, incident, fact, now)

        FOLDS[kind] = fold
        return function

    return register


@_on(f.PressJoined)
def _press_joined(state: State, index: Index, incident: Incident, fact: f.PressJoined, now: int) -> None:
    incident.alerts += 1


@_folds(f.FaultNoted)
def _fault_noted(state: State, index: Index, fact: f.FaultNoted, now: int) -> None:
    id_ = f"{fact.device}-{fact.kind}"
    if (known := state.faults.get(id_)) is not None:
        known.count, known.detail, known.alarm = known.count + 1, fact.detail, fact.alarm
    else:
        state.faults[id_] = Fault(fact.device, fact.kind, fact.alarm, fact.detail, now)


@_folds(f.FaultCleared)
def _fault_cleared(state: State, index: Index, fact: f.FaultCleared, now: int) -> None:
    state.faults.pop(fact.fault, None)


@_on(f.CitizenCancelled)
def _cancelled(state: State, index: Index, incident: Incident, fact: f.CitizenCancelled, now: int) -> None:
    incident.cancelled = True
    incident.alerts += 1


@_on(f.Asked)
def _asked(state: State, index: Index, incident: Incident, fact: f.Asked, now: int) -> None:
    _count(state, fact.question)
    incident.question = Question(fact.question, fact.text, fact.by, fact.until_ms)


@_on(f.Replied)
def _replied(state: State, index: Index, incident: Incident, fact: f.Replied, now: int) -> None:
    if fact.counted and incident.question is not None:
        incident.question.answer = fact.yes
        incident.alerts += 1


# --- owner ------------------------------------------------------------------------------------------------------


@_on(f.Escalated)
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


@_on(f.OwnerTook)
def _took(state: State, index: Index, incident: Incident, fact: f.OwnerTook, now: int) -> None:
    take(state, index, incident, fact.operator, now)


@_on(f.OwnerLost)
def _owner_lost(state: State, index: Index, incident: Incident, fact: f.OwnerLost, now: int) -> None:
    incident.owner, incident.relief, incident.unowned_since_ms = None, None, now
    incident.alerted = []
    index.arm(now, "everybody", incident.incident)


@_folds(f.ReliefOffered)
def _relief_offered(state: State, index: Index, fact: f.ReliefOffered, now: int) -> None:
    state.reliefs[fact.operator] = fact.successor
    for id_ in fact.incidents:
        if (incident := state.incidents.get(id_)) is not None:
            incident.relief = fact.successor


@_folds(f.Relieved)
def _relieved(state: State, index: Index, fact: f.Relieved, now: int) -> None:
    state.reliefs.pop(fact.operator, None)
    for id_ in fact.incidents:
        if (incident := state.incidents.get(id_)) is not None:
            take(state, index, incident, fact.successor, now)


@_folds(f.SignedOut)
def _signed_out(state: State, index: Index, fact: f.SignedOut, now: int) -> None:
    state.sessions.pop(fact.operator, None)
    state.reliefs.pop(fact.operator, None)


@_on(f.HandOverOffered)
def _hand_over_offered(
    state: State, index: Index, incident: Incident, fact: f.HandOverOffered, now: int
) -> None:
    incident.relief = fact.to
    incident.alerts += 1


@_on(f.SilentSet)
def _silent_set(state: State, index: Index, incident: Incident, fact: f.SilentSet, now: int) -> None:
    incident.silent = fact.on
    _calls_say(state, incident, "silent", fact.on)


@_on(f.HazardSet)
def _hazard_set(state: State, index: Index, incident: Incident, fact: f.HazardSet, now: int) -> None:
    incident.hazard = fact.on


def _calls_say(state: State, incident: Incident, name: str, value: object) -> None:
    for call in incident.calls:
        if (ladder := state.ladders.get(call)) is not None:
            ladder.fields[name] = value


@_on(f.NoteAdded)
def _note_added(state: State, index: Index, incident: Incident, fact: f.NoteAdded, now: int) -> None:
    incident.notes += 1


@_on(f.HandedOff)
def _handed_off(state: State, index: Index, incident: Incident, fact: f.HandedOff, now: int) -> None:
    _count(state, fact.handoff)
    handoff = Handoff(fact.handoff, fact.to, fact.by, fact.means, fact.reference, now)
    incident.handoffs = [*incident.handoffs, handoff]
    index.arm(now, "handoff", incident.incident)


def _handoff(incident: Incident, id_: str) -> Handoff | None:
    return next((h for h in incident.handoffs if h.handoff == id_), None)


@_on(f.HandOffConfirmed)
def _handoff_confirmed(
    state: State, index: Index, incident: Incident, fact: f.HandOffConfirmed, now: int
) -> None:
    if (handoff := _handoff(incident, fact.handoff)) is not None:
        handoff.confirmed_ms, handoff.red = now, False
        handoff.reference = fact.reference or handoff.reference


@_on(f.HandOffOverdue)
def _handoff_overdue(
    state: State, index: Index, incident: Incident, fact: f.HandOffOverdue, now: int
) -> None:
    if (handoff := _handoff(incident, fact.handoff)) is not None:
        handoff.red = True
        incident.alerts += 1


def _close(state: State, index: Index, incident: Incident, now: int) -> None:
    incident.ended_ms, incident.ring_call, incident.hold = now, "", ""
    index.open_at[incident.device].discard(incident.incident)
    keep_ms = int(index.rules(incident.unit).keep_ended_s * 1000)
    index.arm(now + keep_ms, "forget", incident.incident)


@_on(f.Ended)
def _ended(state: State, index: Index, incident: Incident, fact: f.Ended, now: int) -> None:
    incident.outcome = fact.outcome
    _close(state, index, incident, now)


@_on(f.Merged)
def _merged(state: State, index: Index, incident: Incident, fact: f.Merged, now: int) -> None:
    incident.merged_into = fact.into
    _close(state, index, incident, now)
    into = state.incidents.get(fact.into)
    if into is None:
        return
    for responder in incident.responders.values():
        if responder.place in RESPONDING and responder.patrol not in into.responders:
            into.responders[responder.patrol] = msgspec.structs.replace(responder, since_ms=now)
            responder.place, responder.why = "lost", "merged"


@_on(f.SplitOff)
def _split_off(state: State, index: Index, incident: Incident, fact: f.SplitOff, now: int) -> None:
    moved = [press for press in incident.presses if press.alarm == fact.alarm]
    incident.presses = [press for press in incident.presses if press.alarm != fact.alarm]
    incident.press_count -= len(moved)
    if (new := state.incidents.get(fact.new)) is not None:
        new.presses, new.press_count = [*new.presses, *moved], new.press_count + len(moved)


@_folds(f.Forgotten)
def _forgotten(state: State, index: Index, fact: f.Forgotten, now: int) -> None:
    getattr(state, fact.kind).pop(fact.id, None)
    for table in (state.ladders, state.tasks, state.calls):
        _drop_about(table, fact.id)


def _drop_about(table: dict[str, Any], about: str) -> None:
    for id_ in [k for k, v in table.items() if getattr(v, "about", getattr(v, "incident", "")) == about]:
        del table[id_]


# --- rings and calls --------------------------------------------------------------------------------------------


@_on(f.RingOpened)
def _ring_opened(state: State, index: Index, incident: Incident, fact: f.RingOpened, now: int) -> None:
    _count(state, fact.call)
    chosen = [c for c in fact.looked_at if c.chosen]
    patrols = [c.patrol for c in chosen]
    if not fact.by:
        incident.ring, incident.ring_call, incident.hold, incident.exhausted = fact.ring, fact.call, "", False
        incident.wanted = fact.wanted
    incident.everybody = incident.everybody or fact.ring == 4
    incident.calls.append(fact.call)
    state.calls[fact.call] = Call(
        fact.call, incident.incident, fact.ring, fact.wanted, now, fact.deadline_ms, patrols
    )
    for c in chosen:
        incident.responders[c.patrol] = Responder(c.patrol, "called", fact.call, now, distance_m=c.distance_m)
    _call_ladder(state, index, incident, fact, now)
    index.arm(fact.deadline_ms, "ring", incident.incident)


def _call_ladder(state: State, index: Index, incident: Incident, fact: f.RingOpened, now: int) -> None:
    places = [_place(d, c) for c in fact.looked_at if c.chosen for d in c.devices[:1]]
    point = state.site.point.get(incident.point or "")
    fields = {
        "call": fact.call,
        "incident": incident.incident,
        "kind": incident.kind,
        "point": point.number if point else "",
        "place": point.name if point else _device_name(state, incident.device),
        "silent": incident.silent,
    }
    ladder = Ladder(
        fact.call, "call", incident.incident, now, fact.expires_ms, fields=fields, drill=incident.drill
    )
    open_ladder(state, index, ladder, places, now)


def _device_name(state: State, device: str) -> str:
    entry = state.site.device.get(device)
    return entry.name if entry else device


def _place(device: str, c: f.Candidate) -> Place:
    known = {"distance_m": c.distance_m, "bearing_deg": c.bearing_deg}
    return Place(device, c.patrol, fields={k: v for k, v in known.items() if v is not None})


@_on(f.RingDelayed)
def _ring_delayed(state: State, index: Index, incident: Incident, fact: f.RingDelayed, now: int) -> None:
    if (call := state.calls.get(fact.call)) is not None:
        call.first_presented_ms, call.deadline_ms = now, fact.deadline_ms
        index.arm(fact.deadline_ms, "ring", incident.incident)


@_on(f.RingClosed)
def _ring_closed(state: State, index: Index, incident: Incident, fact: f.RingClosed, now: int) -> None:
    if (call := state.calls.get(fact.call)) is not None:
        call.closed = fact.why
    if incident.ring_call == fact.call:
        incident.ring_call = ""


@_on(f.RingsExhausted)
def _rings_exhausted(
    state: State, index: Index, incident: Incident, fact: f.RingsExhausted, now: int
) -> None:
    incident.exhausted = True
    incident.alerts += 1
    relook_ms = int(index.rules(incident.unit).relook_s * 1000)
    index.arm(now + relook_ms, "ring", incident.incident)


@_on(f.Answered)
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
    _accepted_by(state, incident)
    if fact.place in RESPONDING:
        index.arm(now, "silent", incident.incident)


ANSWER_KEYS_MAX = 64
"""Answers of one patrol to one incident that are known by key; an older double changes nothing but the journal."""


def _accepted_by(state: State, incident: Incident) -> None:
    coming = sorted(r.patrol for r in incident.responders.values() if r.place in RESPONDING)[:100]
    _calls_say(state, incident, "accepted_by", coming)
    for id_ in incident.calls:
        if (call := state.calls.get(id_)) is not None:
            call.rev += 1
            if id_ in state.ladders:
                state.ladders[id_].fields["rev"] = call.rev


@_on(f.PatrolLost)
def _patrol_lost(state: State, index: Index, incident: Incident, fact: f.PatrolLost, now: int) -> None:
    if (responder := incident.responders.get(fact.patrol)) is not None:
        responder.place, responder.why, responder.since_ms = "lost", fact.why, now
        _accepted_by(state, incident)


@_on(f.StoodDown)
def _stood_down(state: State, index: Index, incident: Incident, fact: f.StoodDown, now: int) -> None:
    _count(state, fact.item)
    for patrol in fact.patrols:
        if (responder := incident.responders.get(patrol)) is not None:
            responder.place, responder.why, responder.since_ms = "stood-down", fact.reason, now
    _accepted_by(state, incident)
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


@_on(f.OrderGiven)
def _order_given(state: State, index: Index, incident: Incident, fact: f.OrderGiven, now: int) -> None:
    _count(state, fact.item)
    fields = {"incident": fact.incident, "order": fact.order, "text": fact.text, "silent": incident.silent}
    _to_devices(state, index, fact, "order", fields, now)


@_on(f.PromptSet)
def _prompt_set(state: State, index: Index, incident: Incident, fact: f.PromptSet, now: int) -> None:
    _count(state, fact.item)
    incident.prompt, incident.prompt_item = f"{fact.code} {fact.also}".strip(), fact.item
    _to_devices_of(state, index, fact, [fact.device], now)


def _to_devices_of(state: State, index: Index, fact: f.PromptSet, devices: list[str], now: int) -> None:
    fields = {"incident": fact.incident, "code": fact.code, **fact.fields}
    drill = state.incidents[fact.incident].drill
    ladder = Ladder(fact.item, "prompt", fact.incident, now, fact.expires_ms, fields=fields, drill=drill)
    open_ladder(state, index, ladder, [Place(d) for d in devices], now)


@_on(f.AlertSent)
def _alert_sent(state: State, index: Index, incident: Incident, fact: f.AlertSent, now: int) -> None:
    _count(state, fact.item)
    fields = {"incident": fact.incident, "text": fact.text, "count": fact.count}
    _to_devices(state, index, fact, "alert", fields, now)


@_folds(f.LampSet)
def _lamp_set(state: State, index: Index, fact: f.LampSet, now: int) -> None:
    _count(state, fact.item)
    fields = {"pattern": fact.pattern, "until": fact.until_ms}
    ladder = Ladder(fact.item, "lamp", fact.device, now, fact.until_ms, fields=fields, drill=fact.drill)
    open_ladder(state, index, ladder, [Place(fact.device)], now)


# --- ladder -----------------------------------------------------------------------------------------------------


@_folds(f.RungReached)
def _rung_reached(state: State, index: Index, fact: f.RungReached, now: int) -> None:
    if (ladder := state.ladders.get(fact.item)) is not None:
        climb(index, ladder, fact, now)


@_folds(f.RungFailed)
def _rung_failed(state: State, index: Index, fact: f.RungFailed, now: int) -> None:
    if (ladder := state.ladders.get(fact.item)) is not None:
        fail(index, ladder, fact, now)


@_folds(f.RouteTried)
def _route_tried(state: State, index: Index, fact: f.RouteTried, now: int) -> None:
    ladder = state.ladders.get(fact.item)
    if ladder is None:
        return
    for device in fact.devices:
        place = ladder.places[device]
        place.route = max(place.route, fact.number)
        if fact.route == "other-terminal":
            _other_terminal(index, ladder, place, fact.to, now)
    if fact.route == "talk-group" and fact.to not in ladder.groups_tried:
        ladder.groups_tried.append(fact.to)
    if (task := state.tasks.get(fact.to)) is not None:
        task.devices = [*task.devices, *(d for d in fact.devices if d not in task.devices)]


def _other_terminal(index: Index, ladder: Ladder, place: Place, to: str, now: int) -> None:
    if to not in ladder.places:
        ladder.places[to] = Place(to, place.patrol, "other-terminal", fields=dict(place.fields), route=1)
        index.watch(ladder, to)
        index.arm(now, "place", f"{ladder.item} {to}")


@_folds(f.AddresseeLeft)
def _addressee_left(state: State, index: Index, fact: f.AddresseeLeft, now: int) -> None:
    ladder = state.ladders.get(fact.item)
    if ladder is not None and fact.device in ladder.places:
        place = ladder.places[fact.device]
        place.left, place.reason = True, "left"
        settle_pending(index, ladder, place)


@_folds(f.LadderExpired)
def _ladder_expired(state: State, index: Index, fact: f.LadderExpired, now: int) -> None:
    if (ladder := state.ladders.get(fact.item)) is not None:
        ladder.expired = True
        _drop_pending(index, ladder)


@_folds(f.LadderSuperseded)
def _ladder_superseded(state: State, index: Index, fact: f.LadderSuperseded, now: int) -> None:
    if (ladder := state.ladders.get(fact.item)) is not None:
        ladder.superseded = True
        _drop_pending(index, ladder)


def _drop_pending(index: Index, ladder: Ladder) -> None:
    for place in ladder.places.values():
        index.unwatch(ladder.item, place.device)


@_folds(f.TaskOpened)
def _task_opened(state: State, index: Index, fact: f.TaskOpened, now: int) -> None:
    _count(state, fact.task)
    state.tasks[fact.task] = Task(
        fact.task, fact.about, fact.item, fact.unit, fact.text, now, list(fact.devices)
    )


@_folds(f.TaskDone)
def _task_done(state: State, index: Index, fact: f.TaskDone, now: int) -> None:
    if (task := state.tasks.get(fact.task)) is not None:
        task.done_ms, task.by = now, fact.by


# --- broadcast --------------------------------------------------------------------------------------------------


@_folds(f.BroadcastOpened)
def _broadcast_opened(state: State, index: Index, fact: f.BroadcastOpened, now: int) -> None:
    _count(state, fact.broadcast)
    names = ("broadcast", "by", "unit", "text", "target", "priority", "lang", "expires_ms", "ack", "drill")
    state.broadcasts[fact.broadcast] = Broadcast(**{n: getattr(fact, n) for n in names}, opened_ms=now)
    fields = {n: getattr(fact, n) for n in ("broadcast", "text", "priority", "lang", "ack", "sender")}
    fields["expires_at"] = fact.expires_ms
    ladder = Ladder(
        fact.broadcast, "broadcast", fact.broadcast, now, fact.expires_ms, fields=fields, drill=fact.drill
    )
    open_ladder(state, index, ladder, [Place(d, p or None) for d, p in fact.addressees], now)


@_folds(f.BroadcastCancelled)
def _broadcast_cancelled(state: State, index: Index, fact: f.BroadcastCancelled, now: int) -> None:
    broadcast = state.broadcasts.get(fact.broadcast)
    if broadcast is None:
        return
    _count(state, fact.item)
    _shut(index, broadcast, "cancelled", now)
    broadcast.cancel_item = fact.item
    if (old := state.ladders.get(fact.broadcast)) is not None:
        old.superseded = True
        _drop_pending(index, old)
    fields: dict[str, Any] = {"broadcast": fact.broadcast}
    ladder = Ladder(fact.item, "broadcast-cancel", fact.broadcast, now, fact.expires_ms, fields=fields)
    open_ladder(state, index, ladder, [Place(d) for d in fact.devices], now)


def _shut(index: Index, broadcast: Broadcast, how: str, now: int) -> None:
    broadcast.state, broadcast.closed_ms = how, now
    keep_ms = int(index.rules(broadcast.unit).keep_ended_s * 1000)
    index.arm(now + keep_ms, "forget", broadcast.broadcast)


@_folds(f.BroadcastClosed)
def _broadcast_closed(state: State, index: Index, fact: f.BroadcastClosed, now: int) -> None:
    if (broadcast := state.broadcasts.get(fact.broadcast)) is not None:
        _shut(index, broadcast, fact.state, now)
