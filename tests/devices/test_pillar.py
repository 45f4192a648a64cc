"""The citizen at the pillar: every sentence of the rules about it, on the pure agent in virtual time."""

from itertools import pairwise

import pytest

from devices import events as ev
from devices.pillar import QUIET_FOR_MS, PillarAgent
from devices.press import DEBOUNCE_MS
from protocols import down
from protocols.prompts import LIGHTS, PROMPTS
from tests.devices.rig import Bench, pillar

ZH = {code: prompt.zh for code, prompt in PROMPTS.items()}


def prompt(code: str, item: str, incident: str = "i-1", **fields: object) -> down.Prompt:
    return down.Prompt(item, incident, code, **fields)  # type: ignore[arg-type]


def test_press_down_acts_and_says_and_shows_sending_at_once() -> None:
    bench = pillar()
    bench.forget_past()
    actions = bench.do(ev.KeyDown())
    assert bench.said() == ["正在发送"]
    assert (bench.text(), bench.light()) == ("正在发送", "blink-slow")
    (alarm,) = bench.sent("alarm")
    assert (alarm.kind, alarm.age_ms, alarm.drill) == ("one-key", 0, False)
    persisted = next(i for i, a in enumerate(actions) if isinstance(a, ev.Persist))
    assert persisted < next(i for i, a in enumerate(actions) if isinstance(a, ev.Publish))


def test_each_truth_is_told_when_it_comes() -> None:
    """At the receipt delivered; owner: accepted; police only if so; a patrol accepts: coming."""
    bench = pillar()
    bench.press()
    bench.receipt_all("i-1")
    assert (bench.text(), bench.light()) == (ZH["delivered"], "double-blink")
    for number, code in enumerate(("accepted", "police-accepted", "coming")):
        bench.run(2_000)
        bench.down(prompt(code, f"it-{number}"))
        assert (bench.text(), bench.light()) == (ZH[code], PROMPTS[code].light)
    bench.run(3_000)
    assert bench.said() == [
        "正在发送",
        "报警已送达,正在联系值班人员",
        "已接警",
        "民警已接警",
        "巡逻组正在赶来",
    ]
    assert bench.rungs("it-2") == [("delivered", None), ("presented", None)]
    assert bench.unique("rung")[-1].volume_pct == 80


def test_no_receipt_after_5_s_says_so_and_repeats_it() -> None:
    bench = pillar()
    bench.do(ev.KeyDown())
    bench.do(ev.KeyUp())
    bench.run(4_999)
    assert bench.said() == ["正在发送"]
    bench.run(1)
    assert bench.said() == ["正在发送", ZH["not-delivered"]]
    assert (bench.text(), bench.light()) == (ZH["not-delivered"], "blink-fast")
    bench.run(30_000)
    assert bench.said().count(ZH["not-delivered"]) == 3
    bench.receipt_all()
    assert (bench.text(), bench.light()) == (ZH["delivered"], "double-blink")


def test_waiting_longer_is_told_every_15_s() -> None:
    bench = pillar()
    bench.press()
    bench.receipt_all()
    bench.run(62_000)
    waits = [at for at, play in bench.plays() if play.text == ZH["wait"]]
    assert len(waits) == 4
    assert {b - a for a, b in pairwise(waits)} == {15_000}
    assert bench.light() == "double-blink"


@pytest.mark.parametrize("receipted", [True, False])
def test_later_than_2_minutes_after_the_press_nothing_is_said_only_the_light_changes(receipted: bool) -> None:
    bench = pillar()
    bench.do(ev.KeyDown())
    pressed = bench.now
    bench.do(ev.KeyUp())
    if receipted:
        bench.receipt_all()
    bench.run(119_900)
    bench.down(prompt("accepted", "it-1"))
    bench.run(60_000)
    bench.down(prompt("coming", "it-2"))
    bench.run(60_000)
    assert max(at for at, _ in bench.plays()) < pressed + 120_000
    assert (bench.text(), bench.light()) == (ZH["coming"], "long-blink")
    assert bench.rungs("it-2") == [("delivered", None), ("presented", None)]
    stops = bench.times(ev.StopPlaying)
    assert stops, "the sentence begun at 119.9 s is cut at 120 s"
    assert max(stops) <= pressed + 120_000


def test_what_plays_at_the_2_minutes_is_stopped() -> None:
    bench = pillar()
    bench.do(ev.KeyDown())
    pressed = bench.now
    bench.receipt_all()
    bench.run(119_500)
    bench.down(prompt("coming", "it-1"))
    assert bench.sounding()
    bench.run(pressed + 120_000 - bench.now)
    assert not bench.sounding()


def test_a_receipt_never_takes_back_and_the_newest_word_of_the_site_counts() -> None:
    """The receipt that comes after accepted changes nothing; when nobody is coming any more the pillar says so."""
    bench = pillar()
    bench.press()
    bench.down(prompt("accepted", "it-1"))
    bench.receipt_all()
    assert bench.text() == ZH["accepted"]
    bench.down(prompt("coming", "it-2"))
    assert (bench.text(), bench.light()) == (ZH["coming"], "long-blink")
    bench.down(prompt("accepted", "it-3"))
    assert (bench.text(), bench.light()) == (ZH["accepted"], "steady")
    assert ZH["delivered"] not in bench.said()
    assert ("failed", "refused") not in bench.rungs("it-3")


def test_light_forms_are_distinct() -> None:
    lights = [PROMPTS[code].light for code in ("sending", "delivered", "accepted", "coming", "not-delivered")]
    assert len(set(lights)) == len(lights)
    assert set(lights) <= set(LIGHTS)


def test_english_by_a_switch() -> None:
    bench = pillar(language="en")
    bench.press()
    assert bench.said() == ["Sending"]


def test_a_key_held_30_s_is_one_alarm_plus_a_stuck_fault() -> None:
    bench = pillar()
    bench.do(ev.KeyDown())
    bench.run(29_999)
    assert [a.kind for a in bench.unique("alarm")] == ["one-key"]
    bench.run(60_000)
    assert [a.kind for a in bench.unique("alarm")] == ["one-key", "stuck"]


def test_a_long_hold_never_means_duress() -> None:
    bench = pillar()
    bench.press(hold_ms=100_000)
    assert "duress" not in {a.kind for a in bench.unique("alarm")}


def test_a_bouncing_key_is_one_press_and_a_second_real_press_a_second_alarm() -> None:
    bench = pillar()
    for gap in (2, 3, 1, 7, 5, 2):
        bench.do(ev.KeyDown())
        bench.run(gap)
        bench.do(ev.KeyUp())
        bench.run(gap)
    assert len(bench.unique("alarm")) == 1
    bench.run(DEBOUNCE_MS)
    bench.do(ev.KeyDown())
    assert len(bench.unique("alarm")) == 2
    assert len({a.key for a in bench.sent("alarm")}) == 2


def test_a_repeated_down_edge_is_no_press_but_a_lost_up_edge_does_not_deafen_the_key() -> None:
    bench = pillar()
    bench.do(ev.KeyDown())
    bench.run(10_000)
    bench.do(ev.KeyDown())
    assert len(bench.unique("alarm")) == 1
    bench.run(25_000)
    bench.do(ev.KeyDown())
    assert [a.kind for a in bench.unique("alarm")] == ["one-key", "stuck", "one-key"]


def test_a_second_press_starts_at_sending_and_its_receipt_brings_back_what_was_reached() -> None:
    bench = pillar()
    bench.press()
    bench.receipt_all("i-1")
    bench.down(prompt("coming", "it-1"))
    bench.run(20_000)
    bench.press()
    assert (bench.text(), bench.light()) == ("正在发送", "blink-slow")
    bench.receipt_all("i-1")
    assert bench.text() == ZH["coming"]


def test_an_incident_left_behind_cannot_speak_any_more() -> None:
    bench = pillar()
    bench.press()
    bench.receipt_all("i-1")
    bench.run(5_000)
    bench.press()
    bench.receipt_all("i-2")
    bench.down(prompt("coming", "it-1", "i-1"))
    assert bench.text() == ZH["delivered"]
    bench.down(prompt("ended", "it-2", "i-1"))
    assert bench.light() == "double-blink"


def test_a_duress_alarm_changes_nothing_at_the_pillar() -> None:
    """No prompt, lamp change, talk-back or group sound at the raising device."""
    bench = pillar()
    bench.forget_past()
    bench.press(key="duress")
    bench.run(20_000)
    bench.n += 1
    bench.receipt_all("i-1")
    bench.down(prompt("accepted", "it-1"), n=bench.n - 1)
    bench.down(down.Lamp("it-2", "flash"))
    bench.down(down.Broadcast("it-3", "b-1", "听到请回答"))
    bench.run(100_000)
    bench.press()
    bench.run(100_000)
    assert [a.kind for a in bench.unique("alarm")] == ["duress", "one-key"]
    assert not bench.times(ev.Play)
    assert not bench.times(ev.Light)
    assert not bench.times(ev.ShowText)
    assert bench.rungs("it-2") == [("delivered", None), ("failed", "refused")]


def test_silence_outlives_a_reboot_and_ends_by_the_owners_order() -> None:
    bench = pillar()
    bench.press(key="duress")
    bench.receipt_all("i-1")
    bench.reboot()
    bench.connect()
    bench.forget_past()
    bench.press()
    assert not bench.said()
    bench.receipt_all("i-1")
    bench.down(down.Order("it-1", "i-2", "sound"))
    assert bench.agent.silent, "of another incident"
    bench.down(down.Order("it-2", "i-1", "sound"))
    assert bench.agent.silent is False
    assert bench.text() == ZH["delivered"]


def test_the_owners_one_key_silences_what_speaks() -> None:
    bench = pillar()
    bench.press()
    assert bench.sounding()
    bench.down(down.Order("it-1", "i-1", "silent"))
    assert not bench.sounding()
    bench.forget_past()
    bench.receipt_all("i-1")
    bench.run(60_000)
    assert not bench.times(ev.Play)
    assert not bench.times(ev.Light)


def test_a_truth_told_after_the_silence_ends_it_and_one_told_before_does_not() -> None:
    """The site prompts a silent incident no more, until its owner has left silence and confirmed it."""
    bench = pillar()
    bench.press()
    bench.receipt_all("i-1")
    before = bench.n
    bench.n += 1
    bench.down(prompt("silent", "it-1"))
    assert bench.agent.silent
    assert not bench.sounding()
    bench.forget_past()
    bench.down(prompt("accepted", "it-2"), n=before + 1)
    assert bench.agent.silent
    assert not bench.times(ev.Light)
    bench.down(prompt("coming", "it-3"))
    assert not bench.agent.silent
    assert (bench.text(), bench.light()) == (ZH["coming"], "long-blink")


@pytest.mark.parametrize(("gaps", "yes"), [((500,), True), ((1_990,), True), ((), False)])
def test_in_an_open_question_two_presses_are_yes_and_one_is_no(gaps: tuple[int, ...], yes: bool) -> None:
    bench = pillar()
    bench.press()
    bench.receipt_all("i-1")
    bench.down(prompt("question", "it-1", question="q-1", text="有人受伤吗?按两下为是,按一下为否"))
    assert (bench.text(), bench.light()) == ("有人受伤吗?按两下为是,按一下为否", "triple-blink")
    bench.run(3_000)
    bench.press(hold_ms=100)
    for gap in gaps:
        bench.run(gap - 100)
        bench.press(hold_ms=100)
    bench.run(2_500)
    (reply,) = bench.unique("reply")
    assert (reply.question, reply.yes) == ("q-1", yes)
    assert len(bench.unique("alarm")) == 1
    assert bench.light() == "double-blink"
    assert bench.rungs("it-1")[-1] == ("acknowledged", None)


def test_outside_a_question_a_press_is_a_press() -> None:
    bench = pillar()
    bench.press()
    bench.receipt_all("i-1")
    bench.down(prompt("question", "it-1", question="q-1", until=bench.site_now + 10_000))
    bench.run(10_001)
    assert bench.light() == "double-blink"
    bench.press()
    bench.run(3_000)
    assert len(bench.unique("alarm")) == 2
    assert not bench.sent("reply")


def test_cancel_is_a_note_that_names_the_alarm() -> None:
    bench = pillar()
    bench.press()
    bench.receipt_all("i-1")
    bench.do(ev.CancelPressed())
    (cancel,) = bench.unique("cancel")
    assert cancel.alarm == bench.unique("alarm")[0].key
    assert bench.text() == ZH["delivered"], "nothing ends"


def test_tamper_is_an_alarm_of_its_own_and_tells_the_citizen_nothing() -> None:
    bench = pillar()
    bench.forget_past()
    bench.do(ev.TamperOpened("housing"))
    (alarm,) = bench.unique("alarm")
    assert (alarm.kind, alarm.detail) == ("tamper", "housing")
    bench.run(30_000)
    assert not bench.said()


def test_ended_darkens_the_pillar_unless_a_new_press_is_on_its_way() -> None:
    bench = pillar()
    bench.press()
    bench.receipt_all("i-1")
    bench.down(prompt("ended", "it-1"))
    assert (bench.text(), bench.light()) == ("", "off")
    bench.run(1_000)
    bench.press()
    bench.down(prompt("ended", "it-2"))
    assert bench.light() == "blink-slow"


def test_the_police_lamp_follows_its_item_until_it_is_over() -> None:
    bench = pillar()
    bench.down(down.Lamp("it-1", "flash", until=bench.site_now + 5_000))
    lamps = [a.pattern for _, a in bench.done if isinstance(a, ev.Light) and a.lamp == "police"]
    assert lamps == ["flash"]
    bench.run(5_001)
    lamps = [a.pattern for _, a in bench.done if isinstance(a, ev.Light) and a.lamp == "police"]
    assert lamps == ["flash", "off"]
    assert bench.rungs("it-1") == [("delivered", None), ("presented", None)]


def test_after_a_reboot_the_alarm_goes_on_with_the_same_key_and_nothing_false_is_said() -> None:
    """The press time is unknown: the light shows the truth, the voice is silent, the age is left out."""
    bench = Bench(PillarAgent)
    bench.press()
    key = bench.outbox.records[0].key
    bench.run(10_000)
    bench.reboot()
    bench.forget_past()
    bench.do(ev.Tick())
    bench.connect()
    (alarm,) = bench.sent("alarm")
    assert (alarm.key, alarm.age_ms) == (key, None)
    assert not bench.said()
    bench.receipt_all("i-1")
    assert bench.light() == "double-blink"


def test_after_a_restart_of_the_process_alone_the_age_is_known() -> None:
    bench = Bench(PillarAgent)
    bench.do(ev.KeyDown())
    bench.run(9_000)
    bench.reboot(clock="clock-1")
    bench.connect()
    assert bench.sent("alarm")[0].age_ms == 9_000


def test_a_refused_alarm_is_not_called_delivered() -> None:
    bench = pillar()
    bench.press()
    bench.receipt(bench.agent.outstanding[0].key, outcome="refused")
    assert bench.light() == "blink-fast"
    bench.forget_past()
    bench.run(60_000)
    assert not bench.sent("alarm")


def test_a_drill_setting_marks_every_alarm() -> None:
    bench = pillar()
    bench.down(down.Config(3, {"drill": True, "volume_pct": 30}))
    bench.press()
    assert bench.sent("alarm")[0].drill
    assert bench.plays()[-1][1].volume_pct == 30


def test_a_broadcast_is_spoken_to_the_street_and_gives_way_to_a_press() -> None:
    bench = pillar()
    bench.down(down.Broadcast("it-1", "b-1", "请注意安全"))
    bench.do(ev.KeyDown())
    assert bench.said() == ["请注意安全", "正在发送"]
    bench.receipt_all("i-1")
    bench.run(130_000)
    assert bench.said().count("请注意安全") == 1, "not while somebody waits for help"
    bench.down(down.Broadcast("it-2", "b-2", "立即撤离", priority="emergency"))
    assert bench.said()[-1] == "立即撤离", (
        "an urgent word is heard once the citizen is not spoken to any more"
    )
    bench.run(5_000)
    bench.down(down.Prompt("it-3", "i-1", "ended"))
    bench.run(5_000)
    assert bench.said().count("请注意安全") == 2, "begun again when it is over"
    assert bench.rungs("it-1") == [("delivered", None), ("presented", None)]


def test_a_press_stops_even_an_urgent_broadcast_until_the_citizen_was_spoken_to() -> None:
    bench = pillar()
    bench.down(down.Broadcast("it-1", "b-1", "立即撤离", priority="emergency"))
    bench.do(ev.KeyDown())
    assert [a.item for _, a in bench.done if isinstance(a, ev.StopPlaying)] == ["it-1"]
    bench.run(119_000)
    assert bench.said().count("立即撤离") == 1
    bench.run(5_000)
    assert bench.said().count("立即撤离") == 2


def test_a_notice_does_not_wait_for_ever_for_a_word_that_was_lost() -> None:
    bench = pillar()
    bench.press()
    bench.receipt_all("i-1")
    bench.down(down.Broadcast("it-1", "b-1", "请注意安全"))
    bench.run(QUIET_FOR_MS - 60_000)
    assert "请注意安全" not in bench.said()
    bench.run(120_000)
    assert bench.rungs("it-1")[-1] == ("presented", None)
