"""Who could come: every patrol as seen from one incident, and whom a ring takes of them.

Available = on duty, on line, not committed elsewhere. Every candidate says why he is not, or that he was chosen; a
position that is not fresh gives no distance.
"""

import heapq
import math
from typing import Final, NamedTuple

import msgspec

from protocols import geo
from protocols.rules import Rules
from protocols.site import Patrol

from . import facts as f
from .state import RESPONDING, Incident, Responder
from .turn import Turn

LOOKED_AT_MAX: Final = 50
"""Candidates kept in a ring's fact beside the chosen ones: the nearest."""


class Look(NamedTuple):
    """Who was looked at for a ring, the chosen marked; how many in all; how far it reached."""

    candidates: list[f.Candidate]
    passed: int
    reach_m: float | None = None

    @property
    def chosen(self) -> list[f.Candidate]:
        return [c for c in self.candidates if c.chosen]


def look(turn: Turn, incident: Incident, ring: int, *, again: bool) -> Look:
    """Everybody, seen from the incident, and whom this ring takes."""
    by = eye(turn, incident, again=again)
    everyone = [candidate(turn, incident, p, by) for p in turn.state.site.patrol.values()]
    free = sorted((c for c in everyone if not c.why), key=_by_distance)
    chosen, reach_m = _chosen(turn, incident, ring, free)
    return looked(turn, incident, everyone, chosen, reach_m)


def _chosen(
    turn: Turn, incident: Incident, ring: int, free: list[f.Candidate]
) -> tuple[list[f.Candidate], float | None]:
    """Of the available, nearest first; and how far the ring reaches."""
    rules = turn.rules(incident)
    if incident.kind == "tamper":
        return [c for c in free if c.force == "police"][:1], None
    if ring == 1:
        return _ring1(free, rules), rules.ring1_m
    if ring == 2:
        near = [c for c in free if _by_distance(c) <= rules.ring2_m]
        return near[: rules.ring2_patrols], rules.ring2_m
    return (_unit_ring(turn, incident, free) if ring == 3 else free), None


def _ring1(free: list[f.Candidate], rules: Rules) -> list[f.Candidate]:
    near = [c for c in free if _by_distance(c) <= rules.ring1_m][: rules.ring1_patrols]
    if any(c.force == "police" for c in near):
        return near
    return near + [c for c in free if c.force == "police" and _by_distance(c) <= rules.ring1_police_m][:1]


def _unit_ring(turn: Turn, incident: Incident, free: list[f.Candidate]) -> list[f.Candidate]:
    """The responsible unit's patrols; of the first superior that has any, where it has none."""
    for unit in turn.index.chain(incident.unit):
        own = [c for c in free if turn.index.within(turn.state.site.patrol[c.patrol].unit, unit)]
        if own:
            return own
    return []


def _by_distance(c: f.Candidate) -> float:
    return math.inf if c.distance_m is None else c.distance_m


def looked(
    turn: Turn,
    incident: Incident,
    everyone: list[f.Candidate],
    chosen: list[f.Candidate],
    reach_m: float | None,
) -> Look:
    """The chosen marked and with their bearing, and the nearest of the rest."""
    ids = {c.patrol for c in chosen}
    marked = [_marked(turn, incident, c) for c in chosen]
    rest = [c for c in everyone if c.patrol not in ids]
    if len(rest) > LOOKED_AT_MAX:
        rest = heapq.nsmallest(LOOKED_AT_MAX, rest, key=_by_distance)
    return Look(marked + [_rounded(c) for c in rest], len(everyone), reach_m)


def _rounded(c: f.Candidate) -> f.Candidate:
    return c if c.distance_m is None else msgspec.structs.replace(c, distance_m=round(c.distance_m, 1))


def _marked(turn: Turn, incident: Incident, c: f.Candidate) -> f.Candidate:
    bearing = None
    if c.distance_m is not None and incident.position is not None:
        here = next(p for d in c.devices if (p := turn.state.live[d].position) is not None)
        bearing = geo.bearing_deg((here.lat, here.lon), (incident.position.lat, incident.position.lon))
    known = bearing if bearing is None else round(bearing, 1) % 360
    return msgspec.structs.replace(_rounded(c), bearing_deg=known, chosen=True)


class Eye(NamedTuple):
    """What is the same for every patrol that is looked at: taken once a look."""

    there: geo.LatLon | None
    oldest_ms: int
    raiser: str | None
    taken: dict[str, str]
    again: bool


def eye(turn: Turn, incident: Incident, *, again: bool = False) -> Eye:
    """`again`: also those who were asked already and did not come."""
    raiser = turn.state.site.device.get(incident.device)
    there = (incident.position.lat, incident.position.lon) if incident.position is not None else None
    oldest = turn.now - int(turn.rules(incident).position_fresh_s * 1000)
    return Eye(there, oldest, raiser.patrol if raiser else None, committed(turn, incident), again)


def candidate(turn: Turn, incident: Incident, patrol: Patrol, by: Eye) -> f.Candidate:
    """One patrol as seen from the incident; `why` says why it is not available ("" = it is)."""
    devices = _live_terminals(turn, patrol.id)
    distance, age = _seen_from(turn, by, devices)
    why = _why_not(incident, patrol, devices, by)
    return f.Candidate(patrol.id, patrol.force, distance, None, age, devices, why=why)


def _live_terminals(turn: Turn, patrol: str) -> list[str]:
    """On line and in service, last heard first."""
    devices, live = turn.state.site.device, turn.state.live
    here = [
        d
        for d in turn.index.tree.terminals.get(patrol, ())
        if d in live and live[d].online and devices[d].in_service
    ]
    return sorted(here, key=lambda d: (live[d].heard_ms, d), reverse=True) if len(here) > 1 else here


def _why_not(incident: Incident, patrol: Patrol, devices: list[str], by: Eye) -> str:
    if not patrol.on_duty:
        return "off-duty"
    if not devices:
        return "offline"
    if by.raiser == patrol.id:
        return "raised-it"
    known = incident.responders.get(patrol.id)
    if known is not None and _settled(known, by):
        return "stood-down by the owner" if known.place == "stood-down" else known.place
    return f"committed {by.taken[patrol.id]}" if patrol.id in by.taken else ""


def _settled(known: Responder, by: Eye) -> bool:
    """Coming, or asked in this turn of the rings already, or sent home by the owner."""
    asked = not by.again and known.place in ("called", "declined", "done")
    return known.place in RESPONDING or asked or (known.place == "stood-down" and known.why == "owner")


def committed(turn: Turn, incident: Incident) -> dict[str, str]:
    """Patrol → the other open incident it responds to. A drill gives way to a real alarm, not the reverse."""
    return {
        responder.patrol: other.incident
        for other in turn.index.open_incidents()
        if other is not incident and (incident.drill or not other.drill)
        for responder in other.responders.values()
        if responder.place in RESPONDING
    }


def _seen_from(turn: Turn, by: Eye, devices: list[str]) -> tuple[float | None, int | None]:
    """Distance of the patrol in metres and the age of its position; None without a fresh one."""
    if by.there is None:
        return None, None
    for device in devices:
        live = turn.state.live[device]
        if live.position is not None and live.position_ms >= by.oldest_ms:
            here = (live.position.lat, live.position.lon)
            return geo.distance_m(here, by.there), turn.now - live.position_ms
    return None, None
