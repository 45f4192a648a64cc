"""The pure city: walking, answering and failing, by seed."""

import random

import pytest

from devices.events import Acknowledged, AnswerPressed, DutyKey
from protocols.geo import distance_m
from simulators import city as c
from simulators.city import Befell, City, Pressed, Rates, heard, populate, recover, stood_down, strike
from simulators.people import OBLIGING, Temper
from simulators.streets import Streets
from simulators.town import streets
from simulators.walk import HURRY_M_S, STROLL_M_S, Walker, place, release, send, walk

SEED = 7


def town(terminals: int = 3, *, force: str = "police", pace: float = 1.0) -> City:
    people = [(f"t-{number}", force) for number in range(terminals)]
    return populate(streets(), people, random.Random(SEED), 0, pace)


def played(city: City, until_ms: int, rng: random.Random, step_ms: int = 500) -> list[tuple[int, c.Deed]]:
    """Every deed with its time."""
    deeds = []
    while city.now_ms < until_ms:
        now_ms = city.now_ms + step_ms
        deeds += [(now_ms, deed) for deed in c.step(city, now_ms, rng)]
    return deeds


# --- streets and walking ----------------------------------------------------------------------------------------


def test_the_shortest_way_is_the_shortest() -> None:
    square = Streets.of([(0, 0), (0, 0.01), (0.01, 0.01), (0.01, 0)], [(0, 1), (1, 2), (2, 3), (3, 0)])
    assert square.way(0, 0) == []
    assert square.way(0, 1) == [1]
    assert square.way(0, 2) in ([1, 2], [3, 2])
    assert len(streets().way(0, 109)) >= 19


def test_streets_that_are_not_joined_are_refused() -> None:
    with pytest.raises(ValueError, match="not joined"):
        Streets.of([(0, 0), (0, 1), (1, 0), (1, 1)], [(0, 1), (2, 3)])


def test_a_walker_keeps_to_the_streets_and_to_his_speed() -> None:
    rng, graph, walker = random.Random(SEED), streets(), Walker(50)
    before = place(walker, graph)
    for _ in range(2000):
        walk(walker, graph, 5.0, 1.0, rng)
        now = place(walker, graph)
        assert distance_m(before, now) <= STROLL_M_S * 5.0 + 0.5
        assert not walker.ahead or walker.ahead[0] in [neighbour for neighbour, _ in graph.ways[walker.at]]
        before = now


def test_a_called_walker_arrives_by_the_shortest_way_and_turns_round_if_that_is_shorter() -> None:
    rng, graph = random.Random(SEED), streets()
    walker = Walker(0, [1], 20.0)
    send(walker, graph, 0)
    assert walker.ahead[-1] == 0
    assert walk(walker, graph, 20.0 / HURRY_M_S + 0.1, 1.0, rng)
    assert place(walker, graph) == graph.places[0]
    send(walker, graph, 12)
    took_s = 0
    while not walk(walker, graph, 1.0, 1.0, rng):
        took_s += 1
    assert took_s == pytest.approx(graph.length_m([0, *graph.way(0, 12)]) / HURRY_M_S, abs=2)
    release(walker)
    assert not walker.called


# --- people -----------------------------------------------------------------------------------------------------


def test_the_same_seed_does_the_same_deeds_and_another_one_others() -> None:
    def run(seed: int) -> list[tuple[int, c.Deed]]:
        city, rng = town(20), random.Random(seed)
        city.rates = Rates(deaf=30, offline=30, off_duty=10)
        for terminal in city.bearers:
            heard(city, terminal, "call", "i1", "c1", 40, rng)
        return played(city, 300_000, rng)

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_who_accepts_goes_there_and_says_every_step_once() -> None:
    city, rng = town(1), random.Random(SEED)
    city.bearers["t-0"].temper = OBLIGING
    heard(city, "t-0", "call", "i1", "c1", 60, rng)
    deeds = played(city, 3_600_000, rng)
    events = [deed.event for _, deed in deeds if isinstance(deed, Pressed)]
    said = [event.answer for event in events if isinstance(event, AnswerPressed)]
    assert said == ["accept", "en-route", "on-scene", "done"]
    arrived_ms = next(at for at, deed in deeds if deed == Pressed("t-0", AnswerPressed("on-scene", "c1")))
    assert arrived_ms > 1000
    assert city.bearers["t-0"].call == ""


def test_who_is_there_already_is_on_scene_without_a_step() -> None:
    city, rng = town(1), random.Random(SEED)
    bearer = city.bearers["t-0"]
    bearer.temper = OBLIGING
    bearer.walker.pause_s = 1e9
    heard(city, "t-0", "call", "i1", "c1", bearer.walker.at, rng)
    said = [deed for _, deed in played(city, 20_000, rng) if isinstance(deed, Pressed)]
    assert Pressed("t-0", AnswerPressed("on-scene", "c1")) in said


def test_reactions_take_a_human_time() -> None:
    for seed in range(50):
        city, rng = town(1), random.Random(seed)
        city.bearers["t-0"].temper = OBLIGING
        heard(city, "t-0", "broadcast", "b1", "", None, rng)
        at_ms = [at for at, deed in played(city, 20_000, rng) if deed == Pressed("t-0", Acknowledged("b1"))]
        assert len(at_ms) == 1
        assert 1500 <= at_ms[0] <= 7500


def test_some_decline_and_some_do_not_answer() -> None:
    city, rng = town(300, force="volunteer"), random.Random(SEED)
    for terminal in city.bearers:
        heard(city, terminal, "call", "i1", "c1", 40, rng)
    deeds = [deed for _, deed in played(city, 8000, rng) if isinstance(deed, Pressed)]
    count = {
        word: sum(deed.event == AnswerPressed(word, "c1") for deed in deeds) for word in ("accept", "decline")
    }
    assert 150 < count["accept"] < 240
    assert 30 < count["decline"] < 100
    assert count["accept"] + count["decline"] < 300


def test_a_stand_down_ends_everything_about_the_call() -> None:
    city, rng = town(1), random.Random(SEED)
    city.bearers["t-0"].temper = OBLIGING
    heard(city, "t-0", "call", "i1", "c1", 60, rng)
    stood_down(city, "t-0", "c1")
    assert played(city, 60_000, rng) == []
    assert not city.bearers["t-0"].walker.called


def test_a_second_call_does_not_draw_away_who_is_on_one() -> None:
    city, rng = town(1), random.Random(SEED)
    city.bearers["t-0"].temper = OBLIGING
    heard(city, "t-0", "call", "i1", "c1", 60, rng)
    heard(city, "t-0", "call", "i2", "c2", 10, rng)
    said = {deed.event.call for _, deed in played(city, 60_000, rng) if isinstance(deed, Pressed)}  # type: ignore[union-attr]
    assert said == {"c1"}


# --- mishaps ----------------------------------------------------------------------------------------------------


def test_a_mishap_ends_by_itself_or_by_hand() -> None:
    city, rng = town(1), random.Random(SEED)
    assert strike(city, "t-0", "deaf", for_ms=10_000) == [Befell("t-0", "deaf", True)]
    assert strike(city, "t-0", "deaf", for_ms=10_000) == []
    assert [deed for at, deed in played(city, 9_500, rng)] == []
    assert [deed for at, deed in played(city, 11_000, rng)] == [Befell("t-0", "deaf", False)]
    strike(city, "t-0", "offline", for_ms=None)
    assert played(city, 3_600_000, rng) == []
    assert recover(city, "t-0", "offline") == [Befell("t-0", "offline", False)]
    assert recover(city, "t-0", "offline") == []


def test_off_duty_is_a_key_and_then_silence() -> None:
    city, rng = town(1), random.Random(SEED)
    city.bearers["t-0"].temper = OBLIGING
    deeds = strike(city, "t-0", "off-duty", for_ms=None)
    assert Pressed("t-0", DutyKey(on=False)) in deeds
    heard(city, "t-0", "call", "i1", "c1", 60, rng)
    where = city.where("t-0")
    assert played(city, 60_000, rng) == []
    assert city.where("t-0") == where
    assert Pressed("t-0", DutyKey(on=True)) in recover(city, "t-0", "off-duty")


def test_a_battery_runs_down_and_is_flat_once() -> None:
    city, rng = town(1), random.Random(SEED)
    city.bearers["t-0"].battery_pct = 0.01
    deeds = [deed for _, deed in played(city, 60_000, rng)]
    assert deeds == [Befell("t-0", "flat", True)]
    recover(city, "t-0", "flat")
    assert city.bearers["t-0"].battery_pct == 100.0


def test_mishaps_come_about_as_often_as_they_should() -> None:
    city, rng = town(100), random.Random(SEED)
    city.rates = Rates(offline=2.0, lasts_s=(1.0, 2.0))
    began = [
        deed for _, deed in played(city, 3_600_000, rng, 5000) if isinstance(deed, Befell) and deed.began
    ]
    assert 150 < len(began) < 250


def test_nobody_plans_without_end() -> None:
    city, rng = town(1), random.Random(SEED)
    city.bearers["t-0"].temper = Temper(0, 0, 1.0)
    for number in range(1000):
        heard(city, "t-0", "broadcast", f"b{number}", "", None, rng)
    assert len(city.bearers["t-0"].plans) == c.MAX_PLANS
