"""Talk groups, floors, intercoms, recordings."""

from typing import Any, Final

from dispatchd.core import voice_facts as f
from dispatchd.core.index import Index
from dispatchd.core.state import Asking, Floor, Intercom, Ladder, Place, State, Talk
from protocols.types import PRIORITIES

from .ladder import open_ladder
from .table import count_id, folds

PRIORITY_RANK: Final = {priority: rank for rank, priority in enumerate(PRIORITIES)}


# --- talk groups ------------------------------------------------------------------------------------------------


@folds(f.TalkGroupOpened)
def _opened(state: State, index: Index, fact: f.TalkGroupOpened, now: int) -> None:
    if not fact.incident:
        count_id(state, fact.group)
    talk = Talk(fact.group, fact.unit, fact.name, fact.incident, list(fact.members), drill=fact.drill)
    state.talk[fact.group] = talk
    index.joined_changed(talk, fact.members, [])


@folds(f.TalkGroupClosed)
def _closed(state: State, index: Index, fact: f.TalkGroupClosed, now: int) -> None:
    talk = state.talk.pop(fact.group, None)
    state.floors.pop(fact.group, None)
    _unpatch(state, fact.group)
    if talk is not None:
        index.joined_changed(talk, [], talk.members)


@folds(f.MembersChanged)
def _members_changed(state: State, index: Index, fact: f.MembersChanged, now: int) -> None:
    talk = state.talk.setdefault(fact.group, Talk(fact.group))
    site = set(index.tree.members.get(fact.group, ()))
    talk.without = sorted(({*talk.without, *fact.removed} & site) - set(fact.added))
    members = [d for d in talk.members if d not in fact.removed]
    talk.members = [*members, *(d for d in fact.added if d not in members and d not in site)]
    index.joined_changed(talk, [d for d in fact.added if d not in site], fact.removed)


@folds(f.GroupsPatched)
def _patched(state: State, index: Index, fact: f.GroupsPatched, now: int) -> None:
    for group in fact.groups:
        _unpatch(state, group)
    for group in fact.groups[1:]:
        state.floors.pop(group, None)
    state.patches.append(list(fact.groups))


@folds(f.GroupUnpatched)
def _unpatched(state: State, index: Index, fact: f.GroupUnpatched, now: int) -> None:
    state.floors.pop(fact.group, None)
    _unpatch(state, fact.group)


def _unpatch(state: State, group: str) -> None:
    for patch in state.patches:
        if group in patch:
            patch.remove(group)
    state.patches = [patch for patch in state.patches if len(patch) > 1]


@folds(f.DeviceMuted)
def _muted(state: State, index: Index, fact: f.DeviceMuted, now: int) -> None:
    rest = [d for d in state.muted if d != fact.device]
    state.muted = [*rest, fact.device] if fact.on else rest


# --- floor ------------------------------------------------------------------------------------------------------


@folds(f.FloorTaken)
def _taken(state: State, index: Index, fact: f.FloorTaken, now: int) -> None:
    before = state.floors.get(fact.group) or Floor(fact.group)
    state.floors[fact.group] = Floor(
        fact.group, fact.burst, fact.talker, fact.ref, fact.via, list(fact.groups), fact.priority, fact.rank,
        fact.incident, fact.ambient, now, fact.until_ms, ended=before.burst or before.ended,
        queue=[asking for asking in before.queue if asking.talker != fact.talker],
    )  # fmt: skip
    state.burst = max(state.burst, fact.burst)
    index.arm(now, "floor", fact.group)


@folds(f.FloorFreed)
def _freed(state: State, index: Index, fact: f.FloorFreed, now: int) -> None:
    floor = state.floors.get(fact.group)
    if floor is not None and floor.burst == fact.burst:
        state.floors[fact.group] = Floor(
            fact.group, groups=floor.groups, incident=floor.incident, queue=floor.queue, ended=fact.burst
        )


@folds(f.FloorRevoked)
def _revoked(state: State, index: Index, fact: f.FloorRevoked, now: int) -> None:
    floor = state.floors.get(fact.group)
    if floor is not None and floor.burst == fact.burst:
        floor.revoke_ms = max(fact.until_ms, 1)
        index.arm(fact.until_ms, "floor", fact.group)


@folds(f.FloorQueued)
def _queued(state: State, index: Index, fact: f.FloorQueued, now: int) -> None:
    """Behind everybody of the same priority and rank, before all lower ones."""
    floor = state.floors.get(fact.group)
    if floor is None:
        return
    rest = [asking for asking in floor.queue if asking.talker != fact.talker]
    mine = Asking(fact.talker, fact.ref, fact.via, fact.priority, fact.rank, now)
    floor.queue = sorted([*rest, mine], key=lambda a: (-PRIORITY_RANK.get(a.priority, 0), -a.rank))
    index.arm(now, "floor", fact.group)


@folds(f.FloorUnqueued)
def _unqueued(state: State, index: Index, fact: f.FloorUnqueued, now: int) -> None:
    if (floor := state.floors.get(fact.group)) is not None:
        floor.queue = [asking for asking in floor.queue if asking.talker != fact.talker]


# --- intercom ---------------------------------------------------------------------------------------------------


@folds(f.IntercomOpened)
def _intercom_opened(state: State, index: Index, fact: f.IntercomOpened, now: int) -> None:
    state.intercoms[fact.device] = Intercom(
        fact.device, fact.incident, fact.burst, now, list(fact.hears), silent=fact.silent, tone=fact.tone,
        drill=fact.drill,
    )  # fmt: skip
    state.burst = max(state.burst, fact.burst)
    fields: dict[str, Any] = {
        "open": True,
        "incident": fact.incident or None,
        "tone": fact.tone,
        "silent": fact.silent,
    }
    _microphone(state, index, fact, fields, now)


@folds(f.IntercomChanged)
def _intercom_changed(state: State, index: Index, fact: f.IntercomChanged, now: int) -> None:
    intercom = state.intercoms.get(fact.device)
    if intercom is None:
        return
    intercom.hears, intercom.patched, intercom.silent = list(fact.hears), fact.patched, fact.silent
    intercom.back, intercom.back_burst = fact.back, fact.back_burst
    state.burst = max(state.burst, fact.back_burst)


@folds(f.IntercomClosed)
def _intercom_closed(state: State, index: Index, fact: f.IntercomClosed, now: int) -> None:
    state.intercoms.pop(fact.device, None)
    _microphone(state, index, fact, {"open": False, "incident": fact.incident or None}, now)


def _microphone(
    state: State, index: Index, fact: f.IntercomOpened | f.IntercomClosed, fields: dict[str, Any], now: int
) -> None:
    """The newest word on a pillar's microphone is the only one that is sent."""
    count_id(state, fact.item)
    for ladder in state.ladders.values():
        if ladder.kind == "microphone" and fact.device in ladder.places:
            ladder.superseded = True
            index.unwatch(ladder.item, fact.device)
    about = fact.incident or fact.device
    ladder = Ladder(fact.item, "microphone", about, now, fact.expires_ms, fields=fields, drill=fact.drill)
    open_ladder(state, index, ladder, [Place(fact.device)], now)


# --- recordings -------------------------------------------------------------------------------------------------


@folds(f.RecordingMade)
def _recording_made(state: State, index: Index, fact: f.RecordingMade, now: int) -> None:
    """The store has a table of its own for them."""


@folds(f.RecordingsFaulted)
def _recordings_faulted(state: State, index: Index, fact: f.RecordingsFaulted, now: int) -> None:
    state.recordings_fault = fact.why


@folds(f.RecordingPlayed)
def _recording_played(state: State, index: Index, fact: f.RecordingPlayed, now: int) -> None:
    """For the record only."""


@folds(f.HoldSet)
def _hold_set(state: State, index: Index, fact: f.HoldSet, now: int) -> None:
    rest = [hold for hold in state.holds.get(fact.incident, []) if hold != fact.hold]
    holds = [*rest, fact.hold] if fact.on else rest
    if holds:
        state.holds[fact.incident] = holds
    else:
        state.holds.pop(fact.incident, None)
