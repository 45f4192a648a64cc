"""Whose a recording is: the unit that decides who may hear it, and the name of its talker then. Pure."""

from typing import NamedTuple

from dispatchd.core.state import State

from .burst import Grant


class About(NamedTuple):
    """Whose a recording is, and what its talker is called."""

    unit: str = ""
    name: str = ""


def about_of(state: State, grant: Grant) -> About:
    """By the state when it begins. The unit is that of the incident, else of where it is said, else of the talker."""
    site = state.site
    pillar = site.device.get(grant.channel.partition("/")[2])
    device, operator = site.device.get(grant.talker), site.operator.get(grant.talker.removeprefix("@"))
    talker = device or (operator if grant.talker.startswith("@") else None)
    name = talker.name if talker else ""
    if device is not None and device.patrol in site.patrol:
        name = site.patrol[device.patrol].name or name
    incident = state.incidents.get(grant.incident)
    places = (incident, state.talk.get(grant.channel), site.talk_group.get(grant.channel), pillar)
    units = [place.unit for place in places if place is not None and place.unit]
    own = [grant.channel] if grant.channel in site.unit else []
    top = [unit.id for unit in site.unit.values() if unit.parent is None]
    return About(next(iter([*units, *own, *([talker.unit] if talker else []), *top]), ""), name)
