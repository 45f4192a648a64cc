"""From the microphone to frames: the first syllable, the pace, pauses, ends, keys let go at any moment."""

import asyncio
import itertools

import numpy as np
import pytest

from devices.voice.capture import PRE_ROLL_MS, Capture, NoiseGate, talk
from devices.voice.sound import SILENCE, Microphone, SoundEnded, SoundFailed, level_dbfs, samples_of
from devices.voice.synthetic import ToneMicrophone
from protocols.opus import Decoder
from protocols.voice import LAST, Frame
from tests.devices.voice.voices import (
    frames_of,
    in_virtual_time,
    likeness,
    peak_hz,
    rms,
    sentence,
    tone,
    vowel,
)

SAID = frames_of(sentence(10))


def heard(frames: list[Frame]) -> np.ndarray:
    """By somebody whose network is perfect: pauses are silence."""
    decoder, pcm, ts = Decoder(), b"", 0
    for frame in frames:
        pcm += SILENCE * ((frame.ts - ts) // 960)
        pcm += decoder.decode(frame.opus) if frame.opus else b""
        ts = frame.ts + (960 if frame.opus else 0)
    return samples_of(pcm)


def granted_after(ms: int, said: list[bytes], pre_roll_ms: int = PRE_ROLL_MS) -> list[list[Frame]]:
    """What is sent in each 20 ms when the floor comes so much later than the key; let go after the last."""
    capture, ticks = Capture(pre_roll_ms=pre_roll_ms), []
    capture.press()
    for n, pcm in enumerate(said):
        if n * 20 == ms:
            capture.grant(7)
        ticks.append(capture.push(pcm))
    capture.release()
    while not capture.idle:
        ticks.append(capture.tick())
        assert len(ticks) < 2 * len(said) + 10
    return ticks


def all_of(ticks: list[list[Frame]]) -> list[Frame]:
    return list(itertools.chain.from_iterable(ticks))


@pytest.mark.parametrize("ms", [0, 100, 200, 280])
def test_the_first_syllable_is_heard_whenever_the_floor_comes(ms: int) -> None:
    sound = heard(all_of(granted_after(ms, SAID)))
    whole = samples_of(b"".join(SAID))
    assert likeness(whole, sound) > 0.9
    assert rms(sound[:3_200]) == pytest.approx(rms(whole[:3_200]), rel=0.25), "the first 200 ms"
    assert rms(sound[-3_200:]) == pytest.approx(rms(whole[-3_200:]), rel=0.25), "the last 200 ms"


def test_of_a_long_wait_only_the_newest_is_sent() -> None:
    said = frames_of(np.concatenate([tone(400, 1.0), tone(900, 1.3)]))
    sound = heard(all_of(granted_after(2_000, said)))
    assert sound.size / 16_000 == pytest.approx(0.6, abs=0.02)  # 300 ms before, 300 ms after
    assert peak_hz(sound[:4_000]) == pytest.approx(900, abs=5)


def test_without_pre_roll_what_was_said_before_is_not_sent() -> None:
    frames = all_of(granted_after(200, SAID, pre_roll_ms=20))
    assert frames[-1].ts == (len(SAID) - 9) * 960


def test_what_was_kept_goes_out_at_most_at_twice_real_time() -> None:
    ticks = granted_after(280, frames_of(vowel(140.0, 2.0) * 9_000))
    sent = [len(frames) for frames in ticks]
    assert sent[:14] == [0] * 14
    assert set(sent[14:28]) == {2}
    assert set(sent[29:-1]) == {1}


def test_numbers_and_timestamps_have_no_gap_in_speech() -> None:
    frames = all_of(granted_after(100, frames_of(vowel(140.0, 2.0) * 9_000)))
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    assert {b.ts - a.ts for a, b in itertools.pairwise(frames)} == {960}
    assert {frame.burst for frame in frames} == {7}
    assert [frame.flags for frame in frames] == [0] * (len(frames) - 1) + [LAST]


def test_in_a_pause_nothing_is_sent_and_the_timestamps_show_it() -> None:
    pause = [SILENCE] * 100
    frames = all_of(granted_after(0, SAID + pause + SAID))
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    assert len(frames) < len(SAID) * 2 + 40
    assert max(b.ts - a.ts for a, b in itertools.pairwise(frames)) >= 300 * 48
    sound = heard(frames)
    second = sound[(len(SAID) + 100) * 320 :]
    assert likeness(samples_of(b"".join(SAID)), second, slack_ms=20) > 0.9


def test_the_end_in_a_pause_is_said_too() -> None:
    frames = all_of(granted_after(0, SAID + [SILENCE] * 100))
    assert frames[-1].flags == LAST
    assert frames[-1].ts in {(len(SAID) + 99) * 960, (len(SAID) + 100) * 960}


def test_a_short_press_that_ends_before_the_grant_is_sent_whole() -> None:
    capture = Capture()
    capture.press()
    for pcm in SAID[:10]:
        assert capture.push(pcm) == []
    capture.release()
    for _ in range(5):
        assert capture.push(SAID[20]) == []
    capture.grant(3)
    frames = all_of([capture.push(SAID[20]) for _ in range(10)])
    assert [frame.seq for frame in frames] == list(range(10))
    assert frames[-1].flags == LAST
    assert capture.idle


def test_a_key_let_go_before_anything_was_said_opens_no_microphone() -> None:
    capture = Capture()
    capture.press()
    capture.release()
    capture.grant(3)
    frames = all_of([capture.push(SAID[3]) for _ in range(10)])
    assert frames == [Frame(3, 0, 0, b"", LAST)]
    assert capture.idle


def test_what_is_said_without_the_key_is_never_sent() -> None:
    capture = Capture()
    assert all_of([capture.push(pcm) for pcm in SAID]) == []
    capture.press()
    capture.grant(1)
    frames = capture.push(SILENCE)
    assert len(frames) <= 1, "nothing from before the press"


def test_denied_or_revoked_nothing_more_is_sent() -> None:
    capture = Capture()
    for granted in (False, True):
        capture.press()
        if granted:
            capture.grant(4)
        capture.push(SAID[0])
        capture.stop()
        assert capture.idle
        assert all_of([capture.push(pcm) for pcm in SAID]) == []


def test_a_hot_microphone_needs_no_key() -> None:
    capture = Capture()
    capture.grant(9, hot=True)
    assert len(all_of([capture.push(pcm) for pcm in SAID])) >= len(SAID) - 5
    capture.release()
    assert capture.tick()[-1].flags == LAST


def test_bursts_start_anew() -> None:
    capture = Capture()
    for burst in (1, 2):
        capture.press()
        capture.grant(burst)
        first = capture.push(SAID[0])[0]
        assert (first.burst, first.seq, first.ts) == (burst, 0, 0)
        capture.release()
        capture.tick()


def test_the_level_is_shown_also_while_nothing_is_sent() -> None:
    capture = Capture()
    capture.push(SAID[5])
    assert capture.level_dbfs == level_dbfs(SAID[5]) > -40


def test_a_noise_gate_takes_the_noise_and_leaves_the_words() -> None:
    gate = NoiseGate(-45.0)
    noise = frames_of(np.random.default_rng(1).normal(0, 30, 16_000))
    assert [gate(pcm) for pcm in noise] == [SILENCE] * 50
    assert [gate(pcm) for pcm in SAID] == SAID
    after = [gate(pcm) for pcm in noise]
    assert after[:10] == noise[:10]
    assert after[20:] == [SILENCE] * 30


def test_a_gate_is_used_when_there_is_one() -> None:
    capture = Capture(gate=NoiseGate(0.0))
    capture.press()
    capture.grant(1)
    frames = all_of([capture.push(pcm) for pcm in SAID])
    assert rms(heard(frames)) < 50


class Said(Microphone):
    """Says pieces in real time, then ends or breaks."""

    def __init__(self, pieces: list[bytes], broken: bool = False) -> None:
        self._tone = ToneMicrophone()
        self._pieces = iter(pieces)
        self._broken = broken

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def read(self) -> bytes:
        await self._tone.read()
        piece = next(self._pieces, None)
        if piece is not None:
            return piece
        raise SoundFailed("it broke") if self._broken else SoundEnded


def test_a_file_is_said_to_its_end_in_real_time() -> None:
    async def say() -> tuple[list[Frame], float]:
        frames: list[Frame] = []
        capture = Capture()
        capture.press()
        task = asyncio.create_task(talk(Said(SAID), capture, frames.append))
        await asyncio.sleep(0.2)
        capture.grant(1)
        await task
        return frames, asyncio.get_running_loop().time()

    frames, took_s = in_virtual_time(say())
    assert frames[-1].flags == LAST
    assert likeness(samples_of(b"".join(SAID)), heard(frames)) > 0.9
    assert took_s == pytest.approx(len(SAID) * 0.02, abs=0.1)


async def test_a_broken_microphone_says_so() -> None:
    with pytest.raises(SoundFailed, match="it broke"):
        await talk(Said([], broken=True), Capture(), lambda _frame: None)
