"""When a pillar's sound to the control room is open, what shows of it, and what is said of its loudspeaker."""

from typing import Any

from devices import events as ev
from devices.intercom import RESTORED_MS, SOUNDING_EVERY_MS, UNASKED_MS
from protocols import codec, down
from tests.devices.rig import Bench, pillar, terminal

OPEN = ev.Media(open=True, quiet=False)
CLOSED = ev.Media(open=False, quiet=False)
QUIET = ev.Media(open=True, quiet=True)


def fitted(**options: Any) -> Bench:
    """A pillar with sound both ways."""
    bench = pillar(**options)
    bench.do(ev.MediaFitted())
    bench.forget_past()
    return bench


def media(bench: Bench) -> list[ev.Media]:
    return [action for _, action in bench.done if isinstance(action, ev.Media)]


def word(open_: bool, item: str = "v-1", **fields: Any) -> down.Microphone:
    return down.Microphone(item, open_, "i-1", **fields)


def test_a_press_opens_it_at_once_and_the_site_takes_over() -> None:
    bench = fitted()
    actions = bench.do(ev.KeyDown())
    assert OPEN in actions
    bench.do(ev.KeyUp())
    bench.receipt_all()
    bench.down(word(True))
    assert bench.rungs("v-1") == [("delivered", None), ("presented", None)]
    bench.run(10 * UNASKED_MS)
    assert media(bench) == [OPEN]
    bench.down(word(False, "v-2"))
    assert media(bench) == [OPEN, CLOSED]
    assert bench.rungs("v-2") == [("delivered", None), ("presented", None)]


def test_a_press_alone_opens_it_for_a_minute() -> None:
    bench = fitted(receipts=False)
    bench.press()
    bench.run(UNASKED_MS - 1_000)
    assert media(bench) == [OPEN]
    bench.run(2_000)
    assert media(bench) == [OPEN, CLOSED]


def test_a_press_while_an_old_word_closes_it_keeps_it_open() -> None:
    bench = fitted()
    bench.down(word(True))
    bench.press()
    bench.down(word(False, "v-2"))
    assert media(bench) == [OPEN]


def test_duress_opens_it_and_nothing_sounds_or_shows() -> None:
    bench = fitted()
    bench.press(key="duress")
    bench.receipt_all("i-9")
    bench.down(word(True, silent=True, tone=True))
    assert media(bench) == [QUIET]
    assert bench.plays() == []
    assert [a for _, a in bench.done if isinstance(a, ev.Light | ev.ShowText)] == []
    bench.do(ev.MediaSounds(on=True))
    bench.down(down.Prompt("it-1", "i-9", "ended"))
    assert media(bench)[-1] == OPEN, "silence is over"


def test_silence_by_the_owner_makes_it_quiet_while_it_is_open() -> None:
    bench = fitted()
    bench.press()
    bench.receipt_all()
    bench.down(word(True))
    bench.down(down.Order("o-1", "i-1", "silent"))
    assert media(bench) == [OPEN, QUIET]


def test_without_an_alarm_it_sounds_a_tone_says_so_and_is_lit_while_it_is_open() -> None:
    bench = fitted()
    bench.down(word(True, tone=True))
    ((_, play),) = bench.plays()
    assert (play.tone, play.text) == ("microphone", "值班室正在收听")
    assert bench.light() == "steady"
    assert bench.rungs("v-1") == [("delivered", None)]
    bench.run(2_000)
    assert bench.rungs("v-1") == [("delivered", None), ("presented", None)]
    bench.down(word(False, "v-2"))
    assert bench.light() == "off"
    assert media(bench) == [OPEN, CLOSED]


def test_the_light_goes_back_to_what_the_citizen_is_told() -> None:
    bench = fitted()
    bench.press()
    bench.receipt_all()
    bench.down(word(True, tone=True))
    bench.down(word(False, "v-2"))
    assert bench.light() == "double-blink"


def test_it_says_when_its_loudspeaker_sounds_and_says_so_again() -> None:
    bench = fitted()
    bench.do(ev.KeyDown())
    assert [s.on for s in bench.sent("sounding")] == [True], "the prompt"
    bench.do(ev.KeyUp())
    bench.run(1_500)
    assert [s.on for s in bench.sent("sounding")] == [True, False]
    bench.receipt_all()
    bench.down(word(True))
    bench.run(3_000)
    bench.forget_past()
    bench.do(ev.MediaSounds(on=True))
    bench.run(2 * SOUNDING_EVERY_MS + 100)
    bench.do(ev.MediaSounds(on=False))
    assert [s.on for s in bench.sent("sounding")] == [True, True, True, False]


def test_nobody_is_asked_to_wait_while_the_owner_talks() -> None:
    bench = fitted()
    bench.press()
    bench.receipt_all()
    bench.down(word(True))
    bench.run(3_000)
    bench.do(ev.MediaSounds(on=True))
    bench.forget_past()
    bench.run(40_000)
    assert bench.said() == []
    bench.do(ev.MediaSounds(on=False))
    bench.run(16_000)
    assert bench.said() == ["请稍候"]


def test_without_the_hardware_it_refuses_and_everything_else_is_as_before() -> None:
    bench = pillar()
    bench.press()
    bench.receipt_all()
    bench.down(word(True))
    assert bench.rungs("v-1") == [("delivered", None), ("failed", "refused")]
    assert media(bench) == []
    assert bench.sent("sounding") == []
    assert bench.sent("hello")[0].profile == "A"


def test_with_the_hardware_it_says_so_in_its_hello() -> None:
    bench = Bench(type(pillar().agent))
    bench.do(ev.MediaFitted())
    bench.connect()
    assert bench.sent("hello")[0].profile == "C"


def test_an_answer_goes_to_the_hardware() -> None:
    bench = fitted()
    answer = down.WebrtcAnswer("m-1", "v=0")
    bench.down(answer)
    assert [a.message for _, a in bench.done if isinstance(a, ev.TakeAnswer)] == [answer]
    assert codec.DOWN_KIND[type(answer)] == "webrtc-answer"


def test_after_a_reboot_it_is_open_as_before_but_not_for_ever() -> None:
    bench = fitted()
    bench.down(word(True))
    bench.reboot()
    bench.do(ev.MediaFitted())
    bench.forget_past()
    bench.connect()
    assert media(bench) == []
    bench.run(RESTORED_MS)
    assert media(bench) == [CLOSED]
    bench.reboot()
    bench.do(ev.MediaFitted())
    assert media(bench) == [CLOSED]


def test_a_terminal_refuses_it() -> None:
    bench = terminal()
    bench.down(word(True))
    assert bench.rungs("v-1") == [("delivered", None), ("failed", "refused")]
