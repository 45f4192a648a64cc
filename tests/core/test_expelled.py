"""Who is a member no more talks no more, whatever made him so; a pillar is silent while any incident there is."""

from typing import Any

import msgspec
import pytest

from dispatchd.core import commands as c
from dispatchd.core import inputs as i
from dispatchd.core.commands import Done, Refusal
from dispatchd.core.core import Core
from dispatchd.core.effects import SetFloor
from dispatchd.core.floor_rights import PRESSES_AT_ONCE
from dispatchd.core.intercom import OPEN_MS
from dispatchd.core.state import State
from dispatchd.core.voice_facts import FloorTaken
from protocols import down

from .radio_site import ADMIN, SITE, Radio
from .test_talk_groups import responding


@pytest.fixture
def radio() -> Radio:
    return Radio()


def moved(radio: Radio, table: str, id_: str, **fields: Any) -> None:
    entry = next(one for one in SITE[table] if one["id"] == id_)
    assert isinstance(radio.ask(ADMIN, c.SetEntry(table, {**entry, **fields})), Done)


def removed(radio: Radio, table: str, id_: str) -> None:
    assert isinstance(radio.ask(ADMIN, c.RemoveEntry(table, id_)), Done)


def test_a_terminal_that_the_site_moves_to_another_unit_stops_talking_in_the_old_one(radio: Radio) -> None:
    burst = radio.talk("t-1", "north")
    radio.press("t-2", "north")
    moved(radio, "device", "t-1", unit="south", patrol=None)
    assert radio.talker("north") == "t-2"
    assert [m.cause for m in radio.told("t-1") if isinstance(m, down.FloorRevoke)] == ["no-permission"]
    assert [e.burst for e in radio.set_floors()] == [burst, burst + 1]


def test_it_goes_on_talking_where_it_still_is(radio: Radio) -> None:
    radio.talk("t-1", "all")
    moved(radio, "device", "t-1", unit="south", patrol=None)
    assert radio.talker("all") == "t-1"


def test_a_terminal_that_is_removed_stops_at_once(radio: Radio) -> None:
    radio.talk("t-5", "south")
    removed(radio, "device", "t-5")
    assert not radio.floor("south").burst
    assert radio.set_floors()[-1] == SetFloor("south", ended=1)


def test_an_operator_who_is_moved_or_removed_stops_talking(radio: Radio) -> None:
    assert isinstance(radio.ask("north-desk", c.RequestFloor("north", 1)), Done)
    radio.sound("north")
    moved(radio, "operator", "north-desk", unit="south")
    assert not radio.floor("north").burst
    assert isinstance(radio.ask("chief", c.RequestFloor("all", 1)), Done)
    radio.sound("all")
    removed(radio, "operator", "chief")
    assert not radio.floor("all").burst


def test_who_talks_by_way_of_a_group_that_closes_stops_in_all_it_was_patched_to(radio: Radio) -> None:
    incident = responding(radio)
    group = f"inc-{incident}"
    radio.ask("north-desk", c.Accept(incident))
    assert isinstance(radio.ask("chief", c.PatchGroups(["all", group])), Done)
    radio.talk("t-1", group)
    assert radio.talker("all") == "t-1"
    assert isinstance(radio.ask("north-desk", c.End(incident, "true-alarm")), Done)
    assert not radio.floor("all").burst


def test_a_flood_of_presses_is_not_told_to_everybody(radio: Radio) -> None:
    for _ in range(200):
        radio.press("t-1", priority="emergency")
    assert sum(isinstance(fact, FloorTaken) for fact in radio.facts) == PRESSES_AT_ONCE
    radio.let_go("t-1")
    radio.wait(1000)
    radio.press("t-1")
    assert radio.talker() == "t-1", "who presses like a person has the floor again"


# --- a pillar's sound -------------------------------------------------------------------------------------------


def test_a_microphone_closes_when_he_who_opened_it_or_the_pillar_is_gone(radio: Radio) -> None:
    assert isinstance(radio.ask("chief", c.OpenMicrophone("p-1", True, "look")), Done)
    removed(radio, "operator", "chief")
    assert not radio.core.state.intercoms
    assert isinstance(radio.ask(ADMIN, c.OpenMicrophone("p-1", True, "look")), Done)
    removed(radio, "device", "p-1")
    assert not radio.core.state.intercoms


def test_a_microphone_that_nobody_closes_closes_with_his_sign_out_or_by_itself(radio: Radio) -> None:
    opened = c.OpenMicrophone("p-1", True, "look")
    assert isinstance(radio.ask("chief", opened), Done)
    assert isinstance(radio.ask(ADMIN, opened), Done)
    assert isinstance(radio.ask("chief", c.SignOut()), Done)
    assert radio.core.state.intercoms["p-1"].hears == [ADMIN]
    radio.core.refolded()
    radio.wait(OPEN_MS - 1)
    assert radio.core.state.intercoms
    radio.wait(1)
    assert not radio.core.state.intercoms


def test_a_pillar_is_silent_while_any_incident_there_is(radio: Radio) -> None:
    first = radio.alarm("p-1")
    assert isinstance(radio.ask("north-desk", c.Accept(first)), Done)
    assert isinstance(radio.ask("north-desk", c.TalkBack(first, True)), Done)
    radio.alarm("p-1")
    alarm = radio.core.state.incidents[first].presses[-1].alarm
    second = radio.ask("north-desk", c.Split(first, alarm))
    assert isinstance(second, Done)
    (other,) = radio.core.state.incidents.keys() - {first}
    radio.ask("north-desk", c.Accept(other))
    assert isinstance(radio.ask("north-desk", c.SetSilent(other, True)), Done)
    intercom = radio.core.state.intercoms["p-1"]
    assert (intercom.incident, intercom.silent, intercom.back) == (first, True, "")
    assert isinstance(radio.ask("north-desk", c.TalkBack(first, True)), Refusal)
    assert isinstance(radio.ask("north-desk", c.PatchIn(first, True)), Refusal)
    radio.ask("north-desk", c.End(other, "true-alarm"))
    assert not radio.core.state.intercoms["p-1"].silent


def test_a_silent_incident_patched_to_others_does_not_sound_at_the_terminal_that_raised_it(
    radio: Radio,
) -> None:
    incident = radio.alarm("t-1", "emergency")
    radio.ask("north-desk", c.Accept(incident))
    assert isinstance(radio.ask("north-desk", c.SetSilent(incident, True)), Done)
    assert isinstance(radio.ask("chief", c.PatchGroups(["all", f"inc-{incident}"])), Done)
    radio.talk("t-2", "all")
    assert radio.told_group("all")[-1].not_for == ["t-1"]
    assert radio.set_floors()[-1].not_for == ("t-1",)
    radio.give(i.VoiceJoined("t-1", "mqtt"))
    assert radio.told("t-1")[-1].not_for == ["t-1"], "also told late"


# --- a start ----------------------------------------------------------------------------------------------------


def test_after_a_start_no_operator_hears_before_he_says_so(radio: Radio) -> None:
    radio.give(i.OperatorHears("chief", ("all",)))
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(radio.core.state), type=State)
    radio.core = Core(kept, radio.now)
    radio.give(i.DaemonStarted(2, 1, "test", "hash"))
    assert not radio.core.state.hearing
