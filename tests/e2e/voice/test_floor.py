"""One talker at a time, as listeners hear it: two keys in one instant, and an emergency into another's word."""

import asyncio
from itertools import groupby
from pathlib import Path

import pytest

from devices import events as ev
from tests.e2e.voice.radio import Ear, Terminal
from tests.e2e.voice.stand import stand
from tests.sound.compare import compare
from tests.sound.spoken import ANSWER, SENTENCE, reference, spoken

HOT_S = 3
"""As configured here; 10 by default."""
HOLD_S = 1.0
"""The emergency key is held."""
MIDDLE = 40


@pytest.fixture(scope="module", autouse=True)
def _spoken_before() -> None:
    for text in (SENTENCE, ANSWER):
        reference(text)


def turns(heard: list[Ear]) -> list[int]:
    """The bursts in the order they were heard, each once for every time that its turn came."""
    return [burst for burst, _ in groupby(heard, key=lambda one: one.burst)]


def never_mixed(listener: Terminal) -> bool:
    """No burst comes back after another was heard."""
    order = turns(listener.handset.heard)
    return len(order) == len(set(order))


@pytest.mark.full
async def test_two_keys_in_one_instant(tmp_path: Path) -> None:
    """One has the floor, the other waits and has it next; every listener hears the one and then the other."""
    async with stand(tmp_path, 4) as here:
        one, two, *listeners = here.radios
        await asyncio.gather(one.press(), two.press())
        async with asyncio.timeout(10):
            while not (one.handset.words or two.handset.words):
                await asyncio.sleep(0.005)
        first, second = (one, two) if one.handset.words else (two, one)
        a = await first.granted()
        first.handset.mouth.say(spoken(ANSWER))
        await second.logged("floor", state="queued")
        assert second.handset.words == []
        await first.handset.mouth.silent.wait()
        await first.let_go()
        b = await second.granted()
        second.handset.mouth.say(spoken(SENTENCE))
        await second.handset.mouth.silent.wait()
        await second.let_go()
        for listener in listeners:
            await listener.heard_out(b)
            assert turns(listener.handset.heard) == [a, b]
            assert [ear.opus for ear in listener.frames(a)] == first.packets(a)
            assert [ear.opus for ear in listener.frames(b)] == second.packets(b)


async def test_an_emergency_breaks_into_a_word(tmp_path: Path) -> None:
    """Alarm, floor, a microphone that is hot by itself; heard from its first syllable, by him who talked as well."""
    async with stand(tmp_path, 4) as here:
        talker, needy, *listeners = here.radios
        hot = {"hot_microphone_s": HOT_S}
        await here.daemon.command("config", device=needy.device, values=hot)
        await needy.logged("config")
        await talker.press()
        first = await talker.granted()
        talker.handset.mouth.say(spoken(SENTENCE))
        await listeners[0].until(lambda: len(listeners[0].frames(first)) >= MIDDLE)
        mark = len(listeners[0].handset.tape.pieces)
        await needy.key(ev.EmergencyDown())
        second = await needy.granted()
        at_s = asyncio.get_running_loop().time()
        needy.handset.mouth.say(spoken(ANSWER))
        await needy.key(ev.EmergencyUp())
        await talker.told("somebody more urgent has taken the floor")
        await needy.until(lambda: not needy.radio.talking)
        hot_s = asyncio.get_running_loop().time() - at_s
        print(f"microphone hot for {hot_s:.2f} s of {HOT_S}")
        assert HOT_S - 0.3 <= hot_s <= HOT_S + 2
        for listener in listeners:
            await listener.heard_out(second)
            assert never_mixed(listener)
            assert turns(listener.handset.heard) == [first, second]
            assert [ear.opus for ear in listener.frames(second)] == needy.packets(second)
        assert [ear.opus for ear in talker.frames(second)] == needy.packets(second)
        said = reference(ANSWER)[: 16_000 * (HOT_S - 1)]
        report = compare(said, listeners[0].handset.tape.sound(mark))
        print(report)
        assert not report.faults(), report.faults()
        incidents = (await here.daemon.feed_snapshot())["incidents"]
        assert [one["kind"] for one in incidents.values()] == ["emergency"]
