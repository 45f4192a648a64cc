"""The verdict on what was heard passes for everything concealment mends, and fails for everything it does not.

These are also the calibration of compare.LIMITS: every seed of every rate must pass, every damage must fail even at the
most generous limits, those of 10 % loss.
"""

from collections.abc import Callable

import numpy as np
import pytest

from .compare import LIMITS, RATE_HZ, compare, lateness_ms
from .spoken import ANSWER, SENTENCE, Sound, decoded, encoded, lost, reference, spoken

MS = RATE_HZ // 1000
SEEDS = range(6)
SENTENCES = pytest.mark.parametrize("text", [SENTENCE, ANSWER], ids=["sentence", "answer"])


def test_the_same_is_the_same() -> None:
    report = compare(reference(), reference())
    assert report.correlation == pytest.approx(1)
    assert (report.alike, report.dropouts, report.delay_ms, report.drift_ms) == (1, 0, 0, 0)
    assert not report.faults()


def test_what_was_said_is_heard_after_the_codec() -> None:
    assert not compare(spoken(), reference()).faults(0.05)  # the codec's default cuts off above 6 kHz


@SENTENCES
@pytest.mark.parametrize("share", [0.05, 0.10])
def test_direct_encode_decode_with_loss_passes_its_limits(text: str, share: float) -> None:
    packets = encoded(spoken(text))
    reports = {
        seed: compare(reference(text), decoded(packets, lost(len(packets), share, seed))) for seed in SEEDS
    }
    assert {seed: report.faults(share) for seed, report in reports.items() if report.faults(share)} == {}
    assert min(report.correlation for report in reports.values()) < 0.99  # the loss is heard by the measure


@SENTENCES
def test_half_of_all_packets_lost_fails(text: str) -> None:
    packets = encoded(spoken(text))
    for seed in SEEDS:
        assert compare(reference(text), decoded(packets, lost(len(packets), 0.5, seed))).faults(0.10), seed


@pytest.mark.parametrize("delay_ms", [-150, 3, 237, 1900])
def test_a_delay_is_measured_and_is_no_fault(delay_ms: int) -> None:
    sound = reference()
    heard = np.concatenate([np.zeros(max(delay_ms, 0) * MS, np.int16), sound[max(-delay_ms, 0) * MS :]])
    report = compare(sound, heard)
    assert report.delay_ms == pytest.approx(delay_ms, abs=0.5)
    assert not report.faults()


@pytest.mark.parametrize("gain", [0.25, 0.7])
def test_a_volume_is_no_fault(gain: float) -> None:
    assert not compare(reference(), (reference() * gain).clip(-32768, 32767).astype(np.int16)).faults()


def test_a_jitter_buffer_that_stretches_and_cuts_is_no_fault() -> None:
    sound = reference()
    at, later = len(sound) // 3, len(sound) * 2 // 3
    heard = np.concatenate([sound[:at], sound[at - 40 * MS : later], sound[later + 20 * MS :]])
    report = compare(sound, heard)
    assert not report.faults()
    assert report.drift_ms == pytest.approx(20)
    late = lateness_ms(sound, heard)
    assert (late[:10] == 0).all()
    assert (late[-10:] == 20).all()
    assert late.max() == 40


DAMAGE: dict[str, Callable[[Sound], Sound]] = {
    "silence": lambda sound: np.zeros_like(sound),
    "nothing at all": lambda sound: sound[:0],
    "noise": lambda sound: (np.random.default_rng(1).normal(size=len(sound)) * 3000).astype(np.int16),
    "another sentence": lambda sound: reference(
        ANSWER if len(sound) == len(reference(SENTENCE)) else SENTENCE
    ),
    "its second half muted": lambda sound: muted(sound, len(sound) // 2, len(sound)),
    "its first half muted": lambda sound: muted(sound, 0, len(sound) // 2),
    "every other 100 ms muted": lambda sound: every_other(sound, 100 * MS),
    "its first syllable muted": lambda sound: muted(sound, 0, begin(sound) + 100 * MS),
    "its first syllable cut off": lambda sound: sound[begin(sound) + 100 * MS :],
    "its last syllable muted": lambda sound: muted(sound, end(sound) - 100 * MS, len(sound)),
    "its last syllable cut off": lambda sound: sound[: end(sound) - 100 * MS],
    "80 % speed": lambda sound: at_speed(sound, 0.8),
    "95 % speed": lambda sound: at_speed(sound, 0.95),
    "105 % speed": lambda sound: at_speed(sound, 1.05),
    "125 % speed": lambda sound: at_speed(sound, 1.25),
    "backwards": lambda sound: sound[::-1],
}


@SENTENCES
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_fails_at_the_most_generous_limits(text: str, damage: Callable[[Sound], Sound]) -> None:
    assert compare(reference(text), damage(reference(text))).faults(max(LIMITS))


def test_a_hole_of_a_tenth_of_a_second_is_a_dropout() -> None:
    sound = reference()
    where = int(np.argmax(np.convolve(np.abs(sound.astype(float)), np.ones(100 * MS), "valid")))
    report = compare(sound, muted(sound, where, where + 100 * MS))
    assert report.dropouts == 1
    assert report.faults()


def test_a_silent_reference_is_a_mistake_of_the_test() -> None:
    with pytest.raises(ValueError, match="no speech"):
        compare(np.zeros(RATE_HZ, np.int16), reference())


def muted(sound: Sound, begin: int, end: int) -> Sound:
    heard = sound.copy()
    heard[begin:end] = 0
    return heard


def every_other(sound: Sound, size: int) -> Sound:
    return np.where(np.arange(len(sound)) // size % 2, 0, sound).astype(np.int16)


def begin(sound: Sound) -> int:
    return int(np.flatnonzero(np.abs(sound.astype(int)) > 300)[0])


def end(sound: Sound) -> int:
    return int(np.flatnonzero(np.abs(sound.astype(int)) > 300)[-1])


def at_speed(sound: Sound, speed: float) -> Sound:
    where = np.arange(0, len(sound), speed)
    slower: Sound = np.interp(where, np.arange(len(sound)), sound).astype(np.int16)
    return slower
