"""The radio against a site with one floor: presses and their ends, keys, carriage, what is heard; in virtual time."""

import itertools
import random

import pytest

from devices import events as ev
from devices.voice.participant import OWN_TIMERS, TABLE, Participant, State
from devices.voice.radio import Radio
from devices.voice.radio_events import EmergencyHeld, Joined
from protocols import down, up
from protocols.sframe import Sealer
from protocols.voice import Frame
from tests.devices.voice.air import GROUP, TALK_MS, Air, Handheld


def ready(*names: str, **options: int) -> tuple[Air, list[Handheld]]:
    """Linked, keys there, pinged."""
    air = Air(*(names or ("t-1", "t-2", "t-3")), **options)
    air.link()
    air.run(200)
    return air, list(air.handhelds.values())


def state(one: Handheld) -> str:
    found = one.radio.participants.get(GROUP)
    return "no-permission" if found is None else str(found.state)


def talks(one: Handheld) -> bool:
    return one.radio.talking


def floor_of(air: Air) -> str | None:
    return air.talker


def carriage(one: Handheld) -> str:
    return one.radio.carriage


# --- the table


def test_every_row_names_steps_that_exist_and_states_that_end() -> None:
    for (before, what), (after, steps) in TABLE.items():
        assert before in State, what
        assert after in State
        for step in steps:
            assert callable(getattr(Participant, "_" + step)), (before, what, step)


def test_every_state_but_the_first_has_a_timer_and_a_row_for_it() -> None:
    for one in State:
        if one is State.NONE:
            continue
        timers = OWN_TIMERS[one]
        assert any((one, timer) in TABLE for timer in timers), f"{one} has no end of its own"


@pytest.mark.parametrize("one", [state for state in State if state is not State.NONE])
def test_leaving_the_group_and_a_new_start_of_the_daemon_are_known_everywhere(one: State) -> None:
    assert TABLE[one, "gone"][0] is State.NONE
    assert (one, "lost") in TABLE


# --- pressing


def test_a_press_is_asked_granted_said_and_released() -> None:
    air, (one, two, _) = ready()
    air.key("t-1", down=True)
    air.run(500)
    assert state(one) == "permission"
    assert one.tones() == ["granted"]
    assert two.lines("talks") == ["All: T-1 talks"]
    air.key("t-1", down=False)
    air.run(200)
    assert state(one) == "no-permission"
    seqs = two.seqs(1)
    assert len(seqs) > 20
    assert seqs == list(range(len(seqs))), "each frame once, in order, none missing"
    assert two.heard[-1][1].frame.flags & 1, "the last one says so"
    assert two.lines("talks")[-1] == "All: nobody talks"
    assert air.dropped == []


def test_a_press_of_300_ms_leaves_nothing_behind() -> None:
    air, (one, two, _) = ready()
    for _ in range(3):
        air.key("t-1", down=True)
        air.run(300)
        air.key("t-1", down=False)
        air.run(300)
    assert state(one) == "no-permission"
    assert air.talker is None
    assert air.burst == 3
    assert all(two.seqs(burst) for burst in (1, 2, 3))


def test_a_press_shorter_than_the_network_is_released_in_order_and_its_grant_too() -> None:
    air, (one, two, _) = ready()
    air.key("t-1", down=True)
    air.run(2)
    air.key("t-1", down=False)
    air.run(5_000)
    assert air.talker is None
    assert state(one) == "no-permission"
    assert not one.told(ev.StartTalking)
    assert two.heard == []


def test_a_grant_nobody_waits_for_is_released_at_once() -> None:
    air, (one, *_) = ready()
    air.tell("t-1", down.FloorGranted(GROUP, 77, 5, TALK_MS))
    air.run(100)
    assert [
        message.ref for message in one.published("floor-release") if isinstance(message, up.FloorRelease)
    ] == [77]
    assert not talks(one)


def test_without_an_answer_it_asks_three_times_and_says_so() -> None:
    air, (one, *_) = ready()
    air.answers = False
    air.key("t-1", down=True)
    air.run(2_900)
    assert len(one.published("floor-request")) == 3
    assert {
        message.ref for message in one.published("floor-request") if isinstance(message, up.FloorRequest)
    } == {1}
    air.run(200)
    assert state(one) == "no-permission"
    assert one.lines("floor")[-1] == "no answer: let go and try again"
    assert one.tones() == ["denied"]
    air.answers = True
    air.run(5_000)
    assert state(one) == "no-permission", "the key must be pressed again"


def test_a_key_held_for_ten_minutes_is_one_burst_of_the_talk_time() -> None:
    air, (one, two, _) = ready()
    air.key("t-1", down=True)
    air.run(10 * 60_000)
    assert air.burst == 1
    assert state(one) == "no-permission"
    assert "you talked too long" in " ".join(one.lines("floor"))
    assert "revoked" in one.tones()
    assert TALK_MS / 20 - 10 <= len(two.seqs(1)) <= (TALK_MS + 1_100) / 20
    air.key("t-1", down=False)
    air.key("t-1", down=True)
    air.run(100)
    assert state(one) == "permission"


def test_a_daemon_that_never_revokes_does_not_keep_the_microphone_open() -> None:
    air, (one, *_) = ready()
    air._too_long = lambda burst: None  # type: ignore[method-assign]
    air.key("t-1", down=True)
    air.run(TALK_MS + 6_000)
    assert not talks(one)
    assert air.talker is None


def test_denied_with_a_cause_is_told_in_both_languages() -> None:
    air, (one, *_) = ready()
    air.answers = False
    air.key("t-1", down=True)
    air.tell("t-1", down.FloorDeny(GROUP, 1, "muted"))
    air.run(50)
    told = [a for a in one.told(ev.TellRadio) if isinstance(a, ev.TellRadio)][-1]
    assert told.text == "不能讲话:已被禁言"
    assert told.text_en == "you cannot talk: you have been muted"
    assert state(one) == "no-permission"


def test_who_waits_is_told_his_place_and_talks_when_it_is_his_turn() -> None:
    air, (_one, two, three) = ready()
    for name in ("t-1", "t-2", "t-3"):
        air.key(name, down=True)
        air.run(50)
    assert state(two) == "queued"
    assert three.lines("floor")[-1] == "number 2 of 2 in the queue"
    air.key("t-2", down=False)
    air.key("t-1", down=False)
    air.run(100)
    assert state(three) == "permission"
    assert state(two) == "no-permission" or air.talker == "t-3"
    air.run(4_000)
    assert state(two) == "no-permission"


def test_an_emergency_takes_the_floor_and_its_microphone_closes_by_itself() -> None:
    air, (one, two, three) = ready()
    air.key("t-1", down=True)
    air.run(500)
    air.do(two, EmergencyHeld(10_000))
    air.run(300)
    assert air.talker == "t-2"
    assert "pre-empted" in one.tones()
    assert not talks(one)
    air.run(9_000)
    assert talks(two)
    air.run(2_000)
    assert not talks(two)
    assert floor_of(air) is None
    assert 480 <= len(three.seqs(2)) <= 520


def test_an_emergency_of_who_talks_already_raises_it() -> None:
    air, (one, two, _) = ready()
    air.key("t-1", down=True)
    air.run(500)
    air.do(one, EmergencyHeld(10_000))
    air.run(500)
    requests = [message for message in one.published("floor-request") if isinstance(message, up.FloorRequest)]
    assert [message.priority for message in requests] == ["normal", "emergency"]
    assert talks(one)
    air.run(10_000)
    assert talks(one), "the talk key is still held"
    air.key("t-1", down=False)
    air.run(500)
    assert air.talker is None
    assert two.seqs(air.burst)


def test_an_emergency_that_nobody_grants_ends() -> None:
    air, (one, *_) = ready()
    air.answers = False
    air.do(one, EmergencyHeld(10_000))
    air.run(29_000)
    assert len(one.published("floor-request")) > 20
    air.run(6_000)
    assert state(one) == "no-permission"


def test_the_first_group_that_may_be_talked_in_until_another_is_chosen() -> None:
    radio = Radio("t-1", random.Random(1))
    groups = (down.TalkGroup("a", talk=False), down.TalkGroup("b"), down.TalkGroup("c", "See"))
    radio.handle(Joined(groups), 0)
    assert radio.selected == "b"
    told = radio.handle(ev.SelectGroup("a"), 0)
    assert radio.selected == "b"
    assert any(isinstance(action, ev.TellRadio) and "cannot" in action.text_en for action in told)
    radio.handle(ev.SelectGroup("c"), 0)
    assert radio.selected == "c"
    radio.handle(Joined(groups[:2]), 0)
    assert radio.selected == "b", "a group that is gone cannot stay chosen"


def test_an_emergency_raises_a_request_that_waits() -> None:
    for waits in ("pending-request", "queued"):
        air, (one, two, _) = ready()
        air.key("t-1", down=True)
        air.run(300)
        if waits == "pending-request":
            air.answers = False
        air.key("t-2", down=True)
        air.run(300)
        assert state(two) == waits
        air.answers = True
        air.do(two, EmergencyHeld(1_000))
        air.run(300)
        assert air.talker == "t-2"
        assert state(two) == "permission"
        assert state(one) == "no-permission"


def test_who_is_dropped_from_the_queue_is_told() -> None:
    air, (_, two, _) = ready()
    air.key("t-1", down=True)
    air.run(100)
    for before in ("queued", "pending-request"):
        air.answers = before == "queued"
        air.key("t-2", down=True)
        air.run(100)
        assert state(two) == before
        ref = two.radio.participants[GROUP].ref
        air.tell("t-2", down.FloorQueuePositionInfo(GROUP, ref, 0, 0))
        air.run(50)
        assert state(two) == "no-permission"
        assert two.lines("floor")[-1] == "no longer in the queue"
        air.key("t-2", down=False)
        air.run(50)


def test_leaving_the_group_ends_the_word() -> None:
    air, (one, *_) = ready()
    air.key("t-1", down=True)
    air.run(500)
    air.do(one, Joined(()))
    assert not talks(one)
    assert one.lines("floor")[-1] == "you have left this talk group"


# --- restarts and links


def test_the_daemon_restarts_while_the_key_is_held() -> None:
    air, (one, two, _) = ready()
    air.key("t-1", down=True)
    air.run(1_000)
    before = air.burst
    air.restart()
    air.run(1_500)
    assert state(one) == "permission"
    assert air.burst > before
    assert "lost" in one.tones()
    assert len(two.seqs(air.burst)) > 10, "heard again by itself, under new keys"


def test_daemon_and_broker_die_while_the_key_is_held_and_the_others_come_back_later() -> None:
    """Burst numbers begin anew, nobody hears the reset, and he who is back first is alone at first."""
    air, (one, two, _) = ready()
    air.key("t-1", down=True)
    air.run(1_000)
    for name in air.handhelds:
        air.unlink(name)
    air.restart()
    air.burst = 0
    two.heard.clear()
    air.run(3_000)
    air.denies = "only-one-participant"
    air.link("t-1")
    air.run(3_000)
    assert state(one) == "pending-request"
    air.link("t-2", "t-3")
    air.denies = ""
    air.run(1_500)
    assert state(one) == "permission"
    seqs = two.seqs(1)
    assert seqs == list(range(len(seqs)))
    assert seqs
    assert one.lines("floor")[-1] == "talk now"


def test_that_nobody_is_there_ends_the_press_in_the_end() -> None:
    air, (one, *_) = ready()
    air.key("t-1", down=True)
    air.run(500)
    air.denies = "only-one-participant"
    air.unlink("t-1")
    air.restart()
    air.link("t-1")
    air.run(20_000)
    assert state(one) == "no-permission"
    assert one.tones()[-1] == "denied"


def test_who_talked_before_a_new_connection_is_forgotten_unless_he_still_does() -> None:
    air, (_one, two, _) = ready()
    air.key("t-1", down=True)
    air.run(500)
    air.unlink("t-2")
    air.key("t-1", down=False)
    air.run(500)
    assert two.radio.hearing.talks
    air.link("t-2")
    air.run(2_200)
    assert not two.radio.hearing.talks


def test_joins_after_a_restart_are_spread_over_half_a_second() -> None:
    air, all_ = ready(*(f"t-{n}" for n in range(20)))
    for one in all_:
        one.done.clear()
    at = air.now
    air.restart()
    air.run(3_000)
    first = [
        next(t for t, a in one.done if isinstance(a, ev.Publish) and a.kind == "voice-join") for one in all_
    ]
    assert all(at <= t <= at + 600 for t in first)
    assert max(first) - min(first) > 200


def test_a_new_connection_while_talking_asks_by_the_same_ref_and_goes_on() -> None:
    air, (one, two, _) = ready()
    air.key("t-1", down=True)
    air.run(500)
    air.unlink("t-1")
    air.run(300)
    air.link("t-1")
    air.run(500)
    assert state(one) == "permission"
    assert air.burst == 1
    refs = {message.ref for message in one.published("floor-request") if isinstance(message, up.FloorRequest)}
    assert refs == {1}
    assert len(two.seqs(1)) > 50


def test_a_key_held_without_a_link_is_told_and_ends() -> None:
    air, (one, *_) = ready()
    air.unlink("t-1")
    air.key("t-1", down=True)
    air.run(4_000)
    assert one.lines("floor")[-1] == "no answer: let go and try again"
    assert one.radio.deadline() is None or state(one) == "no-permission"


# --- keys


def test_a_member_that_left_hears_nothing_of_the_next_epoch() -> None:
    air, (_one, two, three) = ready()
    air.key("t-1", down=True)
    air.run(300)
    air.members.discard("t-3")
    air.rekey()
    air.run(100)
    heard, two_heard = len(three.heard), len(two.heard)
    for n in range(50):  # its datagrams come all the same: the keys alone keep it out
        air.after(n * 20, lambda n=n: air._deliver("t-3", Frame(1, 5_000 + n, 0, b"\x48x")))  # type: ignore[misc]
    air.run(1_000)
    assert len(three.heard) == heard
    assert len(two.heard) > two_heard + 40


def test_the_former_epoch_opens_until_the_new_one_is_heard() -> None:
    air, (_one, two, _) = ready()
    air.key("t-1", down=True)
    air.run(300)
    air.rekey()
    air.run(1_000)
    seqs = two.seqs(1)
    assert seqs == list(range(len(seqs)))


def test_an_unknown_key_makes_it_join_again_once_a_second() -> None:
    air, (_one, two, _) = ready()
    two.done.clear()
    air.joins.pop("t-2")
    air.tell_all = lambda message: None  # type: ignore[method-assign]
    air.start += 1
    air.group_key = air._key()
    air.group_sealer = Sealer(*air.group_key)
    air._tell_keys = lambda name: None  # type: ignore[method-assign]
    for n in range(100):
        air.after(n * 20, lambda n=n: air._deliver("t-2", Frame(9, n, n * 960, b"\x48x")))  # type: ignore[misc]
    air.run(3_000)
    joins = [t for t, a in two.done if isinstance(a, ev.Publish) and a.kind == "voice-join"]
    assert 1 <= len(joins) <= 4
    assert all(later - sooner >= 1_000 for sooner, later in itertools.pairwise(joins))


# --- carriage


def test_it_falls_back_to_mqtt_within_two_seconds_while_listening_and_misses_little() -> None:
    air, (_one, two, _) = ready()
    air.key("t-1", down=True)
    air.run(1_000)
    two.udp_up = two.udp_down = False
    cut = air.now
    air.run(2_000)
    assert air.carriage["t-2"] == "mqtt"
    assert carriage(two) == "mqtt"
    heard_again = next(t for t, _ in two.heard if t > cut + 50)
    assert heard_again - cut <= 2_000
    air.run(1_000)
    assert sorted(two.seqs(1)) == list(range(max(two.seqs(1)) + 1)), "what was missed was asked for"
    assert len(two.published("catch-up")) == 1
    assert "MQTT" in two.lines("carriage")[-1]


def test_it_falls_back_while_talking() -> None:
    air, (one, two, _) = ready()
    air.key("t-1", down=True)
    air.run(1_000)
    one.udp_up = False
    cut = air.now
    air.run(2_000)
    assert carriage(one) == "mqtt"
    before = len(two.heard)
    air.run(500)
    assert len(two.heard) >= before + 20
    assert next(t for t, _ in two.heard if t > cut + 50) - cut <= 2_000


def test_it_falls_back_before_anybody_talks_when_udp_is_blocked_from_the_start() -> None:
    air = Air("t-1", "t-2")
    air.handhelds["t-2"].udp_down = False
    air.link()
    air.run(2_000)
    assert air.handhelds["t-2"].radio.carriage == "mqtt"
    air.key("t-1", down=True)
    air.run(300)
    assert air.handhelds["t-2"].seqs(1)


def test_it_returns_to_udp_after_three_pongs_in_a_row() -> None:
    air, (_one, two, _) = ready()
    two.udp_down = False
    air.run(14_000)
    assert carriage(two) == "mqtt"
    two.udp_down = True
    air.key("t-1", down=True)
    air.run(7_000)
    assert carriage(two) == "datagram"
    assert air.carriage["t-2"] == "datagram"
    assert two.subscribed == ()
    seqs = two.seqs(1)
    assert seqs == list(range(len(seqs))), "no frame twice, none lost on the way back"


def test_without_an_address_it_takes_mqtt_at_once() -> None:
    air = Air("t-1", "t-2")
    air.addresses = []
    air.link()
    air.run(100)
    assert air.carriage["t-1"] == "mqtt"


def test_quiet_radios_ping_every_ten_seconds_and_no_more() -> None:
    air, (one, *_) = ready()
    one.done.clear()
    air.run(60_000)
    assert 5 <= len(one.told(ev.SendDatagram)) <= 7


def test_a_silent_talker_does_not_change_the_carriage() -> None:
    """Announced, and nothing said: the pongs still come."""
    air, (one, two, _) = ready()
    air.tell_all(down.FloorTaken(GROUP, 9, "t-9", name="N"))
    air.run(5_000)
    assert one.radio.carriage == carriage(two) == "datagram"
    assert len(one.told(ev.SendDatagram)) > 10, "it did ask"


# --- hearing


def test_coming_late_asks_for_what_was_missed_once() -> None:
    air, (_one, two, _) = ready()
    air.unlink("t-3")
    air.key("t-1", down=True)
    air.run(2_000)
    three = air.handhelds["t-3"]
    before = len(three.published("catch-up"))
    three.heard.clear()
    air.tell("t-2", air._taken(age_ms=2_000))
    air.run(500)
    assert before == 0
    assert len(two.published("catch-up")) == 0, "two has heard it from the beginning"


def test_a_late_joiner_learns_who_talks_and_catches_up() -> None:
    air = Air("t-1", "t-2")
    air.link("t-1")
    air.run(200)
    air.key("t-1", down=True)
    air.run(2_000)
    two = air.handhelds["t-2"]
    air.link("t-2")
    air.run(50)
    air.tell("t-2", air._taken(age_ms=2_000))
    air.run(350)
    assert two.lines("talks") == ["All: T-1 talks"]
    asked = [message for message in two.published("catch-up") if isinstance(message, up.CatchUp)]
    assert len(asked) <= 1
    assert two.heard


def test_a_lost_idle_does_not_show_a_talker_for_ever() -> None:
    air, (one, *_) = ready()
    air.tell("t-1", down.FloorTaken(GROUP, 9, "t-9", name="N"))
    air.run(16_000)
    assert one.radio.hearing.talks == {}
    assert one.lines("talks")[-1] == "All: nobody talks"


def test_a_silent_group_vibrates_and_sounds_low() -> None:
    air, (_one, two, _) = ready()
    air.do(two, Joined((down.TalkGroup(GROUP, "All", silent=True),)))
    air.key("t-1", down=True)
    air.run(300)
    assert two.told(ev.Vibrate)
    assert {heard.volume_pct for _, heard in two.heard} == {30}


def test_who_stands_beside_the_pillar_does_not_play_it() -> None:
    air, (_one, two, three) = ready()
    air.burst = 4
    air.talker = "t-1"
    air.tell_all(down.FloorTaken(GROUP, 4, "p-1", not_for=["t-2"]))
    air.run(20)
    for n in range(10):
        air._deliver("t-2", Frame(4, n, n * 960, b"\x48x"))
        air._deliver("t-3", Frame(4, n, n * 960, b"\x48x"))
    air.run(100)
    assert two.heard == []
    assert len(three.heard) == 10
