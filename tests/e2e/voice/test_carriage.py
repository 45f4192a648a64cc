"""The datagrams stop in mid-word: MQTT takes over and gives way again; nothing is played twice."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from tests.e2e.voice.radio import Sound, Terminal
from tests.e2e.voice.stand import stand
from tests.sound.spoken import ANSWER, SENTENCE, spoken

FALL_BACK_S = 2.0
SLACK_S = 1.0
"""A busy machine's, on top of what the service promises."""
BACK_S = 10.0
"""Three answered pings 2 s apart, and the way there."""
MIDDLE = 60
"""Frames said when it happens."""


@pytest.fixture(scope="module")
def words() -> Sound:
    """Ten seconds."""
    import numpy as np

    return np.concatenate([spoken(SENTENCE), spoken(ANSWER)])


async def changed(one: Terminal, carriage: str, within_s: float) -> float:
    """When (loop time)."""
    return float((await one.logged("carriage", within_s=within_s, carriage=carriage))["at_s"])


def longest_gap_s(one: Terminal, burst: int) -> float:
    return max(b.at_s - a.at_s for a, b in pairwise(one.frames(burst)))


@pytest.mark.parametrize(
    ("deaf", "catch_up_s"),
    [
        pytest.param("listener", 15, id="listener", marks=pytest.mark.full),
        pytest.param("talker", 15, id="talker", marks=pytest.mark.full),
        pytest.param("listener", 0, id="listener-no-catch-up", marks=pytest.mark.full),
    ],
)
async def test_datagrams_stop_in_mid_word(tmp_path: Path, words: Sound, deaf: str, catch_up_s: int) -> None:
    """The datagrams of one of the two, up and down."""
    async with stand(tmp_path, catch_up_s=catch_up_s) as here:
        talker, listener = here.radios
        fallen = talker if deaf == "talker" else listener
        saying = asyncio.create_task(talker.say(words), name="saying")
        await listener.until(lambda: len(listener.handset.heard) >= MIDDLE)
        cut_s = asyncio.get_running_loop().time()
        here.relay.darken(fallen.kid)
        took_s = await changed(fallen, "mqtt", FALL_BACK_S + SLACK_S) - cut_s
        heard = len(listener.handset.heard)
        await listener.until(lambda: len(listener.handset.heard) > heard)
        here.relay.lighten()
        burst = await saying
        await listener.heard_out(burst)
        seqs = [one.seq for one in listener.frames(burst)]
        said = len(talker.packets(burst))
        print(
            f"{deaf}: on MQTT after {took_s:.2f} s, silent for {longest_gap_s(listener, burst):.2f} s, "
            f"{len(seqs)} of {said} frames, {len(listener.caught_up(burst))} of them by catch-up"
        )
        assert listener.doubles() == []
        if deaf == "talker" or not catch_up_s:
            assert said - len(seqs) <= (FALL_BACK_S + SLACK_S) * 50
            assert listener.caught_up(burst) == []
        else:
            assert sorted(seqs) == list(range(said)), "all of it, what was missed by catch-up"
        assert await changed(fallen, "datagram", BACK_S)
        burst = await talker.say(spoken(ANSWER)[:16_000])
        await listener.heard_out(burst)
        assert [one.opus for one in listener.frames(burst)] == talker.packets(burst)
