"""One spoken sentence from a microphone file to a speaker file: capture, a bad network, player, in virtual time."""

import asyncio
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from devices.voice.capture import Capture, talk
from devices.voice.files import WavMicrophone, WavSpeaker
from devices.voice.playout import VoicePlayer
from devices.voice.sound import pcm_of, samples_of
from protocols.opus import Decoder, Encoder
from protocols.voice import Frame
from tests.devices.voice.network import Network
from tests.devices.voice.spoken import spoken
from tests.devices.voice.voices import frames_of, in_virtual_time, likeness, rms


async def carry(microphone: Path, speaker: Path, network: Network, grant_ms: int) -> float:
    """Two radios and a network; the talker gets the floor after `grant_ms`. When the sentence was presented."""
    loop = asyncio.get_running_loop()
    presented = asyncio.Event()
    capture = Capture()
    async with WavMicrophone(microphone) as mic, WavSpeaker(speaker) as sink:
        player = VoicePlayer(sink, presented=lambda burst: presented.set())
        playing = asyncio.create_task(player.run())

        def send(frame: Frame) -> None:
            seeded = replace(network, seed=network.seed * 10_000 + frame.seq)
            for after_ms, one in seeded.carry([(0.0, frame)]):
                loop.call_later(after_ms / 1000, player.hear, one)

        loop.call_later(grant_ms / 1000, capture.grant, 5)
        capture.press()
        await talk(mic, capture, send)
        await presented.wait()
        playing.cancel()
    return loop.time()


def directly(sound: np.ndarray) -> np.ndarray:
    encoder, decoder = Encoder(), Decoder()
    return samples_of(b"".join(decoder.decode(encoder.encode(pcm)) for pcm in frames_of(sound)))


@pytest.mark.parametrize("grant_ms", [0, 180])
@pytest.mark.parametrize(("loss", "least"), [(0.0, 0.985), (0.05, 0.98), (0.1, 0.97)])
def test_a_sentence_is_heard_whole(tmp_path: Path, loss: float, least: float, grant_ms: int) -> None:
    """As compared with the same sentence encoded and decoded at once; what was kept until the grant is made up for."""
    said = np.concatenate([spoken(), np.zeros(1_600)])
    with wave.open(str(tmp_path / "said.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(pcm_of(said))
    network = Network(seed=7, delay_ms=50, jitter_ms=30, loss=loss)
    took_s = in_virtual_time(carry(tmp_path / "said.wav", tmp_path / "heard.wav", network, grant_ms))
    with wave.open(str(tmp_path / "heard.wav"), "rb") as file:
        heard = samples_of(file.readframes(file.getnframes()))
    from_here = said.size // 2 if grant_ms else 0
    alike = likeness(directly(said)[from_here:], heard[from_here:])
    after_s = took_s - said.size / 16_000
    print(
        f"\nloss {loss:.0%}, granted after {grant_ms} ms: likeness {alike:.3f}, presented {after_s:.3f} s later"
    )
    assert alike > least
    loud = np.flatnonzero(np.abs(heard) > 300)
    spoke = np.flatnonzero(np.abs(said) > 300)
    for end in (slice(0, 3_200), slice(-3_200, None)):
        first_or_last = heard[loud[0] : loud[-1] + 1][end]
        assert rms(first_or_last) > 0.5 * rms(said[spoke[0] : spoke[-1] + 1][end])
    assert took_s < said.size / 16_000 + 0.5
