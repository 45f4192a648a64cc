"""Simulated radios: what is said is counted where it is heard, with its delay; and a WAV becomes packets."""

import asyncio
import wave
from pathlib import Path
from typing import Any

import pytest

from devices import events as ev
from devices.credentials import Credentials
from devices.voice.radio_events import Heard
from devices.voice.sound import SoundFailed
from protocols import down
from protocols.opus import Decoder
from protocols.voice import LAST, Frame
from simulators.assemble import Manner, assemble
from simulators.figures import Figures
from simulators.roster import Roster
from simulators.script import Script
from simulators.voice import SimVoice, encoded, from_wav, la_la_la, word, write_wav
from simulators.words import words
from tests.devices.conftest import amqtt, free_port
from tests.devices.voice.daemon import GROUP, daemon


def heard(ts: int, *, burst: int = 1, flags: int = 0) -> Heard:
    return Heard("g", Frame(burst, ts // 960, ts, b"x", flags), "t-1", "normal", 0)


async def test_it_says_its_word_once_in_real_time_and_lets_go() -> None:
    figures, said, fed = Figures(), list[tuple[bytes, int, bool]](), list[ev.Event]()
    over, lines = asyncio.Event(), list[dict[str, Any]]()
    one = SimVoice("t-1", figures)
    one.log = lines.append

    def feed(event: ev.Event) -> None:
        fed.append(event)
        if event == ev.PttPressed(down=False):
            over.set()

    running = asyncio.create_task(one.run(feed))
    await asyncio.sleep(0)
    packets = word(200)
    assert one.speak(packets, "g")
    assert fed == [ev.SelectGroup("g"), ev.PttPressed()]
    one.listen()
    began_s = asyncio.get_running_loop().time()
    one.talk(7, lambda opus, ts, last: said.append((opus, ts, last)))
    async with asyncio.timeout(5):
        await over.wait()
    assert asyncio.get_running_loop().time() - began_s >= 0.19
    assert [opus for opus, _, last in said if not last] == packets
    assert said[-1] == (b"", len(packets) * 960, True)
    assert figures.frames_sent == len(packets) + 1
    [line] = lines
    assert (line["ev"], line["burst"], line["frames"]) == ("said", 7, len(packets) + 1)
    assert line["seq"] == list(range(len(packets) + 1))
    steps = [after - before for before, after in zip(line["at_ms"], line["at_ms"][1:], strict=False)]
    assert all(19 <= step <= 21 for step in steps), (
        "when the microphone would have given them, not when it was time"
    )
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
            fleet.word = word(400)
            script = Script(fleet, words("en"), str)
            assert script.do("talk t-1") == "talk t-1: done"
            await here.until(lambda: len(here.frames) == 21)
            await here.until(lambda: not here.talker)
        assert fleet.devices["t-1"].voice is not None
        async with asyncio.timeout(5):
            while fleet.figures.frames_heard < 42:
                await asyncio.sleep(0)
        [spoken] = fleet.figures.words.values()
        assert (spoken.talker, spoken.group, spoken.sent) == ("t-1", GROUP, 21)
        assert fleet.figures.listeners == {"t-2", "t-3"}
        assert fleet.figures.mouth_to_ear_ms.total() == 42
        assert fleet.figures.grant_ms.total() == 1
        assert fleet.tuned("t-2", GROUP)
        assert not fleet.tuned("t-2", "another")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_out_of_coverage_nothing_is_heard() -> None:
    one = SimVoice("t-2", Figures())
    one.covered = False
    one.hear(heard(0, flags=LAST))
    assert one.figures.frames_heard == 0


async def test_what_is_heard_stands_in_the_log_once_the_word_is_over_or_the_device_goes_off() -> None:
    figures, lines, fed = Figures(), list[dict[str, Any]](), list[ev.Event]()
    one = SimVoice("t-2", figures)
    one.log = lines.append
    running = asyncio.create_task(one.run(fed.append))
    await asyncio.sleep(0)
    one.over("g", 1)
    assert not fed, "nothing was heard of it"
    for ts in (0, 1_920, 960):
        one.hear(heard(ts))
    one.over("g", 1)
    assert fed == [ev.BurstHeard("g", 1)]
    assert figures.words[1].over == {"t-2"}
    one.hear(heard(0, burst=2))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [(line["ev"], line["burst"], line["group"], line["seq"]) for line in lines] == [
        ("sound-heard", 1, "g", [0, 2, 1]),
        ("sound-heard", 2, "g", [0]),
    ]
    assert [len(line["at_ms"]) for line in lines] == [3, 1]


async def test_a_word_is_a_file_that_is_heard_as_the_same_word(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", la_la_la(200))
    assert await from_wav(tmp_path / "a.wav") == word(200)


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
