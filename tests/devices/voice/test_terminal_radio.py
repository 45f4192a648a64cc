"""A terminal that is a radio: the agent round it, the keys a person types, the words of the command line."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from devices import cli
from devices import events as ev
from devices.keyboard import KeyboardHardware
from devices.voice.handset import Handset
from devices.voice.synthetic import NullSpeaker, SilentMicrophone
from protocols import down, up
from simulators.figures import Figures
from simulators.voice import SimVoice
from tests.devices.rig import Bench, terminal
from tests.devices.voice.daemon import GROUP, daemon
from tests.devices.voice.test_end_to_end import any_broker, terminals, write_wav
from tests.devices.voice.voices import sentence

__all__ = ["any_broker"]
REPOSITORY = Path(__file__).resolve().parents[3]
TALK = [down.TalkGroup(GROUP, "All")]


def fitted() -> Bench:
    bench = terminal()
    bench.do(ev.VoiceFitted("t-1"))
    bench.down(down.Membership(2, "pa-1", True, [GROUP], TALK))
    return bench


def requests(bench: Bench) -> list[up.FloorRequest]:
    return [one for one in bench.sent("floor-request") if isinstance(one, up.FloorRequest)]


# --- the agent


def test_without_sound_nothing_of_voice_is_said() -> None:
    bench = terminal()
    bench.down(down.Membership(2, "pa-1", True, [GROUP], TALK))
    bench.do(ev.PttPressed())
    bench.down(down.FloorTaken(GROUP, 1, "t-2"), group=GROUP)
    bench.run(5_000)
    assert not bench.sent("floor-request")
    assert not bench.sent("voice-join")
    assert bench.sent("hello")[-1].profile == "A"


def test_a_radio_says_so_joins_after_the_hello_and_asks_for_the_floor() -> None:
    bench = fitted()
    bench.connect()
    assert bench.sent("hello")[-1].profile == "C"
    bench.run(50)
    assert len(bench.sent("voice-join")) == 1
    bench.do(ev.PttPressed())
    assert [one.group for one in requests(bench)] == [GROUP]


def test_the_emergency_key_raises_the_alarm_and_asks_by_priority() -> None:
    bench = fitted()
    bench.do(ev.EmergencyDown())
    bench.run(1_100)
    bench.do(ev.EmergencyUp())
    assert bench.unique("alarm")[-1].kind == "emergency"
    assert requests(bench)[-1].priority == "emergency"


def test_a_site_may_want_no_hot_microphone() -> None:
    bench = fitted()
    bench.down(down.Config(1, {"hot_microphone_s": 0}))
    bench.do(ev.EmergencyDown())
    bench.run(1_100)
    assert bench.unique("alarm")
    assert not requests(bench)


def test_a_floor_message_that_is_too_old_is_nothing() -> None:
    bench = fitted()
    bench.do(ev.PttPressed())
    bench.site_ahead += 60_000
    bench.connect()  # site time is learned anew
    bench.site_ahead -= 60_000
    bench.down(down.FloorGranted(GROUP, 1, 1, 30_000), ttl_ms=5_000)
    assert not [action for _, action in bench.done if isinstance(action, ev.StartTalking)]


def test_a_live_broadcast_is_presented_when_its_burst_was_heard() -> None:
    bench = fitted()
    bench.down(down.Broadcast("it-1", "bc-1", "now live", live=GROUP))
    assert not bench.sounding()
    assert bench.rungs("it-1") == [("delivered", None)]
    bench.do(ev.BurstHeard("another", 6))
    assert bench.rungs("it-1") == [("delivered", None)]
    bench.do(ev.BurstHeard(GROUP, 7))
    assert bench.rungs("it-1")[-1] == ("presented", None)


def test_a_howl_is_told_to_the_site() -> None:
    bench = fitted()
    bench.do(ev.HowlHeard(2_000))
    assert bench.sent("howling") == [up.Howling(2_000, GROUP)]


def test_timers_of_the_radio_are_the_agents() -> None:
    bench = fitted()
    bench.do(ev.PttPressed())
    bench.run(5_000)
    assert len(requests(bench)) == 3


# --- the person


class Person:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.events: list[ev.Event] = []
        self.keyboard = KeyboardHardware("terminal", lambda *line: self.lines.append(line))
        self.handset = Handset(SilentMicrophone(), NullSpeaker(), lambda *line: None)
        self.bench = fitted()
        self.keyboard.attach(self.handset, lambda: self.bench.agent.radio)

    def types(self, line: str) -> list[ev.Event]:
        """What it sets off, but for what the sensors say."""
        word, *rest = line.split()
        before = len(self.events)
        self.keyboard._typed(word, rest, self.events.append)
        return [one for one in self.events[before:] if not isinstance(one, ev.HardwareState)]


async def test_lines_are_keys_of_the_radio() -> None:
    person = Person()
    assert person.types("talk") == [ev.PttPressed()]
    assert person.types("over") == [ev.PttPressed(down=False)]
    assert person.types("group tg-2") == [ev.SelectGroup("tg-2")]
    person.types("groups")
    assert ("group", f"▶ {GROUP} All") in person.lines
    person.types("volume 30")
    assert person.handset.overlay.volume_pct == 30
    assert person.events[-1] == ev.HardwareState(None, 100, 100, 30)
    person.types("mute")
    assert person.handset.overlay.volume_pct == 0
    person.types("unmute")
    for wrong in ("volume 101", "volume x", "group", "level up now"):
        person.types(wrong)
        assert (("help", f"看不懂:{wrong}") in person.lines) is (wrong != "level up now")
    assert person.handset.overlay.volume_pct == 30


# --- the command line


def credentials(folder: Path, port: int, device: str = "t-1") -> Path:
    path = folder / f"{device}.json"
    urls = [f"mqtt://127.0.0.1:{port}"]
    path.write_text(json.dumps({"device": device, "kind": "terminal", "urls": urls, "secret": "s"}))
    path.chmod(0o600)
    return path


def test_wrong_words_are_told_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["terminal", "--credentials", str(credentials(tmp_path, 1))]
    assert cli.main([*given, "--mic", "megaphone"]) == cli.BAD_INPUT
    assert "tone:440" in capsys.readouterr().err
    assert cli.main([*given, "--speaker", "horn"]) == cli.BAD_INPUT
    assert "null" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main([])


async def test_a_script_talks_in_a_shell_and_another_terminal_hears_it(
    any_broker: int, tmp_path: Path
) -> None:
    write_wav(tmp_path / "hello.wav", sentence(3))
    figures = Figures()
    ear = SimVoice("t-2", figures)
    async with daemon(any_broker) as here, terminals(here, any_broker, t_2=ear) as (two,):
        arguments = [
            "--credentials",
            str(credentials(tmp_path, any_broker)),
            "--dir",
            str(tmp_path / "state"),
        ]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "devices.cli", "terminal", *arguments, "--json"),
            *("--mic", f"file:{tmp_path / 'hello.wav'}", "--speaker", "null"),
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        async with asyncio.timeout(20):
            await until(process.stdout, "hello")
            await here.here.say("t-1", down.Membership(1, "pa-1", True, [GROUP], TALK))
            await until(process.stdout, "voice-keys")
            process.stdin.write(b"talk\n")
            await two.until("heard-out")
            process.stdin.write(b"over\nquit\n")
            rest = [json.loads(line) for line in (await process.communicate())[0].splitlines()]
    assert process.returncode == 0
    assert figures.words[1].heard["t-2"] > 15
    assert {"hardware": "floor", "text": "请讲"} in rest
    assert next(line["state"] for line in rest if line.get("ev") == "floor") == "pending-request"


async def until(stream: asyncio.StreamReader, name: str) -> None:
    while line := await stream.readline():
        if json.loads(line).get("ev") == name:
            return
    raise AssertionError(f"no line {name}")
