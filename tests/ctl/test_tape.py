"""The line of time a listener keeps: order, loss, pauses, groups beside each other, and bounds."""

import random

import numpy as np
import numpy.typing as npt
import pytest

from dispatchd.ctl.tape import CONCEAL_MAX, HOLD_PACKETS, WINDOW_S, Ear, Mix
from protocols.opus import Encoder
from protocols.voice import FRAME_MS, PCM_FRAME_BYTES, RATE_HZ

SAMPLES = PCM_FRAME_BYTES // 2
TS = 960
Sound = npt.NDArray[np.int16]


def tone(hz: float, frames: int) -> list[bytes]:
    at = np.arange(frames * SAMPLES) / RATE_HZ
    pcm = (9000 * np.sin(2 * np.pi * hz * at)).astype(np.int16)
    encoder = Encoder(dtx=False)
    return [encoder.encode(pcm[n * SAMPLES : (n + 1) * SAMPLES].tobytes()) for n in range(frames)]


class Kept:
    def __init__(self, ears: int = 1) -> None:
        self.written: list[bytes] = []
        self.mix = Mix(self.written.append)
        self.ears = [Ear(self.mix.place) for _ in range(ears)]

    def end(self) -> Sound:
        for ear in self.ears:
            ear.end()
        self.mix.end()
        return np.frombuffer(b"".join(self.written), np.int16)


def loud(sound: Sound) -> bool:
    return bool(np.abs(sound.astype(np.int32)).mean() > 1500)


@pytest.mark.parametrize("seed", range(5))
def test_any_order_within_the_hold_is_the_same_sound(seed: int) -> None:
    packets = list(enumerate(tone(600, 50)))
    straight, mixed = Kept(), Kept()
    for n, opus in packets:
        straight.ears[0].put(n, n * TS, opus, 0)
    rng = random.Random(seed)
    order = sorted(packets[1:], key=lambda one: one[0] + rng.uniform(0, HOLD_PACKETS - 1))
    for n, opus in [packets[0], *order]:
        mixed.ears[0].put(n, n * TS, opus, 0)
        mixed.ears[0].put(n, n * TS, opus, 0)
    assert np.array_equal(straight.end(), mixed.end())
    assert mixed.ears[0].lost == 0
    assert mixed.ears[0].frames == 50


def test_numbers_that_begin_anew_go_on() -> None:
    kept = Kept()
    for n, opus in enumerate(tone(600, 40)):
        kept.ears[0].put((65_520 + n) & 0xFFFF, (2**32 - 10 * TS + n * TS) & 0xFFFFFFFF, opus, 0)
    assert len(kept.end()) == 40 * SAMPLES
    assert kept.ears[0].lost == 0


def test_what_is_lost_is_filled_counted_and_moves_nothing() -> None:
    kept, gone = Kept(), {10, 20, 21, *range(30, 40)}
    for n, opus in enumerate(tone(600, 60)):
        if n not in gone:
            kept.ears[0].put(n, n * TS, opus, 0)
    sound = kept.end()
    assert kept.ears[0].lost == len(gone)
    assert len(sound) == 60 * SAMPLES
    frame = {n: sound[n * SAMPLES : (n + 1) * SAMPLES] for n in range(60)}
    assert loud(frame[10]), "filled"
    assert loud(frame[21])
    assert not np.any(frame[33]), f"no more than {CONCEAL_MAX} in a row"
    assert loud(frame[45])


def test_pauses_stay_and_leading_silence_goes() -> None:
    kept, packets = Kept(), tone(600, 20)
    for n, opus in enumerate(packets[:10]):
        kept.ears[0].put(n, n * TS, opus, 40 * RATE_HZ)
    for n, opus in enumerate(packets[10:], 10):
        kept.ears[0].put(n, n * TS + 2 * 48_000, opus, 42 * RATE_HZ)
    sound = kept.end()
    assert len(sound) == 20 * SAMPLES + 2 * RATE_HZ
    assert loud(sound[: 10 * SAMPLES])
    assert not np.any(sound[11 * SAMPLES : 9 * SAMPLES + 2 * RATE_HZ])
    assert loud(sound[-9 * SAMPLES :])


def test_groups_lie_beside_each_other_as_they_were_heard() -> None:
    kept, packets = Kept(2), tone(600, 25)
    for n, opus in enumerate(packets):
        kept.ears[0].put(n, n * TS, opus, n * SAMPLES)
    for n, opus in enumerate(packets):
        kept.ears[1].put(500 + n, 77 + n * TS, opus, RATE_HZ + n * SAMPLES)
    sound = kept.end()
    assert len(sound) == RATE_HZ + 25 * SAMPLES
    assert not np.any(sound[26 * SAMPLES : RATE_HZ])
    assert loud(sound[RATE_HZ + SAMPLES :])


def test_two_at_once_are_mixed_and_never_wrap() -> None:
    written: list[bytes] = []
    mix = Mix(written.append)
    full = np.full(SAMPLES, 30_000, "<i2").tobytes()
    mix.place(0, full)
    mix.place(0, full)
    mix.place(SAMPLES, full)
    mix.end()
    found = np.frombuffer(b"".join(written), np.int16)
    assert set(found[:SAMPLES]) == {32767}
    assert set(found[SAMPLES:]) == {30_000}


def test_a_long_recording_is_written_as_it_grows_and_what_is_too_late_is_dropped() -> None:
    written: list[bytes] = []
    mix = Mix(written.append)
    second = np.full(RATE_HZ, 100, "<i2").tobytes()
    for n in range(60):
        mix.place(n * RATE_HZ, second)
        assert len(mix._line) == 2 * WINDOW_S * RATE_HZ
    mix.place(0, second)
    assert mix.late == 1
    mix.end()
    assert mix.samples == 60 * RATE_HZ == sum(map(len, written)) // 2


def test_a_leap_of_hours_and_rubbish_cost_neither_memory_nor_the_rest() -> None:
    kept, packets = Kept(), tone(600, 20)
    for n, opus in enumerate(packets[:10]):
        kept.ears[0].put(n, n * TS, opus, n * SAMPLES)
    kept.ears[0].put(10, 10 * TS, b"\xff" * 30, 10 * SAMPLES)
    for n, opus in enumerate(packets[10:], 11):
        kept.ears[0].put(n, 5 * 3600 * 48_000 + n * TS, opus, n * SAMPLES)
    sound = kept.end()
    assert kept.ears[0].unreadable == 1
    assert len(sound) == 21 * SAMPLES
    assert FRAME_MS * len(sound) // SAMPLES == 420
