"""Indexes derived from the state, never stored: rebuilt after a refold, kept in step by the fold.

Timers hold (due, kind, id) in a heap. They are hints: whoever is woken checks in the state whether it is really due,
so a stale entry costs a look and a missing one cannot happen as long as the fold arms what it makes due.
"""

import heapq
from collections import defaultdict

from msgspec import Struct

from protocols import site as site_
from protocols.rules import Rules

from .state import Incident, Ladder, Registry, State, Talk


class Tree(Struct):
    """The units as one tree, and who belongs where. `talk`: the site's talk groups, and one for each unit without."""

    talk: dict[str, site_.TalkGroup]
    ancestors: dict[str, list[str]]
    terminals: dict[str, list[str]]
    members: dict[str, list[str]]
    groups: dict[str, list[str]]
    rules: dict[str, Rules]


class Index:
    """Ask it; the fold tells it of changes."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._tree: Tree | None = None
        self.heap: list[tuple[int, str, str]] = []
        self.pending: dict[str, set[str]] = defaultdict(set)
        self.open_at: dict[str, set[str]] = defaultdict(set)
        self.joined: dict[str, set[str]] = defaultdict(set)

    # timers

    def arm(self, due_ms: int, kind: str, id_: str) -> None:
        heapq.heappush(self.heap, (due_ms, kind, id_))

    def pop_due(self, now_ms: int) -> tuple[str, str] | None:
        if self.heap and self.heap[0][0] <= now_ms:
            _, kind, id_ = heapq.heappop(self.heap)
            return kind, id_
        return None

    # the site

    def site_changed(self) -> None:
        self._tree = None

    @property
    def tree(self) -> Tree:
        if self._tree is None:
            self._tree = _tree(self._state.site)
        return self._tree

    def chain(self, unit: str) -> list[str]:
        """The unit and its superiors, the top last; an unknown unit answers to the top."""
        tree = self.tree.ancestors
        if unit in tree:
            return tree[unit]
        return next((chain for chain in tree.values() if len(chain) == 1), [])

    def within(self, unit: str, top: str) -> bool:
        """Is `unit` in the subtree of `top`?"""
        return top in self.chain(unit)

    def rules(self, unit: str) -> Rules:
        """The numbers for a unit at its present duty level."""
        cache = self.tree.rules
        if unit not in cache:
            cache[unit] = _rules(self._state.site, self.chain(unit))
        return cache[unit]

    # talk groups

    def groups_of(self, device: str) -> list[str]:
        """The talk groups a device is in, sorted."""
        talk = self._state.talk
        site = (g for g in self.tree.groups.get(device, ()) if g not in talk or device not in talk[g].without)
        return sorted({*site, *self.joined.get(device, ())})

    def members(self, group: str) -> list[str]:
        """The devices in a talk group; empty for one that is not there."""
        own = self.tree.members.get(group, [])
        talk = self._state.talk.get(group)
        if talk is None:
            return own
        known = set(own)
        return [d for d in own if d not in talk.without] + [d for d in talk.members if d not in known]

    def joined_changed(self, talk: Talk, added: list[str], removed: list[str]) -> None:
        for device in added:
            self.joined[device].add(talk.group)
        for device in removed:
            self.joined[device].discard(talk.group)

    # incidents

    def open_incidents(self) -> list[Incident]:
        """Those that have not ended, oldest first."""
        found = (self._state.incidents[i] for ids in self.open_at.values() for i in ids)
        return sorted(found, key=lambda incident: (incident.opened_ms, incident.incident))

    # ladders

    def watch(self, ladder: Ladder, device: str) -> None:
        """The item is pending at this device: not known to be delivered, not over."""
        self.pending[device].add(ladder.item)

    def unwatch(self, item: str, device: str) -> None:
        self.pending[device].discard(item)


def _tree(site: Registry) -> Tree:
    ancestors = {unit: _ancestors(site.unit, unit) for unit in site.unit}
    terminals: dict[str, list[str]] = defaultdict(list)
    for device in site.device.values():
        if device.patrol is not None:
            terminals[device.patrol].append(device.id)
    talk = _talk_groups(site)
    members = _all_members(site, talk, ancestors)
    groups: dict[str, list[str]] = defaultdict(list)
    for group, devices in members.items():
        for id_ in devices:
            groups[id_].append(group)
    return Tree(talk, ancestors, dict(terminals), members, dict(groups), {})


def _talk_groups(site: Registry) -> dict[str, site_.TalkGroup]:
    """Those of the site; and for each unit that has none of just itself, one of its own id and name."""
    covered = {
        group.units[0] for group in site.talk_group.values() if len(group.units) == 1 and not group.devices
    }
    own = {
        unit.id: site_.TalkGroup(
            id=unit.id, name=unit.name, name_en=unit.name_en, unit=unit.id, units=[unit.id]
        )
        for unit in site.unit.values()
        if unit.id not in covered
    }
    return {**own, **site.talk_group}


def _ancestors(units: dict[str, site_.Unit], unit: str) -> list[str]:
    chain: list[str] = []
    at: str | None = unit
    while at is not None and at in units and at not in chain:
        chain.append(at)
        at = units[at].parent
    return chain


def _all_members(
    site: Registry, talk: dict[str, site_.TalkGroup], ancestors: dict[str, list[str]]
) -> dict[str, list[str]]:
    """Talk group → its devices: terminals of its units with all below, and those it names."""
    of_unit: dict[str, list[str]] = defaultdict(list)
    named: dict[str, list[str]] = defaultdict(list)
    members: dict[str, list[str]] = {id_: [] for id_ in talk}
    for group in talk.values():
        for unit in group.units:
            of_unit[unit].append(group.id)
        for device in group.devices:
            named[device].append(group.id)
    for entry in site.device.values():
        units = ancestors.get(entry.unit, ()) if entry.kind == "terminal" else ()
        for group_id in {g for unit in units for g in of_unit.get(unit, ())}.union(named.get(entry.id, ())):
            members[group_id].append(entry.id)
    return members


def _rules(site: Registry, chain: list[str]) -> Rules:
    level = next((site.unit[unit].duty_level for unit in chain if site.unit[unit].duty_level), "")
    fitting = [
        override
        for unit in [None, *reversed(chain)]
        for override in site.overrides
        if override.unit == unit and override.duty_level in (None, level)
    ]
    return site_.overridden(site.rules, fitting) if fitting else site.rules


def rebuild(state: State, now_ms: int) -> Index:
    """All indexes of a state that was just folded; everything due is armed."""
    index = Index(state)
    for device, live in state.live.items():
        if live.online:
            live.watching = True
            index.arm(now_ms, "presence", device)
    for incident in state.incidents.values():
        if not incident.ended_ms:
            index.open_at[incident.device].add(incident.incident)
        for kind in (
            "escalate",
            "owner",
            "hold",
            "ring",
            "everybody",
            "silent",
            "handoff",
            "question",
            "forget",
        ):
            index.arm(now_ms, kind, incident.incident)
    for ladder in state.ladders.values():
        _rebuild_ladder(index, ladder, now_ms)
    for broadcast in state.broadcasts.values():
        index.arm(now_ms, "forget", broadcast.broadcast)
    _rebuild_voice(index, state, now_ms)
    for id_ in state.verify:
        index.arm(now_ms, "verify", id_)
    for id_, settings in state.settings.items():
        index.arm(max(now_ms, settings.next_ms), "settings", id_)
    return index


def _rebuild_voice(index: Index, state: State, now_ms: int) -> None:
    for talk in state.talk.values():
        index.joined_changed(talk, talk.members, [])
    for group in state.floors:
        index.arm(now_ms, "floor", group)
    for device in state.intercoms:
        index.arm(now_ms, "microphone", device)


def _rebuild_ladder(index: Index, ladder: Ladder, now_ms: int) -> None:
    index.arm(ladder.expires_ms, "expiry", ladder.item)
    if ladder.expired or ladder.superseded:
        return
    index.arm(now_ms, "route", ladder.item)
    for place in ladder.places.values():
        if not place.rung and not place.left:
            index.watch(ladder, place.device)
            index.arm(now_ms, "place", f"{ladder.item} {place.device}")
