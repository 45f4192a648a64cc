"""The pillar's side against the daemon's, both real: sound both ways, and a link that comes back by itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import numpy as np
import pytest

from devices.events import Event, MediaSounds
from devices.voice import webrtc as pillar_side
from devices.voice.sound import Microphone, SoundFailed, samples_of
from devices.voice.synthetic import NullSpeaker, ToneMicrophone
from devices.voice.webrtc import PillarMedia
from dispatchd.core.effects import SetFloor
from dispatchd.voice.ice import PortRange, Ports
from dispatchd.voice.relay import Relay
from dispatchd.voice.sdp import Refused
from dispatchd.voice.webrtc import Sessions
from protocols import down, up
from protocols.opus import Decoder
from protocols.voice import RATE_HZ, Frame

from .control_room import Recorder, until
from .peer import tone_packets

PORTS = Ports(41_500, 41_531)


def now_ms() -> int:
    return int(monotonic() * 1000)


class Ear(NullSpeaker):
    """A loudspeaker that remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.pcm = b""

    async def write(self, pcm: bytes) -> None:
        self.pcm += pcm
        await super().write(pcm)


class Street:
    """A pillar and a daemon's voice; the two messages between them go by hand, and can be lost."""

    def __init__(self, microphone: Microphone | None = None) -> None:
        self.ear = Ear()
        self.lines: list[dict[str, Any]] = []
        self.media = PillarMedia(microphone or ToneMicrophone(440), self.ear, self.lines.append)
        self.relay = Relay(lambda _: None)
        self.recorder = Recorder()
        self.relay.taps.append(self.recorder)
        self.sessions = Sessions(self.relay, PortRange("127.0.0.1", PORTS), now_ms)
        self.events: list[Event] = []
        self.said: list[up.WebrtcOffer | up.WebrtcBye] = []
        self.answering = True
        self._offers: asyncio.Queue[up.WebrtcOffer] = asyncio.Queue()

    def send(self, message: up.WebrtcOffer | up.WebrtcBye) -> None:
        self.said.append(message)
        if isinstance(message, up.WebrtcOffer):
            self._offers.put_nowait(message)
        elif (session := self.sessions.get("pil-1", message.session)) is not None:
            self.sessions.end(session, "bye")

    async def answer(self) -> None:
        while True:
            offer = await self._offers.get()
            if not self.answering:
                continue
            try:
                sdp = await self.sessions.offer("pil-1", offer.session, offer.sdp, ("@back/pil-1", "inc-1"))
                self.media.answer(down.WebrtcAnswer(offer.session, sdp))
            except Refused as refused:
                self.media.answer(down.WebrtcAnswer(offer.session, error=refused.why))

    def heard(self) -> int:
        return len(self.recorder.opus("@up/pil-1"))

    async def hears_more(self, count: int = 10, within_s: float = 5) -> None:
        start = self.heard()
        await until(lambda: self.heard() >= start + count, within_s)

    async def talk_back(self, hz: int, count: int = 20, burst: int = 2) -> None:
        """An operator's word to the pillar, in real time."""
        self.relay.open("@back/pil-1", burst, "@wang")
        for seq, opus in enumerate(tone_packets(count, hz)):
            self.relay.said("@wang", Frame(burst, seq, seq * 960, opus), now_ms())
            await asyncio.sleep(0.02)

    def cut(self) -> None:
        """The daemon's end of the network is gone: nothing leaves, nothing comes, and nobody is told."""
        (session,) = self.sessions.of("pil-1")
        connection = session.pc.getTransceivers()[0].receiver.transport.transport._connection
        for protocol in connection._protocols:
            protocol.datagram_received = lambda *_: None  # type: ignore[method-assign]
            protocol.transport.sendto = lambda *_: None  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pillar_side, "ANSWER_WITHIN_S", 0.5)


@asynccontextmanager
async def street(microphone: Microphone | None = None) -> AsyncIterator[Street]:
    found = Street(microphone)
    found.relay.open("@up/pil-1", 1, "pil-1")
    runs = (found.sessions.run(), found.answer(), found.media.run(found.events.append, found.send))
    tasks = [asyncio.create_task(run) for run in runs]
    try:
        yield found
    finally:
        for task in reversed(tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def loudest_hz(pcm: bytes) -> float:
    sound = samples_of(pcm).astype(np.float64)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum)) * RATE_HZ / len(sound)


async def test_the_microphone_reaches_the_daemon_and_its_word_the_loudspeaker() -> None:
    async with street() as s:
        s.media.set(open=True, quiet=False)
        await s.hears_more(40)
        decoder = Decoder()
        pcm = b"".join(decoder.decode(opus) for opus in s.recorder.opus("@up/pil-1"))
        assert abs(loudest_hz(pcm[len(pcm) // 2 :]) - 440) < 15
        await s.talk_back(880)
        await until(lambda: MediaSounds(on=False) in s.events)
        assert s.events == [MediaSounds(on=True), MediaSounds(on=False)]
        assert abs(loudest_hz(s.ear.pcm) - 880) < 15
        assert 0.3 < len(s.ear.pcm) / 2 / RATE_HZ < 2.5


async def test_what_was_said_while_the_link_was_made_is_not_lost() -> None:
    async with street() as s:
        s.answering = False
        s.media.set(open=True, quiet=False)
        await until(lambda: s.said)
        s.answering = True
        await until(lambda: s.heard() > 0)
        began_s = monotonic()
        await until(lambda: s.heard() >= 60)
        assert monotonic() - began_s < 60 * 0.02 - 0.1, "the first of it comes faster than it was said"


async def test_closed_it_says_goodbye_and_its_microphone_is_off() -> None:
    async with street() as s:
        s.media.set(open=True, quiet=False)
        await s.hears_more()
        s.media.set(open=False, quiet=False)
        await until(lambda: not s.sessions.of("pil-1"))
        assert s.said[-1] == up.WebrtcBye(s.said[0].session)
        assert s.sessions.counts["ended-bye"] == 1
        heard = s.heard()
        await asyncio.sleep(0.2)
        assert s.heard() == heard
        s.media.set(open=True, quiet=False)
        await s.hears_more()
        assert len({message.session for message in s.said}) == 2


async def test_a_link_that_is_cut_comes_back_within_3_s() -> None:
    async with street() as s:
        s.media.set(open=True, quiet=False)
        await s.hears_more()
        s.cut()
        cut_s = monotonic()
        await s.hears_more()
        assert monotonic() - cut_s < 3
        assert s.media.counts["lost"] == 1


async def test_a_daemon_that_stops_is_noticed_at_once() -> None:
    async with street() as s:
        s.media.set(open=True, quiet=False)
        await s.hears_more()
        s.sessions.end(s.sessions.of("pil-1")[0], "stopping")
        ended_s = monotonic()
        await s.hears_more()
        assert monotonic() - ended_s < 1.5


async def test_without_an_answer_it_tries_again_more_and_more_slowly() -> None:
    async with street() as s:
        s.answering = False
        s.media.set(open=True, quiet=False)
        await until(lambda: s.media.counts["unanswered"] == 1)
        s.answering = True
        await s.hears_more()
        offers = [message.session for message in s.said if isinstance(message, up.WebrtcOffer)]
        assert len(offers) == len(set(offers)) == 2
        pauses = [pillar_side.BACKOFF_FIRST_S * 2**n for n in range(6)]
        assert max(pauses) > pillar_side.BACKOFF_MAX_S


@pytest.mark.full
async def test_an_answer_that_comes_too_late_or_is_none_does_no_harm() -> None:
    async with street() as s:
        s.answering = False
        s.media.set(open=True, quiet=False)
        await until(lambda: s.said)
        s.media.answer(down.WebrtcAnswer("m-other", "v=0"))
        s.media.answer(down.WebrtcAnswer(s.said[0].session, "hello"))
        await until(lambda: len(s.said) == 3)
        s.media.answer(down.WebrtcAnswer(s.said[0].session, "hello"))
        s.answering = True
        await s.hears_more()


async def test_while_it_is_quiet_nothing_is_heard_at_the_pillar() -> None:
    async with street() as s:
        s.media.set(open=True, quiet=True)
        await s.hears_more()
        await s.talk_back(880, count=10)
        await until(lambda: s.media.counts["quiet"] == 10)
        assert s.ear.pcm == b""
        s.media.set(open=True, quiet=False)
        await s.talk_back(880, count=10, burst=3)
        await until(lambda: len(s.ear.pcm) > 0)


@pytest.mark.full
async def test_the_group_is_not_heard_over_him_who_talks_back() -> None:
    async with street() as s:
        s.media.set(open=True, quiet=False)
        await s.hears_more()
        s.relay.set_floor(SetFloor("inc-1", 9, "radio-1", ("inc-1",)), now_ms())
        s.relay.open("@back/pil-1", 2, "@wang")
        for seq, (low, high) in enumerate(zip(tone_packets(40, 300), tone_packets(40, 1200), strict=True)):
            s.relay.said("radio-1", Frame(9, seq, seq * 960, low), now_ms())
            if seq >= 5:
                s.relay.said("@wang", Frame(2, seq - 5, (seq - 5) * 960, high), now_ms())
            await asyncio.sleep(0.02)
        await until(lambda: MediaSounds(on=False) in s.events)
        assert s.media.counts["masked"] > 20
        assert abs(loudest_hz(s.ear.pcm) - 1200) < 20


class Broken(ToneMicrophone):
    """Cannot be had twice."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 2

    async def open(self) -> None:
        if self.failures:
            self.failures -= 1
            raise SoundFailed("the microphone is unplugged")
        await super().open()


@pytest.mark.full
async def test_a_microphone_that_fails_is_tried_again() -> None:
    async with street(Broken()) as s:
        s.media.set(open=True, quiet=False)
        await s.hears_more()
        failed = [line["why"] for line in s.lines if line["ev"] == "media-failed"]
        assert failed == ["the microphone is unplugged"] * 2
