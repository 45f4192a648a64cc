"""Who may ask for a floor, with which priority and rank, and who would hear him. Reads the state, changes nothing of it
but the volatile memory of which requests of a device are over.
"""

from typing import Final

from msgspec import Struct

from protocols import geo, up
from protocols.rules import Rules
from protocols.site import Device

from .commands import RequestFloor
from .state import Asking, Floor, Intercom
from .turn import Turn

RANKS: Final = {"volunteer": 1, "auxiliary": 2, "police": 3}
LEADER_RANK: Final = 4
"""A duty leader's terminal."""
OPERATOR_RANK: Final = 8

PRESS_EVERY_MS: Final = 500
PRESSES_AT_ONCE: Final = 10
"""New presses of the talk key by one device; further ones are not heard until it repeats them (T101). Each costs a row
of the journal and a word to everybody in the talk group."""

DENY_TEXT: Final = {
    "unknown-group": ("您不在该通话组", "you are not in this talk group, or it is closed; choose another"),
    "muted": (
        "您已被禁言,可按紧急键",
        "the control room has muted this device; the emergency key still works",
    ),
    "receive-only": ("该设备只能收听", "this device listens only"),
    "only-one-participant": (
        "该组无人在听",
        "nobody else of this talk group is on line: use another group or the telephone",
    ),
    "queue-full": ("排队已满,请稍后再试", "too many wait for the floor already; try again in a moment"),
    "another-talks": (
        "他人讲话,请稍后再试",
        "somebody else talked for the whole time you waited; press again",
    ),
}
"""Cause of a *deny* → what the talker reads, in Chinese and English."""


class Request(Struct, frozen=True):
    """`talker` wants to talk in `group`."""

    talker: str
    group: str
    ref: int
    priority: str
    rank: int


def device_request(turn: Turn, device: str, said: up.FloorRequest) -> Request:
    return Request(device, said.group, said.ref, said.priority, _rank(turn, device))


def operator_request(turn: Turn, operator: str, said: RequestFloor) -> Request:
    entry = turn.state.site.operator.get(operator)
    leads = entry is not None and entry.role in ("duty-leader", "admin")
    return Request("@" + operator, said.group, said.ref, said.priority, OPERATOR_RANK + leads)


def again(asking: Asking) -> Request:
    """The request that waited."""
    return Request(asking.talker, asking.via, asking.ref, asking.priority, asking.rank)


def _rank(turn: Turn, device: str) -> int:
    entry = turn.state.site.device.get(device)
    if entry is None:
        return 0
    units = turn.state.site.unit
    if any(device in units[unit].duty_leaders for unit in turn.index.chain(entry.unit)):
        return LEADER_RANK
    patrol = turn.state.site.patrol.get(entry.patrol or "")
    return RANKS[patrol.force] if patrol else 0


# --- may he? ----------------------------------------------------------------------------------------------------


def refused(turn: Turn, request: Request) -> str:
    """The cause of a *deny*, "" if he may."""
    if request.talker.startswith("@"):
        if not operator_in(turn, request.talker[1:], request.group):
            return "unknown-group"
    elif cause := _device_refused(turn, request):
        return cause
    if request.priority != "emergency" and not listeners(
        turn, groups_of(turn, floor_of(turn, request.group)), request.talker
    ):
        return "only-one-participant"
    return ""


def _device_refused(turn: Turn, request: Request) -> str:
    entry = turn.state.site.device.get(request.talker)
    if entry is None or request.group not in turn.index.groups_of(request.talker):
        return "unknown-group"
    if entry.kind != "terminal":
        return "receive-only"
    if request.talker in turn.state.muted and request.priority != "emergency":
        return "muted"
    return ""


def is_outside(turn: Turn, talker: str, group: str) -> bool:
    """He is in this group no more."""
    if talker.startswith("@"):
        return not operator_in(turn, talker[1:], group)
    return group not in turn.index.groups_of(talker)


def operator_in(turn: Turn, operator: str, group: str) -> bool:
    """He commands the group's unit, or belongs to it himself, or sees its incident."""
    entry = turn.state.site.operator.get(operator)
    if entry is None:
        return False
    talk = turn.state.talk.get(group)
    if talk is not None and talk.incident:
        incident = turn.state.incidents.get(talk.incident)
        return incident is not None and (
            turn.index.within(incident.unit, entry.unit) or entry.unit in incident.alerted
        )
    unit = unit_of(turn, group)
    return bool(unit) and (turn.index.within(unit, entry.unit) or turn.index.within(entry.unit, unit))


def new_request(turn: Turn, device: str, ref: int) -> bool:
    """Not a late double of one that was released, nor older than the last, nor one of a flood."""
    live = turn.state.live.get(device)
    if live is None or ref <= live.released_ref or ref < live.floor_ref:
        return False
    if ref > live.floor_ref:
        until_ms = max(live.presses_until_ms, turn.now) + PRESS_EVERY_MS
        if until_ms > turn.now + PRESSES_AT_ONCE * PRESS_EVERY_MS:
            return False
        live.presses_until_ms = until_ms
    live.floor_ref = ref
    return True


def remember_release(turn: Turn, device: str, ref: int) -> None:
    live = turn.state.live.get(device)
    if live is not None:
        live.released_ref = max(live.released_ref, ref)


# --- the floor and its groups --------------------------------------------------------------------------------------


def floor_of(turn: Turn, group: str) -> Floor:
    """The floor of a group or of its patch; an idle one if nothing was ever said there."""
    name = next((patch[0] for patch in turn.state.patches if group in patch), group)
    return turn.state.floors.get(name) or Floor(name)


def groups_of(turn: Turn, floor: Floor) -> list[str]:
    """All that share it."""
    return next((list(p) for p in turn.state.patches if floor.group in p), [floor.group])


def unit_of(turn: Turn, group: str) -> str:
    """The unit that a talk group belongs to; "" if there is no such group."""
    talk = turn.state.talk.get(group)
    if talk is not None and talk.unit:
        return talk.unit
    entry = turn.index.tree.talk.get(group)
    return entry.unit if entry else ""


def rules(turn: Turn, group: str) -> Rules:
    return turn.index.rules(unit_of(turn, group))


def incident_of(turn: Turn, group: str) -> str:
    talk = turn.state.talk.get(group)
    return talk.incident if talk else ""


def is_silent(turn: Turn, group: str) -> bool:
    incident = turn.state.incidents.get(incident_of(turn, group))
    return incident is not None and incident.silent


def deaf(turn: Turn, floor: Floor) -> list[str]:
    """Who must not hear it: those near a pillar that is heard; and no group at all sounds where a silent incident was
    raised, as long as it is open."""
    members = {device for group in floor.groups for device in turn.index.members(group)}
    raised = {one.device for one in turn.index.open_incidents() if one.silent}
    return sorted({*raised & members, *(near(turn, floor.talker, floor.incident) if floor.ambient else ())})


def is_drill(turn: Turn, group: str) -> bool:
    talk = turn.state.talk.get(group)
    return talk is not None and talk.drill


def listeners(turn: Turn, groups: list[str], talker: str) -> int:
    """How many others have voice there now: devices on line with keys, and operators."""
    live = turn.state.live
    devices = {
        d
        for g in groups
        for d in turn.index.members(g)
        if d != talker and (seen := live.get(d)) is not None and seen.online and seen.carriage
    }
    operators = [
        o for o, hears in turn.state.hearing.items() if "@" + o != talker and any(g in hears for g in groups)
    ]
    return len(devices) + len(operators)


def name_of(turn: Turn, talker: str) -> str:
    """What a listener's screen shows: the patrol or operator by name, else the id."""
    if talker.startswith("@"):
        entry = turn.state.site.operator.get(talker[1:])
        return entry.name if entry and entry.name else talker[1:]
    device = turn.state.site.device.get(talker)
    patrol = turn.state.site.patrol.get(device.patrol or "") if device else None
    return (patrol.name if patrol else "") or (device.name if device else "") or talker


# --- the pillar -------------------------------------------------------------------------------------------------


def patched_pillar(turn: Turn, groups: list[str]) -> Intercom | None:
    """A pillar whose owner lets one of these groups hear it."""
    for intercom in turn.state.intercoms.values():
        if intercom.patched and not intercom.silent and "inc-" + intercom.incident in groups:
            return intercom
    return None


def near(turn: Turn, pillar: str, incident: str) -> list[str]:
    """Terminals on scene, or seen freshly within `near_pillar_m`: they would howl. At most 100, sorted."""
    found = turn.state.incidents.get(incident)
    entry = turn.state.site.device.get(pillar)
    if found is None or entry is None:
        return []
    on_scene = {p for p, r in found.responders.items() if r.place == "on-scene"}
    here = _place(turn, entry)
    close = [
        d
        for d in turn.index.members("inc-" + incident)
        if (e := turn.state.site.device.get(d)) is not None
        and (e.patrol in on_scene or _within(turn, d, here, turn.rules(found)))
    ]
    return sorted(close)[:100]


def _place(turn: Turn, entry: Device) -> geo.LatLon | None:
    if entry.lat is not None and entry.lon is not None:
        return entry.lat, entry.lon
    point = turn.state.site.point.get(entry.point or "")
    return (point.lat, point.lon) if point else None


def _within(turn: Turn, device: str, here: geo.LatLon | None, numbers: Rules) -> bool:
    live = turn.state.live.get(device)
    if here is None or live is None or live.position is None:
        return False
    if turn.now - live.position_ms > numbers.position_fresh_s * 1000:
        return False
    return geo.distance_m(here, (live.position.lat, live.position.lon)) <= numbers.near_pillar_m
