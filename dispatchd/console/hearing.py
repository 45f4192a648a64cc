"""What an operator may listen to, and who talks there now. Pure: reads the committed state, changes nothing.

Talk groups: of the units he commands, of the units above his own (he belongs to them), and of incidents he sees. The
sound of a pillar: whoever the core lets hear it, and others who see its incident unless that is silent. What he may not
hear does not exist for him.
"""

from typing import Final

from dispatchd.core.state import Floor, State
from protocols import down
from protocols.site import Operator

from .walls import Scope, subtree

UP: Final = "@up/"
"""Before a pillar's id: the channel of its sound."""


def may_hear(state: State, operator: Operator, channel: str) -> bool:
    """A talk group's id, or "@up/" and a pillar's."""
    if channel.startswith(UP):
        return _may_hear_pillar(state, operator, channel.removeprefix(UP))
    talk = state.talk.get(channel)
    if talk is not None and talk.incident:
        return Scope(state, operator).incident(talk.incident)
    unit = _unit_of(state, channel)
    return bool(unit) and (unit in subtree(state, operator.unit) or operator.unit in subtree(state, unit))


def _may_hear_pillar(state: State, operator: Operator, pillar: str) -> bool:
    intercom = state.intercoms.get(pillar)
    if intercom is None:
        return False
    if operator.id in intercom.hears:
        return True
    return (
        not intercom.silent and bool(intercom.incident) and Scope(state, operator).incident(intercom.incident)
    )


def _unit_of(state: State, group: str) -> str:
    """The unit that a talk group belongs to; "" if there is no such group."""
    talk = state.talk.get(group)
    if talk is not None and talk.unit:
        return talk.unit
    entry = state.site.talk_group.get(group)
    if entry is not None:
        return entry.unit
    return group if group in state.site.unit and not _has_another(state, group) else ""


def _has_another(state: State, unit: str) -> bool:
    """A unit has a talk group of its own id, unless the site names one for just that unit."""
    return any(entry.units == [unit] and not entry.devices for entry in state.site.talk_group.values())


def who_talks(state: State, group: str, now_ms: int) -> down.FloorTaken | down.FloorIdle:
    """As the talk group was told."""
    name = next((patch[0] for patch in state.patches if group in patch), group)
    floor = state.floors.get(name)
    if floor is None or not floor.burst:
        return down.FloorIdle(group, floor.ended if floor else 0)
    return down.FloorTaken(
        group,
        floor.burst,
        floor.talker.removeprefix("@"),
        "operator" if floor.talker.startswith("@") else "device",
        _name_of(state, floor),
        floor.priority,
        max(0, now_ms - floor.granted_ms),
        list(floor.groups) if len(floor.groups) > 1 else [],
        list(floor.not_for),
    )


def _name_of(state: State, floor: Floor) -> str:
    """What a screen shows: the patrol or operator by name, else the id."""
    id_ = floor.talker.removeprefix("@")
    if floor.talker.startswith("@"):
        operator = state.site.operator.get(id_)
        return (operator.name if operator else "") or id_
    device = state.site.device.get(id_)
    patrol = state.site.patrol.get(device.patrol or "") if device else None
    return (patrol.name if patrol else "") or (device.name if device else "") or id_
