"""The shell on real brokers, in this process and as a process of its own that is killed."""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from devices import events as ev
from devices.credentials import Credentials
from devices.hardware import Display, Feed, Key, Lamp, Sensors, Speaker, Vibrator
from devices.outbox import MemoryOutbox
from devices.outbox_file import FileOutbox
from devices.pillar import PillarAgent
from devices.shell import run_device
from devices.terminal import TerminalAgent
from protocols import down
from tests.devices.conftest import free_port, mosquitto
from tests.devices.site import Site, site

REPOSITORY = Path(__file__).resolve().parents[2]


class Parts:
    """Hardware that plays at once and keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.feed: Feed | None = None
        self.ready = asyncio.Event()

    @property
    def keys(self) -> Key:
        return self

    @property
    def speaker(self) -> Speaker:
        return self

    @property
    def lamp(self) -> Lamp:
        return self

    @property
    def display(self) -> Display:
        return self

    @property
    def vibrator(self) -> Vibrator:
        return self

    @property
    def sensors(self) -> Sensors:
        return self

    async def run(self, feed: Feed) -> None:
        self.feed = feed
        self.ready.set()
        await asyncio.Event().wait()

    def play(self, play: ev.Play, feed: Feed) -> None:
        self.told.append(("voice", play.text))
        feed(ev.Played(play.item))

    def stop(self, item: str) -> None:
        self.told.append(("stop", item))

    def light(self, lamp: str, pattern: str) -> None:
        self.told.append((lamp, pattern))

    def show(self, text: str, text_en: str) -> None:
        self.told.append(("screen", text))

    def vibrate(self, for_ms: int) -> None:
        self.told.append(("vibration", str(for_ms)))

    def read(self) -> ev.HardwareState:
        return ev.HardwareState(battery_pct=77)


class Running:
    def __init__(self, device: str, kind: type[PillarAgent | TerminalAgent], urls: list[str]) -> None:
        self.parts = Parts()
        self.log: list[dict[str, Any]] = []
        self.outbox = outbox = MemoryOutbox("boot-1")
        agent = kind.restore(outbox.records, outbox.boot, rng=random.Random(7))
        credentials = Credentials(device, agent.role, urls, "secret")
        self.task = asyncio.create_task(run_device(agent, credentials, self.parts, outbox, self.log.append))

    async def key(self, event: ev.Event) -> None:
        await self.parts.ready.wait()
        assert self.parts.feed is not None
        self.parts.feed(event)

    async def off(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@contextlib.asynccontextmanager
async def running(
    device: str, kind: type[PillarAgent | TerminalAgent], *ports: int
) -> AsyncIterator[Running]:
    here = Running(device, kind, [f"mqtt://127.0.0.1:{port}" for port in ports])
    try:
        yield here
    finally:
        await here.off()


async def test_birth_hello_state_alarm_receipt_and_goodbye(broker: int) -> None:
    async with site(broker) as here, running("p-1", PillarAgent, broker) as pillar:
        await here.until(lambda: here.of("state"))
        assert here.of("presence")[0].online
        assert here.of("hello")[0].role == "pillar"
        await pillar.key(ev.KeyDown())
        await here.until(lambda: here.of("alarm"))
        await here.until(lambda: len(here.of("state")) >= 2)
        assert ("voice", "正在发送") in pillar.parts.told
        assert ("screen", "报警已送达,正在联系值班人员") in pillar.parts.told
        assert here.of("state")[-1].battery_pct == 77
        await pillar.off()
        await here.until(lambda: not here.of("presence")[-1].online)
        assert here.of("presence")[-1].conn == here.of("hello")[0].conn


async def test_a_call_is_delivered_presented_and_accepted(broker: int) -> None:
    async with site(broker) as here, running("t-1", TerminalAgent, broker) as terminal:
        await here.until(lambda: here.of("hello"))
        await here.say("t-1", down.Membership(1, "pa-1", True, ["tg-1"]))
        await here.until(lambda: here.of("applied"))
        await here.say("t-1", down.Call("it-1", "c-1", "i-1", "pa-1", "one-key", point="017"))
        await here.until(lambda: [r.rung for r in here.of("rung")] == ["delivered", "presented"])
        await terminal.key(ev.AnswerPressed("accept"))
        await here.until(lambda: here.of("answer"))
        assert here.of("answer")[0].patrol == "pa-1"
        await _heard_by_group(here)


async def _heard_by_group(here: Site) -> None:
    """The group's filter was subscribed when the membership came."""
    await here.say("", down.Broadcast("it-9", "b-1", "集合"), group="tg-1")
    await here.until(
        lambda: [r.rung for r in here.of("rung") if r.item == "it-9"] == ["delivered", "presented"]
    )


@pytest.mark.mosquitto
async def test_an_alarm_pressed_while_the_broker_is_away_comes_when_it_is_back(tmp_path: Path) -> None:
    port = free_port()
    async with running("p-1", PillarAgent, port) as pillar:
        await pillar.key(ev.KeyDown())
        await pillar.key(ev.KeyUp())
        await asyncio.sleep(0.3)
        async with mosquitto(port, tmp_path), site(port) as here:
            await here.until(lambda: here.of("alarm"), within_s=20)
            assert here.of("alarm")[0].age_ms >= 300


@pytest.mark.mosquitto
async def test_it_can_be_switched_off_in_the_moment_the_broker_goes(tmp_path: Path) -> None:
    port = free_port()
    async with mosquitto(port, tmp_path), site(port) as here:
        devices = [Running(f"p-{n}", PillarAgent, [f"mqtt://127.0.0.1:{port}"]) for n in range(12)]
        await here.until(lambda: len({who for who, kind, _ in here.heard if kind == "state"}) == 12)
    for device in devices:
        await asyncio.sleep(0)
        device.task.cancel()
    done, pending = await asyncio.wait([device.task for device in devices], timeout=10)
    assert (len(done), len(pending)) == (12, 0)


async def test_a_press_while_it_is_being_switched_off_is_kept() -> None:
    """The agent's task is gone already; the link waits for a broker that takes the connection and says nothing."""
    reached: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda _, writer: reached.set_result(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pillar = Running("p-1", PillarAgent, [f"mqtt://127.0.0.1:{port}"])
    writer = await reached
    pillar.task.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not pillar.task.done()
    await pillar.key(ev.KeyDown())
    writer.close()
    server.close()
    await pillar.off()
    assert [record.kind for record in pillar.outbox.records] == ["alarm"]


@pytest.mark.mosquitto
async def test_a_device_that_is_cut_off_dies_by_its_will_with_its_connection_number(tmp_path: Path) -> None:
    async with mosquitto(free_port(), tmp_path) as port, site(port) as here:
        device = await _process(tmp_path, port, "press")
        await here.until(lambda: here.of("hello"))
        device.kill()
        await device.wait()
        await here.until(lambda: not here.of("presence")[-1].online)
        assert here.of("presence")[-1].conn == here.of("hello")[0].conn


@pytest.mark.mosquitto
async def test_the_next_path_is_tried_after_5_s_without_receipt_and_doubles_have_one_key(
    tmp_path: Path,
) -> None:
    """A device holds up to three ordered sites and tries the next after 5 s without a receipt."""
    async with (
        mosquitto(free_port(), tmp_path) as first,
        mosquitto(free_port(), tmp_path) as second,
        site(first) as deaf,
        site(second) as here,
        running("p-1", PillarAgent, first, second) as pillar,
    ):
        deaf.receipts = False
        await deaf.until(lambda: deaf.of("hello"))
        await pillar.key(ev.KeyDown())
        await pillar.key(ev.KeyUp())
        await here.until(lambda: here.of("alarm"), within_s=20)
        assert {alarm.key for alarm in deaf.of("alarm")} == {here.of("alarm")[0].key}
        assert 4_500 <= here.of("alarm")[0].age_ms <= 9_000


@pytest.mark.mosquitto
async def test_killed_after_the_press_it_delivers_the_alarm_once_with_the_same_key(tmp_path: Path) -> None:
    """kill -9 between press and receipt: before it could be sent at all, and while it was under way."""
    port = free_port()
    device = await _process(tmp_path, port, "press")
    line = await _line(device, "alarm")
    device.kill()
    await device.wait()
    async with mosquitto(port, tmp_path), site(port) as here:
        here.receipts = False
        device = await _process(tmp_path, port)
        await here.until(lambda: here.of("alarm"))
        device.kill()
        await device.wait()
        here.receipts = True
        device = await _process(tmp_path, port)
        await _line(device, "receipted")
        device.send_signal(signal.SIGTERM)
        assert await device.wait() == 0
        keys = [f"{alarm.key.boot}/{alarm.key.seq}" for alarm in here.of("alarm")]
        assert set(keys) == {line["key"]}
        assert here.of("alarm")[0].age_ms > 0, "the machine did not reboot, so the age is known"
        heard = len(keys)
        device = await _process(tmp_path, port)
        await _line(device, "hello")
        device.kill()
        await device.wait()
        assert len(here.of("alarm")) == heard, "a receipted alarm is not sent again"


async def test_a_press_typed_before_anything_else_is_kept_when_quit_follows_at_once(tmp_path: Path) -> None:
    device = await _process(tmp_path, free_port(), "press", "quit")
    await _kept_one_alarm(device, tmp_path)


@pytest.mark.mosquitto
async def test_a_press_is_kept_when_quit_follows_while_it_connects(tmp_path: Path) -> None:
    async with mosquitto(free_port(), tmp_path) as port:
        device = await _process(tmp_path, port, "press", "quit")
        await _kept_one_alarm(device, tmp_path)


@pytest.mark.mosquitto
async def test_a_press_is_kept_and_sent_when_quit_follows_on_a_connection(tmp_path: Path) -> None:
    async with mosquitto(free_port(), tmp_path) as port, site(port) as here:
        here.receipts = False
        device = await _process(tmp_path, port)
        await _line(device, "connected")
        await _type(device, "press", "quit")
        await _kept_one_alarm(device, tmp_path)
        await here.until(lambda: here.of("alarm"))


@pytest.mark.mosquitto
async def test_quit_at_once_leaves_no_trace_of_a_connection_under_way(tmp_path: Path) -> None:
    async with mosquitto(free_port(), tmp_path) as port:
        for _ in range(3):
            device = await _process(tmp_path, port, "quit")
            assert (await _end(device))[1:] == (0, "")


async def test_the_emergency_key_is_held_to_its_end_before_quit(tmp_path: Path) -> None:
    device = await _process(tmp_path, free_port(), "sos", "quit", kind="terminal")
    await _kept_one_alarm(device, tmp_path)


@pytest.mark.mosquitto
async def test_it_says_once_that_it_is_refused_and_once_that_it_is_connected(tmp_path: Path) -> None:
    port = free_port()
    async with mosquitto(port, tmp_path, refuses=True):
        device = await _process(tmp_path, port)
        refused = await _line(device, "connection")
        assert refused["state"] == "refused"
        assert "dispatchd device add p-9" in refused["text"]
        assert "dispatchd device add p-9" in refused["text_en"]
        for _ in range(2):
            assert "uthori" in (await _line(device, "link", never="connection"))["why"]
    assert (await _line(device, "connection"))["state"] == "not-connected"
    async with mosquitto(port, tmp_path):
        assert (await _line(device, "connection"))["state"] == "connected"
        await _type(device, "quit")
        assert (await _end(device))[1:] == (0, "")


@pytest.mark.parametrize(("language", "says"), [("zh", "⇄ 未连接"), ("en", "⇄ not connected")])
async def test_a_person_reads_that_it_is_not_connected(tmp_path: Path, language: str, says: str) -> None:
    device = await _process(tmp_path, free_port(), options=["--language", language])
    assert device.stdout is not None
    async with asyncio.timeout(20):
        while not (await device.stdout.readline()).decode().startswith(says):
            assert not device.stdout.at_eof()
    await _type(device, "quit")
    assert (await _end(device))[1:] == (0, "")


async def _kept_one_alarm(device: asyncio.subprocess.Process, folder: Path) -> None:
    """It ended well, and the press is in its outbox, unreceipted."""
    said, code, errors = await _end(device)
    assert (code, errors) == (0, ""), said
    box = FileOutbox(folder / "state" / "outbox")
    records = box.records
    box.close()
    assert [(record.kind, record.receipted_at) for record in records if record.kind == "alarm"] == [
        ("alarm", None)
    ], said


async def _end(device: asyncio.subprocess.Process) -> tuple[str, int | None, str]:
    """What it still said, its exit code, and what it wrote to stderr."""
    async with asyncio.timeout(20):
        out, errors = await device.communicate()
    return out.decode(), device.returncode, errors.decode()


async def _process(
    folder: Path, port: int, *lines: str, kind: str = "pillar", options: Sequence[str] = ("--json",)
) -> asyncio.subprocess.Process:
    """The real `dispatch-device` as a process; it keeps running after these lines."""
    credentials = folder / "p-9.json"
    credentials.write_text(
        json.dumps(
            {
                "device": "p-9",
                "kind": kind,
                "root": "dispatch/v1",
                "urls": [f"mqtt://127.0.0.1:{port}"],
                "secret": "s",
                "patrol": None,
            }
        )
    )
    credentials.chmod(0o600)
    arguments = [kind, "--credentials", str(credentials), "--dir", str(folder / "state"), *options]
    device = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "devices.cli",
        *arguments,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await _type(device, *lines)
    return device


async def _type(device: asyncio.subprocess.Process, *lines: str) -> None:
    assert device.stdin is not None
    device.stdin.write("".join(line + "\n" for line in lines).encode())
    await device.stdin.drain()


async def _line(device: asyncio.subprocess.Process, name: str, never: str = "") -> dict[str, Any]:
    """The next line of this event; one of `never` must not come before it."""
    assert device.stdout is not None
    async with asyncio.timeout(20):
        while raw := await device.stdout.readline():
            line: dict[str, Any] = json.loads(raw)
            assert not never or line.get("ev") != never, line
            if line.get("ev") == name:
                return line
    raise AssertionError(f"the device ended before {name!r}")
