"""What an operator may listen to, and who talks there now. Pure: reads the committed state, changes nothing.

Talk groups: of the units he commands, of the units above his own (he belongs to them), and of incidents he sees. The
sound of a pillar: whoever the core lets hear it, and others who see its incident unless that is silent. What he may not
hear does not exist for him.
"""

from typing import Final

from dispatchd.core.state import State
from protocols import down
from protocols.site import Operator

from .talk import floor_of, talker_name
from .walls import Scope

UP: Final = "@up/"
"""Before a pillar's id: the channel of its sound."""


def may_hear(state: State, operator: Operator, channel: str) -> bool:
    """A talk group's id, or "@up/" and a pillar's."""
    if channel.startswith(UP):
        return _may_hear_pillar(state, operator, channel.removeprefix(UP))
    return Scope(state, operator).group(channel)


def _may_hear_pillar(state: State, operator: Operator, pillar: str) -> bool:
    intercom = state.intercoms.get(pillar)
    if intercom is None:
        return False
    if operator.id in intercom.hears:
        return True
    return (
        not intercom.silent and bool(intercom.incident) and Scope(state, operator).incident(intercom.incident)
    )


def who_talks(state: State, group: str, now_ms: int) -> down.FloorTaken | down.FloorIdle:
    """As the talk group was told."""
    floor = floor_of(state, group)
    if floor is None or not floor.burst:
        return down.FloorIdle(group, floor.ended if floor else 0)
    return down.FloorTaken(
        group,
        floor.burst,
        floor.talker.removeprefix("@"),
        "operator" if floor.talker.startswith("@") else "device",
        talker_name(state, floor.talker),
        floor.priority,
        max(0, now_ms - floor.granted_ms),
        list(floor.groups) if len(floor.groups) > 1 else [],
        list(floor.not_for),
    )
