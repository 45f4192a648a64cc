"""kill -9 of the daemon, or of its broker, in mid-word: who still holds the key talks on, and is heard."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from tests.e2e.voice.radio import Sound, Terminal
from tests.e2e.voice.stand import stand
from tests.sound.spoken import ANSWER, SENTENCE, spoken

HEARD_AGAIN_S = 15.0
"""From kill -9 to the next frame heard, start of the daemon and of its broker included."""
MIDDLE = 40
"""Frames heard when it happens."""
STILL_AT_LEAST = 25
"""Frames that must be heard after it: half a second."""


@pytest.fixture(scope="module")
def words() -> Sound:
    """Long enough for a daemon to start in between."""
    import numpy as np

    return np.concatenate([spoken(SENTENCE), spoken(ANSWER)] * 3)


def longest_gap_s(one: Terminal) -> float:
    return max(b.at_s - a.at_s for a, b in pairwise(one.handset.heard))


async def start_talking(talker: Terminal, listener: Terminal, words: Sound) -> int:
    """The key stays down."""
    await talker.press()
    burst = await talker.granted()
    talker.handset.mouth.say(words)
    await listener.until(lambda: len(listener.frames(burst)) >= MIDDLE)
    return burst


@pytest.mark.full
async def test_the_daemon_dies_in_mid_word(tmp_path: Path, words: Sound) -> None:
    async with stand(tmp_path) as here:
        talker, listener = here.radios
        first = await start_talking(talker, listener, words)
        killed_s = asyncio.get_running_loop().time()
        await here.daemon.kill()
        await here.daemon.start()
        started_s = asyncio.get_running_loop().time()
        await talker.until(lambda: len(talker.handset.words) == 2, HEARD_AGAIN_S)
        again = talker.handset.words[1]
        await listener.until(
            lambda: len(listener.frames(again.burst, again.at_s)) >= STILL_AT_LEAST, HEARD_AGAIN_S
        )
        back = [f"{(await one.logged('connected', 2))['at_s'] - killed_s:.2f}" for one in here.radios]
        print(
            f"daemon killed: silent for {longest_gap_s(listener):.2f} s; it was there again after "
            f"{started_s - killed_s:.2f} s, connected after {back} s, granted after {again.at_s - killed_s:.2f} s"
        )
        assert again.burst > first, "a number is never used twice"
        assert longest_gap_s(listener) < HEARD_AGAIN_S
        talker.handset.mouth.hush()
        await talker.let_go()
        await listener.heard_out(again.burst)
        assert listener.doubles(again.at_s) == []
        heard = [one.opus for one in listener.frames(again.burst, again.at_s)]
        assert heard == again.packets[-len(heard) :], "from the moment it had keys, to the end"


@pytest.mark.full
async def test_the_broker_dies_in_mid_word(tmp_path: Path, words: Sound) -> None:
    """Sound goes on by datagram; then the floor works as before."""
    async with stand(tmp_path) as here:
        talker, listener = here.radios
        burst = await start_talking(talker, listener, words)
        killed_s = asyncio.get_running_loop().time()
        assert here.daemon.kill_broker()
        while_dead = len(listener.handset.heard)
        await talker.logged("link")
        await listener.until(lambda: len(listener.handset.heard) >= while_dead + STILL_AT_LEAST)
        assert not listener.lines("receipted", key="none")
        await talker.logged("voice-keys", 2)
        await listener.logged("voice-keys", 2)
        print(
            f"broker killed: keys again after {asyncio.get_running_loop().time() - killed_s:.2f} s, "
            f"silent for at most {longest_gap_s(listener):.2f} s"
        )
        assert longest_gap_s(listener) < 1.0
        talker.handset.mouth.hush()
        await talker.let_go()
        await listener.until(lambda: not listener.talks)
        assert listener.doubles() == []
        again = await listener.say(spoken(ANSWER)[:16_000])
        assert again > burst
        await talker.heard_out(again)
        assert [one.opus for one in talker.frames(again)] == listener.packets(again)
