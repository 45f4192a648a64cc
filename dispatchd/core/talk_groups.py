"""通话组: who is in which, and what operators change about it.

The site names talk groups; every unit without one of just itself has one of its own id. Every open incident has
`inc-{incident}`: the terminals of its responders, and the terminal that raised it unless it must be silent. An operator
opens others for the moment (`og…`). All of them follow the facts: `follow` makes an incident's group what it should
be, and is called after everything that touches its responders.

Operators change groups of units they command, with devices they command; patching needs all groups. He who leaves hears
nothing of the next word: the voice room changes the key.
"""

from collections.abc import Iterable

from . import commands as c
from . import devices, floor
from . import floor_rights as rights
from . import floor_tell as tell
from . import voice_facts as f
from .broadcasts import resolve
from .commands import Done, Refusal
from .effects import SyncVoice
from .levels import commands_unit
from .state import RESPONDING, Incident
from .turn import Turn

OPEN_MAX = 200
"""Groups opened by operators at once; more are refused: close some."""


def group_of(incident: str) -> str:
    return "inc-" + incident


def may_hear(turn: Turn, operator: str, group: str) -> bool:
    return rights.operator_in(turn, operator, group)


def not_commanded(turn: Turn, operator: str, group: str) -> Refusal | None:
    """What he may not command he is not told exists."""
    unit = rights.unit_of(turn, group)
    if unit and commands_unit(turn, operator, unit):
        return None
    return Refusal("unknown-group", f"there is no talk group {group} in your unit; see `groups`")


# --- incidents --------------------------------------------------------------------------------------------------


def follow(turn: Turn, incident: Incident) -> None:
    """Open, keep or close the group of this incident."""
    group = group_of(incident.incident)
    talk = turn.state.talk.get(group)
    if incident.ended_ms:
        if talk is not None:
            close(turn, group, incident.incident, "ended")
        return
    wanted = _responding(turn, incident)
    if talk is None:
        turn.record(
            f.TalkGroupOpened(
                group, incident.incident, incident.unit, "incident", incident.incident, wanted, incident.drill
            )
        )
        refresh(turn, wanted)
    elif sorted(talk.members) != wanted:
        change(turn, group, set(wanted) - set(talk.members), set(talk.members) - set(wanted), "incident")


def _responding(turn: Turn, incident: Incident) -> list[str]:
    """The terminals of those who come, and the one that called, unless it must be silent."""
    patrols = [p for p, r in incident.responders.items() if r.place in RESPONDING]
    found = {d for p in patrols for d in turn.index.tree.terminals.get(p, ())}
    raised = turn.state.site.device.get(incident.device)
    if raised is not None and raised.kind == "terminal" and not incident.silent:
        found.add(incident.device)
    return sorted(found)


def change(turn: Turn, group: str, added: Iterable[str], removed: Iterable[str], by: str) -> None:
    """Members come and go; he who talked and is gone talks no more."""
    added, removed = sorted(added), sorted(removed)
    turn.record(f.MembersChanged(group, added, removed, by, rights.incident_of(turn, group)))
    refresh(turn, [*added, *removed])
    for device in removed:
        if (one := rights.floor_of(turn, group)).talker == device and one.burst and one.via == group:
            floor.free(turn, one, "left")
    for device in added:
        tell.late(turn, device, [group])


def refresh(turn: Turn, changed: Iterable[str]) -> None:
    """Tell the devices, the broker's list and the voice room."""
    for device in changed:
        devices.refresh_membership(turn, device)
    turn.do(SyncVoice())


def close(turn: Turn, group: str, incident: str, by: str) -> None:
    floor.close(turn, group, by)
    members = turn.state.talk[group].members
    turn.record(f.TalkGroupClosed(group, by, incident))
    refresh(turn, members)
    floor.expel(turn)  # who talked by way of it to others that it was patched to


# --- operators --------------------------------------------------------------------------------------------------


def open_group(turn: Turn, by: str, asked: c.OpenGroup) -> Done | Refusal:
    if sum(1 for talk in turn.state.talk.values() if talk.name and not talk.incident) >= OPEN_MAX:
        return Refusal("too-many", f"{OPEN_MAX} talk groups are open already; close one first")
    chosen, _, refusal = resolve(turn, by, asked.target)
    if refusal is not None:
        return refusal
    members = sorted(d.id for d in chosen if d.kind == "terminal")
    if not members:
        return Refusal("nobody", "this target holds no terminal of your unit")
    group = turn.next_id("og")
    unit = turn.state.site.operator[by].unit
    turn.record(f.TalkGroupOpened(group, asked.name, unit, by, "", members))
    refresh(turn, members)
    return Done({"group": group}, {"members": len(members)})


def close_group(turn: Turn, by: str, asked: c.CloseGroup) -> Done | Refusal:
    refusal = not_commanded(turn, by, asked.group)
    if refusal is not None:
        return refusal
    talk = turn.state.talk.get(asked.group)
    if talk is None or talk.incident or not talk.name:
        return Refusal(
            "not-yours",
            f"{asked.group} is a talk group of the site or of an incident: it is not closed by hand",
        )
    close(turn, asked.group, "", by)
    return Done({"group": asked.group})


def add_members(turn: Turn, by: str, asked: c.AddMembers) -> Done | Refusal:
    return _move(turn, by, asked.group, asked.target, add=True)


def remove_members(turn: Turn, by: str, asked: c.RemoveMembers) -> Done | Refusal:
    return _move(turn, by, asked.group, asked.target, add=False)


def _move(turn: Turn, by: str, group: str, target: c.Target, *, add: bool) -> Done | Refusal:
    refusal = not_commanded(turn, by, group)
    if refusal is not None:
        return refusal
    if rights.incident_of(turn, group):
        return Refusal(
            "incident", "an incident's group follows its responders: call a patrol, or stand it down"
        )
    chosen, _, refusal = resolve(turn, by, target)
    if refusal is not None:
        return refusal
    present = set(turn.index.members(group))
    named = {d.id for d in chosen if d.kind == "terminal"}
    moved = named - present if add else named & present
    if moved:
        change(turn, group, moved if add else (), () if add else moved, by)
    return Done({"group": group}, {"moved": len(moved)})


def patch(turn: Turn, by: str, asked: c.PatchGroups) -> Done | Refusal:
    """One floor for all: of those who talk now the first in rank goes on, the others are told to stop."""
    groups = list(dict.fromkeys(asked.groups))
    for group in groups:
        refusal = not_commanded(turn, by, group)
        if refusal is not None:
            return refusal
    if len(groups) < 2:
        return Refusal("one-group", "name at least two talk groups to patch together")
    for group in groups:
        floor.close(turn, rights.floor_of(turn, group).group, by)
    turn.record(f.GroupsPatched(groups, by))
    turn.do(SyncVoice())
    floor.ambient(turn, groups[0])
    return Done({"group": groups[0]}, {"groups": len(groups)})


def unpatch(turn: Turn, by: str, asked: c.UnpatchGroup) -> Done | Refusal:
    refusal = not_commanded(turn, by, asked.group)
    if refusal is not None:
        return refusal
    together = rights.groups_of(turn, rights.floor_of(turn, asked.group))
    if len(together) < 2:
        return Refusal("not-patched", f"{asked.group} is patched to no other talk group")
    floor.close(turn, together[0], by)
    turn.record(f.GroupUnpatched(asked.group, by))
    turn.do(SyncVoice())
    for group in together:
        floor.ambient(turn, group)
    return Done({"group": asked.group})


def mute(turn: Turn, by: str, asked: c.MuteDevice) -> Done | Refusal:
    entry = turn.state.site.device.get(asked.device)
    if entry is None or not commands_unit(turn, by, entry.unit):
        return Refusal("unknown-device", f"there is no device {asked.device} in your unit")
    if (asked.device in turn.state.muted) == asked.on:
        return Done({"device": asked.device}, note="already so")
    turn.record(f.DeviceMuted(asked.device, asked.on, by))
    for one in list(turn.state.floors.values()):
        if asked.on and one.talker == asked.device and one.burst and one.priority != "emergency":
            floor.revoke(turn, one, "no-permission", by, 0)
            floor.free(turn, one, "revoked")
    return Done({"device": asked.device})
