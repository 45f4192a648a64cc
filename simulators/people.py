"""What the person with a terminal does about what he hears: accept, decline, not answer, acknowledge. Pure.

Every reaction takes a human time. Chances are per person kind; seconds are divided by the pace of the city.
"""

import random
from dataclasses import dataclass
from typing import Final

REACTION_S: Final = (1.5, 7.0)
"""Between hearing and the key: from, to; the middle is likeliest."""
SET_OUT_S: Final = (1.0, 4.0)
STAY_S: Final = (60.0, 180.0)
"""On scene, until done."""


@dataclass(frozen=True, slots=True)
class Temper:
    """Chances from 0 to 1. What is neither accepted nor declined is not answered at all."""

    accepts: float
    declines: float
    acknowledges: float


TEMPER: Final = {
    "police": Temper(0.92, 0.04, 0.98),
    "auxiliary": Temper(0.85, 0.08, 0.95),
    "volunteer": Temper(0.65, 0.20, 0.90),
}
OBLIGING: Final = Temper(1.0, 0.0, 1.0)
"""For a run whose end must not hang on somebody's mood."""


def answer(temper: Temper, rng: random.Random) -> str | None:
    """accept, decline, or None for no answer."""
    draw = rng.random()
    if draw < temper.accepts:
        return "accept"
    return "decline" if draw < temper.accepts + temper.declines else None


def acknowledges(temper: Temper, rng: random.Random) -> bool:
    return rng.random() < temper.acknowledges


def delay_ms(span_s: tuple[float, float], pace: float, rng: random.Random) -> int:
    return round(rng.triangular(*span_s) * 1000 / pace)
