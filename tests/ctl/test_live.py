"""What moves: the screen kept from feed messages, and when a broadcast is finished."""

from typing import Any

import pytest
from rich.console import Console

from dispatchd.ctl.client import open_client
from dispatchd.ctl.live import Screen, finished
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
        screen.take(next(messages))
        assert screen.incidents() == []

        async def press(at: Desk) -> str:
            return await at.press("pil-n")

        incident = station.do(press)
        while not screen.incidents():
            screen.take(next(messages))
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
