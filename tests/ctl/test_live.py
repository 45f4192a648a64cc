"""What moves: the screen kept from feed messages, and when a broadcast is finished."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dispatchd.ctl import show
from dispatchd.ctl.client import open_client
from dispatchd.ctl.live import finished
from dispatchd.ctl.watch import Lost, Screen, aged
from tests.console.desk import Desk

from .conftest import Station


def broadcast(state: str, presented: int, acknowledged: int = 0, *, ack: bool = False) -> dict[str, Any]:
    counts = {"queued": 2, "delivered": 2, "presented": presented, "acknowledged": acknowledged}
    return {"state": state, "ack": ack, "ladder": counts}


@pytest.mark.parametrize(
    ("doc", "wanted"),
    [
        (broadcast("open", 1), False),
        (broadcast("open", 2), True),
        (broadcast("closed", 1), True),
        (broadcast("expired", 0), True),
        (broadcast("cancelled", 0), True),
        (broadcast("closed", 2, 1, ack=True), False),
        (broadcast("open", 2, 2, ack=True), True),
    ],
)
def test_finished(doc: dict[str, Any], wanted: bool) -> None:
    assert finished(doc) is wanted


def test_the_screen_follows_the_feed(station: Station) -> None:
    client = open_client(station.directory, None, station.directory / "north.token")
    screen = Screen()
    with client.feed() as messages:
        first = next(messages)
        assert first is not None
        screen.take(first)
        assert screen.incidents() == []

        async def press(at: Desk) -> str:
            return await at.press("pil-n")

        incident = station.do(press)
        while not screen.incidents():
            if message := next(messages):
                screen.take(message)
        assert screen.incidents()[0]["id"] == incident
        console = Console(width=160, record=True)
        console.print(screen.render("zh"))
        assert "无人接警" in console.export_text()
    client.close()


def test_a_missed_change_is_noticed() -> None:
    screen = Screen()
    screen.take({"n": 0, "now_ms": 1, "snapshot": {}})
    screen.take({"n": 1, "now_ms": 2, "changes": [{"table": "fleet", "id": "a", "doc": {"id": "a"}}]})
    screen.take({"n": 2, "now_ms": 3, "changes": [{"table": "fleet", "id": "a", "doc": None}]})
    assert screen.tables["fleet"] == {}
    with pytest.raises(ValueError, match="change 3 is missing"):
        screen.take({"n": 4, "now_ms": 4, "changes": []})


def test_ages_count_on_and_times_ahead_run_down() -> None:
    doc = {"age_ms": 5, "heard_age_ms": None, "hold_in_ms": 100, "at_ms": 7, "in": [{"since_age_ms": 1}]}
    assert aged(doc, 1000) == {
        "age_ms": 1005,
        "heard_age_ms": None,
        "hold_in_ms": 0,
        "at_ms": 7,
        "in": [{"since_age_ms": 1001}],
    }


def test_a_lost_link_shows_nothing_as_live() -> None:
    screen = Screen()
    fleet = {"t-1": {"id": "t-1", "kind": "terminal", "online": True, "heard_age_ms": 0}}
    units = {"u": {"id": "u", "name": "北所", "phone": "110-1"}}
    screen.take({"n": 0, "now_ms": 1, "snapshot": {"fleet": fleet, "units": units}})
    screen.lost = Lost("gone")
    console = Console(width=160, record=True)
    console.print(screen.render("en"))
    shown = console.export_text()
    assert "LINK LOST since" in shown
    assert "incidents (last known)" in shown
    assert "110-1" in shown
    assert "1/1" not in shown
    screen.take({"n": 0, "now_ms": 2, "snapshot": {}})
    assert screen.lost is None


async def test_watch_says_that_the_link_is_lost_and_connects_again(tmp_path: Path) -> None:
    """A real watch through the end of one daemon and the start of the next, at another port."""
    first = Station(tmp_path, capsys=None)
    first.start()
    args = ("ctl", "watch", "--json", "--dir", str(tmp_path), "--token-file", str(tmp_path / "north.token"))
    watch = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dispatchd", *args, stdout=PIPE, limit=2**24
    )
    second = Station(tmp_path, capsys=None)
    try:
        async with asyncio.timeout(60):
            assert "snapshot" in await line(watch)
            await asyncio.to_thread(first.stop)
            while "lost" not in (found := await line(watch)):
                pass
            assert "The daemon is stopping" in found["lost"]["why"]
            await asyncio.to_thread(second.start)
            while "snapshot" not in (found := await line(watch)):
                assert "lost" not in found, "said once"
        watch.send_signal(signal.SIGINT)
        assert await watch.wait() == 0
    finally:
        if watch.returncode is None:
            watch.kill()
            await watch.wait()
        first.stop()
        second.stop()


async def line(watch: Process) -> Any:
    assert watch.stdout is not None
    return json.loads(await watch.stdout.readline())


@pytest.mark.parametrize(
    ("state", "not_heard", "word"),
    [("closed", [], "全部收到"), ("closed", [{}], "已讲完"), ("open", [{}], "进行中")],
)
def test_closed_is_not_all_heard_when_somebody_has_not(state: str, not_heard: list[Any], word: str) -> None:
    """A live one is closed when it has been said."""
    doc = {"state": state, "not_heard": not_heard}
    assert show._state(doc, "zh") == word
