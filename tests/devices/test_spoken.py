"""A broadcast with its own sound, at a pure agent: fetched, verified, played to the end, and what happens when not."""

import itertools
import random
from typing import Any

import pytest

from devices import events as ev
from devices.listener import CLIP_WITHIN_MS
from devices.voice.clips import ASK_FIRST_MS, ASK_MAX_MS, MAX_CLIPS, RETRY_MAX, Clips
from protocols import down
from protocols.clip import describe, parts_of
from tests.devices.rig import Bench, pillar, terminal

BOTH = pytest.mark.parametrize("made", [pillar, terminal])


def sound(frames: int = 600, seed: int = 1) -> list[bytes]:
    """Packets as an encoder makes them: some 60 bytes each, so that 600 of them are three parts."""
    rng = random.Random(seed)
    return [rng.randbytes(rng.randrange(55, 65)) for _ in range(frames)]


FRAMES = sound()
CLIP = describe(FRAMES)


def spoken(
    item: str = "it-1", broadcast: str = "b-1", clip: down.Clip = CLIP, **fields: Any
) -> down.Broadcast:
    return down.Broadcast(item, broadcast, "请到东门集合", clip=clip, **fields)


def part(number: int, frames: list[bytes] = FRAMES) -> down.ClipPart:
    return down.ClipPart(describe(frames).clip, number, parts_of(frames)[number])


def asked(bench: Bench) -> list[list[int]]:
    return [request.parts for request in bench.sent("clip-request")]


def test_three_parts_are_what_this_test_speaks_of() -> None:
    assert CLIP.parts == 3
    assert CLIP.ms == 12_000


@BOTH
def test_the_clip_is_fetched_in_any_order_and_played_bit_by_bit(made: Any) -> None:
    bench = made()
    bench.down(spoken())
    assert asked(bench) == [[0, 1, 2]]
    for number in (2, 0, 0):
        bench.down(part(number))
    assert not bench.sounding()
    assert bench.rungs("it-1") == [("delivered", None)]
    bench.down(part(1))
    [(_, play)] = bench.plays()
    assert list(play.frames) == FRAMES
    bench.run(900)
    assert bench.rungs("it-1") == [("delivered", None)], "presented is the end of it, not the beginning"
    bench.run(200)
    assert bench.rungs("it-1") == [("delivered", None), ("presented", None)]
    bench.run(60_000)
    assert len(asked(bench)) == 1, "what is here is not asked for again"


def test_what_is_missing_is_asked_for_again_and_more_slowly() -> None:
    bench = terminal()
    bench.down(spoken(expires_at=bench.site_now + 3_600_000))
    bench.run(ASK_FIRST_MS - 1)
    assert asked(bench) == [[0, 1, 2]]
    bench.down(part(1))
    bench.run(ASK_FIRST_MS)
    assert asked(bench)[1:] == [[0, 2]]
    before = bench.now
    bench.run(CLIP_WITHIN_MS - 3_000)
    times = [
        at for at, a in bench.done if isinstance(a, ev.Publish) and a.kind == "clip-request" and at > before
    ]
    distances = [b - a for a, b in itertools.pairwise(times)]
    assert distances == sorted(set(distances)), "each longer than the one before"
    assert max(distances) <= ASK_MAX_MS


def test_after_a_new_connection_it_asks_at_once() -> None:
    bench = terminal()
    bench.down(spoken())
    bench.down(part(0))
    bench.do(ev.Disconnected("daemon killed"))
    bench.run(5_000)
    assert len(asked(bench)) == 1, "without a connection nothing is asked"
    bench.connect()
    assert asked(bench)[1:] == [[1, 2]]


@pytest.mark.parametrize(("life_ms", "within_ms"), [(3_600_000, CLIP_WITHIN_MS), (20_000, 10_000)])
def test_without_its_clip_the_text_is_said_in_time(life_ms: int, within_ms: int) -> None:
    bench = terminal()
    bench.down(spoken(expires_at=bench.site_now + life_ms))
    bench.down(part(0))
    bench.run(within_ms - 100)
    assert not bench.plays()
    bench.run(200)
    [(_, play)] = bench.plays()
    assert (play.text, play.frames) == ("请到东门集合", ())
    bench.run(2_000)
    assert bench.rungs("it-1")[-1] == ("presented", None)
    bench.down(part(1))
    bench.down(part(2))
    assert len(bench.plays()) == 1, "what comes too late is not played as well"


def test_a_false_part_is_never_played() -> None:
    bench = terminal()
    bench.down(spoken())
    false = sound(seed=2)
    for _ in range(RETRY_MAX + 1):
        for number in (0, 1):
            bench.down(part(number))
        bench.down(down.ClipPart(CLIP.clip, 2, parts_of(false)[2]))
        bench.run(ASK_FIRST_MS)
    bench.run(CLIP_WITHIN_MS)
    assert all(play.frames == () for _, play in bench.plays())
    assert bench.rungs("it-1")[-1] == ("presented", None), "by its text"


def test_parts_that_nobody_asked_for_are_passed_over() -> None:
    clips = Clips()
    assert clips.received(part(0), 0) is None
    assert clips.want(CLIP, 0)
    huge = down.ClipPart(CLIP.clip, 0, [bytes(640)] * 400)
    empty = down.ClipPart(CLIP.clip, 0, [])
    beyond = down.ClipPart(CLIP.clip, 3, FRAMES[:10])
    for wrong in (huge, empty, beyond):
        assert clips.received(wrong, 0) is None
    assert clips.held_bytes == 0


def test_memory_is_bounded() -> None:
    clips = Clips()
    long = [describe(sound(14_000, seed)) for seed in range(3)]
    assert [clips.want(clip, 0) for clip in long] == [True, True, False]
    clips.drop(long[0].clip)
    assert clips.want(long[2], 0)
    many = Clips()
    assert [many.want(describe(sound(10, seed)), 0) for seed in range(MAX_CLIPS + 1)] == [
        True
    ] * MAX_CLIPS + [False]


def test_a_clip_that_does_not_fit_is_said_as_text_at_once() -> None:
    bench = terminal()
    bench.down(spoken(clip=down.Clip("c-long", 600_000, 64, bytes(32))))
    assert [play.text for _, play in bench.plays()] == ["请到东门集合"]


def test_a_cancelled_broadcast_is_not_fetched_any_more() -> None:
    bench = terminal()
    bench.down(spoken())
    bench.down(down.BroadcastCancel("it-2", "b-1"))
    for number in range(3):
        bench.down(part(number))
    bench.run(2 * CLIP_WITHIN_MS)
    assert not bench.plays()
    assert len(asked(bench)) == 1


def test_the_second_of_two_with_one_sound_has_it_too() -> None:
    bench = terminal()
    bench.down(spoken())
    bench.down(spoken("it-2", "b-2"))
    for number in range(3):
        bench.down(part(number))
    bench.run(5_000)
    assert [list(play.frames) for _, play in bench.plays()] == [FRAMES, FRAMES]
    assert bench.agent._clips.held_bytes == 0, "nobody needs it any more"


def test_a_speaker_that_fails_is_told_with_its_reason() -> None:
    bench = terminal(speaker="fails")
    bench.down(spoken())
    for number in range(3):
        bench.down(part(number))
    bench.run(2_000)
    assert bench.rungs("it-1")[-1] == ("failed", "player-failed")


def test_a_press_puts_it_back_with_its_sound() -> None:
    bench = pillar()
    bench.down(spoken())
    for number in range(3):
        bench.down(part(number))
    bench.press()
    bench.receipt_all("i-1")
    bench.run(30_000)
    bench.down(down.Prompt("it-9", "i-1", "ended"))
    bench.run(5_000)
    assert [len(play.frames) for _, play in bench.plays() if play.text == "请到东门集合"] == [600, 600]
    assert bench.rungs("it-1")[-1] == ("presented", None)


def test_a_silent_pillar_neither_fetches_nor_plays() -> None:
    bench = pillar()
    bench.press(key="duress")
    bench.down(spoken())
    assert not asked(bench)
    assert bench.rungs("it-1")[-1] == ("failed", "refused")
