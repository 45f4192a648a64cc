"""Levels are walls: what of the state an operator may see. Pure.

He sees the subtree of his unit; incidents that his unit was alerted to, that he owns or was offered;
and of his own patrols engaged elsewhere only the incident's id. What he may not see does not exist for him.
"""

from functools import cached_property

from dispatchd.core.state import Incident, State
from protocols.site import Operator

from .talk import directory


def subtree(state: State, unit: str) -> frozenset[str]:
    """`unit` and every unit below it; empty for an unknown one."""
    below: dict[str | None, list[str]] = {}
    for entry in state.site.unit.values():
        below.setdefault(entry.parent, []).append(entry.id)
    found: set[str] = set()
    todo = [unit] if unit in state.site.unit else []
    while todo:
        at = todo.pop()
        if at not in found:
            found.add(at)
            todo += below.get(at, ())
    return frozenset(found)


class Scope:
    """The view of one operator on one committed state. Make it anew for every `settled()`."""

    def __init__(self, state: State, operator: Operator) -> None:
        self._state = state
        self.operator = operator

    @cached_property
    def units(self) -> frozenset[str]:
        return subtree(self._state, self.operator.unit)

    @cached_property
    def above(self) -> frozenset[str]:
        """His unit's superiors."""
        return frozenset(directory(self._state).index.tree.ancestors.get(self.operator.unit, ()))

    @cached_property
    def top(self) -> bool:
        """Sees everything: his unit is the root of the tree, or there is no tree yet."""
        unit = self._state.site.unit.get(self.operator.unit)
        return not self._state.site.unit or (unit is not None and unit.parent is None)

    def unit(self, id_: str) -> bool:
        return id_ in self.units

    def device(self, id_: str) -> bool:
        device = self._state.site.device.get(id_)
        return device is not None and device.unit in self.units

    def patrol(self, id_: str) -> bool:
        patrol = self._state.site.patrol.get(id_)
        return patrol is not None and patrol.unit in self.units

    def point(self, id_: str) -> bool:
        point = self._state.site.point.get(id_)
        return point is not None and point.unit in self.units

    def talk_group(self, id_: str) -> bool:
        group = self._state.site.talk_group.get(id_)
        return group is not None and group.unit in self.units

    def group(self, id_: str) -> bool:
        """A talk group he may hear: of a unit he commands, of his own or one above it, of an incident he sees."""
        talk = self._state.talk.get(id_)
        if talk is not None and talk.incident:
            return self.incident(talk.incident)
        unit = directory(self._state).unit_of(id_)
        return bool(unit) and (unit in self.units or unit in self.above)

    def operator_(self, id_: str) -> bool:
        other = self._state.site.operator.get(id_)
        return other is not None and (other.unit in self.units or id_ == self.operator.id)

    def schedule(self, id_: str) -> bool:
        schedule = self._state.site.schedule.get(id_)
        return schedule is not None and schedule.unit in self.units

    def incident(self, id_: str) -> bool:
        incident = self._state.incidents.get(id_)
        return incident is not None and self.sees(incident)

    def sees(self, incident: Incident) -> bool:
        mine = self.operator.id in (incident.owner, incident.relief)
        return mine or incident.unit in self.units or self.operator.unit in incident.alerted

    def broadcast(self, id_: str) -> bool:
        broadcast = self._state.broadcasts.get(id_)
        return broadcast is not None and (broadcast.unit in self.units or broadcast.by == self.operator.id)

    def item(self, id_: str) -> bool:
        """A ladder: of a visible incident or broadcast, or of a visible device (lamp)."""
        ladder = self._state.ladders.get(id_)
        if ladder is None:
            return False
        about = ladder.about
        return self.incident(about) or self.broadcast(about) or self.device(about)

    def task(self, id_: str) -> bool:
        task = self._state.tasks.get(id_)
        return task is not None and task.unit in self.units

    def fault(self, id_: str) -> bool:
        fault = self._state.faults.get(id_)
        return fault is not None and self.device(fault.device)


WALLS = {
    "fleet": Scope.device,
    "units": Scope.unit,
    "patrols": Scope.patrol,
    "incidents": Scope.incident,
    "broadcasts": Scope.broadcast,
    "tasks": Scope.task,
    "faults": Scope.fault,
    "groups": Scope.group,
}
"""Table of the API and feed → may he see its entry."""


def visible(state: State, operator: Operator, table: str, id_: str) -> bool:
    """Whether `operator` may know that entry `id_` of `table` exists."""
    return WALLS[table](Scope(state, operator), id_)
