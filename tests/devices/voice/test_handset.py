"""A terminal's sound, in virtual time: what is played and when it counts, which group wins, what fails and is told."""

import asyncio
from collections.abc import Awaitable, Callable

from devices import events as ev
from devices.voice.handset import RETRY_S, Handset
from devices.voice.radio_events import Heard
from devices.voice.sound import Microphone, SoundFailed, pcm_of
from devices.voice.synthetic import NullSpeaker, SilentMicrophone, ToneMicrophone
from protocols.voice import LAST, Frame
from simulators.voice import encoded
from tests.devices.voice.voices import in_virtual_time, tone

SECOND = pcm_of(tone(700.0, 1.0))


class Deaf(Microphone):
    """Cannot be opened the first time."""

    def __init__(self) -> None:
        self.opened = 0
        self._silence = SilentMicrophone()

    async def open(self) -> None:
        self.opened += 1
        if self.opened == 1:
            raise SoundFailed("no such microphone; plug one in.")

    async def read(self) -> bytes:
        return await self._silence.read()

    async def close(self) -> None:
        """Nothing to give back."""


class Rig:
    def __init__(self, microphone: Microphone, *, speaks: bool = True) -> None:
        self.fed: list[tuple[float, ev.Event]] = []
        self.lines: list[tuple[str, str]] = []
        self.said: list[tuple[float, bytes, bool]] = []
        speak = _speak if speaks else _dumb
        self.handset = Handset(
            microphone, NullSpeaker(), lambda *line: self.lines.append(line), language="en", speak=speak
        )

    def feed(self, event: ev.Event) -> None:
        self.fed.append((now_s(), event))

    def say(self, opus: bytes, ts: int, last: bool) -> None:
        self.said.append((now_s(), opus, last))

    def events(self) -> list[ev.Event]:
        return [event for _, event in self.fed]


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def _speak(text: str, lang: str) -> bytes | None:
    return SECOND


async def _dumb(text: str, lang: str) -> bytes | None:
    return None


def run(rig: Rig, work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        running = asyncio.create_task(rig.handset.run(rig.feed), name="handset")
        await asyncio.sleep(0.1)
        await work()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    in_virtual_time(main())


def hear(rig: Rig, group: str, burst: int, scan: int, *, count: int = 25, last: bool = True) -> None:
    packets = encoded(SECOND)[:count]
    for seq, opus in enumerate(packets):
        flags = LAST if last and seq == len(packets) - 1 else 0
        rig.handset.hear(Heard(group, Frame(burst, seq, seq * 960, opus, flags), "t-2", "normal", scan))


def test_words_are_played_when_they_have_been_heard_to_the_end() -> None:
    rig = Rig(SilentMicrophone())

    async def work() -> None:
        began_s = now_s()
        rig.handset.aloud.play(ev.Play("it-1", "hello", "en", 80, "notice"), rig.feed)
        await asyncio.sleep(0.9)
        assert rig.events() == []
        await asyncio.sleep(1.0)
        assert rig.events() == [ev.Played("it-1")]
        assert rig.fed[0][0] - began_s >= 1.2, "tone and words"

    run(rig, work)


def test_what_is_stopped_is_never_played() -> None:
    rig = Rig(SilentMicrophone())

    async def work() -> None:
        for item in ("it-1", "it-2"):
            rig.handset.aloud.play(ev.Play(item, "hello", "en", 80), rig.feed)
        rig.handset.aloud.stop("it-2")
        await asyncio.sleep(0.3)
        rig.handset.aloud.stop("it-1")
        await asyncio.sleep(3.0)
        assert rig.events() == []

    run(rig, work)


def test_what_nothing_can_speak_has_failed_and_packets_need_no_speech() -> None:
    rig = Rig(SilentMicrophone(), speaks=False)

    async def work() -> None:
        rig.handset.aloud.play(ev.Play("it-1", "hello", "en", 80), rig.feed)
        rig.handset.aloud.play(ev.Play("it-2", "hello", "en", 80, frames=tuple(encoded(SECOND))), rig.feed)
        rig.handset.aloud.play(ev.Play("it-3", "", "en", 80, "call"), rig.feed)
        rig.handset.aloud.play(ev.Play("it-4", "x", "en", 80, frames=(b"\xff" * 700,)), rig.feed)
        await asyncio.sleep(3.0)
        failed = {event.item for event in rig.events() if isinstance(event, ev.PlayerFailed)}
        assert failed == {"it-1", "it-4"}
        assert [event.item for event in rig.events() if isinstance(event, ev.Played)] == ["it-2", "it-3"]

    run(rig, work)


def test_a_burst_is_reported_once_it_was_heard() -> None:
    rig = Rig(SilentMicrophone())

    async def work() -> None:
        hear(rig, "tg-1", 7, 0)
        await asyncio.sleep(0.3)
        assert rig.events() == []
        await asyncio.sleep(1.0)
        assert rig.events() == [ev.BurstHeard("tg-1", 7)]

    run(rig, work)


def test_the_group_of_higher_priority_interrupts_the_other() -> None:
    rig = Rig(SilentMicrophone())

    async def work() -> None:
        hear(rig, "low", 7, 0, last=False)
        await asyncio.sleep(0.1)
        hear(rig, "high", 8, 5)
        hear(rig, "low", 9, 0)
        await asyncio.sleep(2.0)
        heard = [event.burst for event in rig.events() if isinstance(event, ev.BurstHeard)]
        assert 8 in heard
        assert 9 not in heard
        assert [one.burst for one in rig.handset.scanner.missed] != []

    run(rig, work)


def test_what_was_said_before_the_grant_comes_first_and_the_last_frame_says_so() -> None:
    rig = Rig(ToneMicrophone())

    async def work() -> None:
        rig.handset.listen()
        await asyncio.sleep(0.2)
        assert rig.said == []
        rig.handset.talk(1, rig.say)
        await asyncio.sleep(0.4)
        rig.handset.finish()
        await asyncio.sleep(0.3)
        assert [last for _, _, last in rig.said].index(True) == len(rig.said) - 1
        assert 28 <= len(rig.said) <= 32, "200 ms before the grant, 400 ms after it"
        rig.handset.listen()
        rig.handset.talk(2, rig.say)
        rig.handset.stop()
        before = len(rig.said)
        await asyncio.sleep(0.3)
        assert len(rig.said) == before

    run(rig, work)


def test_a_microphone_that_fails_is_told_and_tried_again() -> None:
    microphone = Deaf()
    rig = Rig(microphone)

    async def work() -> None:
        assert rig.lines == [("sound", "microphone: no such microphone; plug one in.")]
        await asyncio.sleep(RETRY_S)
        assert microphone.opened == 2
        rig.handset.meter()
        await asyncio.sleep(6.0)
        assert sum(what == "level" for what, _ in rig.lines) == 10

    run(rig, work)
