"""Who said and heard what, and how long it took: percentiles, delays, words that are over, and the bounds."""

import asyncio
from collections import Counter

import pytest

from devices.voice.radio_events import Heard
from protocols.voice import CATCH_UP, Frame
from simulators.figures import MAX_NOTED, MAX_WORDS, Figures, percentile


def heard(ts: int, *, burst: int = 1, flags: int = 0) -> Heard:
    return Heard("g", Frame(burst, ts // 960, ts, b"x", flags), "t-1", "normal", 0)


def test_percentiles_of_a_histogram() -> None:
    histogram = Counter({5: 98, 20: 1, 70: 1})
    assert [percentile(histogram, part) for part in (0.5, 0.98, 0.99, 1.0)] == [5, 5, 20, 70]
    assert percentile(Counter(), 0.5) is None


def test_delays_are_counted_of_what_was_said_here_and_not_of_catch_up() -> None:
    figures = Figures()
    figures.said("t-1", 1, 960, 1_000)
    figures.heard("t-2", heard(960), 1_007)
    figures.heard("t-2", heard(960, flags=CATCH_UP), 5_000)
    figures.heard("t-3", heard(1_920), 1_030)
    assert figures.mouth_to_ear_ms == {7: 1}
    assert (figures.frames_sent, figures.frames_heard) == (1, 3)
    assert figures.listeners == {"t-2", "t-3"}
    assert figures.talkers == {"t-1"}


def test_a_word_from_elsewhere_has_listeners_and_no_delay() -> None:
    figures = Figures()
    figures.heard("t-2", Heard("g", Frame(4, 0, 0, b"x"), "", "normal", 0), 5)
    figures.heard("t-2", Heard("g", Frame(4, 1, 960, b"x"), "admin", "normal", 0), 25)
    assert (figures.words[4].group, figures.words[4].talker, figures.words[4].sent) == ("g", "admin", 0)
    assert not figures.mouth_to_ear_ms


def test_what_is_remembered_is_bounded() -> None:
    figures = Figures()
    for ts in range(MAX_NOTED + 5):
        figures.said("t-1", 1, ts, ts)
    assert (len(figures.words[1].said_ms), figures.words[1].sent) == (MAX_NOTED, MAX_NOTED + 5)
    for burst in range(2, MAX_WORDS + 2):
        figures.said("t-1", burst, 0, 0)
    assert len(figures.words) == MAX_WORDS
    assert 1 not in figures.words


async def test_a_word_that_is_over_wakes_who_waits_for_it() -> None:
    figures = Figures()
    figures.heard("t-2", heard(0), 0)
    waits = asyncio.create_task(figures.until(lambda: figures.words[1].over == {"t-2", "t-3"}, 5))
    await asyncio.sleep(0)
    for device in ("t-2", "t-3"):
        figures.over(device, 1)
        await asyncio.sleep(0)
    assert await waits


@pytest.mark.parametrize("within_s", [0, 0.01])
async def test_nobody_waits_for_ever(within_s: float) -> None:
    assert not await Figures().until(lambda: False, within_s)
