"""What a listener hears: sentences through bad networks, garbage, backlogs, several bursts, presented when."""

import asyncio
import random

import numpy as np
import pytest

from devices.voice.jitter import JitterBuffer
from devices.voice.playout import Playout, VoicePlayer
from devices.voice.sound import LEAD_MS, SILENCE, samples_of
from devices.voice.synthetic import LoopSpeaker, NullSpeaker
from protocols.opus import Decoder, Encoder
from protocols.voice import CATCH_UP, LAST, Frame
from tests.devices.voice.network import Network
from tests.devices.voice.voices import frames_of, in_virtual_time, likeness, pitch_hz_of, rms, sentence, vowel

SENTENCE = sentence(12)


def said(sound: np.ndarray, burst: int = 1, at_ms: float = 0.0, flags: int = 0) -> list[tuple[float, Frame]]:
    """Encoded, each frame sent when it is said."""
    encoder, pieces = Encoder(), frames_of(sound)
    return [
        (
            at_ms + 20 * n,
            Frame(burst, n, n * 960, encoder.encode(pcm), flags | (LAST if n + 1 == len(pieces) else 0)),
        )
        for n, pcm in enumerate(pieces)
    ]


def directly(sent: list[tuple[float, Frame]]) -> np.ndarray:
    decoder = Decoder()
    return samples_of(b"".join(decoder.decode(frame.opus) for _, frame in sent))


def listen(
    playout: Playout, came: list[tuple[float, Frame]], length_ms: int
) -> tuple[np.ndarray, dict[int, int]]:
    """The sound, and when each burst was over."""
    waiting, pcm, over = list(came), b"", dict[int, int]()
    for now_ms in range(0, length_ms, 20):
        while waiting and waiting[0][0] <= now_ms:
            playout.hear(waiting[0][1], waiting.pop(0)[0])
        piece, ended = playout.read(now_ms) or (SILENCE, [])
        assert len(piece) == 640
        pcm += piece
        over |= dict.fromkeys(ended, now_ms)
    return samples_of(pcm), over


@pytest.mark.parametrize(("loss", "least"), [(0.0, 0.99), (0.05, 0.97), (0.1, 0.95)])
def test_a_sentence_through_30_ms_of_jitter_and_loss(loss: float, least: float) -> None:
    """Compared with the same packets decoded one after the other."""
    alike = []
    for seed in range(5):
        sent = said(sentence(12, seed=seed))
        playout = Playout()
        heard, over = listen(playout, Network(seed, jitter_ms=30, loss=loss).carry(sent), 5_000)
        assert list(over) == [1]
        alike.append(likeness(directly(sent), heard))
        first = int(np.flatnonzero(np.abs(heard) > 300)[0])
        assert rms(heard[first : first + 1_600]) > 500, "the first syllable"
    print(f"\nloss {loss:.0%}, jitter 30 ms, seeds 0-4: likeness {min(alike):.3f} to {max(alike):.3f}")
    assert min(alike) > least


def test_loss_that_is_filled_is_better_than_a_hole() -> None:
    sent = said(SENTENCE)
    rng = random.Random(4)
    kept = [one for one in sent if rng.random() >= 0.1]
    heard, _ = listen(Playout(), kept, 5_000)
    decoder, holes = Decoder(), b""
    for one in sent:
        holes += decoder.decode(one[1].opus) if one in kept else SILENCE
    assert likeness(directly(sent), heard) > likeness(directly(sent), samples_of(holes))


def test_garbage_costs_its_own_20_ms() -> None:
    rng = random.Random(5)
    sent = said(SENTENCE)
    spoilt = [
        (
            at,
            frame
            if n % 10
            else Frame(1, frame.seq, frame.ts, rng.randbytes(rng.randint(1, 200)), frame.flags),
        )
        for n, (at, frame) in enumerate(sent)
    ]
    playout = Playout()
    heard, over = listen(playout, spoilt, 5_000)
    assert list(over) == [1]
    assert playout.idle
    assert likeness(directly(sent), heard) > 0.7


@pytest.mark.parametrize("seed", range(10))
def test_nothing_but_garbage_is_survived(seed: int) -> None:
    rng = random.Random(seed)
    playout = Playout()
    came = [
        (n * 5.0, Frame(rng.randrange(3), rng.randrange(300), rng.randrange(2**32), rng.randbytes(rng.randrange(60)),
                        rng.randrange(256)))
        for n in range(400)
    ]  # fmt: skip
    listen(playout, came, 40_000)
    assert playout.idle


def test_a_backlog_is_made_up_for_at_the_same_pitch() -> None:
    voice = vowel(140.0, 4.0) * 9_000
    sent = said(voice)
    held_up = [(max(at, 1_500.0), frame) for at, frame in sent]
    heard, over = listen(Playout(), held_up, 7_000)
    assert over[1] < 1_500 + 4_000 - 900, "of the 1.5 s, a second at least is made up for"
    spoken = heard[np.abs(heard) > 0]
    assert pitch_hz_of(spoken[4_000:10_000]) == pytest.approx(140, rel=0.04)


def test_catch_up_takes_two_thirds_of_the_time() -> None:
    sent = said(vowel(140.0, 9.0) * 9_000, flags=CATCH_UP)
    _, over = listen(Playout(), [(at / 4, frame) for at, frame in sent], 12_000)
    assert over[1] == pytest.approx(9_000 / 1.5, abs=300)


def test_the_last_syllable_is_whole_also_when_it_is_played_fast() -> None:
    """On a network known to be quiet a burst may end while it is still made faster."""
    quiet, sent = said(SENTENCE, 1), said(vowel(140.0, 2.0) * 9_000, 2)
    held_up = [(4_500.0, frame) for _, frame in sent]
    heard, _ = listen(Playout(), [*quiet, *held_up], 8_000)
    assert directly(sent)[-100:].tobytes() in heard.tobytes()


def test_a_pause_is_as_quiet_as_it_was() -> None:
    sound = np.concatenate([SENTENCE, np.zeros(16_000), SENTENCE])
    sent = said(sound)
    heard, _ = listen(Playout(), [one for one in sent if len(one[1].opus) > 2 or one[1].flags], 8_000)
    pause = heard[SENTENCE.size + 6_000 : SENTENCE.size + 12_000]
    assert rms(pause) < 60
    word = directly(sent)[: SENTENCE.size]
    for half in (heard[: SENTENCE.size + 4_000], heard[SENTENCE.size + 12_000 :]):
        assert likeness(word, half) > 0.9


def test_two_bursts_in_a_row_are_both_whole() -> None:
    first, second = said(SENTENCE, 1), said(sentence(8, seed=9), 2, at_ms=SENTENCE.size / 16 + 20)
    heard, over = listen(Playout(), [*first, *second], 8_000)
    assert list(over) == [1, 2]
    assert likeness(np.concatenate([directly(first), directly(second)]), heard) > 0.93


def test_a_burst_is_decoded_as_if_nobody_had_spoken_before() -> None:
    """To the sample."""
    first, second = said(SENTENCE, 1), said(sentence(8, seed=9), 2, at_ms=SENTENCE.size / 16 + 500)
    heard, _ = listen(Playout(), [*first, *second], 8_000)
    for burst in (first, second):
        assert directly(burst).tobytes() in heard.tobytes()


def test_what_no_decoder_takes_is_counted_and_filled() -> None:
    playout = Playout(JitterBuffer(lambda _opus: 960))
    spoilt = [
        (at, frame if n % 10 else Frame(1, frame.seq, frame.ts, b"\xff" * 9, frame.flags))
        for n, (at, frame) in enumerate(said(SENTENCE))
    ]
    heard, over = listen(playout, spoilt, 5_000)
    assert playout.counts["undecodable"] == len(range(0, len(spoilt), 10))
    assert list(over) == [1]
    assert likeness(directly(said(SENTENCE)), heard) > 0.8


def test_idle_gives_nothing() -> None:
    playout = Playout()
    assert playout.read(0) is None
    listen(playout, said(SENTENCE), 5_000)
    assert playout.read(5_000) is None


# ------------------------------------------------------------------------------------------- the player


async def say(player: VoicePlayer, sent: list[tuple[float, Frame]]) -> None:
    clock = asyncio.get_running_loop()
    start_ms = clock.time() * 1000
    for at, frame in sent:
        await asyncio.sleep(max(0.0, (start_ms + at) / 1000 - clock.time()))
        player.hear(frame)


class Ear(NullSpeaker):
    """Remembers when each piece was heard, to the millisecond."""

    def __init__(self) -> None:
        super().__init__()
        self.loud_until_s = self.heard_until_s = 0.0
        self.pcm = b""

    async def write(self, pcm: bytes) -> None:
        self.heard_until_s = max(self.heard_until_s, asyncio.get_running_loop().time()) + len(pcm) / 32_000
        self.pcm += pcm
        if rms(samples_of(pcm)) > 300:
            self.loud_until_s = self.heard_until_s
        await super().write(pcm)


async def presented_at(bursts: list[list[tuple[float, Frame]]]) -> tuple[Ear, dict[int, tuple[float, float]]]:
    """burst → (when it was presented, until when sound was loud by then)"""
    ear, seen = Ear(), {}

    def note(burst: int) -> None:
        seen[burst] = (asyncio.get_running_loop().time(), ear.loud_until_s)

    player = VoicePlayer(ear, presented=note)
    task = asyncio.create_task(player.run())
    await say(player, [one for burst in bursts for one in burst])
    await asyncio.sleep(5)
    task.cancel()
    return ear, seen


def test_a_burst_is_presented_when_its_last_sound_has_left() -> None:
    ear, seen = in_virtual_time(presented_at([said(SENTENCE)]))
    presented_s, loud_until_s = seen[1]
    assert loud_until_s <= presented_s <= loud_until_s + 0.1
    assert likeness(directly(said(SENTENCE)), samples_of(ear.pcm)) > 0.98


def test_also_when_the_next_burst_follows_at_once() -> None:
    first = said(SENTENCE, 1)
    second = said(sentence(8, seed=9), 2, at_ms=first[-1][0] + 20)
    _, seen = in_virtual_time(presented_at([first, second]))
    assert list(seen) == [1, 2]
    end_of_first_s = (first[-1][0] + 20) / 1000 + 0.06
    assert end_of_first_s + LEAD_MS / 1000 <= seen[1][0] + 0.021 <= end_of_first_s + 0.25
    assert seen[2][0] >= seen[2][1]


def test_the_wait_from_mouth_to_ear() -> None:
    """Perfect network, nothing known about it: wait, speaker's lead, a tick."""

    async def first_sound_s() -> float:
        speaker = LoopSpeaker()
        player = VoicePlayer(speaker)
        task = asyncio.create_task(player.run())
        await say(player, said(vowel(140.0, 1.0) * 9_000)[:1])
        start_s = asyncio.get_running_loop().time()
        while rms(samples_of(await speaker.microphone.read())) < 100:
            pass
        task.cancel()
        return asyncio.get_running_loop().time() - start_s

    assert in_virtual_time(first_sound_s()) <= 0.06 + LEAD_MS / 1000 + 0.04
