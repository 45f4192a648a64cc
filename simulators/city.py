"""The city as a model: who carries which terminal, where he walks, what he does next, what befalls him. Pure.

`step(city, now_ms, rng)` moves everything on and returns the deeds that fall due; `heard` and `stood_down`
tell the model what a person's terminal presented. Same seed, same inputs, same deeds.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from devices.events import Acknowledged, AnswerPressed, DutyKey, Event
from protocols.geo import LatLon

from .people import REACTION_S, SET_OUT_S, STAY_S, TEMPER, Temper, acknowledges, answer, delay_ms
from .streets import Streets
from .walk import Walker, place, release, send, walk

FLAT_AFTER_H: Final = 14.0
"""A full battery lasts so long."""
MAX_PLANS: Final = 50
"""Of one person; beyond it he does nothing more about what he hears."""

Mishap = Literal["deaf", "broken", "offline", "flat", "off-duty"]


@dataclass(frozen=True, slots=True)
class Rates:
    """How often something befalls one terminal, per hour, and for how long (seconds)."""

    deaf: float = 0.0
    broken: float = 0.0
    offline: float = 0.0
    off_duty: float = 0.0
    lasts_s: tuple[float, float] = (20.0, 240.0)


CALM: Final = Rates()
REAL: Final = Rates(deaf=0.15, broken=0.05, offline=0.4, off_duty=0.05)


@dataclass(frozen=True, slots=True)
class Pressed:
    """The person used a key of his terminal."""

    terminal: str
    event: Event


@dataclass(frozen=True, slots=True)
class Befell:
    """A mishap began or ended."""

    terminal: str
    mishap: Mishap
    began: bool


Deed = Pressed | Befell


@dataclass(frozen=True, slots=True)
class Plan:
    """At `due_ms` the person does `event`; None = he sets out to `goal`."""

    due_ms: int
    call: str
    event: Event | None = None
    goal: int | None = None


@dataclass(slots=True)
class Bearer:
    """A terminal and the person who carries it. `until` holds when each mishap ends (ms; None = by hand
    only).
    """

    terminal: str
    walker: Walker
    temper: Temper
    battery_pct: float = 100.0
    call: str = ""
    plans: list[Plan] = field(default_factory=list)
    until: dict[Mishap, int | None] = field(default_factory=dict)


@dataclass(slots=True)
class City:
    streets: Streets
    bearers: dict[str, Bearer]
    pace: float = 1.0
    rates: Rates = CALM
    now_ms: int = 0

    def where(self, terminal: str) -> LatLon:
        return place(self.bearers[terminal].walker, self.streets)


def populate(
    streets: Streets, terminals: Sequence[tuple[str, str]], rng: random.Random, now_ms: int, pace: float = 1.0
) -> City:
    """A city with these (terminal, force), each at a random junction with a random charge."""
    bearers = {
        terminal: Bearer(
            terminal, Walker(rng.randrange(len(streets.places))), TEMPER[force], rng.uniform(45.0, 100.0)
        )
        for terminal, force in terminals
    }
    return City(streets, bearers, pace, CALM, now_ms)


def step(city: City, now_ms: int, rng: random.Random) -> list[Deed]:
    """Everything that happens up to `now_ms`."""
    elapsed_s = max(0, now_ms - city.now_ms) / 1000
    city.now_ms = max(city.now_ms, now_ms)
    deeds: list[Deed] = []
    for bearer in city.bearers.values():
        deeds += _mishaps(city, bearer, elapsed_s, rng)
        if "off-duty" not in bearer.until:
            deeds += _due(city, bearer)
            deeds += _move(city, bearer, elapsed_s, rng)
    return deeds


def heard(
    city: City, terminal: str, kind: str, item: str, call: str, goal: int | None, rng: random.Random
) -> None:
    """A call or broadcast was presented to the person; `goal` is the junction to go to, None if unknown."""
    bearer = city.bearers[terminal]
    if len(bearer.plans) >= MAX_PLANS:
        return
    if kind == "broadcast" and acknowledges(bearer.temper, rng):
        bearer.plans.append(Plan(city.now_ms + delay_ms(REACTION_S, city.pace, rng), "", Acknowledged(item)))
    if kind == "call" and not bearer.call:
        _consider(city, bearer, call, goal, rng)


def stood_down(city: City, terminal: str, call: str) -> None:
    """The person is not needed on that call any more."""
    bearer = city.bearers[terminal]
    bearer.plans = [plan for plan in bearer.plans if plan.call != call]
    if bearer.call == call:
        bearer.call = ""
        release(bearer.walker)


def strike(city: City, terminal: str, mishap: Mishap, *, for_ms: int | None) -> list[Deed]:
    """Makes a mishap begin now; nothing if it has begun already. `for_ms` None = until `recover`."""
    bearer = city.bearers[terminal]
    if mishap in bearer.until:
        return []
    bearer.until[mishap] = None if for_ms is None else city.now_ms + for_ms
    return _told(Befell(terminal, mishap, began=True))


def recover(city: City, terminal: str, mishap: Mishap) -> list[Deed]:
    bearer = city.bearers[terminal]
    if mishap not in bearer.until:
        return []
    del bearer.until[mishap]
    if mishap == "flat":
        bearer.battery_pct = 100.0
    return _told(Befell(terminal, mishap, began=False))


def _consider(city: City, bearer: Bearer, call: str, goal: int | None, rng: random.Random) -> None:
    """Decides about a call; who accepts sets out a moment later."""
    word = answer(bearer.temper, rng)
    if word is None:
        return
    due_ms = city.now_ms + delay_ms(REACTION_S, city.pace, rng)
    bearer.plans.append(Plan(due_ms, call, AnswerPressed(word, call)))
    if word == "accept":
        bearer.call = call
        out_ms = due_ms + delay_ms(SET_OUT_S, city.pace, rng)
        there = goal if goal is not None else rng.choice(city.streets.ways[bearer.walker.at])[0]
        bearer.plans.append(Plan(out_ms, call, AnswerPressed("en-route", call)))
        bearer.plans.append(Plan(out_ms, call, goal=there))


def _due(city: City, bearer: Bearer) -> list[Deed]:
    due = [plan for plan in bearer.plans if plan.due_ms <= city.now_ms]
    bearer.plans = [plan for plan in bearer.plans if plan.due_ms > city.now_ms]
    deeds: list[Deed] = []
    for plan in due:
        if plan.goal is not None:
            send(bearer.walker, city.streets, plan.goal)
        if plan.event is not None:
            deeds.append(Pressed(bearer.terminal, plan.event))
            if plan.event == AnswerPressed("done", plan.call):
                stood_down(city, bearer.terminal, plan.call)
    return deeds


def _move(city: City, bearer: Bearer, elapsed_s: float, rng: random.Random) -> list[Deed]:
    waiting = bearer.walker.called and not bearer.walker.ahead
    arrived = walk(bearer.walker, city.streets, elapsed_s, city.pace, rng) or (waiting and _not_told(bearer))
    if not arrived:
        return []
    bearer.plans.append(
        Plan(city.now_ms + delay_ms(STAY_S, city.pace, rng), bearer.call, AnswerPressed("done", bearer.call))
    )
    return [Pressed(bearer.terminal, AnswerPressed("on-scene", bearer.call))]


def _not_told(bearer: Bearer) -> bool:
    """He was called to where he stood already: he has arrived without a step."""
    return bool(bearer.call) and not any(plan.call == bearer.call for plan in bearer.plans)


def _mishaps(city: City, bearer: Bearer, elapsed_s: float, rng: random.Random) -> list[Deed]:
    over = [mishap for mishap, until in bearer.until.items() if until is not None and until <= city.now_ms]
    deeds = [deed for mishap in over for deed in recover(city, bearer.terminal, mishap)]
    for mishap, per_h in _chances(city.rates):
        if per_h > 0 and rng.random() < per_h * elapsed_s / 3600:
            for_ms = round(rng.uniform(*city.rates.lasts_s) * 1000)
            deeds += strike(city, bearer.terminal, mishap, for_ms=for_ms)
    bearer.battery_pct = max(0.0, bearer.battery_pct - 100.0 * elapsed_s / (FLAT_AFTER_H * 3600))
    if bearer.battery_pct == 0.0:
        deeds += strike(city, bearer.terminal, "flat", for_ms=None)
    return deeds


def _chances(rates: Rates) -> tuple[tuple[Mishap, float], ...]:
    return (
        ("deaf", rates.deaf),
        ("broken", rates.broken),
        ("offline", rates.offline),
        ("off-duty", rates.off_duty),
    )


def _told(deed: Befell) -> list[Deed]:
    """Going off duty and coming back is a key on the terminal as well."""
    if deed.mishap == "off-duty":
        return [deed, Pressed(deed.terminal, DutyKey(on=not deed.began))]
    return [deed]


def make_obliging(city: City, temper: Temper) -> None:
    """Everybody gets this temper."""
    for bearer in city.bearers.values():
        bearer.temper = temper
