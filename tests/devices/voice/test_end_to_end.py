"""Two real terminals on a real broker and real UDP: what one says the other hears, by each carriage."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devices import events as ev
from devices.credentials import Credentials
from devices.hardware import VoiceHardware
from devices.outbox import MemoryOutbox
from devices.shell import run_device
from devices.terminal import TerminalAgent
from devices.voice.files import WavMicrophone, WavSpeaker
from devices.voice.handset import Handset
from devices.voice.sound import pcm_of, samples_of
from protocols import down
from protocols.opus import Decoder
from simulators.figures import Figures, percentile
from simulators.voice import SimVoice, encoded, word
from tests.devices.conftest import amqtt, free_port
from tests.devices.test_shell import Parts
from tests.devices.voice.daemon import GROUP, Daemon, daemon
from tests.devices.voice.voices import sentence


@pytest.fixture
async def any_broker() -> AsyncIterator[int]:
    async with amqtt(free_port()) as port:
        yield port


class Terminal:
    def __init__(self, device: str, port: int, voice: VoiceHardware) -> None:
        self.device = device
        self.parts = Parts()
        self.log: list[dict[str, Any]] = []
        self.changed = asyncio.Event()
        outbox = MemoryOutbox("boot-1")
        self.agent = TerminalAgent.restore(outbox.records, outbox.boot, rng=random.Random(7))
        credentials = Credentials(device, "terminal", [f"mqtt://127.0.0.1:{port}"], "secret")
        self.task = asyncio.create_task(
            run_device(self.agent, credentials, self.parts, outbox, self._line, voice), name=device
        )

    def _line(self, fields: dict[str, Any]) -> None:
        self.log.append(fields)
        self.changed.set()

    async def until(self, name: str, count: int = 1, **wanted: Any) -> None:
        """Until so many lines of its log are like this."""
        async with asyncio.timeout(10):
            while sum(one["ev"] == name and wanted.items() <= one.items() for one in self.log) < count:
                self.changed.clear()
                await self.changed.wait()

    async def key(self, event: ev.Event) -> None:
        await self.parts.ready.wait()
        assert self.parts.feed is not None
        self.parts.feed(event)


@contextlib.asynccontextmanager
async def terminals(here: Daemon, port: int, **voices: VoiceHardware) -> AsyncIterator[list[Terminal]]:
    """In the group, with keys and an address that answers."""
    running = [Terminal(name.replace("_", "-"), port, voice) for name, voice in voices.items()]
    try:
        for one in running:
            await one.until("hello")
            await here.here.say(
                one.device, down.Membership(1, "pa-1", True, [GROUP], [down.TalkGroup(GROUP, "All")])
            )
            await one.until("voice-keys")
        yield running
    finally:
        for one in running:
            one.task.cancel()
        await asyncio.gather(*(one.task for one in running), return_exceptions=True)


async def test_each_frame_is_heard_once_by_datagram(broker: int) -> None:
    figures = Figures()
    talker, listener = SimVoice("t-1", figures), SimVoice("t-2", figures)
    async with daemon(broker) as here, terminals(here, broker, t_1=talker, t_2=listener) as (_, two):
        assert talker.speak(word(600))
        await two.until("heard-out")
        assert here.talker == ""
        assert [frame.seq for frame in here.frames] == list(range(31))
        assert figures.words[1].heard["t-2"] == 31
        assert figures.frames_heard == figures.frames_sent == 31
        assert percentile(figures.mouth_to_ear_ms, 1.0) is not None
        assert here.carriages == []


async def test_datagrams_stop_in_mid_word_and_mqtt_takes_over(any_broker: int) -> None:
    figures = Figures()
    talker, listener = SimVoice("t-1", figures), SimVoice("t-2", figures)
    async with (
        daemon(any_broker) as here,
        terminals(here, any_broker, t_1=talker, t_2=listener) as (one, two),
    ):
        assert talker.speak(word(4_000))
        await here.until(lambda: len(here.frames) > 20)
        here.deaf = True
        await here.until(lambda: {("t-1", "mqtt"), ("t-2", "mqtt")} <= set(here.carriages))
        await two.until("heard-out")
        heard = figures.words[1].heard["t-2"]
        assert 201 - 110 <= heard < 201, "at most two seconds are missing, and no frame came twice"
        assert one.agent.radio is not None
        assert one.agent.radio.carriage == "mqtt"


async def test_a_sentence_from_a_file_is_played_into_a_file(any_broker: int, tmp_path: Path) -> None:
    said = sentence(6)
    write_wav(tmp_path / "said.wav", said)
    lines: list[tuple[str, str]] = []
    mouth = Handset(
        WavMicrophone(tmp_path / "said.wav"),
        WavSpeaker(tmp_path / "none.wav"),
        lambda *line: None,
        language="en",
    )
    ear = Handset(
        WavMicrophone(tmp_path / "said.wav"),
        WavSpeaker(tmp_path / "heard.wav"),
        lambda *line: lines.append(line),
        language="en",
    )
    async with daemon(any_broker) as here, terminals(here, any_broker, t_1=mouth, t_2=ear) as (one, two):
        await one.key(ev.PttPressed())
        await here.until(lambda: here.frames and here.frames[-1].flags & 1)
        await two.until("burst-heard")
    heard = samples_of((tmp_path / "heard.wav").read_bytes()[44:]).astype(float)
    assert ("talks", "All: t-1 talks") in lines
    assert likeness(heard, _directly(said)) > 0.75, "a busy machine stretches it a little"
    assert likeness(heard, _directly(sentence(6, seed=77))) < 0.75, "another sentence is not like it"


def write_wav(path: Path, sound: np.ndarray) -> None:
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(pcm_of(sound))


def _directly(sound: np.ndarray) -> np.ndarray:
    decoder = Decoder()
    return samples_of(b"".join(map(decoder.decode, encoded(pcm_of(sound))))).astype(float)


def likeness(heard: np.ndarray, wanted: np.ndarray) -> float:
    """Of the loudness over time, at the best shift: 1 = the same. Decoders in another state differ in phase."""

    def loudness(sound: np.ndarray) -> np.ndarray:
        frames = sound[: sound.size // 320 * 320].reshape(-1, 320)
        level: np.ndarray = np.sqrt((frames**2).mean(axis=1))
        centred: np.ndarray = level - level.mean()
        return centred

    a, b = loudness(heard), loudness(wanted)
    return float(np.max(np.correlate(a, b, "full")) / np.sqrt((b @ b) * (a @ a)))
