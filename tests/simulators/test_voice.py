"""Simulated radios: what is said is counted where it is heard, with its delay; and a WAV becomes packets."""

import asyncio
import wave
from collections import Counter
from pathlib import Path

import pytest

from devices import events as ev
from devices.credentials import Credentials
from devices.voice.radio_events import Heard
from devices.voice.sound import SoundFailed
from protocols import down
from protocols.opus import Decoder
from protocols.voice import CATCH_UP, LAST, Frame
from simulators.assemble import Manner, assemble
from simulators.roster import Roster
from simulators.voice import MAX_NOTED, Figures, SimVoice, encoded, from_wav, percentile, word
from tests.devices.conftest import amqtt, free_port
from tests.devices.voice.daemon import GROUP, daemon


def heard(ts: int, *, burst: int = 1, flags: int = 0) -> Heard:
    return Heard("g", Frame(burst, ts // 960, ts, b"x", flags), "t-1", "normal", 0)


def test_percentiles_of_a_histogram() -> None:
    histogram = Counter({5: 98, 20: 1, 70: 1})
    assert [percentile(histogram, part) for part in (0.5, 0.98, 0.99, 1.0)] == [5, 5, 20, 70]
    assert percentile(Counter(), 0.5) is None


def test_delays_are_counted_of_what_was_said_here_and_not_of_catch_up() -> None:
    figures = Figures()
    figures.said(1, 960)
    figures.heard("t-2", heard(960))
    figures.heard("t-2", heard(960, flags=CATCH_UP))
    figures.heard("t-3", heard(1_920))
    assert figures.frames_heard == 3
    assert figures.listeners == {"t-2", "t-3"}
    assert figures.mouth_to_ear_ms.total() == 1


def test_what_is_remembered_is_bounded() -> None:
    figures = Figures()
    for ts in range(2 * MAX_NOTED):
        figures.said(1, ts)
    assert len(figures.said_at) == MAX_NOTED


async def test_it_says_its_word_once_in_real_time_and_lets_go() -> None:
    figures, said, fed = Figures(), list[tuple[bytes, int, bool]](), list[ev.Event]()
    over = asyncio.Event()
    one = SimVoice("t-1", figures)

    def feed(event: ev.Event) -> None:
        fed.append(event)
        if event == ev.PttPressed(down=False):
            over.set()

    running = asyncio.create_task(one.run(feed))
    await asyncio.sleep(0)
    packets = word(200)
    assert one.speak(packets)
    assert fed == [ev.PttPressed()]
    one.listen()
    began_s = asyncio.get_running_loop().time()
    one.talk(7, lambda opus, ts, last: said.append((opus, ts, last)))
    async with asyncio.timeout(5):
        await over.wait()
    assert asyncio.get_running_loop().time() - began_s >= 0.19
    assert [opus for opus, _, last in said if not last] == packets
    assert said[-1] == (b"", len(packets) * 960, True)
    assert figures.frames_sent == len(packets) + 1
    assert figures.grant_ms.total() == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not one.speak(packets), "switched off"


async def test_one_of_a_fleet_talks_and_the_others_hear_every_frame(tmp_path: Path) -> None:
    async with amqtt(free_port()) as port, daemon(port) as here:
        url = [f"mqtt://127.0.0.1:{port}"]
        people = [(Credentials(f"t-{n}", "terminal", url, "x"), "police") for n in (1, 2, 3)]
        fleet = assemble(Roster(people, []), Manner(logs=tmp_path))
        running = asyncio.create_task(fleet.run())
        async with asyncio.timeout(20):
            while fleet.online() != (3, 0):
                await fleet.changed.wait()
                fleet.changed.clear()
            for credentials, _ in people:
                group = down.TalkGroup(GROUP, "All")
                await here.here.say(credentials.device, down.Membership(1, "pa-1", True, [GROUP], [group]))
            await here.until(lambda: sum(one.address is not None for one in here.sessions.values()) == 3)
            assert fleet.talk("t-1", word(400))
            await here.until(lambda: len(here.frames) == 21)
            await here.until(lambda: not here.talker)
        assert fleet.devices["t-1"].voice is not None
        async with asyncio.timeout(5):
            while fleet.figures.frames_heard < 42:
                await asyncio.sleep(0)
        assert fleet.figures.listeners == {"t-2", "t-3"}
        assert fleet.figures.mouth_to_ear_ms.total() == 42
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_out_of_coverage_nothing_is_heard() -> None:
    one = SimVoice("t-2", Figures())
    one.covered = False
    one.hear(heard(0, flags=LAST))
    assert one.figures.frames_heard == 0


async def test_a_wav_of_any_rate_becomes_packets_of_20_ms(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(bytes(4 * 44_100))
    packets = await from_wav(tmp_path / "a.wav")
    assert 49 <= len(packets) <= 51
    decoder = Decoder()
    assert all(len(decoder.decode(opus)) == 640 for opus in packets)
    (tmp_path / "b.wav").write_bytes(b"no sound")
    with pytest.raises(SoundFailed):
        await from_wav(tmp_path / "b.wav")


def test_a_rest_of_a_frame_is_filled_up() -> None:
    assert len(encoded(bytes(641))) == 2
