"""How a patrol moves: along streets, with pauses, or straight on to a place it was called to. Pure.

A walker is always at a junction or on a street between two; it never leaves the streets.
"""

import random
from dataclasses import dataclass, field
from typing import Final

from protocols.geo import LatLon, distance_m

from .streets import Streets

STROLL_M_S: Final = 1.2
HURRY_M_S: Final = 2.8
PAUSE_CHANCE: Final = 0.3
"""At each junction, unless called."""
PAUSE_S: Final = (5.0, 40.0)
MAX_STEP_S: Final = 60.0
"""A longer gap between two steps is walked as this long: nobody jumps across the town after a suspend."""


@dataclass(slots=True)
class Walker:
    """`at`: the junction last passed, `ahead`: those to come, `gone_m`: how far towards the first of them."""

    at: int
    ahead: list[int] = field(default_factory=list)
    gone_m: float = 0.0
    pause_s: float = 0.0
    called: bool = False


def place(walker: Walker, streets: Streets) -> LatLon:
    """Where it is, WGS-84."""
    start = streets.places[walker.at]
    if not walker.ahead:
        return start
    end = streets.places[walker.ahead[0]]
    share = min(1.0, walker.gone_m / max(1.0, distance_m(start, end)))
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def send(walker: Walker, streets: Streets, goal: int) -> None:
    """Hurry to junction `goal` by the shortest way, turning round on the street if that is shorter."""
    walker.called, walker.pause_s = True, 0.0
    if not walker.ahead:
        walker.ahead = streets.way(walker.at, goal)
        return
    following = walker.ahead[0]
    length = distance_m(streets.places[walker.at], streets.places[following])
    onward = [following, *streets.way(following, goal)]
    back = [walker.at, *streets.way(walker.at, goal)]
    if streets.length_m(onward) + length - walker.gone_m <= streets.length_m(back) + walker.gone_m:
        walker.ahead = onward
    else:
        walker.at, walker.gone_m, walker.ahead = following, length - walker.gone_m, back


def release(walker: Walker) -> None:
    """Back to strolling, from wherever it is."""
    walker.called = False
    walker.ahead = walker.ahead[:1]


def walk(walker: Walker, streets: Streets, elapsed_s: float, pace: float, rng: random.Random) -> bool:
    """Moves on for `elapsed_s`; True when it has just arrived where it was called to."""
    left_s = min(elapsed_s, MAX_STEP_S)
    while left_s > 0:
        if walker.pause_s > 0:
            spent = min(walker.pause_s, left_s)
            walker.pause_s -= spent
            left_s -= spent
        elif not walker.ahead:
            if walker.called:
                return False
            walker.ahead = [rng.choice(streets.ways[walker.at])[0]]
        else:
            left_s = _advance(walker, streets, left_s, pace, rng)
            if walker.called and not walker.ahead:
                return True
    return False


def _advance(walker: Walker, streets: Streets, left_s: float, pace: float, rng: random.Random) -> float:
    """Along the street ahead; the seconds that are left at its end."""
    speed = (HURRY_M_S if walker.called else STROLL_M_S) * pace
    to_go_m = distance_m(streets.places[walker.at], streets.places[walker.ahead[0]]) - walker.gone_m
    if speed * left_s < to_go_m:
        walker.gone_m += speed * left_s
        return 0.0
    walker.at, walker.gone_m = walker.ahead.pop(0), 0.0
    if not walker.called and rng.random() < PAUSE_CHANCE:
        walker.pause_s = rng.uniform(*PAUSE_S) / pace
    return left_s - max(0.0, to_go_m) / speed
