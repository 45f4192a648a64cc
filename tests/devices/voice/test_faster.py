"""Faster, and the same voice: length shrinks, pitch and level stay, nothing clicks."""

import numpy as np
import pytest

from devices.voice.faster import NEEDED, Faster
from devices.voice.sound import SILENCE, level_dbfs, pcm_of, samples_of
from tests.devices.voice.voices import frames_of, likeness, peak_hz, pitch_hz_of, rms, sentence, tone, vowel


def made_faster(sound: np.ndarray, speed: float) -> np.ndarray:
    faster = Faster()
    return samples_of(b"".join(faster.feed(piece, speed) for piece in frames_of(sound)) + faster.rest())


@pytest.mark.parametrize("speed", [1.1, 1.25, 1.5, 1.75])
@pytest.mark.parametrize("pitch_hz", [85.0, 130.0, 220.0])
def test_a_voice_is_shorter_and_as_high_as_before(speed: float, pitch_hz: float) -> None:
    voice = vowel(pitch_hz, 2.0) * 10_000
    fast = made_faster(voice, speed)
    assert fast.size == pytest.approx(voice.size / speed, abs=NEEDED)
    middle = slice(fast.size // 4, fast.size // 4 + 8_000)
    assert pitch_hz_of(fast[middle]) == pytest.approx(pitch_hz_of(voice[8_000:16_000]), rel=0.03)
    assert rms(fast) == pytest.approx(rms(voice), rel=0.1)


@pytest.mark.parametrize("tone_hz", [100.0, 440.0, 1_000.0])
def test_a_tone_stays_that_tone_without_clicks(tone_hz: float) -> None:
    fast = made_faster(tone(tone_hz, 2.0), 1.5)
    assert peak_hz(fast[2_000:18_000]) == pytest.approx(tone_hz, rel=0.02)
    steepest = 8_000 * 2 * np.pi * tone_hz / 16_000
    assert np.max(np.abs(np.diff(fast.astype(float)))) <= steepest * 1.3 + 2


def test_a_cut_in_sound_without_a_period_does_not_click() -> None:
    """No piece of this resembles its neighbour; only the fade helps."""
    chord = sum(tone(tone_hz, 2.0, peak=2_500) for tone_hz in (271.0, 347.0, 433.0, 557.0))
    steepest = float(np.max(np.abs(np.diff(np.asarray(chord)))))
    fast = made_faster(np.asarray(chord), 1.5).astype(float)
    assert np.max(np.abs(np.diff(fast))) <= steepest * 1.1 + 2


def test_a_sentence_is_still_that_sentence() -> None:
    """Its loudness rises and falls as in what was said."""
    said = sentence(10)
    fast = made_faster(said, 1.5)
    assert fast.size == pytest.approx(said.size / 1.5, rel=0.03)
    at = (np.arange(said.size) / 1.5).astype(int)
    stretched = fast[np.minimum(at, fast.size - 1)]
    envelope = np.array([rms(piece) for piece in np.array_split(said, 40)])
    heard = np.array([rms(piece) for piece in np.array_split(stretched, 40)])
    assert np.corrcoef(envelope, heard)[0, 1] > 0.85
    assert likeness(said, made_faster(said, 1.0)) == pytest.approx(1.0)


def test_at_speed_1_not_a_sample_is_touched() -> None:
    pcm = pcm_of(sentence(3))
    faster = Faster()
    assert b"".join(faster.feed(pcm[at : at + 640], 1.0) for at in range(0, len(pcm), 640)) == pcm


def test_when_the_speed_changes_nothing_is_lost_and_nothing_clicks() -> None:
    faster, heard = Faster(), b""
    for n, piece in enumerate(frames_of(tone(300.0, 4.0))):
        heard += faster.feed(piece, (1.0, 1.5, 1.25)[n // 20 % 3])
    sound = samples_of(heard + faster.rest())
    assert np.max(np.abs(np.diff(sound.astype(float)))) <= 8_000 * 2 * np.pi * 300 / 16_000 * 1.3 + 2
    assert sound.size == pytest.approx(64_000 * (1 + 1 / 1.5 + 1 / 1.25) / 3, rel=0.03)


def test_silence_noise_and_full_scale() -> None:
    faster = Faster()
    assert level_dbfs(faster.feed(SILENCE * 50, 1.5) + faster.rest()) == -96.0
    noise = np.random.default_rng(1).uniform(-32768, 32767, 32_000)
    assert rms(made_faster(noise, 1.5)) == pytest.approx(rms(noise), rel=0.15)


def test_what_is_held_back_is_bounded() -> None:
    faster = Faster()
    given = passed = 0
    for piece in frames_of(sentence(20)):
        given += len(piece)
        passed += len(faster.feed(piece, 1.25))
        assert given / 1.25 - passed < 2 * 3 * NEEDED
