"""Files and synthetic sound as microphones and speakers: form, pace, ends, and files of killed processes."""

import asyncio
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from devices.voice.files import WavMicrophone, WavSpeaker
from devices.voice.pace import FastClock
from devices.voice.sound import (
    LEAD_MS,
    SILENCE,
    Microphone,
    SoundEnded,
    SoundFailed,
    Speaker,
    level_dbfs,
    pcm_of,
    samples_of,
)
from devices.voice.synthetic import LoopSpeaker, NullSpeaker, SilentMicrophone, ToneMicrophone
from protocols.opus import DTX_BYTES, Encoder
from tests.devices.voice.voices import frames_of, in_virtual_time, peak_hz, sentence, tone

ROOT = Path(__file__).parents[3]


def write_wav(path: Path, rate_hz: int, channels: int, width: int, tone_hz: float, length_s: float) -> None:
    """A tone in any form; a second channel has the same tone."""
    count = int(rate_hz * length_s)
    sound = 0.5 * np.sin(2 * np.pi * tone_hz * np.arange(count) / rate_hz)
    if width == 1:
        data = (sound * 127 + 128).astype(np.uint8).repeat(channels).tobytes()
    else:
        whole = (sound * 2**31).astype("<i4").repeat(channels)
        data = whole.view(np.uint8).reshape(-1, 4)[:, 4 - width :].tobytes()
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate_hz, 0, "NONE", ""))
        file.writeframes(data)


def read_wav(path: Path) -> np.ndarray:
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        return samples_of(file.readframes(file.getnframes()))


async def read_all(microphone: Microphone, most: int = 10_000) -> bytes:
    heard = b""
    async with microphone:
        for _ in range(most):
            try:
                heard += await microphone.read()
            except SoundEnded:
                break
    return heard


def test_levels() -> None:
    assert level_dbfs(SILENCE) == level_dbfs(b"") == -96.0
    assert level_dbfs(pcm_of(tone(440, 0.02, peak=32767))) == pytest.approx(-3.01, abs=0.1)
    assert level_dbfs(pcm_of(tone(440, 0.02, peak=3276.7))) == pytest.approx(-23.01, abs=0.1)


def test_what_is_too_loud_is_clipped_and_does_not_wrap() -> None:
    assert samples_of(pcm_of(np.array([40_000.0, -40_000.0, 0.4]))).tolist() == [32767, -32768, 0]


@pytest.mark.parametrize(
    ("rate_hz", "channels", "width"),
    [(8_000, 1, 1), (16_000, 1, 2), (44_100, 2, 2), (48_000, 1, 3), (48_000, 2, 4), (22_050, 1, 2)],
)
async def test_any_wav_is_said_at_16_khz(tmp_path: Path, rate_hz: int, channels: int, width: int) -> None:
    write_wav(tmp_path / "a.wav", rate_hz, channels, width, 700.0, 0.5)
    pcm = await read_all(WavMicrophone(tmp_path / "a.wav", clock=FastClock()))
    assert len(pcm) % 640 == 0
    assert 0.5 <= len(pcm) / 32_000 <= 0.53
    heard = samples_of(pcm)
    assert peak_hz(heard[:8000]) == pytest.approx(700, abs=2)
    assert np.max(np.abs(heard)) == pytest.approx(16_384, rel=0.06)


async def test_a_looped_file_does_not_end(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", 16_000, 1, 2, 700.0, 0.1)
    pcm = await read_all(WavMicrophone(tmp_path / "a.wav", loop=True, clock=FastClock()), most=20)
    assert len(pcm) == 20 * 640
    assert pcm[: 5 * 640] == pcm[5 * 640 : 10 * 640]


async def test_a_looped_file_without_sound_ends(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", 16_000, 1, 2, 700.0, 0.0)
    assert await read_all(WavMicrophone(tmp_path / "a.wav", loop=True, clock=FastClock())) == b""


async def test_a_file_that_is_no_sound_is_refused_at_once_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"<html>" * 100)
    with pytest.raises(SoundFailed, match="is no WAV file that can be played"):
        await WavMicrophone(tmp_path / "a.wav").open()
    with pytest.raises(SoundFailed, match="cannot be read: No such file"):
        await WavMicrophone(tmp_path / "b.wav").open()
    with pytest.raises(SoundFailed, match="cannot be written: No such file"):
        await WavSpeaker(tmp_path / "no" / "b.wav").open()


async def read_in_time(microphone: Microphone, frames: int) -> float:
    clock = asyncio.get_running_loop()
    start_s = clock.time()
    async with microphone:
        for _ in range(frames):
            await microphone.read()
    return clock.time() - start_s


@pytest.mark.parametrize("kind", ["file", "tone", "silence", "loop"])
def test_microphones_pace_themselves(tmp_path: Path, kind: str) -> None:
    write_wav(tmp_path / "a.wav", 8_000, 1, 2, 700.0, 0.2)
    microphones: dict[str, Microphone] = {
        "file": WavMicrophone(tmp_path / "a.wav", loop=True),
        "tone": ToneMicrophone(),
        "silence": SilentMicrophone(),
        "loop": LoopSpeaker().microphone,
    }
    assert in_virtual_time(read_in_time(microphones[kind], 500)) == pytest.approx(10.0)


def test_a_reader_that_was_late_catches_up_a_little_but_gets_no_heap() -> None:
    async def read_late(pause_s: float) -> float:
        clock = asyncio.get_running_loop()
        microphone = ToneMicrophone()
        await microphone.read()
        await asyncio.sleep(pause_s)
        start_s = clock.time()
        for _ in range(50):
            await microphone.read()
        return clock.time() - start_s

    assert in_virtual_time(read_late(0.2)) == pytest.approx(0.8)
    assert in_virtual_time(read_late(60.0)) == pytest.approx(1.0)


async def write_in_time(speaker: Speaker, frames: int) -> tuple[float, float]:
    clock = asyncio.get_running_loop()
    start_s = clock.time()
    async with speaker:
        for _ in range(frames):
            await speaker.write(SILENCE)
        written_s = clock.time() - start_s
        await speaker.drained()
        return written_s, clock.time() - start_s


@pytest.mark.parametrize("kind", ["file", "null", "loop"])
def test_speakers_take_no_more_than_their_lead_and_say_when_it_was_heard(tmp_path: Path, kind: str) -> None:
    speakers = {"file": WavSpeaker(tmp_path / "a.wav"), "null": NullSpeaker(), "loop": LoopSpeaker()}
    written_s, drained_s = in_virtual_time(write_in_time(speakers[kind], 100))
    assert written_s == pytest.approx(2.0 - LEAD_MS / 1000)
    assert drained_s == pytest.approx(2.0)


def test_after_a_pause_a_speaker_starts_anew() -> None:
    async def play_twice() -> float:
        speaker = NullSpeaker()
        await speaker.write(SILENCE)
        await asyncio.sleep(5.0)
        start_s = asyncio.get_running_loop().time()
        for _ in range(10):
            await speaker.write(SILENCE)
        await speaker.drained()
        return asyncio.get_running_loop().time() - start_s

    assert in_virtual_time(play_twice()) == pytest.approx(0.2)


async def test_a_written_file_holds_what_was_written(tmp_path: Path) -> None:
    said = frames_of(sentence(4))
    async with WavSpeaker(tmp_path / "a.wav", clock=FastClock()) as speaker:
        for piece in said:
            await speaker.write(piece)
    assert read_wav(tmp_path / "a.wav").tobytes() == b"".join(said)
    assert await read_all(WavMicrophone(tmp_path / "a.wav", clock=FastClock())) == b"".join(said)


WRITER = """
import asyncio, sys
from pathlib import Path
from devices.voice.files import WavSpeaker
async def main():
    async with WavSpeaker(Path(sys.argv[1])) as speaker:
        for n in range(10_000):
            await speaker.write(bytes([n % 256]) * 640)
            print(n, flush=True)
asyncio.run(main())
"""


def test_the_file_of_a_killed_process_plays(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "a.wav")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for _ in range(10):
            child.stdout.readline()
        child.kill()
    sound = read_wav(tmp_path / "a.wav")
    assert sound.size >= 10 * 320
    assert [samples_of(bytes([n]) * 2)[0] for n in range(10)] == [sound[320 * n] for n in range(10)]


async def test_a_tone_is_a_tone_and_a_loop_hears_itself() -> None:
    pcm = b""
    clock = FastClock()
    async with ToneMicrophone(440, clock=clock) as microphone, LoopSpeaker(clock=clock) as speaker:
        for _ in range(50):
            await speaker.write(await microphone.read())
        for _ in range(50):
            pcm += await speaker.microphone.read()
        assert await speaker.microphone.read() == SILENCE
    assert peak_hz(samples_of(pcm)) == pytest.approx(440, abs=0.5)
    assert level_dbfs(pcm) == pytest.approx(-17.3, abs=0.1)


async def test_a_tone_is_sent_and_not_taken_for_background() -> None:
    encoder = Encoder()
    async with ToneMicrophone(440, clock=FastClock()) as microphone:
        sizes = [len(encoder.encode(await microphone.read())) for _ in range(300)]
    assert min(sizes) > DTX_BYTES
