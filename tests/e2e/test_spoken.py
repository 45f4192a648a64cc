"""`ctl say` to real devices through a real daemon and its broker: bit by bit, to the end, and through a kill."""

import asyncio
import contextlib
import io
import json
import random
import sys
import time
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from devices import events as ev
from devices.credentials import Credentials
from devices.hardware import Feed
from devices.listener import Listener
from devices.outbox import MemoryOutbox
from devices.pillar import PillarAgent
from devices.shell import run_device
from devices.terminal import TerminalAgent
from protocols.clip import digest
from simulators.hardware import SimHardware
from tests.e2e.process import ROOT, Daemon, daemon, until

SITE: dict[str, Any] = {
    "name": "spoken",
    "timezone": "Asia/Shanghai",
    "unit": [{"id": "top", "name": "分局"}],
    "patrol": [{"id": "patrol-1", "unit": "top", "force": "police"}],
    "device": [
        {"id": "pillar-1", "kind": "pillar", "unit": "top", "lat": 26.9, "lon": 112.6},
        {"id": "radio-1", "kind": "terminal", "unit": "top", "patrol": "patrol-1"},
    ],
}


class Hardware(SimHardware):
    """Keeps what it plays, and since when."""

    def __init__(self, pace: float) -> None:
        super().__init__(pace=pace)
        self.plays: list[tuple[int, ev.Play]] = []

    def play(self, play: ev.Play, feed: Feed) -> None:
        self.plays.append((_now_ms(), play))
        super().play(play, feed)


def _now_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Running:
    """One device of this process."""

    def __init__(self, id_: str, at: Daemon, pace: float) -> None:
        kind: type[Listener] = PillarAgent if id_.startswith("pillar") else TerminalAgent
        outbox = MemoryOutbox("boot-1")
        self.agent = kind.restore(outbox.records, outbox.boot, rng=random.Random(7))
        self.hardware = Hardware(pace)
        self.log: list[dict[str, Any]] = []
        credentials = Credentials(id_, kind.role, [f"mqtt://127.0.0.1:{at.port}"], at.secrets[id_])
        self.work = run_device(self.agent, credentials, self.hardware, outbox, self.log.append)

    def lines(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.log if line["ev"] == name]


@contextlib.asynccontextmanager
async def running(at: Daemon, *, pace: float = 1.0) -> AsyncIterator[list[Running]]:
    """Both devices, greeted."""
    found = [Running(id_, at, pace) for id_ in ("pillar-1", "radio-1")]
    tasks = [asyncio.create_task(each.work) for each in found]
    try:
        await until(lambda: all(each.lines("hello") for each in found))
        yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ctl(at: Daemon, *args: str) -> tuple[int, dict[str, Any]]:
    """Exit code and the JSON answer of `dispatchd ctl ARGS`."""
    command = [sys.executable, "-m", "dispatchd", "ctl", *args, "--dir", str(at.folder / "state"), "--json"]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, json.loads(said.splitlines()[-1])


async def test_what_is_said_is_heard_bit_by_bit_and_presented_at_its_end(tmp_path: Path) -> None:
    async with daemon(tmp_path, "amqtt", SITE) as at, running(at) as devices:
        code, doc = await ctl(at, "say", "集合,拨打110", "--to", "all", "--to", "pillar-1")
        assert code == 0
        assert doc["ladder"]["presented"] == 2
        made = await at.client.get(f"/clips/{doc['clip']}/sound")
        assert made.content.startswith(b"OggS")
        for each in devices:
            [(began_ms, play)] = each.hardware.plays
            assert digest(play.frames).hex()[:32] == doc["clip"]
            assert len(play.frames) * 20 == doc["clip_ms"] > 1_000
            [presented] = each.lines("presented")
            assert presented["t_ms"] - began_ms >= doc["clip_ms"], "not before its end was heard"
        code, doc = await ctl(at, "broadcast", "只有文字", "--everybody", "--no-speech")
        assert (code, doc["clip"]) == (0, "")
        assert devices[1].hardware.plays[-1][1].frames == ()


def noise(seconds: int) -> bytes:
    """A WAV that makes many parts."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(random.Random(7).randbytes(seconds * 32_000))
    return file.getvalue()


@pytest.mark.full
async def test_a_daemon_killed_in_the_middle_of_a_fetch_loses_no_sound(tmp_path: Path) -> None:
    (tmp_path / "noise.wav").write_bytes(noise(80))
    async with daemon(tmp_path, "amqtt", SITE) as at, running(at, pace=200.0) as devices:
        radio = devices[1]
        asking = asyncio.create_task(
            ctl(
                at,
                "broadcast",
                "录音",
                "--device",
                "radio-1",
                "--file",
                str(tmp_path / "noise.wav"),
                "--no-wait",
            )
        )
        await until(lambda: radio.agent._clips.held_bytes > 0, within_s=30, every_s=0.001)
        assert not radio.lines("clip"), "it came at once: this test proves nothing"
        await at.kill()
        await asking
        held = radio.agent._clips.held_bytes
        assert not radio.lines("clip")
        assert held > 0
        await at.start()
        await until(lambda: radio.lines("presented"), within_s=30)
        [(_, play)] = radio.hardware.plays
        assert len(play.frames) == 80 * 50
        listed = await at.get("/broadcasts")
        [broadcast] = listed["items"]
        assert digest(play.frames).hex()[:32] == broadcast["clip"]
        await until(lambda: _presented(at))


async def _presented(at: Daemon) -> bool:
    listed = await at.get("/broadcasts")
    return bool(listed["items"][0]["ladder"]["presented"] == 1)


async def test_a_clip_is_uploaded_heard_and_refused_in_sentences(tmp_path: Path) -> None:
    async with daemon(tmp_path, "amqtt", SITE) as at:
        made = (await at.client.post("/clips", content=noise(1))).raise_for_status().json()
        assert made["ms"] == 1_000
        assert (await at.client.post("/clips", content=b"no sound")).json()["code"] == "bad-sound"
        assert (await at.client.post("/clips", content=bytes(11 * 2**20))).status_code == 413
        assert (await at.client.get("/clips/0000/sound")).status_code == 404
        foreign = {**made, "clip": "0" * 32}
        body = {"text": "x", "target": {"everybody": True}, "clip": foreign}
        answer = await at.client.post("/commands/broadcast", json=body)
        assert (answer.status_code, answer.json()["field"]) == (404, "$.clip")


async def test_without_speech_it_goes_as_text_and_says_so(tmp_path: Path) -> None:
    made = Daemon(tmp_path, "amqtt")
    settings = json.loads(made._settings.read_text())
    made._settings.write_text(json.dumps({**settings, "speech": {"voice": "off"}}))
    try:
        await made.start()
        await made.command("site", site=SITE)
        answer = await made.command("broadcast", text="集合", target={"everybody": True})
        assert answer["ids"]["broadcast"]
        assert "Sent as text" in answer["note"]
        assert "switched off" in answer["note"]
    finally:
        await made.kill()
        await made.client.aclose()
