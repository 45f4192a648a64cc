"""通话组 as documents: which there are, who talks and waits there, how many listen; and the intercoms. Pure.

There are more than the site names: each unit's own, each open incident's, and what operators opened. Who is in which
group depends on the whole site, so a `Directory` of the latest state is kept until another state, or a changed site,
is looked at; it counts a group again only after the next fact or after COUNT_EVERY_MS. What must hold: it is read
within `settled()` only, so that one state is looked at a time.
"""

from collections.abc import Iterable
from typing import Final

from dispatchd.core.index import Index
from dispatchd.core.state import Asking, Floor, Intercom, Live, State

from .documents import AskingDoc, FloorDoc, GroupDoc, IntercomDoc, MemberDoc
from .moment import NEVER, Moment

COUNT_EVERY_MS: Final = 1_000
"""What nothing but time tells: keys that came or went."""


class Directory:
    """Talk groups of one state, and of its site as it is now."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.version = state.site.version
        self.index = Index(state)
        self._counts: dict[str, tuple[int, int, dict[str, int]]] = {}

    def ids(self) -> dict[str, None]:
        """Every group: the site's, the units', incidents' and opened ones."""
        made = (talk.group for talk in self.state.talk.values() if talk.unit)
        return dict.fromkeys([*self.index.tree.talk, *made])

    def unit_of(self, group: str) -> str:
        """The unit it belongs to; "" if there is no such group."""
        talk = self.state.talk.get(group)
        if talk is not None and talk.unit:
            return talk.unit
        entry = self.index.tree.talk.get(group)
        return entry.unit if entry else ""

    def members(self, group: str) -> list[str]:
        return self.index.members(group)

    def counts(self, group: str, now_ms: int) -> dict[str, int]:
        """How many are in it, on line, and have voice."""
        known = self._counts.get(group)
        if known is not None and known[0] == self.state.seq and now_ms - known[1] < COUNT_EVERY_MS:
            return known[2]
        lives = [self.state.live.get(device, NEVER) for device in self.members(group)]
        found = {
            "members": len(lives),
            "online": sum(live.online for live in lives),
            "voice": sum(_has_voice(live) for live in lives),
        }
        self._counts[group] = self.state.seq, now_ms, found
        return found


_latest: Directory | None = None


def directory(state: State) -> Directory:
    """The one of this state, kept from the last look if nothing of the site has changed."""
    global _latest  # noqa: PLW0603 - a cache of one, see the top
    if _latest is None or _latest.state is not state or _latest.version != state.site.version:
        _latest = Directory(state)
    return _latest


def _has_voice(live: Live) -> bool:
    return live.online and bool(live.carriage)


# --- documents ----------------------------------------------------------------------------------------------------


def group_doc(view: Moment, group: str) -> GroupDoc | None:
    """One talk group; None if there is none."""
    state, found = view.state, directory(view.state)
    unit = found.unit_of(group)
    if not unit:
        return None
    talk, entry = state.talk.get(group), found.index.tree.talk.get(group)
    incident = talk.incident if talk else ""
    about = state.incidents.get(incident)
    floor = floor_of(state, group)
    return GroupDoc(
        id=group,
        name=(talk.name if talk else "") or (entry.name if entry else ""),
        name_en=entry.name_en if entry else "",
        unit=unit,
        kind=_kind(state, group),
        incident=incident or None,
        silent=about is not None and about.silent,
        drill=talk is not None and talk.drill,
        patched=[other for other in together(state, group) if other != group],
        hearing=sorted(operator for operator, hears in state.hearing.items() if group in hears),
        floor=_floor_doc(view, floor) if floor is not None and floor.burst else None,
        waiting=[_asking_doc(view, asking) for asking in floor.queue] if floor is not None else [],
        **found.counts(group, view.now_ms),
    )


def _kind(state: State, group: str) -> str:
    talk = state.talk.get(group)
    if talk is not None and talk.unit:
        return "incident" if talk.incident else "opened"
    return "site" if group in state.site.talk_group else "unit"


def together(state: State, group: str) -> list[str]:
    """All that share a floor with it, itself included."""
    return next((patch for patch in state.patches if group in patch), [group])


def floor_of(state: State, group: str) -> Floor | None:
    """Its own, or that of its patch."""
    return state.floors.get(together(state, group)[0])


def _floor_doc(view: Moment, floor: Floor) -> FloorDoc:
    return FloorDoc(
        burst=floor.burst,
        talker=floor.talker.removeprefix("@"),
        talker_kind=_talker_kind(floor.talker),
        name=talker_name(view.state, floor.talker),
        group=floor.via or floor.group,
        priority=floor.priority,
        since_age_ms=view.age(floor.granted_ms) or 0,
        ends_in_ms=None if floor.ambient else view.ahead(floor.revoke_ms or floor.until_ms),
        revoked=bool(floor.revoke_ms),
        ambient=floor.ambient,
        silent_for=list(floor.not_for),
    )


def _asking_doc(view: Moment, asking: Asking) -> AskingDoc:
    return AskingDoc(
        talker=asking.talker.removeprefix("@"),
        talker_kind=_talker_kind(asking.talker),
        name=talker_name(view.state, asking.talker),
        group=asking.via,
        priority=asking.priority,
        waits_age_ms=view.age(asking.since_ms) or 0,
    )


def _talker_kind(talker: str) -> str:
    return "operator" if talker.startswith("@") else "device"


def talker_name(state: State, talker: str) -> str:
    """The patrol or operator by name, else the device's, else the id."""
    id_ = talker.removeprefix("@")
    if talker.startswith("@"):
        operator = state.site.operator.get(id_)
        return (operator.name if operator else "") or id_
    device = state.site.device.get(id_)
    patrol = state.site.patrol.get(device.patrol or "") if device else None
    return (patrol.name if patrol else "") or (device.name if device else "") or id_


def member_docs(state: State, group: str) -> list[MemberDoc]:
    """Who is in it, in the order of the site."""
    return [_member(state, id_) for id_ in directory(state).members(group)]


def _member(state: State, id_: str) -> MemberDoc:
    entry, live = state.site.device.get(id_), state.live.get(id_, NEVER)
    return MemberDoc(
        device=id_,
        name=entry.name if entry else "",
        patrol=entry.patrol if entry else None,
        unit=entry.unit if entry else "",
        online=live.online,
        carriage=live.carriage if live.online else "",
        talk_muted=id_ in state.muted,
    )


def intercom_doc(view: Moment, intercom: Intercom | None) -> IntercomDoc | None:
    if intercom is None:
        return None
    return IntercomDoc(
        incident=intercom.incident or None,
        since_age_ms=view.age(intercom.opened_ms) or 0,
        hears=list(intercom.hears),
        back=intercom.back.removeprefix("@"),
        patched=intercom.patched,
        silent=intercom.silent,
        tone=intercom.tone,
    )


def with_their_patch(state: State, groups: Iterable[str]) -> set[str]:
    """Whoever shares a floor shows the same talker."""
    return {other for group in groups for other in together(state, group)}
