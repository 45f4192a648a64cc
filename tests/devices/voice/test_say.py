"""A device's own voice, by the real child, and everything that may be wrong with one."""

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest

from devices.voice import say
from devices.voice.say import MAX_KEPT, Voice
from protocols.prompts import PROMPTS
from protocols.voice import RATE_HZ


def program(text: str) -> say.Command:
    return lambda _: (sys.executable, "-c", text)


@pytest.mark.parametrize("lang", ["zh", "en"])
async def test_a_prompt_is_said(lang: str) -> None:
    prompt = PROMPTS["not-delivered"]
    pcm = await Voice().speak(prompt.zh if lang == "zh" else prompt.en, lang)
    assert pcm is not None
    sound = np.frombuffer(pcm, dtype="<i2").astype(float)
    assert 1.0 < len(sound) / RATE_HZ < 10.0
    assert np.sqrt(np.mean(sound**2)) > 500


async def test_a_prompt_that_comes_again_is_not_made_again(tmp_path: Path) -> None:
    count = tmp_path / "count"
    wav = tmp_path / "x.wav"
    made = await Voice().speak("请稍候", "zh")
    assert made is not None
    _write(wav, made)
    counting = (
        f"open({str(count)!r}, 'a').write('x'); import sys; "
        f"sys.stdout.buffer.write(open({str(wav)!r}, 'rb').read())"
    )
    voice = Voice(program(counting))
    assert [await voice.speak("请稍候", "zh") for _ in range(3)] == [made] * 3
    assert count.read_text() == "x"
    for n in range(MAX_KEPT):
        await voice.speak("一" * (n + 1), "zh")
    await voice.speak("请稍候", "zh")
    assert count.read_text() == "x" * (MAX_KEPT + 2), "the oldest is forgotten"


def _write(path: Path, pcm: bytes, rate: int = RATE_HZ) -> None:
    import wave

    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(pcm)


async def test_another_rate_is_no_sound_rather_than_a_wrong_one(tmp_path: Path) -> None:
    _write(tmp_path / "x.wav", bytes(2_000), rate=22_050)
    copy = f"import sys; sys.stdout.buffer.write(open({str(tmp_path / 'x.wav')!r}, 'rb').read())"
    assert await Voice(program(copy)).speak("x", "zh") is None


@pytest.mark.parametrize(
    "command",
    [
        program("raise SystemExit(4)"),
        program("print('no WAV')"),
        program("pass"),
        lambda _: ("/no/such/program",),
    ],
)
async def test_what_cannot_be_spoken_is_none(command: say.Command) -> None:
    assert await Voice(command).speak("请稍候", "zh") is None


async def test_a_child_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(say, "TIMEOUT_S", 0.5)
    pid = tmp_path / "pid"
    hang = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    assert await Voice(program(hang)).speak("请稍候", "zh") is None
    assert not Path(f"/proc/{pid.read_text()}").exists()


async def test_whoever_stops_waiting_stops_it(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    hang = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    waiting = asyncio.create_task(Voice(program(hang)).speak("请稍候", "zh"))
    async with asyncio.timeout(10):
        while not pid.exists() or not pid.read_text():
            await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not Path(f"/proc/{pid.read_text()}").exists()
