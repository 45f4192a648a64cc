"""The patrol: every sentence of the rules about the terminal, on the pure agent in virtual time."""

import pytest

from devices import events as ev
from devices.player import MAX_QUEUED
from protocols import down
from protocols.types import ANSWERS, Position
from tests.devices.rig import Bench, terminal

OK = [("delivered", None), ("presented", None)]


def call(item: str = "it-1", name: str = "c-1", **fields: object) -> down.Call:
    all_fields: dict[str, object] = {
        "incident": "i-1",
        "patrol": "pa-1",
        "kind": "one-key",
        "point": "017",
        "place": "蒸阳路口",
        "distance_m": 232.4,
        "bearing_deg": 46.0,
        **fields,
    }
    return down.Call(item, name, **all_fields)  # type: ignore[arg-type]


def broadcast(item: str, name: str, text: str, **fields: object) -> down.Broadcast:
    return down.Broadcast(item, name, text, **fields)  # type: ignore[arg-type]


def test_a_call_shows_point_distance_bearing_kind_and_who_accepted() -> None:
    bench = terminal()
    bench.down(call(accepted_by=["pa-7"]))
    for part in ("017", "蒸阳路口", "232米", "东北", "46°", "一键报警", "pa-7"):
        assert part in bench.text()
    english = [a.text_en for _, a in bench.done if isinstance(a, ev.ShowText)][-1]
    assert "232 m" in english
    assert "NE" in english


def test_vibration_and_tone_every_5_s_up_to_60_s() -> None:
    bench = terminal()
    bench.forget_past()
    start = bench.now
    bench.down(call())
    bench.run(180_000)
    assert [at - start for at in bench.times(ev.Vibrate)] == list(range(0, 60_001, 5_000))
    assert [at - start for at, play in bench.plays() if play.tone == "call"] == list(range(0, 60_001, 5_000))


def test_never_below_the_sites_minimum_volume_and_presented_carries_it() -> None:
    bench = terminal()
    bench.do(ev.HardwareState(volume_pct=10))
    bench.down(call(min_volume_pct=70))
    bench.run(2_000)
    assert bench.plays()[-1][1].volume_pct == 70
    assert bench.rungs("it-1") == OK
    assert bench.unique("rung")[-1].volume_pct == 70


def test_the_same_call_twice_is_reported_twice_and_rings_once() -> None:
    bench = terminal()
    bench.down(call())
    bench.run(2_000)
    bench.receipt_all()
    vibrations = len(bench.times(ev.Vibrate))
    bench.down(call())
    assert len(bench.times(ev.Vibrate)) == vibrations
    assert bench.rungs("it-1") == [*OK, ("presented", None)]


def test_a_higher_rev_renews_the_screen_and_a_lower_one_does_not() -> None:
    bench = terminal()
    bench.down(call(rev=2, accepted_by=["pa-2"]))
    bench.down(call(rev=3, accepted_by=["pa-2", "pa-3"]))
    bench.down(call(rev=1))
    assert "pa-2, pa-3" in bench.text()
    assert len([1 for _, play in bench.plays() if play.item == "it-1"]) == 1


@pytest.mark.parametrize("answer", ["accept", "decline"])
def test_an_answer_stops_the_ringing_and_goes_up_for_the_patrol(answer: str) -> None:
    bench = terminal()
    bench.down(call())
    bench.run(7_000)
    bench.do(ev.AnswerPressed(answer))
    bench.forget_past()
    bench.run(60_000)
    assert not bench.times(ev.Vibrate)
    (message,) = bench.unique("answer")
    assert (message.call, message.patrol, message.answer) == ("c-1", "pa-1", answer)


def test_all_five_answers_in_their_order() -> None:
    bench = terminal()
    bench.down(call())
    for answer in ("accept", "accept", "en-route", "on-scene", "done"):
        bench.do(ev.AnswerPressed(answer))
    assert [m.answer for m in bench.unique("answer")] == ["accept", "en-route", "on-scene", "done"]
    assert "017" not in bench.text()


def test_push_to_talk_cannot_accept_or_decline() -> None:
    bench = terminal()
    bench.down(call())
    for _ in range(5):
        bench.do(ev.PttPressed())
        bench.do(ev.PttPressed(down=False))
    bench.run(10_000)
    assert not bench.sent("answer")
    assert len(bench.times(ev.Vibrate)) > 1, "it still rings"


def test_keys_are_for_the_newest_unanswered_call_and_an_explicit_one_wins() -> None:
    bench = terminal()
    bench.down(call("it-1", "c-1"))
    bench.down(call("it-2", "c-2", incident="i-2"))
    bench.do(ev.AnswerPressed("decline"))
    bench.do(ev.AnswerPressed("accept"))
    bench.do(ev.AnswerPressed("en-route"))
    bench.do(ev.AnswerPressed("accept", "c-2"))
    answers = [(m.call, m.answer) for m in bench.unique("answer")]
    assert answers == [("c-2", "decline"), ("c-1", "accept"), ("c-1", "en-route"), ("c-2", "accept")]


def test_of_several_calls_the_screen_says_which_one_the_keys_answer() -> None:
    bench = terminal()
    bench.down(call("it-1", "c-1"))
    assert "▶" not in bench.text()
    bench.down(call("it-2", "c-2", incident="i-2", point="018"))
    assert "▶ 应答键对应:018" in bench.text()
    bench.do(ev.AnswerPressed("accept"))
    assert "▶ 接警、拒绝键对应:017;途中、到达、完成键对应:018" in bench.text()
    bench.do(ev.AnswerPressed("on-scene"))
    bench.do(ev.AnswerPressed("decline"))
    assert [(m.call, m.answer) for m in bench.unique("answer")] == [
        ("c-2", "accept"),
        ("c-2", "on-scene"),
        ("c-1", "decline"),
    ]
    assert "▶" not in bench.text()


@pytest.mark.parametrize("answer", ANSWERS)
def test_without_a_call_an_answer_key_sends_nothing_and_says_so(answer: str) -> None:
    bench = terminal()
    bench.do(ev.AnswerPressed(answer))
    assert not bench.sent("answer")
    assert "没有可应答的呼叫" in bench.text()


@pytest.mark.parametrize(
    ("pressed", "again", "says"),
    [
        ("accept", "accept", "已接警"),
        ("en-route", "accept", "已在途中"),
        ("on-scene", "en-route", "已到达"),
        ("decline", "decline", "已拒绝"),
    ],
)
def test_an_answer_that_changes_nothing_is_not_sent_and_says_so(pressed: str, again: str, says: str) -> None:
    bench = terminal()
    bench.down(call())
    bench.do(ev.AnswerPressed(pressed))
    bench.do(ev.AnswerPressed(again))
    assert [m.answer for m in bench.unique("answer")] == [pressed]
    assert f"017:{says},没有变化" in bench.text()


def test_a_newer_call_of_the_incident_takes_the_place_of_the_one_held() -> None:
    bench = terminal()
    bench.down(call("it-1", "c-1", place="旧地点"))
    bench.run(500)
    bench.forget_past()
    bench.down(call("it-2", "c-2"))
    assert ev.StopPlaying("it-1") in [action for _, action in bench.done]
    assert bench.text().count("017") == 1
    assert "旧地点" not in bench.text()
    bench.run(20_000)
    assert {play.item for _, play in bench.plays()} == {"it-2"}
    assert len(bench.times(ev.Vibrate)) == 5
    bench.do(ev.AnswerPressed("accept"))
    assert [m.call for m in bench.unique("answer")] == ["c-2"]


@pytest.mark.parametrize("answer", ["accept", "decline", "done"])
def test_it_rings_again_when_its_incident_calls_it_again_after_an_answer(answer: str) -> None:
    bench = terminal()
    bench.down(call("it-1", "c-1"))
    bench.do(ev.AnswerPressed(answer))
    bench.forget_past()
    bench.down(call("it-2", "c-2"))
    assert bench.times(ev.Vibrate)
    assert bench.text().count("017") == 1


def test_an_older_call_of_the_incident_does_not_ring_over_the_newer() -> None:
    bench = terminal()
    bench.n += 10
    bench.down(call("it-2", "c-2"))
    bench.run(2_000)
    vibrations = len(bench.times(ev.Vibrate))
    bench.down(call("it-1", "c-1", place="旧地点"), n=bench.n - 5)
    assert len(bench.times(ev.Vibrate)) == vibrations
    assert "旧地点" not in bench.text()
    assert bench.rungs("it-1") == [("delivered", None), ("failed", "refused")]


def test_new_words_on_a_call_that_was_replaced_or_left_do_not_bring_it_back() -> None:
    bench = terminal()
    bench.down(call("it-1", "c-1", place="旧地点"))
    bench.down(call("it-2", "c-2"))
    bench.down(call("it-1", "c-1", place="旧地点", rev=1))
    assert "旧地点" not in bench.text()
    bench.do(ev.AnswerPressed("decline"))
    bench.down(call("it-2", "c-2", rev=1))
    assert "017" not in bench.text()


def test_a_silent_call_vibrates_only_and_shows_silent_approach() -> None:
    bench = terminal()
    bench.forget_past()
    bench.down(call(silent=True))
    bench.run(90_000)
    assert not bench.times(ev.Play)
    assert len(bench.times(ev.Vibrate)) == 13
    assert "静默接近" in bench.text()
    assert bench.rungs("it-1") == OK
    assert bench.unique("rung")[-1].volume_pct == 0


def test_a_drill_is_marked() -> None:
    bench = terminal()
    bench.down(call(drill=True))
    assert "演练" in bench.text()
    assert "演练" in bench.said()[-1]
    bench.down(broadcast("it-2", "b-1", "集合", drill=True))
    assert bench.text().count("演练") == 2


def test_stand_down_stops_it_and_says_why() -> None:
    bench = terminal()
    bench.down(call())
    bench.down(down.StandDown("it-2", "c-1", "i-1", "enough"))
    bench.run(2_000)
    assert "解除" in bench.said()[-1]
    assert "人员已足够" in bench.text()
    assert "017" not in bench.text()
    bench.forget_past()
    bench.run(60_000)
    assert not bench.times(ev.Vibrate)
    bench.do(ev.AnswerPressed("accept"))
    assert not bench.sent("answer")


@pytest.mark.parametrize("ended", ["c-1", "c-2"])
@pytest.mark.parametrize("answer", [None, "accept", "en-route"])
def test_a_stand_down_ends_whatever_call_of_its_incident_is_held(ended: str, answer: str | None) -> None:
    bench = terminal()
    bench.down(call("it-1", "c-1"))
    bench.run(3_000)
    bench.down(call("it-2", "c-2"))
    bench.run(3_000)
    if answer is not None:
        bench.do(ev.AnswerPressed(answer))
    bench.down(down.Order("it-4", "i-1", "observe", "有刀"))
    bench.down(down.StandDown("it-3", ended, "i-1", "ended"))
    assert bench.text() == "解除,无需前往(警情已结束)"
    bench.forget_past()
    bench.run(120_000)
    assert not bench.times(ev.Vibrate)
    assert all(play.item == "it-3" for _, play in bench.plays())
    assert bench.text() == ""


def test_a_stand_down_leaves_the_calls_of_other_incidents_ringing() -> None:
    bench = terminal()
    bench.down(call("it-1", "c-1"))
    bench.down(call("it-2", "c-2", incident="i-2", point="018"))
    bench.down(down.StandDown("it-3", "c-1", "i-1"))
    bench.forget_past()
    bench.run(10_000)
    assert bench.times(ev.Vibrate)
    bench.do(ev.AnswerPressed("accept"))
    assert "018" in bench.text()
    assert [m.call for m in bench.unique("answer")] == ["c-2"]


def test_a_stand_down_that_a_new_call_overtook_does_not_end_it() -> None:
    bench = terminal()
    bench.down(call("it-1", "c-1"))
    bench.n += 10
    bench.down(call("it-3", "c-2"))
    bench.down(down.StandDown("it-2", "c-1", "i-1"), n=bench.n - 5)
    assert "解除" not in bench.text()
    assert bench.rungs("it-2") == [("delivered", None), ("failed", "refused")]
    bench.do(ev.AnswerPressed("accept"))
    assert [m.call for m in bench.unique("answer")] == ["c-2"]


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("elsewhere", "解除,无需前往(已参加其他警情)|stand down, not needed (going to another incident)"),
        ("off-duty", "解除,无需前往(已下勤)|stand down, not needed (off duty)"),
        ("of-a-later-version", "解除,无需前往|stand down, not needed"),
    ],
)
def test_every_reason_of_a_stand_down_reads_well(reason: str, shown: str) -> None:
    bench = terminal()
    bench.down(call())
    bench.down(down.StandDown("it-2", "c-1", "i-1", reason))
    last = [a for _, a in bench.done if isinstance(a, ev.ShowText)][-1]
    assert f"{last.text}|{last.text_en}" == shown


def test_another_call_of_the_incident_overtaken_by_the_stand_down_does_not_ring() -> None:
    bench = terminal()
    bench.n += 10
    bench.down(down.StandDown("it-2", "c-2", "i-1"))
    bench.forget_past()
    bench.down(call("it-1", "c-1"), n=bench.n - 5)
    assert not bench.times(ev.Vibrate)
    assert "017" not in bench.text()


def test_a_call_overtaken_by_its_stand_down_does_not_ring() -> None:
    bench = terminal()
    bench.n += 10
    bench.down(down.StandDown("it-2", "c-1", "i-1"))
    bench.forget_past()
    bench.down(call(), n=bench.n - 5)
    assert bench.rungs("it-1") == [("delivered", None), ("failed", "refused")]
    assert not bench.times(ev.Vibrate)
    bench.down(call("it-3"))
    assert bench.times(ev.Vibrate), "called again, later"


def test_the_hazard_order_tells_to_keep_distance_on_the_ladder() -> None:
    bench = terminal()
    bench.down(call())
    bench.run(2_000)
    bench.down(down.Order("it-2", "i-1", "observe", "有刀"))
    bench.run(2_000)
    assert "保持距离,观察等待" in bench.text()
    assert bench.said()[-1] == "保持距离,观察等待:有刀"
    assert bench.rungs("it-2") == OK
    bench.down(down.Order("it-3", "i-1", "respond"))
    bench.run(61_000)
    assert "保持距离" not in bench.text()


def test_a_call_made_silent_stops_sounding() -> None:
    bench = terminal()
    bench.down(call())
    assert bench.sounding()
    bench.down(down.Order("it-2", "i-1", "silent"))
    assert not bench.sounding()
    assert bench.text().count("静默接近") == 2, "the call and the order"
    bench.forget_past()
    bench.run(20_000)
    assert not bench.times(ev.Play)
    assert bench.times(ev.Vibrate)


def test_an_alert_sounds_at_a_duty_leaders_terminal() -> None:
    bench = terminal()
    bench.down(down.Alert("it-1", "i-1", "017号警情无人处置", 3))
    bench.run(2_000)
    assert bench.said()[-1] == "017号警情无人处置(3)"
    assert bench.rungs("it-1") == OK


def test_a_broadcast_climbs_delivered_presented_acknowledged() -> None:
    bench = terminal()
    bench.down(broadcast("it-1", "b-1", "全体注意", ack=True))
    assert bench.rungs("it-1") == [("delivered", None)]
    bench.run(500)
    assert bench.rungs("it-1") == [("delivered", None)], "not before the player is at its end"
    bench.run(1_000)
    assert bench.rungs("it-1") == OK
    bench.do(ev.Acknowledged())
    assert bench.rungs("it-1") == [*OK, ("acknowledged", None)]
    assert "全体注意" not in bench.text()


def test_a_failing_player_is_reported_and_text_can_be_acknowledged() -> None:
    bench = terminal(speaker="fails")
    bench.down(broadcast("it-1", "b-1", "全体注意"))
    bench.run(2_000)
    assert bench.rungs("it-1") == [("delivered", None), ("failed", "player-failed")]
    bench.do(ev.Acknowledged())
    assert bench.rungs("it-1")[-1] == ("acknowledged", None)


def test_a_player_without_a_word_has_failed() -> None:
    bench = terminal(speaker="mute")
    bench.down(broadcast("it-1", "b-1", "全体注意"))
    bench.run(200_000)
    assert bench.rungs("it-1") == [("delivered", None), ("failed", "player-failed")]


def test_muted_is_reported_and_what_is_owed_is_played_when_it_sounds_again() -> None:
    bench = terminal()
    bench.do(ev.HardwareState(muted=True))
    bench.down(broadcast("it-1", "b-1", "全体注意"))
    bench.run(5_000)
    assert bench.rungs("it-1") == [("delivered", None), ("failed", "muted")]
    bench.do(ev.HardwareState(muted=False))
    bench.run(2_000)
    assert bench.rungs("it-1")[-1] == ("presented", None)


def test_a_muted_call_still_vibrates() -> None:
    bench = terminal()
    bench.do(ev.HardwareState(muted=True))
    bench.down(call())
    bench.run(10_000)
    assert len(bench.times(ev.Vibrate)) == 3
    assert bench.rungs("it-1") == [("delivered", None), ("failed", "muted")]


@pytest.mark.parametrize("by_envelope", [True, False])
def test_an_expired_broadcast_is_never_played_by_site_time_only(by_envelope: bool) -> None:
    bench = terminal()
    long_ago = broadcast("it-1", "b-1", "旧", expires_at=0 if by_envelope else bench.site_now - 1)
    bench.site_ahead -= 20_000
    bench.down(long_ago, ttl_ms=10_000 if by_envelope else 0)
    bench.site_ahead += 20_000
    bench.run(20_000)
    assert bench.rungs("it-1") == [("delivered", None), ("failed", "expired")]
    assert "旧" not in bench.said()


def test_a_broadcast_that_expires_in_the_line_is_not_played() -> None:
    bench = terminal()
    bench.down(broadcast("it-1", "b-1", "长"))
    bench.down(broadcast("it-2", "b-2", "短命", expires_at=bench.site_now + 500))
    bench.run(10_000)
    assert bench.said() == ["长"]
    assert bench.rungs("it-2") == [("delivered", None), ("failed", "expired")]


def test_before_the_sites_time_is_known_nothing_is_judged() -> None:
    bench = terminal(receipts=False)
    bench.down(broadcast("it-1", "b-1", "早"))
    bench.run(5_000)
    assert not bench.said()
    assert not bench.sent("rung"), "the daemon repeats it"


def test_a_cancelled_broadcast_stops_and_never_comes_back() -> None:
    bench = terminal()
    bench.down(broadcast("it-1", "b-1", "作废"))
    assert bench.sounding()
    bench.down(down.BroadcastCancel("it-2", "b-1"))
    assert not bench.sounding()
    assert "作废" not in bench.text()
    assert bench.rungs("it-2") == OK
    bench.down(broadcast("it-3", "b-1", "作废"))
    bench.run(5_000)
    assert bench.said() == ["作废"]
    assert bench.rungs("it-3") == [("delivered", None), ("failed", "refused")]


def test_the_second_route_by_the_talk_group_is_played_once_and_reported_for_both() -> None:
    bench = terminal()
    bench.down(broadcast("it-1", "b-1", "集合"))
    bench.down(broadcast("it-g", "b-1", "集合"), group="tg-1", n=1)
    bench.run(3_000)
    assert bench.said() == ["集合"]
    assert bench.rungs("it-1") == OK
    assert bench.rungs("it-g") == OK


def test_broadcasts_play_by_priority_and_an_emergency_or_a_call_interrupts() -> None:
    bench = terminal()
    bench.down(broadcast("it-1", "b-1", "一"))
    bench.down(broadcast("it-2", "b-2", "二"))
    bench.down(broadcast("it-3", "b-3", "急", priority="imminent-peril"))
    bench.run(500)
    bench.down(broadcast("it-4", "b-4", "火", priority="emergency"))
    assert bench.said() == ["一", "火"]
    bench.run(500)
    bench.down(call("it-5"))
    bench.run(1_100)
    bench.do(ev.AnswerPressed("accept"))
    bench.run(20_000)
    said = ["呼" if "017" in text else text for text in bench.said()]
    assert said == ["一", "火", "呼", "火", "急", "一", "二"]
    assert all(bench.rungs(f"it-{n}") == OK for n in (1, 2, 3, 4))


def test_while_a_call_rings_ordinary_broadcasts_wait() -> None:
    bench = terminal()
    bench.down(call())
    bench.down(broadcast("it-2", "b-1", "普通"))
    bench.run(30_000)
    assert "普通" not in bench.said()
    bench.do(ev.AnswerPressed("decline"))
    bench.run(1_000)
    assert "普通" in bench.said()


def test_the_line_is_bounded_and_what_is_refused_says_so() -> None:
    bench = terminal()
    for number in range(MAX_QUEUED + 3):
        bench.down(broadcast(f"it-{number}", f"b-{number}", "多"))
        bench.receipt_all()
    bench.receipt_all()
    refused = [n for n in range(MAX_QUEUED + 3) if ("failed", "refused") in bench.rungs(f"it-{n}")]
    assert refused == [MAX_QUEUED + 1, MAX_QUEUED + 2]


def test_the_emergency_key_acts_after_1_s_with_position_also_off_duty() -> None:
    bench = terminal()
    bench.do(ev.HardwareState(position=Position(26.9, 112.6, 8.0, age_ms=500)))
    bench.do(ev.DutyKey(on=False))
    bench.do(ev.EmergencyDown())
    bench.run(999)
    bench.do(ev.EmergencyUp())
    bench.run(5_000)
    assert not bench.sent("alarm")
    bench.do(ev.EmergencyDown())
    bench.run(1_000)
    bench.do(ev.EmergencyUp())
    (alarm,) = bench.unique("alarm")
    assert alarm.kind == "emergency"
    assert (alarm.position.lat, alarm.position.age_ms) == (26.9, 500 + 6_999)
    bench.run(5_000)
    assert "网络不通" in bench.text()
    bench.receipt_all()
    assert "报警已送达" in bench.text()


def test_off_duty_a_terminal_sends_no_position() -> None:
    bench = terminal()
    bench.do(ev.HardwareState(position=Position(26.9, 112.6)))
    bench.run(5_000)
    assert bench.sent("state")[-1].position is not None
    bench.do(ev.DutyKey())
    bench.forget_past()
    bench.run(20_000)
    assert {state.position for state in bench.sent("state")} == {None}
    (duty,) = bench.unique("duty")
    assert duty.on is False


def test_a_membership_older_than_the_duty_key_does_not_show_the_position() -> None:
    bench = terminal()
    bench.do(ev.HardwareState(position=Position(26.9, 112.6)))
    bench.do(ev.DutyKey(on=False))
    bench.down(down.Membership(2, "pa-1", on_duty=True))
    bench.forget_past()
    bench.run(6_000)
    assert bench.sent("state")[-1].position is None
    bench.receipt_all()
    bench.down(down.Membership(3, "pa-1", on_duty=True))
    bench.run(6_000)
    assert bench.sent("state")[-1].position is not None


def test_positions_carry_their_age() -> None:
    bench = terminal()
    bench.do(ev.HardwareState(position=Position(26.9, 112.6, age_ms=100)))
    bench.forget_past()
    bench.run(12_000)
    ages = [state.position.age_ms for state in bench.sent("state")]
    assert len(ages) == 2
    assert ages[1] - ages[0] == 5_000


def test_membership_and_config_are_applied_and_reported_and_outlive_a_reboot() -> None:
    bench = terminal()
    assert bench.times(ev.Subscribe)
    bench.down(down.Config(4, {"volume_pct": 90, "of_a_later_version": 1}))
    bench.down(down.Config(5, {"volume_pct": 900}))
    applied = [(m.what, m.version, m.ok) for m in bench.unique("applied")]
    assert applied == [("membership", 1, True), ("config", 4, True), ("config", 5, False)]
    bench.reboot()
    assert bench.agent.settings.volume_pct == 90
    assert bench.agent.membership.groups == ["tg-1"]
    bench.connect()
    assert bench.sent("hello")[-1].config == 4


def test_english_by_a_switch() -> None:
    bench: Bench = terminal(language="en")
    bench.down(call())
    assert "one-key alarm" in bench.said()[-1]


def test_what_is_read_aloud_waits_while_its_user_talks() -> None:
    """The loudspeaker would close the microphone. A stuck key keeps nothing waiting for ever."""
    bench = terminal(speaker="mute")
    bench.down(down.Broadcast("i-1", "b-1", "请注意防火"))
    assert [a.item for _, a in bench.done if isinstance(a, ev.Play)] == ["i-1"]
    bench.do(ev.PttPressed())
    assert [a.item for _, a in bench.done if isinstance(a, ev.StopPlaying)] == ["i-1"]
    bench.do(ev.PttPressed(down=False))
    assert [a.item for _, a in bench.done if isinstance(a, ev.Play)] == ["i-1", "i-1"]
    bench.do(ev.PttPressed())
    bench.run(61_000)
    assert [a.item for _, a in bench.done if isinstance(a, ev.Play)] == ["i-1"] * 3
