"""Levels are walls: an operator sees and commands the subtree of his unit, as far as his role goes.

Flat command is what the top level has because everything is in its subtree, not an exception.
"""

from .commands import RANK, ROLES, Command, Refusal
from .state import Incident
from .turn import Turn

UNKNOWN = Refusal("unknown-operator", "nobody signs in under this name any more; ask an admin of your unit")


def operator_unit(turn: Turn, operator: str) -> str | None:
    entry = turn.state.site.operator.get(operator)
    return entry.unit if entry else None


def may_do(turn: Turn, operator: str, command: Command) -> Refusal | None:
    """Role check; the level check is `sees`."""
    entry = turn.state.site.operator.get(operator)
    if entry is None:
        return UNKNOWN
    needed = ROLES.get(type(command), "operator")
    if RANK[entry.role] < RANK[needed]:
        return Refusal("role", f"this needs the role {needed}; yours is {entry.role}")
    return None


def commands_unit(turn: Turn, operator: str, unit: str) -> bool:
    """Is `unit` in this operator's subtree?"""
    own = operator_unit(turn, operator)
    return own is not None and turn.index.within(unit, own)


def sees_incident(turn: Turn, operator: str, incident: Incident) -> bool:
    """His subtree, or an incident that was alerted or offered to him."""
    own = operator_unit(turn, operator)
    if own is None:
        return False
    return turn.index.within(incident.unit, own) or own in incident.alerted or incident.relief == operator


def incident_for(turn: Turn, operator: str, id_: str, *, open_: bool = True) -> Incident | Refusal:
    """The incident, or why this operator cannot have it. What he may not see he is not told exists."""
    incident = turn.state.incidents.get(id_)
    if incident is None or not sees_incident(turn, operator, incident):
        return Refusal("unknown-incident", f"there is no incident {id_} in your unit; see `incidents`")
    if open_ and incident.ended_ms:
        return Refusal("ended", f"incident {id_} has ended ({incident.outcome or 'merged'})")
    return incident


def owned_by(turn: Turn, operator: str, id_: str) -> Incident | Refusal:
    """For commands that are the owner's alone."""
    incident = incident_for(turn, operator, id_)
    if isinstance(incident, Incident) and incident.owner != operator:
        who = f"{incident.owner} owns" if incident.owner else "nobody owns"
        return Refusal(
            "not-owner",
            f"{who} incident {id_}; accept it first" if not incident.owner else f"{who} incident {id_}",
        )
    return incident
