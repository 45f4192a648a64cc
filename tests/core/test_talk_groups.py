"""Who is in which talk group: the site's, an incident's, an operator's; and the pillar's sound."""

import pytest

from dispatchd.core import commands as c
from dispatchd.core import inputs as i
from dispatchd.core import voice_facts as v
from dispatchd.core.commands import Done, Refusal
from dispatchd.core.effects import Send, SyncVoice
from protocols import down, up
from protocols.types import Key, Position

from .radio_site import Radio


@pytest.fixture
def radio() -> Radio:
    return Radio()


def accept(radio: Radio, device: str, answer: str = "accept") -> None:
    """The patrol of this terminal answers the newest call it got."""
    calls = [
        e.message
        for e in radio.effects
        if isinstance(e, Send) and e.device == device and isinstance(e.message, down.Call)
    ]
    call = calls[-1]
    key = Key("b1", 1000 + len(radio.facts))
    radio.say(device, up.Answer(key, call.call, call.patrol, answer, 0))


def near(radio: Radio, device: str, metres: float) -> None:
    radio.say(device, up.State(1, position=Position(30.0 + metres / 111_000, 110.0)))


def responding(radio: Radio) -> str:
    """An alarm at the pillar with t-1 on its way; its incident."""
    near(radio, "t-1", 100)
    near(radio, "t-3", 200)
    incident = radio.alarm("p-1")
    accept(radio, "t-1")
    return incident


# --- groups -----------------------------------------------------------------------------------------------------


def test_every_unit_has_a_group_unless_the_site_names_one(radio: Radio) -> None:
    assert set(radio.core.index.tree.talk) == {"all", "north", "south"}
    assert radio.core.index.groups_of("t-5") == ["all", "south"]
    assert radio.core.index.members("north") == ["t-1", "t-2", "t-3", "t-4"]


def test_the_channel_of_all_is_what_a_terminal_transmits_on_until_it_chooses(radio: Radio) -> None:
    radio.say("t-1", up.Hello(b"12345678", 2, "b1"))
    member = _membership(radio, "t-1")
    assert [one.group for one in member.talk] == ["all", "north"]
    assert member.groups == ["all", "north"]


def _membership(radio: Radio, device: str) -> down.Membership:
    found = [e.message for e in radio.effects if isinstance(e, Send) and e.device == device]
    return [m for m in found if isinstance(m, down.Membership)][-1]


def test_an_incident_has_a_group_of_those_who_come(radio: Radio) -> None:
    incident = responding(radio)
    group = f"inc-{incident}"
    assert radio.core.index.members(group) == ["t-1"]
    radio.wait(1)
    radio.say("t-1", up.Hello(b"12345678", 2, "b1"))
    assert _membership(radio, "t-1").talk[0] == down.TalkGroup(group, incident, 90, True, incident)
    assert any(isinstance(e, SyncVoice) for e in radio.effects)


def test_it_closes_with_its_incident_and_ends_who_talks(radio: Radio) -> None:
    incident = responding(radio)
    group = f"inc-{incident}"
    radio.ask("north-desk", c.Accept(incident))
    radio.give(i.OperatorHears("north-desk", (group,)))
    burst = radio.talk("t-1", group)
    radio.look_away()
    radio.ask("north-desk", c.End(incident, "genuine"))
    assert down.FloorRevoke(group, burst, "other", 0) in radio.told("t-1")
    assert group not in radio.core.index.groups_of("t-1")
    radio.press("t-1", group)
    assert radio.told("t-1")[-1].cause == "unknown-group"


def test_who_is_stood_down_leaves_it(radio: Radio) -> None:
    incident = responding(radio)
    radio.ask("north-desk", c.Accept(incident))
    radio.ask("north-desk", c.StandDown(incident, ["g-1"]))
    assert radio.core.index.members(f"inc-{incident}") == []


def test_a_terminal_that_calls_for_help_is_in_its_group_unless_it_must_be_silent(radio: Radio) -> None:
    loud = radio.alarm("t-1", "emergency")
    assert radio.core.index.members(f"inc-{loud}") == ["t-1"]
    quiet = radio.alarm("t-2", "duress")
    assert radio.core.index.members(f"inc-{quiet}") == []


def test_operators_open_change_and_close_groups(radio: Radio) -> None:
    done = radio.ask("north-desk", c.OpenGroup("东街", c.Target(devices=["t-1", "t-2"])))
    assert isinstance(done, Done)
    group = done.ids["group"]
    assert radio.core.index.members(group) == ["t-1", "t-2"]
    radio.ask("north-desk", c.AddMembers(group, c.Target(devices=["t-3"])))
    radio.ask("north-desk", c.RemoveMembers(group, c.Target(devices=["t-1"])))
    assert radio.core.index.members(group) == ["t-2", "t-3"]
    assert group not in radio.core.index.groups_of("t-1")
    radio.ask("north-desk", c.CloseGroup(group))
    assert radio.core.index.members(group) == []
    assert radio.core.index.groups_of("t-3") == ["all", "north"]


def test_out_of_a_group_of_the_site_and_back(radio: Radio) -> None:
    radio.ask("chief", c.RemoveMembers("all", c.Target(devices=["t-1"])))
    assert radio.core.index.groups_of("t-1") == ["north"]
    radio.ask("chief", c.AddMembers("all", c.Target(devices=["t-1"])))
    assert radio.core.index.groups_of("t-1") == ["all", "north"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (c.OpenGroup("x", c.Target(devices=["t-5"])), "unknown-target"),
        (c.AddMembers("all", c.Target(devices=["t-1"])), "unknown-group"),
        (c.AddMembers("north", c.Target(devices=["t-5"])), "unknown-target"),
        (c.CloseGroup("north"), "not-yours"),
        (c.UnpatchGroup("north"), "not-patched"),
    ],
)
def test_what_a_desk_may_not(radio: Radio, command: c.Command, code: str) -> None:
    result = radio.ask("north-desk", command)
    assert isinstance(result, Refusal)
    assert result.code == code


def test_a_refold_knows_the_same_members(radio: Radio) -> None:
    responding(radio)
    radio.ask("chief", c.OpenGroup("x", c.Target(devices=["t-5"])))
    before = {d: radio.core.index.groups_of(d) for d in ("t-1", "t-5")}
    radio.core.refolded()
    assert {d: radio.core.index.groups_of(d) for d in ("t-1", "t-5")} == before


# --- the pillar's sound -----------------------------------------------------------------------------------------


def test_its_sound_is_open_from_the_alarm_and_the_owners_as_soon_as_there_is_one(radio: Radio) -> None:
    incident = responding(radio)
    opened = radio.core.state.intercoms["p-1"]
    assert (opened.incident, opened.hears, opened.burst) == (incident, [], 1)
    microphone = [
        e.message for e in radio.effects if isinstance(e, Send) and isinstance(e.message, down.Microphone)
    ]
    assert microphone[0].open
    assert not microphone[0].tone
    radio.ask("north-desk", c.Accept(incident))
    assert radio.core.state.intercoms["p-1"].hears == ["north-desk"]
    radio.ask("north-desk", c.End(incident, "genuine"))
    assert radio.core.state.intercoms == {}


def test_the_owner_talks_back_and_nobody_else(radio: Radio) -> None:
    incident = responding(radio)
    assert isinstance(radio.ask("chief", c.TalkBack(incident)), Refusal)
    radio.ask("north-desk", c.Accept(incident))
    assert isinstance(radio.ask("north-desk", c.TalkBack(incident)), Done)
    opened = radio.core.state.intercoms["p-1"]
    assert (opened.back, opened.back_burst) == ("@north-desk", 2)
    radio.ask("north-desk", c.TalkBack(incident, False))
    assert radio.core.state.intercoms["p-1"].back == ""


def test_patched_in_it_is_heard_while_nobody_talks_and_gives_way_at_once(radio: Radio) -> None:
    incident = responding(radio)
    group = f"inc-{incident}"
    radio.ask("north-desk", c.Accept(incident))
    radio.give(i.OperatorHears("north-desk", (group,)))
    radio.look_away()
    assert isinstance(radio.ask("north-desk", c.PatchIn(incident)), Done)
    assert (radio.talker(group), radio.floor(group).ambient) == ("p-1", True)
    radio.talk("t-1", group)
    assert (radio.talker(group), radio.floor(group).ambient) == ("t-1", False)
    radio.let_go("t-1", group)
    assert radio.talker(group) == "p-1"
    radio.ask("north-desk", c.PatchIn(incident, False))
    assert radio.floor(group).burst == 0


def test_who_is_near_does_not_play_it(radio: Radio) -> None:
    incident = responding(radio)
    group = f"inc-{incident}"
    radio.ask("north-desk", c.Accept(incident))
    radio.ask("north-desk", c.PatchIn(incident))
    assert radio.set_floors()[-1].not_for == ()
    near(radio, "t-1", 40)
    radio.wait(5_100)
    assert radio.set_floors()[-1].not_for == ("t-1",)
    assert radio.told_group(group)[-1].not_for == ["t-1"]


def test_who_is_on_scene_does_not_play_it_wherever_he_is(radio: Radio) -> None:
    incident = responding(radio)
    accept(radio, "t-1", "on-scene")
    radio.ask("north-desk", c.Accept(incident))
    radio.ask("north-desk", c.PatchIn(incident))
    assert radio.set_floors()[-1].not_for == ("t-1",)


def test_silent_nothing_sounds_at_the_pillar_and_its_sound_is_the_owners_alone(radio: Radio) -> None:
    incident = responding(radio)
    group = f"inc-{incident}"
    radio.ask("north-desk", c.Accept(incident))
    radio.ask("north-desk", c.PatchIn(incident))
    radio.ask("north-desk", c.TalkBack(incident))
    radio.ask("north-desk", c.SetSilent(incident))
    opened = radio.core.state.intercoms["p-1"]
    assert (opened.silent, opened.patched, opened.back, opened.hears) == (True, False, "", ["north-desk"])
    assert radio.floor(group).burst == 0
    for command in (c.TalkBack(incident), c.PatchIn(incident)):
        result = radio.ask("north-desk", command)
        assert isinstance(result, Refusal)
        assert result.code == "silent"


def test_a_microphone_without_an_alarm_needs_a_duty_leader_and_sounds_a_tone(radio: Radio) -> None:
    assert isinstance(radio.ask("chief", c.OpenMicrophone("p-1", True, "群众反映")), Done)
    microphone = [
        e.message for e in radio.effects if isinstance(e, Send) and isinstance(e.message, down.Microphone)
    ]
    assert (microphone[-1].open, microphone[-1].tone) == (True, True)
    opened = next(fact for fact in radio.facts if isinstance(fact, v.IntercomOpened))
    assert (opened.by, opened.reason, opened.hears) == ("chief", "群众反映", ["chief"])
    incident = radio.alarm("p-1")
    assert radio.core.state.intercoms["p-1"].incident == incident, "an alarm takes its place"


def test_a_pillar_without_sound_has_none(radio: Radio) -> None:
    radio.alarm("p-2")
    assert radio.core.state.intercoms == {}
    result = radio.ask("chief", c.OpenMicrophone("p-2"))
    assert isinstance(result, Refusal)
    assert result.code == "no-microphone"


def test_a_pillar_that_rebooted_is_told_again(radio: Radio) -> None:
    incident = responding(radio)
    radio.look_away()
    radio.say("p-1", up.Hello(b"12345678", 2, "b1"))
    assert not [e for e in radio.effects if isinstance(e, Send) and isinstance(e.message, down.Microphone)][
        1:
    ]
    radio.look_away()
    radio.say("p-1", up.Hello(b"12345678", 3, "b2"))
    told = [
        e.message for e in radio.effects if isinstance(e, Send) and isinstance(e.message, down.Microphone)
    ]
    assert (told[-1].open, told[-1].incident) == (True, incident)


def test_relieved_the_successor_hears_it(radio: Radio) -> None:
    incident = responding(radio)
    radio.ask("north-desk", c.Accept(incident))
    radio.ask("north-desk", c.Relieve("chief"))
    radio.ask("chief", c.TakeRelief("north-desk"))
    assert radio.core.state.intercoms["p-1"].hears == ["chief"]


def test_no_group_sounds_where_a_silent_incident_was_raised(radio: Radio) -> None:
    """Also who is talking at that moment, on the channel of all; until the incident is over."""
    radio.talk("t-1")
    incident = radio.alarm("t-2", "duress")
    assert radio.set_floors()[-1].not_for == ("t-2",)
    assert radio.told_group()[-1].not_for == ["t-2"]
    radio.let_go("t-1")
    radio.talk("t-3", "north")
    assert radio.set_floors()[-1].not_for == ("t-2",)
    radio.ask("north-desk", c.Accept(incident))
    radio.ask("north-desk", c.End(incident, "genuine"))
    assert radio.set_floors()[-1].not_for == ()


def test_a_device_that_howls_is_on_the_maintenance_list_once(radio: Radio) -> None:
    for _ in range(3):
        radio.say("t-1", up.Howling(1_000, "all"))
    assert [fault.kind for fault in radio.core.state.faults.values()] == ["howl"]
    assert radio.core.state.faults["t-1-howl"].count == 1


# --- recordings -------------------------------------------------------------------------------------------------


def test_who_listens_is_on_record_and_within_his_level(radio: Radio) -> None:
    assert isinstance(radio.ask("north-desk", c.Listened("r1-1", unit="south")), Refusal)
    assert isinstance(radio.ask("guest", c.Listened("r1-1", unit="south")), Done)
    played = [fact for fact in radio.facts if isinstance(fact, v.RecordingPlayed)]
    assert [(fact.by, fact.recording) for fact in played] == [("guest", "r1-1")]


def test_holds_are_named(radio: Radio) -> None:
    incident = responding(radio)
    radio.ask("chief", c.HoldIncident(incident, "case-1"))
    radio.ask("chief", c.HoldIncident(incident, "case-2"))
    radio.ask("chief", c.HoldIncident(incident, "case-1", False))
    assert radio.core.state.holds == {incident: ["case-2"]}


def test_a_fault_of_recordings_is_said_once_and_its_end(radio: Radio) -> None:
    for why in ("disk full", "disk full", "", ""):
        radio.give(i.RecordingFaulted(why))
    assert [fact.why for fact in radio.facts if isinstance(fact, v.RecordingsFaulted)] == ["disk full", ""]
