"""A spoken sentence from one microphone to ten loudspeakers, by each carriage, and through a network that loses."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.e2e.voice.radio import Terminal
from tests.e2e.voice.stand import Stand, stand
from tests.sound.compare import compare
from tests.sound.relay import Weather
from tests.sound.spoken import SENTENCE, reference, spoken

LISTENERS = 10
SHORT = "东门有人走失。"
JITTER_MS = 30.0


SLOW_GRANT_S = 0.15
UNLUCKY = {0.10: 1}
"""Of ten: whose last syllable fell into one hole of four frames."""


@pytest.fixture(scope="module", autouse=True)
def _spoken_before() -> None:
    """Speaking and decoding take time that no loop has."""
    for text in (SHORT, SENTENCE):
        reference(text)


async def all_heard(here: Stand, burst: int, text: str, loss: float) -> None:
    talker, *listeners = here.radios
    assert len(listeners) == LISTENERS
    wanted, faulty = reference(text), list[object]()
    print(f"granted after {talker.access_ms(burst)} ms")
    for one in listeners:
        await one.heard_out(burst)
        report = compare(wanted, one.handset.tape.sound())
        print(one.device, report, one.missing(burst), dict(one.handset.overlay.counts))
        faulty += [(one.device, report, report.faults(loss))] if report.faults(loss) else []
        assert one.doubles() == []
    assert len(faulty) <= UNLUCKY.get(loss, 0), faulty
    assert talker.handset.heard == [], "he does not hear himself"


def untouched(talker: Terminal, one: Terminal, burst: int) -> bool:
    """The very packets that left the talker's encoder, in their order."""
    return [ear.opus for ear in one.frames(burst)] == talker.packets(burst)


async def test_ten_hear_a_sentence_by_datagram(tmp_path: Path) -> None:
    async with stand(tmp_path, 1 + LISTENERS) as here:
        talker, *listeners = here.radios
        burst = await talker.say(spoken(SHORT))
        await all_heard(here, burst, SHORT, 0.0)
        assert all(untouched(talker, one, burst) for one in listeners)
        assert (await here.counts()).get("published", 0) == 0


async def test_who_speaks_before_the_floor_is_his_is_heard_from_the_first_syllable(tmp_path: Path) -> None:
    """He speaks as he presses, the grant is late, and the tone that tells him so sounds into his first word."""
    async with stand(tmp_path) as here:
        talker, listener = here.radios
        at_s = asyncio.get_running_loop().time()
        here.daemon.send(signal.SIGSTOP)
        asyncio.get_running_loop().call_later(SLOW_GRANT_S, here.daemon.send, signal.SIGCONT)
        burst = await talker.say(spoken(SHORT), at_once=True)
        assert talker.lines("floor", state="permission")[0]["at_s"] - at_s >= SLOW_GRANT_S
        await listener.heard_out(burst)
        report = compare(reference(SHORT), listener.handset.tape.sound())
        assert not report.faults(), (report, report.faults())


@pytest.mark.full
@pytest.mark.parametrize("loss", [0.0, 0.05, 0.10])
async def test_ten_hear_a_sentence_through_loss_and_jitter(tmp_path: Path, loss: float) -> None:
    up = Weather(loss=loss / 2, delay_ms=20)
    down = Weather(loss=loss / 2, delay_ms=20, jitter_ms=JITTER_MS)
    async with stand(tmp_path, 1 + LISTENERS, up=up, down=down) as here:
        burst = await here.radios[0].say(spoken(SENTENCE))
        await all_heard(here, burst, SENTENCE, loss)
        assert {one.radio.carriage for one in here.radios} == {"datagram"}


@pytest.mark.full
@pytest.mark.parametrize("broker", ["amqtt", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
async def test_ten_hear_a_sentence_by_mqtt(tmp_path: Path, broker: str) -> None:
    async with stand(tmp_path, 1 + LISTENERS, broker, datagrams=False) as here:
        talker, *listeners = here.radios
        burst = await talker.say(spoken(SENTENCE))
        await all_heard(here, burst, SENTENCE, 0.0)
        assert all(untouched(talker, one, burst) for one in listeners)
        assert {one.radio.carriage for one in here.radios} == {"mqtt"}
