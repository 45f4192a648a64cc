"""Floor control, transition by transition: who talks, who waits, who is told what, and that every hold ends."""

from typing import Any

import pytest

from dispatchd.core import commands as c
from dispatchd.core import inputs as i
from dispatchd.core import voice_facts as v
from dispatchd.core.commands import Done, Refusal
from dispatchd.core.floor import state_of
from protocols import down, up

from .radio_site import SITE, Radio


@pytest.fixture
def radio() -> Radio:
    return Radio()


def last_freed(radio: Radio) -> v.FloorFreed:
    return [fact for fact in radio.facts if isinstance(fact, v.FloorFreed)][-1]


# --- one talker -------------------------------------------------------------------------------------------------


def test_nobody_talks_granted(radio: Radio) -> None:
    ref = radio.press("t-1")
    (granted,) = radio.told("t-1")
    assert granted == down.FloorGranted("all", ref, 1, 30_000)
    (taken,) = radio.told_group()
    assert (taken.talker, taken.talker_kind, taken.burst, taken.age_ms) == ("t-1", "device", 1, 0)
    (floor,) = radio.set_floors()
    assert (floor.group, floor.burst, floor.talker, floor.groups) == ("all", 1, "t-1", ("all",))


def test_let_go_is_idle_and_everybody_is_told(radio: Radio) -> None:
    radio.talk("t-1")
    radio.look_away()
    radio.let_go("t-1")
    assert radio.told_group() == [down.FloorIdle("all", 1, "released")]
    assert radio.set_floors()[-1].burst == 0
    assert radio.set_floors()[-1].ended == 1
    assert state_of(radio.floor()) == "idle"


def test_the_last_frame_ends_it_when_the_release_is_lost(radio: Radio) -> None:
    radio.talk("t-1")
    radio.sound(last=True)
    assert last_freed(radio).why == "released"
    radio.let_go("t-1")  # it comes after all
    assert state_of(radio.floor()) == "idle"


def test_two_requests_in_the_same_instant_make_one_talker(radio: Radio) -> None:
    radio.press("t-1")
    radio.press("t-2")
    assert radio.talker() == "t-1"
    assert radio.told("t-2") == [down.FloorQueuePositionInfo("all", 1, 1, 1)]


def test_the_next_of_the_queue_talks_at_once(radio: Radio) -> None:
    radio.talk("t-1")
    radio.press("t-2")
    radio.look_away()
    radio.let_go("t-1")
    assert radio.talker() == "t-2"
    assert [type(m) for m in radio.told_group()] == [down.FloorTaken]
    assert radio.told("t-2")[0].burst == 2
    assert (radio.set_floors()[0].burst, radio.set_floors()[0].ended) == (2, 1)


def test_equal_rank_is_served_in_order_and_rank_before(radio: Radio) -> None:
    radio.talk("t-1")
    for device in ("t-5", "t-4", "t-2"):
        radio.press(device)
    served = []
    for _ in range(3):
        radio.sound()
        radio.let_go(radio.talker())
        served.append(radio.talker())
    assert served == ["t-2", "t-5", "t-4"]


def test_who_lets_go_while_he_waits_waits_no_more(radio: Radio) -> None:
    radio.talk("t-1")
    radio.press("t-2")
    radio.let_go("t-2")
    radio.let_go("t-1")
    assert state_of(radio.floor()) == "idle"


def test_a_full_queue_says_so(radio: Radio) -> None:
    radio.ask("admin", c.ApplySite(_site_with_rules(queue_max=1)))
    radio.talk("t-1")
    radio.press("t-2")
    radio.look_away()
    radio.press("t-3")
    assert radio.told("t-3")[0].cause == "queue-full"
    assert "[" not in radio.told("t-3")[0].text


def _site_with_rules(**rules: float) -> dict[str, Any]:
    return {**SITE, "rules": rules}


def test_nobody_waits_longer_than_he_may(radio: Radio) -> None:
    radio.ask("admin", c.ApplySite(_site_with_rules(talk_s=300)))
    radio.talk("t-1")
    radio.press("t-2")
    radio.look_away()
    for _ in range(31):
        radio.wait(1000)
        radio.sound()
    assert radio.floor().queue == []
    assert [m.cause for m in radio.told("t-2") if isinstance(m, down.FloorDeny)] == ["another-talks"]
    assert radio.talker() == "t-1"


# --- every hold ends --------------------------------------------------------------------------------------------


def test_granted_is_said_again_and_free_when_no_sound_comes(radio: Radio) -> None:
    radio.press("t-1")
    radio.wait(3_500)
    assert [type(m) for m in radio.told("t-1")] == [down.FloorGranted] * 4
    radio.wait(1_000)
    assert last_freed(radio).why == "no-media"
    assert not last_freed(radio).heard


def test_silence_ends_it(radio: Radio) -> None:
    radio.talk("t-1")
    radio.wait(3_900)
    assert radio.talker() == "t-1"
    radio.wait(200)
    assert last_freed(radio).why == "end-of-media"


def test_nobody_talks_longer_than_the_limit(radio: Radio) -> None:
    radio.talk("t-1")
    for _ in range(40):
        radio.wait(1000)
        if state_of(radio.floor()) in ("taken", "revoking"):
            radio.sound()
    (revoke,) = [m for m in radio.told("t-1") if isinstance(m, down.FloorRevoke)]
    assert (revoke.cause, revoke.grace_ms) == ("too-long", 3000)
    assert last_freed(radio).why == "revoked"
    assert state_of(radio.floor()) == "idle"


def test_a_ten_minute_press_hands_on_to_who_waits(radio: Radio) -> None:
    """He still holds the key: his sound is dropped, the next one talks."""
    radio.talk("t-1")
    for second in range(600):
        if second == 20:
            radio.press("t-2")
        radio.wait(1000)
        if radio.talker() == "t-1" and radio.floor().burst == 1:
            radio.sound()
        elif radio.talker() == "t-2":
            radio.sound()
            break
    assert radio.talker() == "t-2"
    assert 29 <= second <= 34


def test_a_300_ms_press(radio: Radio) -> None:
    radio.press("t-1")
    radio.wait(300)
    radio.let_go("t-1")
    assert state_of(radio.floor()) == "idle"


def test_a_release_that_overtakes_its_request_ends_it_before_it_begins(radio: Radio) -> None:
    radio.let_go("t-1", ref=7)
    radio.press("t-1", ref=7)
    assert state_of(radio.floor()) == "idle"
    assert radio.told("t-1") == []


def test_a_repeated_request_is_granted_once(radio: Radio) -> None:
    ref = radio.press("t-1")
    radio.press("t-1", ref=ref)
    assert [m.burst for m in radio.told("t-1")] == [1, 1]
    assert sum(isinstance(fact, v.FloorTaken) for fact in radio.facts) == 1


def test_a_new_press_whose_release_was_lost_is_a_new_burst(radio: Radio) -> None:
    radio.talk("t-1")
    radio.press("t-1")
    assert radio.floor().burst == 2
    assert radio.talker() == "t-1"


def test_a_new_press_does_not_jump_the_queue(radio: Radio) -> None:
    radio.talk("t-1")
    radio.press("t-2")
    radio.press("t-1")
    assert radio.talker() == "t-2"
    assert [a.talker for a in radio.floor().queue] == ["t-1"]


def test_an_older_request_changes_nothing(radio: Radio) -> None:
    radio.press("t-1", ref=5)
    radio.press("t-1", ref=4)
    assert radio.floor().ref == 5


# --- priority ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("priority", ["imminent-peril", "emergency"])
def test_the_more_urgent_waits_for_nobody(radio: Radio, priority: str) -> None:
    burst = radio.talk("t-1")
    radio.look_away()
    radio.press("t-5", priority=priority)
    assert radio.talker() == "t-5"
    assert radio.told("t-1") == [down.FloorRevoke("all", burst, "pre-empted", 0)]
    assert (radio.set_floors()[-1].talker, radio.set_floors()[-1].ended) == ("t-5", burst)


def test_an_emergency_waits_behind_no_queue(radio: Radio) -> None:
    radio.talk("t-1")
    for device in ("t-2", "t-3", "t-4"):
        radio.press(device)
    radio.press("t-5", priority="emergency")
    assert radio.talker() == "t-5"
    radio.sound()
    radio.let_go("t-5")
    assert radio.talker() == "t-2"


def test_two_emergencies_do_not_cut_each_other(radio: Radio) -> None:
    radio.talk("t-1", priority="emergency")
    radio.press("t-2", priority="emergency")
    assert radio.talker() == "t-1"
    assert radio.floor().queue[0].talker == "t-2"


def test_a_terminal_never_cuts_a_terminal_of_the_same_priority(radio: Radio) -> None:
    radio.talk("t-4")
    radio.press("t-6")  # a duty leader's
    assert radio.talker() == "t-4"


def test_the_command_centre_takes_the_floor_of_a_terminal_but_of_no_emergency(radio: Radio) -> None:
    radio.give(i.OperatorHears("chief", ("all",)))
    radio.talk("t-1")
    assert isinstance(radio.ask("chief", c.RequestFloor("all", 1)), Done)
    assert radio.talker() == "@chief"
    radio.ask("chief", c.ReleaseFloor("all", 1))
    radio.talk("t-1", priority="emergency")
    result = radio.ask("chief", c.RequestFloor("all", 2))
    assert isinstance(result, Done)
    assert result.note == "queued"
    assert radio.talker() == "t-1"


# --- who may ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "group", "cause"),
    [("t-5", "north", "unknown-group"), ("t-1", "nowhere", "unknown-group"), ("p-1", "all", "unknown-group")],
)
def test_not_his_group(radio: Radio, device: str, group: str, cause: str) -> None:
    radio.press(device, group)
    (deny,) = radio.told(device)
    assert deny.cause == cause
    assert deny.text
    assert deny.text_en


def test_a_group_of_one_tells_him_that_nobody_hears() -> None:
    radio = Radio(silent=("t-2", "t-3", "t-4", "t-5", "t-6"))
    radio.press("t-1")
    assert radio.told("t-1")[0].cause == "only-one-participant"
    radio.press("t-1", priority="emergency")
    assert radio.talker() == "t-1"


def test_an_operator_who_listens_is_somebody() -> None:
    radio = Radio(silent=("t-2", "t-3", "t-4", "t-5", "t-6"))
    radio.give(i.OperatorHears("chief", ("all",)))
    radio.press("t-1")
    assert radio.talker() == "t-1"
    assert [type(m) for m in radio.told_operator("chief")] == [down.FloorTaken]


def test_a_muted_device_may_only_call_for_help(radio: Radio) -> None:
    burst = radio.talk("t-1")
    assert isinstance(radio.ask("north-desk", c.MuteDevice("t-1")), Done)
    assert state_of(radio.floor()) == "idle"
    assert down.FloorRevoke("all", burst, "no-permission", 0) in radio.told("t-1")
    radio.press("t-1")
    assert radio.told("t-1")[-1].cause == "muted"
    radio.press("t-1", priority="emergency")
    assert radio.talker() == "t-1"


@pytest.mark.parametrize(
    ("operator", "command", "code"),
    [
        ("guest", c.RequestFloor("all"), "role"),
        ("south-desk", c.RequestFloor("north"), "unknown-group"),
        ("south-desk", c.MuteDevice("t-1"), "unknown-device"),
        ("south-desk", c.RevokeFloor("all"), "unknown-group"),
        ("north-desk", c.PatchGroups(["north", "south"]), "unknown-group"),
        ("north-desk", c.OpenMicrophone("p-1"), "role"),
    ],
)
def test_levels_are_walls(radio: Radio, operator: str, command: c.Command, code: str) -> None:
    radio.talk("t-1")
    result = radio.ask(operator, command)
    assert isinstance(result, Refusal)
    assert result.code == code
    assert radio.talker() == "t-1"


# --- sound that must not be -------------------------------------------------------------------------------------


def test_who_talks_without_the_floor_is_told(radio: Radio) -> None:
    radio.talk("t-1")
    radio.give(i.MediaRefused("t-2", 77, "no-floor"))
    (revoke,) = radio.told("t-2")
    assert (revoke.cause, revoke.burst) == ("no-permission", 77)
    assert radio.talker() == "t-1"


def test_sound_that_nobody_can_read_costs_the_floor(radio: Radio) -> None:
    burst = radio.talk("t-1")
    radio.give(i.MediaRefused("t-1", burst, "unreadable"))
    assert radio.told("t-1")[-1].cause == "unreadable"
    assert state_of(radio.floor()) == "idle"


def test_an_operator_may_take_the_floor_from_anybody(radio: Radio) -> None:
    radio.talk("t-1", priority="emergency")
    assert isinstance(radio.ask("chief", c.RevokeFloor("all")), Done)
    assert state_of(radio.floor()) == "idle"


# --- coming and going -------------------------------------------------------------------------------------------


def test_who_joins_late_learns_who_talks(radio: Radio) -> None:
    radio.talk("t-1")
    radio.wait(700)
    radio.look_away()
    radio.give(i.VoiceJoined("t-2", "mqtt"))
    (taken,) = radio.told("t-2")
    assert (taken.talker, taken.age_ms) == ("t-1", 700)


def test_an_operator_who_begins_to_listen_learns_who_talks(radio: Radio) -> None:
    radio.talk("t-1")
    radio.give(i.OperatorHears("chief", ("all", "north")))
    assert [(m.group, m.talker) for m in radio.told_operator("chief")] == [("all", "t-1")]


def test_a_talker_whose_link_died_talks_as_long_as_his_sound_comes(radio: Radio) -> None:
    radio.talk("t-1")
    radio.give(i.PresenceSeen("t-1", up.Presence(False, 1)))
    radio.wait(1_000)
    radio.sound()
    radio.wait(1_000)
    radio.sound()
    assert radio.talker() == "t-1"
    radio.wait(4_100)
    assert last_freed(radio).why == "end-of-media"


def test_a_talker_who_is_gone_mid_word_frees_the_floor_soon(radio: Radio) -> None:
    radio.talk("t-1")
    radio.press("t-2")
    radio.give(i.PresenceSeen("t-1", up.Presence(False, 1)))
    radio.wait(1_600)
    assert radio.talker() == "t-2"


def test_an_operator_without_a_session_talks_no_more(radio: Radio) -> None:
    radio.give(i.OperatorHears("chief", ("all",)))
    radio.ask("chief", c.RequestFloor("all", 1))
    radio.sound()
    radio.give(i.OperatorHears("chief", ()))
    assert state_of(radio.floor()) == "idle"


def test_after_a_restart_every_floor_is_idle(radio: Radio) -> None:
    radio.talk("t-1")
    radio.press("t-2")
    radio.core.refolded()
    radio.give(i.DaemonStarted(2, 1, "test", "hash"))
    assert state_of(radio.floor()) == "idle"
    assert radio.floor().queue == []
    burst = radio.talk("t-1")
    assert burst > 1, "a burst number is never used again"


def test_removed_from_the_group_mid_word(radio: Radio) -> None:
    radio.talk("t-1")
    assert isinstance(radio.ask("chief", c.RemoveMembers("all", c.Target(devices=["t-1"]))), Done)
    assert last_freed(radio).why == "left"
    radio.press("t-1")
    assert radio.told("t-1")[-1].cause == "unknown-group"


# --- patched ----------------------------------------------------------------------------------------------------


def test_patched_groups_have_one_floor(radio: Radio) -> None:
    assert isinstance(radio.ask("chief", c.PatchGroups(["north", "south"])), Done)
    radio.press("t-1", "north")
    radio.press("t-5", "south")
    assert radio.talker("south") == "t-1"
    assert radio.set_floors()[-1].groups == ("north", "south")
    assert [m.talker for m in radio.told_group("south")] == ["t-1"]
    assert radio.told("t-5")[-1].position == 1


def test_patching_ends_who_talks_and_unpatching_too(radio: Radio) -> None:
    radio.talk("t-1", "north")
    radio.talk("t-5", "south")
    radio.ask("chief", c.PatchGroups(["north", "south"]))
    assert state_of(radio.floor("north")) == "idle"
    radio.talk("t-1", "north")
    assert isinstance(radio.ask("chief", c.UnpatchGroup("south")), Done)
    assert state_of(radio.floor("north")) == "idle"
    radio.press("t-1", "north")
    radio.press("t-5", "south")
    assert (radio.talker("north"), radio.talker("south")) == ("t-1", "t-5")
