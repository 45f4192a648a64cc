"""The operator's own voice as a broadcast: who hears it, and what those get who do not."""

import pytest

from dispatchd.core import commands as c
from dispatchd.core import facts as f
from dispatchd.core import inputs as i
from dispatchd.core.commands import Done, Refusal
from dispatchd.core.effects import Send
from protocols import down, up
from protocols.types import Key

from .radio_site import Radio

CLIP = down.Clip("c-1", 4000, 1, bytes(32))


@pytest.fixture
def radio() -> Radio:
    return Radio()


def begun(radio: Radio, target: c.Target | None = None) -> tuple[str, str]:
    done = radio.ask("chief", c.BroadcastLive(target or c.Target(everybody=True, pillars=True), "全体注意"))
    assert isinstance(done, Done)
    return done.ids["broadcast"], done.ids["group"]


def heard(radio: Radio, device: str, item: str) -> None:
    for number, rung in enumerate(("delivered", "presented")):
        radio.say(device, up.Rung(Key("b1", 500 + number), item, rung, age_ms=0))


def opened(radio: Radio) -> list[f.BroadcastOpened]:
    return [fact for fact in radio.facts if isinstance(fact, f.BroadcastOpened)]


def test_terminals_are_told_and_are_in_its_group(radio: Radio) -> None:
    broadcast, group = begun(radio)
    assert radio.core.index.members(group) == [f"t-{n}" for n in range(1, 7)]
    told = [e.message for e in radio.effects if isinstance(e, Send) and isinstance(e.message, down.Broadcast)]
    assert {(m.live, m.broadcast) for m in told} == {(group, broadcast)}
    radio.ask("chief", c.RequestFloor(group, 1))
    assert radio.talker(group) == "@chief"


def test_it_is_not_over_when_everybody_has_heard_the_first_word(radio: Radio) -> None:
    broadcast, _ = begun(radio)
    for n in range(1, 7):
        heard(radio, f"t-{n}", broadcast)
    assert radio.core.state.broadcasts[broadcast].state == "open"


def test_who_has_not_heard_it_and_pillars_get_the_recording(radio: Radio) -> None:
    broadcast, group = begun(radio)
    for n in range(1, 5):
        heard(radio, f"t-{n}", broadcast)
    radio.ask("chief", c.EndLive(broadcast))
    assert group not in radio.core.state.talk
    radio.give(i.LiveRecorded(broadcast, CLIP))
    again = opened(radio)[-1]
    assert again.replays == broadcast
    assert again.clip == CLIP
    assert sorted(d for d, _ in again.addressees) == ["p-1", "p-2", "t-5", "t-6"]
    assert radio.core.state.broadcasts[broadcast].state == "closed"


def test_who_heard_it_on_the_patrols_other_terminal_does_not_hear_it_again(radio: Radio) -> None:
    radio.ask(
        "admin",
        c.SetEntry("device", {"id": "t-1b", "kind": "terminal", "unit": "north", "patrol": "g-1"}),
    )
    broadcast, _ = begun(radio, c.Target(patrols=["g-1"]))
    heard(radio, "t-1", broadcast)
    radio.ask("chief", c.EndLive(broadcast))
    radio.give(i.LiveRecorded(broadcast, CLIP))
    assert len(opened(radio)) == 1


def test_without_a_recording_nobody_is_told_twice_and_it_is_said_who_missed_it(radio: Radio) -> None:
    broadcast, _ = begun(radio)
    heard(radio, "t-1", broadcast)
    radio.ask("chief", c.EndLive(broadcast))
    radio.give(i.LiveRecorded(broadcast))
    assert len(opened(radio)) == 1
    closed = [fact for fact in radio.facts if isinstance(fact, f.BroadcastClosed)]
    assert closed[-1].not_heard == 5


def test_no_task_is_opened_while_he_talks(radio: Radio) -> None:
    begun(radio)
    radio.wait(60_000)
    assert not any(isinstance(fact, f.TaskOpened | f.RouteTried) for fact in radio.facts)


@pytest.mark.parametrize("how", ["cancelled", "expired"])
def test_its_group_closes_however_it_ends(radio: Radio, how: str) -> None:
    broadcast, group = begun(radio)
    radio.ask("chief", c.RequestFloor(group, 1))
    if how == "cancelled":
        radio.ask("chief", c.CancelBroadcast(broadcast))
    else:
        radio.wait(1_801_000)
    assert group not in radio.core.state.talk
    assert group not in radio.core.state.floors
    radio.give(i.LiveRecorded(broadcast, CLIP))
    assert len(opened(radio)) == 1


@pytest.mark.parametrize(
    ("operator", "code"), [("guest", "role"), ("south-desk", "unknown-broadcast"), ("chief", "not-live")]
)
def test_who_may_end_it_and_when(radio: Radio, operator: str, code: str) -> None:
    broadcast, _ = begun(radio)
    if operator == "chief":
        radio.ask("chief", c.EndLive(broadcast))
    result = radio.ask(operator, c.EndLive(broadcast))
    assert isinstance(result, Refusal)
    assert result.code == code


def test_only_ones_own(radio: Radio) -> None:
    done = radio.ask("north-desk", c.BroadcastLive(c.Target(everybody=True)))
    assert isinstance(done, Done)
    assert radio.core.index.members(done.ids["group"]) == ["t-1", "t-2", "t-3", "t-4"]
