"""Howls are found and ended; voices, tones, sirens and noise are let through."""

import numpy as np
import pytest

from devices.voice.howl import (
    BACK_MS,
    HARMLESS_DBFS,
    MOST_SOFTER_DB,
    MUTE_MS,
    SOFTER_DB,
    Howl,
    HowlGuard,
)
from devices.voice.sound import SILENCE, samples_of
from protocols.voice import RATE_HZ
from tests.devices.voice.spoken import spoken
from tests.devices.voice.voices import Wave, frames_of, rms, sentence, tone, vowel


def growing(tone_hz: float, length_s: float = 3.0, db_s: float = 20.0, from_db: float = -50.0) -> Wave:
    """A howl as it is: louder and louder until it is cut off at full scale."""
    grown = tone(tone_hz, length_s, peak=1.0)
    gain_db = from_db + db_s * np.arange(grown.size) / RATE_HZ
    clipped: Wave = np.clip(grown * 32_768 * 10 ** (gain_db / 20), -32_767, 32_767)
    return clipped


def guarded(sound: Wave) -> tuple[np.ndarray, list[tuple[int, Howl]], HowlGuard]:
    """What comes out, the howls and when (ms)."""
    guard, out, howls = HowlGuard(), b"", []
    for n, piece in enumerate(frames_of(sound)):
        pcm, howl = guard.push(piece)
        out += pcm
        if howl is not None:
            howls.append((20 * n, howl))
    return samples_of(out), howls, guard


@pytest.mark.parametrize("tone_hz", [300.0, 833.0, 1_250.0, 2_950.0, 5_000.0])
@pytest.mark.parametrize("db_s", [10.0, 20.0, 60.0])
def test_a_howl_is_found_before_it_is_overdriven_long(tone_hz: float, db_s: float) -> None:
    full_ms = 50 / db_s * 1_000
    _, howls, guard = guarded(growing(tone_hz, full_ms / 1_000 + 1.0, db_s))
    at_ms, howl = howls[0]
    assert at_ms < full_ms + 400
    assert howl.tone_hz == pytest.approx(tone_hz, abs=16)
    assert len(howls) == guard.howls


def test_it_is_found_in_a_voice_that_goes_on() -> None:
    voice = sentence(20, peak=4_000)
    howl = growing(1_100.0, voice.size / RATE_HZ)[: voice.size]
    _, howls, _ = guarded(voice + howl)
    assert howls


def test_it_is_silent_and_then_softer() -> None:
    howl = growing(1_000.0, 1.0)
    after = sentence(20, peak=8_000)
    out, howls, guard = guarded(np.concatenate([howl, np.zeros(16_000), after]))
    at = howls[0][0] * RATE_HZ // 1_000
    assert len(howls) == 1
    assert not out[at : at + MUTE_MS * RATE_HZ // 1_000].any()
    assert rms(out[-after.size :]) == pytest.approx(rms(after) * 10 ** (-SOFTER_DB / 20), rel=0.05)
    assert guard.softer_db == SOFTER_DB


def test_again_and_again_it_gets_softer_and_that_has_an_end() -> None:
    once = np.concatenate([growing(1_000.0, 2.5), np.zeros(20_000)])
    _, howls, guard = guarded(np.tile(once, 8))
    assert [howl.softer_db for _, howl in howls][:4] == [12.0, 24.0, 36.0, MOST_SOFTER_DB]
    assert guard.softer_db == MOST_SOFTER_DB


def test_what_was_taken_is_given_back_when_it_is_calm() -> None:
    quiet = np.zeros(RATE_HZ * (2 * BACK_MS + MUTE_MS) // 1_000 + 8_000)
    _, _, guard = guarded(np.concatenate([growing(1_000.0, 1.0), quiet]))
    assert guard.softer_db == 0.0
    assert not guard.muted
    assert guard.push(b"\1\2" * 320) == (b"\1\2" * 320, None)


@pytest.mark.parametrize("peak", [0.1, 1.0, 3.0])
def test_a_sentence_is_no_howl(peak: float) -> None:
    """Also when it is overdriven."""
    voice = np.clip(spoken() / np.max(np.abs(spoken())) * 32_767 * peak, -32_767, 32_767)
    out, howls, _ = guarded(np.tile(voice, 3))
    assert howls == []
    assert out[: voice.size].tolist() == np.rint(voice).astype(int).tolist()


def siren() -> Wave:
    at_s = np.arange(4 * RATE_HZ) / RATE_HZ
    frequency = 900 + 300 * np.sin(2 * np.pi * 0.5 * at_s)
    wail: Wave = 12_000 * np.sin(2 * np.pi * np.cumsum(frequency) / RATE_HZ)
    return wail


@pytest.mark.parametrize(
    "sound",
    [
        pytest.param(vowel(130.0, 3.0) * 12_000, id="a sung vowel"),
        pytest.param(
            vowel(240.0, 3.0) * np.linspace(500, 25_000, 48_000), id="a sung vowel, louder and louder"
        ),
        pytest.param(np.concatenate([sentence(10, seed=seed) for seed in range(4)]), id="sentences"),
        pytest.param(np.random.default_rng(1).normal(0, 6_000, 48_000), id="noise"),
        pytest.param(tone(440.0, 3.0), id="a steady tone"),
        pytest.param(siren(), id="a siren"),
        pytest.param(growing(1_000.0, 3.0, 10.0, from_db=-90), id=f"a howl below {HARMLESS_DBFS} dBFS"),
        pytest.param(np.zeros(16_000), id="silence"),
    ],
)
def test_what_is_no_howl_is_let_through(sound: Wave) -> None:
    out, howls, _ = guarded(sound)
    assert howls == []
    assert out.tobytes() == b"".join(frames_of(sound))


def test_whole_silence_stays_silence() -> None:
    assert HowlGuard().push(SILENCE) == (SILENCE, None)
