"""The bounded city: three levels of units, 20 patrols of three forces, 24 terminals, 6 pillars, 8 operators.

Small numbers and short times make every rule of the service happen within minutes of virtual time.
"""

import random
from typing import Any, Final

import msgspec

from protocols import site
from protocols.rules import Override, Rules
from protocols.types import Position

CENTRE: Final = (26.9, 112.57)
PARENTS: Final[dict[str, str | None]] = {
    "qu": None, "s1": "qu", "s2": "qu", "r11": "s1", "r12": "s1", "r21": "s2",
}  # fmt: skip
ROOMS: Final = ("r11", "r12", "r21", "s1", "s2")
PATROLS: Final = 20
TERMINALS: Final = 24
PILLARS: Final = 6
OPERATORS: Final[dict[str, tuple[str, str, bool]]] = {
    "boss": ("qu", "duty-leader", True),
    "root": ("qu", "admin", False),
    "li": ("s1", "operator", True),
    "wang": ("s2", "duty-leader", False),
    "zhao": ("r11", "operator", True),
    "qian": ("r12", "operator", False),
    "sun": ("r21", "operator", False),
    "eye": ("qu", "viewer", False),
}
"""Operator → unit, role, police."""


def within(unit: str, top: str) -> bool:
    """Is `unit` in the subtree of `top`? Written anew here, so that the core's own answer is checked by another.

    A unit nobody knows answers to the top.
    """
    at: str | None = unit if unit in PARENTS else "qu"
    while at is not None:
        if at == top:
            return True
        at = PARENTS.get(at)
    return False


def place(rng: random.Random, reach_m: float = 900) -> tuple[float, float]:
    """Somewhere within a square of the centre."""
    step = reach_m / 111_000
    return (CENTRE[0] + rng.uniform(-step, step), CENTRE[1] + rng.uniform(-step, step))


def position(rng: random.Random) -> Position:
    lat, lon = place(rng)
    return Position(lat, lon, accuracy_m=rng.choice([None, 5.0, 30.0]), age_ms=rng.choice([0, 0, 500, 4000]))


def make(rng: random.Random) -> site.Site:
    """A site of this seed."""
    return site.Site(
        name="sim",
        rules=_rules(rng),
        override=[Override({"answer_within_s": 10}, unit="s2")] if rng.random() < 0.3 else [],
        unit=[
            site.Unit(id=unit, parent=parent, duty_leaders=[f"t-{n:03}"])
            for n, (unit, parent) in enumerate(PARENTS.items())
        ],
        point=[_point(rng, number) for number in range(PILLARS)],
        patrol=[_patrol(rng, number) for number in range(PATROLS)],
        device=[*(_pillar(number) for number in range(PILLARS)), *(_terminal(n) for n in range(TERMINALS))],
        talk_group=[
            site.TalkGroup(id="g-all", unit="qu", units=["qu"]),
            site.TalkGroup(id="g-s1", unit="s1", units=["s1"], devices=["p-0"]),
            site.TalkGroup(id="g-r21", unit="r21", units=["r21"]),
        ],
        schedule=[site.Schedule(id="sc-1", unit="s1", text="谨防诈骗", at=["10:00"], terminals=True)],
        operator=[
            site.Operator(id=id_, unit=unit, role=role, police=police)  # type: ignore[arg-type]
            for id_, (unit, role, police) in OPERATORS.items()
        ],
    )


def _rules(rng: random.Random) -> Rules:
    quick: dict[str, Any] = {
        "keep_ended_s": 30,
        "handoff_red_s": 15,
        "owner_dead_s": rng.choice([20, 60]),
        "owner_idle_s": rng.choice([30, 120]),
        "patrol_silent_s": rng.choice([25, 60]),
        "rejoin_after_s": rng.choice([20, 300]),
        "late_after_s": rng.choice([30, 600]),
        "everybody_after_s": rng.choice([60, 120]),
        "standby_answer_within_s": rng.choice([20, 180]),
        "item_ttl_s": rng.choice([60, 600]),
    }
    return Rules(**quick) if rng.random() < 0.85 else Rules()


def _room(number: int) -> str:
    return ROOMS[number % len(ROOMS)]


def _point(rng: random.Random, number: int) -> site.Point:
    lat, lon = place(rng, 500)
    return site.Point(id=f"pt-{number}", unit=_room(number), number=f"{number:03}", lat=lat, lon=lon)


def _pillar(number: int) -> site.Device:
    point = f"pt-{number}" if number < PILLARS - 1 else None  # one stands nowhere: an alarm needs no position
    profile: Any = ("A", "C")[number % 2]
    return site.Device(id=f"p-{number}", kind="pillar", unit=_room(number), point=point, profile=profile)


def _patrol(rng: random.Random, number: int) -> site.Patrol:
    force = ("police", "auxiliary", "volunteer", "volunteer")[number % 4]
    return site.Patrol(
        id=f"pat-{number:02}", unit=_room(number), force=force, on_duty=rng.random() < 0.85,  # type: ignore[arg-type]
        standby=force == "volunteer" and rng.random() < 0.3,
    )  # fmt: skip


def _terminal(number: int) -> site.Device:
    patrol = number % PATROLS
    return site.Device(id=f"t-{number:03}", kind="terminal", unit=_room(patrol), patrol=f"pat-{patrol:02}")


def entries(made: site.Site) -> dict[str, dict[str, dict[str, Any]]]:
    """The site's entries as a command carries them: table → id → fields."""
    return {
        name: {entry.id: msgspec.to_builtins(entry) for entry in site.table(made, name)}
        for name in site.TABLES
    }
