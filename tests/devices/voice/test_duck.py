"""While a device plays, its microphone is closed or softer: when, how much, how long, and without a click."""

import numpy as np
import pytest

from devices.voice.duck import Duck, DuckSettings
from devices.voice.sound import SILENCE, samples_of
from tests.devices.voice.voices import frames_of, rms, sentence, tone, vowel

VOICE = frames_of(sentence(12))
LOUD = frames_of(vowel(120.0, 0.4) * 10_000)


def test_while_nothing_is_played_the_microphone_is_untouched() -> None:
    duck = Duck()
    for pcm in VOICE:
        duck.played(SILENCE)
        assert duck.hear(pcm) == pcm


def test_while_it_plays_nothing_is_heard_and_for_its_tail() -> None:
    duck = Duck(DuckSettings(tail_ms=200))
    heard = []
    for n, pcm in enumerate(VOICE):
        duck.played(LOUD[n] if n < 10 else SILENCE)
        heard.append(duck.hear(pcm))
    assert rms(samples_of(b"".join(heard[1:20]))) == 0
    assert rms(samples_of(heard[0])[100:]) == 0
    assert heard[21:] == VOICE[21:]
    assert not duck.ducked


def test_it_may_only_be_softer() -> None:
    duck, heard = Duck(DuckSettings(gain_db=-20.0)), b""
    for pcm in LOUD[:5]:
        duck.played(pcm)
        heard = duck.hear(VOICE[3])
    assert rms(samples_of(heard)) == pytest.approx(rms(samples_of(VOICE[3])) / 10, rel=0.05)


def test_or_not_at_all() -> None:
    duck = Duck(DuckSettings(gain_db=0.0))
    duck.played(LOUD[3])
    assert [duck.hear(pcm) for pcm in VOICE] == VOICE


def test_what_is_hardly_audible_closes_nothing() -> None:
    duck = Duck()
    duck.played(frames_of(tone(300, 0.02, peak=50))[0])
    assert duck.hear(VOICE[3]) == VOICE[3]


def test_it_closes_and_opens_without_a_click() -> None:
    duck, heard = Duck(DuckSettings(tail_ms=100)), b""
    for n, pcm in enumerate(frames_of(tone(212, 1.0))):
        duck.played(LOUD[3] if 10 <= n < 15 else SILENCE)
        heard += duck.hear(pcm)
    sound = samples_of(heard).astype(float)
    assert np.max(np.abs(np.diff(sound))) < 8_000 * 2 * np.pi * 212 / 16_000 + 8_000 / 80 + 2
    assert not sound[11 * 320 : 20 * 320].any()
