"""Patrols that move between incidents: merged, gone elsewhere, called anew."""

from dispatchd.core import commands as c
from dispatchd.core import facts as f
from dispatchd.core.commands import Done
from dispatchd.core.core import Core
from dispatchd.core.effects import Send
from dispatchd.core.inputs import DeviceSaid, OperatorAsked, Tick
from protocols import up
from protocols.types import Key, Position

NOW = 1_800_000_000_000
HERE = Position(26.9, 112.6)
ENTRIES: list[tuple[str, dict[str, object]]] = [
    ("unit", {"id": "top"}),
    ("operator", {"id": "wang", "unit": "top", "role": "operator"}),
    ("patrol", {"id": "g-1", "unit": "top", "force": "police"}),
    ("device", {"id": "p-1", "kind": "pillar", "unit": "top", "lat": 26.9, "lon": 112.6}),
    ("device", {"id": "p-2", "kind": "pillar", "unit": "top", "lat": 26.9, "lon": 112.6}),
    ("device", {"id": "t-1", "kind": "terminal", "unit": "top", "patrol": "g-1"}),
]


def site() -> Core:
    core = Core()
    for table, entry in ENTRIES:
        core.apply(f.EntrySet(table, str(entry["id"]), entry, "test"), NOW)
    core.decide(DeviceSaid("t-1", up.State(1, HERE)), NOW)
    return core


def test_an_answer_to_the_old_call_counts_for_the_incident_it_was_merged_into() -> None:
    core = site()
    core.decide(DeviceSaid("p-1", up.Alarm(Key("b", 1), age_ms=0)), NOW)
    core.decide(DeviceSaid("p-2", up.Alarm(Key("b", 1), age_ms=0)), NOW + 10)
    first, second = sorted(core.state.incidents)
    call = core.state.incidents[first].responders["g-1"].call
    core.decide(DeviceSaid("t-1", up.Answer(Key("b", 1), call, "g-1", "accept")), NOW + 20)
    for incident in (first, second):
        core.decide(OperatorAsked("wang", c.Accept(incident)), NOW + 30)
    merged = core.decide(OperatorAsked("wang", c.Merge(first, into=second)), NOW + 40)
    assert isinstance(merged.result, Done)
    said = core.decide(DeviceSaid("t-1", up.Answer(Key("b", 2), call, "g-1", "on-scene")), NOW + 50)
    answered = [fact for fact in said.facts if isinstance(fact, f.Answered)]
    assert [(a.incident, a.place, a.counted) for a in answered] == [(second, "on-scene", True)]
    assert core.state.incidents[second].responders["g-1"].place == "on-scene"


def test_a_patrol_that_accepts_elsewhere_is_told_to_leave_the_first_call() -> None:
    core = site()
    core.decide(DeviceSaid("p-1", up.Alarm(Key("b", 1), age_ms=0)), NOW)
    core.decide(DeviceSaid("p-2", up.Alarm(Key("b", 1), age_ms=0)), NOW + 10)
    first, second = sorted(core.state.incidents)
    call = core.state.incidents[second].responders["g-1"].call
    said = core.decide(DeviceSaid("t-1", up.Answer(Key("b", 1), call, "g-1", "accept")), NOW + 20)
    told = [fact for fact in said.facts if isinstance(fact, f.StoodDown)]
    assert [(s.incident, s.patrols, s.devices, s.reason) for s in told] == [
        (first, ["g-1"], ["t-1"], "elsewhere")
    ]
    assert core.state.incidents[first].responders["g-1"].place == "lost"


def test_a_stand_down_that_never_arrived_does_not_end_a_new_call() -> None:
    core = site()
    core.decide(DeviceSaid("p-1", up.Alarm(Key("b", 1), age_ms=0)), NOW)
    (incident,) = core.state.incidents
    core.decide(OperatorAsked("wang", c.Accept(incident)), NOW + 10)
    core.decide(OperatorAsked("wang", c.StandDown(incident)), NOW + 20)
    again = core.decide(OperatorAsked("wang", c.CallMore(incident, c.Target(patrols=["g-1"]))), NOW + 30)
    assert isinstance(again.result, Done)
    later = [e for t in range(1, 60) for e in core.decide(Tick(), NOW + 30 + 1000 * t).effects]
    assert {type(e.message).__name__ for e in later if isinstance(e, Send) and e.device == "t-1"} == {"Call"}
