"""Who could come: every patrol as seen from one incident, and whom a ring takes of them.

Available = on duty, on line, not committed elsewhere. Every candidate says why he is not, or that he was chosen; a
position that is not fresh gives no distance.
"""

import math
from typing import Final, NamedTuple

import msgspec

from protocols import geo
from protocols.rules import Rules
from protocols.site import Patrol

from . import facts as f
from .state import RESPONDING, Incident
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
    rules = turn.rules(incident)
    taken = committed(turn, incident)
    everyone = [candidate(turn, incident, p, taken, again=again) for p in turn.state.site.patrol.values()]
    free = sorted((c for c in everyone if not c.why), key=_by_distance)
    if incident.kind == "tamper":
        chosen = [c for c in free if c.force == "police"][:1]
        return looked(everyone, chosen, None)
    if ring == 1:
        return looked(everyone, _ring1(free, rules), rules.ring1_m)
    if ring == 2:
        near = [c for c in free if c.distance_m is not None and c.distance_m <= rules.ring2_m]
        return looked(everyone, near[: rules.ring2_patrols], rules.ring2_m)
    if ring == 3:
        return looked(everyone, _unit_ring(turn, incident, free), None)
    return looked(everyone, free, None)


def _ring1(free: list[f.Candidate], rules: Rules) -> list[f.Candidate]:
    near = [c for c in free if c.distance_m is not None and c.distance_m <= rules.ring1_m][
        : rules.ring1_patrols
    ]
    if any(c.force == "police" for c in near):
        return near
    police = (c for c in free if c.force == "police" and c.distance_m is not None)
    return near + [c for c in police if (c.distance_m or 0) <= rules.ring1_police_m][:1]


def _unit_ring(turn: Turn, incident: Incident, free: list[f.Candidate]) -> list[f.Candidate]:
    """The responsible unit's patrols; of the first superior that has any, where it has none."""
    for unit in turn.index.chain(incident.unit):
        own = [c for c in free if turn.index.within(turn.state.site.patrol[c.patrol].unit, unit)]
        if own:
            return own
    return []


def _by_distance(c: f.Candidate) -> float:
    return math.inf if c.distance_m is None else c.distance_m


def looked(everyone: list[f.Candidate], chosen: list[f.Candidate], reach_m: float | None) -> Look:
    """The chosen marked, and the nearest of the rest."""
    ids = {c.patrol for c in chosen}
    marked = [msgspec.structs.replace(c, chosen=True) for c in chosen]
    rest = [c for c in everyone if c.patrol not in ids]
    if len(rest) > LOOKED_AT_MAX:
        rest = sorted(rest, key=_by_distance)[:LOOKED_AT_MAX]
    return Look(marked + rest, len(everyone), reach_m)


def candidate(
    turn: Turn, incident: Incident, patrol: Patrol, taken: dict[str, str], *, again: bool = False
) -> f.Candidate:
    """One patrol as seen from the incident; `why` says why it is not available ("" = it is)."""
    devices = _live_terminals(turn, patrol.id)
    distance, bearing, age = _seen_from(turn, incident, devices)
    why = _why_not(turn, incident, patrol, devices, again)
    if not why and patrol.id in taken:
        why = f"committed {taken[patrol.id]}"
    return f.Candidate(patrol.id, patrol.force, distance, bearing, age, devices, why=why)


def _live_terminals(turn: Turn, patrol: str) -> list[str]:
    """On line and in service, last heard first."""
    state = turn.state
    ids = [d for d in turn.index.tree.terminals.get(patrol, ()) if state.site.device[d].in_service]
    live = [(state.live[d].heard_ms, d) for d in ids if d in state.live and state.live[d].online]
    return [d for _, d in sorted(live, reverse=True)]


def _why_not(turn: Turn, incident: Incident, patrol: Patrol, devices: list[str], again: bool) -> str:
    if not patrol.on_duty:
        return "off-duty"
    if not devices:
        return "offline"
    raiser = turn.state.site.device.get(incident.device)
    if raiser is not None and raiser.patrol == patrol.id:
        return "raised-it"
    known = incident.responders.get(patrol.id)
    if known is not None and (
        known.place in RESPONDING or (not again and known.place in ("called", "declined", "done"))
    ):
        return known.place
    if known is not None and known.place == "stood-down" and known.why == "owner":
        return "stood-down by the owner"
    return ""


def committed(turn: Turn, incident: Incident) -> dict[str, str]:
    """Patrol → the other open incident it responds to. A drill gives way to a real alarm, not the reverse."""
    return {
        responder.patrol: other.incident
        for other in turn.index.open_incidents()
        if other is not incident and (incident.drill or not other.drill)
        for responder in other.responders.values()
        if responder.place in RESPONDING
    }


def _seen_from(
    turn: Turn, incident: Incident, devices: list[str]
) -> tuple[float | None, float | None, int | None]:
    """Distance, bearing from the patrol to the incident, and the age of the patrol's position."""
    fresh_ms = int(turn.rules(incident).position_fresh_s * 1000)
    if incident.position is None:
        return None, None, None
    there = (incident.position.lat, incident.position.lon)
    for device in devices:
        live = turn.state.live[device]
        if live.position is not None and turn.now - live.position_ms <= fresh_ms:
            here = (live.position.lat, live.position.lon)
            return (
                round(geo.distance_m(here, there), 1),
                round(geo.bearing_deg(here, there), 1) % 360,
                turn.now - live.position_ms,
            )
    return None, None, None
