"""Who has heard an item, who has not, and why: pure readings of a ladder.

Who counts as having heard, and the reasons why not, are the core's. Places made by a second route (`via`
another way) help their patrol but are no addressees themselves.
"""

from collections.abc import Iterator

from dispatchd.core.ladder import ROUTES, unheard, why_not
from dispatchd.core.state import ACKNOWLEDGED, PRESENTED, RUNG_NAMES, Ladder, Place, State

from .documents import LadderCounts, NotHeardDoc, NotHeardList, PatrolRung


def addressees(ladder: Ladder) -> list[Place]:
    return [place for place in ladder.places.values() if place.via == "direct"]


def counts(ladder: Ladder) -> LadderCounts:
    """How many addressees reached each rung or a higher one."""
    reached = [0] * len(RUNG_NAMES)
    for place in addressees(ladder):
        for rung in range(place.rung + 1):
            reached[rung] += 1
    return LadderCounts(*reached)


def not_heard(state: State, ladder: Ladder) -> list[NotHeardDoc]:
    """Every addressee who has not heard, in ladder order; nobody once a newer item took its place."""
    return [] if ladder.superseded else list(_not_heard(state, ladder))


def _not_heard(state: State, ladder: Ladder) -> Iterator[NotHeardDoc]:
    best = _best(ladder)
    for place in unheard(ladder):
        if place.via == "direct":
            yield _doc(state, ladder, place, best)


def not_acknowledged(state: State, ladder: Ladder) -> list[NotHeardDoc]:
    """Every addressee of whose patrol nobody has acknowledged, in ladder order, those who have not heard with why."""
    if ladder.superseded:
        return []
    best = _best(ladder)
    return [
        _doc(state, ladder, place, best)
        for place in addressees(ladder)
        if place.rung < ACKNOWLEDGED and best.get(place.patrol or "", 0) < ACKNOWLEDGED
    ]


def _doc(state: State, ladder: Ladder, place: Place, best: dict[str, int]) -> NotHeardDoc:
    """One who has not heard, or has heard and not acknowledged (then without a reason)."""
    return NotHeardDoc(
        device=place.device,
        patrol=place.patrol,
        rung=RUNG_NAMES[place.rung],
        reason="" if place.rung >= PRESENTED else why_not(state, ladder, place),
        routes=list(ROUTES[: place.route]),
        tries=place.tries,
        patrol_heard=place.patrol is not None and best[place.patrol] >= PRESENTED,
    )


def _best(ladder: Ladder) -> dict[str, int]:
    """Patrol → the highest rung any of its terminals reached, by whatever route."""
    best: dict[str, int] = {}
    for place in ladder.places.values():
        if place.patrol is not None:
            best[place.patrol] = max(best.get(place.patrol, 0), place.rung)
    return best


def by_patrol(ladder: Ladder) -> list[PatrolRung]:
    terminals: dict[str, int] = {}
    for place in addressees(ladder):
        if place.patrol is not None:
            terminals[place.patrol] = terminals.get(place.patrol, 0) + 1
    best = _best(ladder)
    return [PatrolRung(patrol, RUNG_NAMES[best[patrol]], n) for patrol, n in sorted(terminals.items())]


def not_heard_list(state: State, ladder: Ladder, rung: str = "presented") -> NotHeardList:
    """Below `rung`: presented (has not heard) or acknowledged."""
    who = not_acknowledged if rung == RUNG_NAMES[ACKNOWLEDGED] else not_heard
    return NotHeardList(ladder.item, ladder.kind, ladder.about, counts(ladder), who(state, ladder))
