"""The live feed: a snapshot, numbered changes, walls, coalescing, and a client that does not read, on a real socket."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from dispatchd.console import feed
from dispatchd.console.feed import MAX_DIRTY, REVOKED, Client, Feeds
from dispatchd.console.server import listen, serve
from dispatchd.core.commands import ApplySite, RemoveEntry, SetEntry
from dispatchd.core.inputs import DeviceSaid
from protocols import up
from protocols.site import Operator

from .desk import Desk, desk, site, token


@asynccontextmanager
async def served(slow_s: float = 30.0, heartbeat_s: float = 5.0) -> AsyncIterator[tuple[Desk, int]]:
    """The console of a desk on a free port."""
    async with desk() as at:
        at.console.feeds._slow_s, at.console.feeds._heartbeat_s = slow_s, heartbeat_s
        bound = listen("127.0.0.1", 0)
        ready = asyncio.Event()
        task = asyncio.create_task(serve(at.console.app, bound, ready.set), name="http")
        try:
            await ready.wait()
            yield at, bound.getsockname()[1]
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            bound.close()


def feed_of(port: int, operator: str, **options: Any) -> connect:
    headers = {"Authorization": f"Bearer {token(operator)}"}
    return connect(
        f"ws://127.0.0.1:{port}/api/v1/feed", additional_headers=headers, max_size=None, proxy=None, **options
    )


async def take(socket_: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(10):
        found: dict[str, Any] = json.loads(await socket_.recv())
        return found


async def until(socket_: ClientConnection, table: str, id_: str) -> Any:
    """The next document of this entry."""
    while True:
        for change in (await take(socket_)).get("changes", ()):
            if (change["table"], change["id"]) == (table, id_):
                return change["doc"]


async def test_a_snapshot_then_numbered_changes_within_the_wall() -> None:
    async with served() as (at, port), feed_of(port, "north") as north, feed_of(port, "south") as south:
        first, other = await take(north), await take(south)
        assert first["n"] == 0
        assert set(first["snapshot"]["fleet"]) == {"pil-n", "t-n", "t-v"}
        assert set(other["snapshot"]["fleet"]) == {"pil-s", "t-s"}
        incident = await at.press("pil-n")
        numbers, seen = [], set()
        while ("incidents", incident) not in seen:
            message = await take(north)
            numbers.append(message["n"])
            seen |= {(change["table"], change["id"]) for change in message["changes"]}
        assert numbers == list(range(1, len(numbers) + 1))
        assert seen <= {
            ("incidents", incident),
            ("groups", f"inc-{incident}"),
            ("fleet", "pil-n"),
            ("units", "north"),
            ("health", "health"),
        }
        await at.press("pil-s")
        message = await take(south)
        assert incident not in json.dumps(message), "south hears of its own pillar first, never of north's"
        assert {c["id"] for c in message["changes"] if c["table"] == "fleet"} == {"pil-s"}


async def test_what_leaves_the_view_is_sent_as_null() -> None:
    async with served() as (at, port), feed_of(port, "north") as north:
        await take(north)
        await at.done("admin", SetEntry("device", {"id": "t-n", "kind": "terminal", "unit": "south"}))
        assert await until(north, "fleet", "t-n") is None
        await at.done("admin", RemoveEntry("device", "t-v"))
        assert await until(north, "fleet", "t-v") is None


async def test_who_moves_to_another_unit_sees_that_and_no_longer_this() -> None:
    async with served() as (at, port), feed_of(port, "north") as north:
        await take(north)
        entry = next(dict(e) for e in site()["operator"] if e["id"] == "north")
        await at.done("admin", SetEntry("operator", {**entry, "unit": "south"}))
        message = await take(north)
        docs = {change["id"]: change["doc"] for change in message["changes"] if change["table"] == "fleet"}
        assert docs["pil-n"] is None
        assert docs["pil-s"]["id"] == "pil-s"


async def test_a_removed_operator_is_cut_off() -> None:
    async with served() as (at, port), feed_of(port, "north") as north:
        await take(north)
        await at.done("admin", RemoveEntry("operator", "north"))
        with pytest.raises(ConnectionClosed) as closed:
            await take(north)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == REVOKED


async def test_a_bad_token_and_another_host_are_refused_before_the_feed() -> None:
    async with served() as (_, port):
        for headers, status in (
            ({"Authorization": "Bearer x"}, 401),
            ({}, 401),
            ({"Origin": "https://evil.example"}, 403),
        ):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(
                    f"ws://127.0.0.1:{port}/api/v1/feed", additional_headers=headers, proxy=None
                ):
                    pass
            assert refused.value.response.status_code == status


async def test_the_engine_knows_who_looks() -> None:
    async with served() as (at, port):
        async with feed_of(port, "north") as one, feed_of(port, "north") as two:
            await take(one)
            await take(two)
            assert await connections(at, 2)
        assert await connections(at, 0)


async def connections(at: Desk, wanted: int) -> bool:
    """Once the engine has been told."""
    async with asyncio.timeout(10):
        while True:
            async with at.engine.settled() as state:
                session = state.sessions.get("north")
                if session is not None and session.connections == wanted:
                    return True
            await asyncio.sleep(0.01)


async def test_many_changes_of_one_entity_are_coalesced() -> None:
    async with served() as (at, port), feed_of(port, "north") as north:
        await take(north)
        loop = asyncio.get_running_loop()
        start = loop.time()
        for battery in range(100):
            at.engine.tell_state("t-n", up.State(conn=1, battery_pct=battery))
            await asyncio.sleep(0.005)
        messages = 0
        while True:
            message = await take(north)
            messages += 1
            docs = [c["doc"] for c in message["changes"] if c["id"] == "t-n"]
            if docs and docs[-1]["battery_pct"] == 99:
                break
        assert messages <= (loop.time() - start) / feed.MIN_GAP_S + 2


async def test_time_alone_is_told_by_the_heartbeat() -> None:
    async with served(heartbeat_s=0.2) as (at, port):
        incident = await at.press("pil-n")
        assert (await at.command("north", "accept", incident=incident)).status_code == 200
        async with feed_of(port, "chief") as chief:
            first = await take(chief)
            assert "owner-gone" in first["snapshot"]["incidents"][incident]["attention"]
            async with feed_of(port, "north") as north:
                await take(north)
                doc = await until(chief, "incidents", incident)
                assert doc["owner_live"] is True


async def test_the_heartbeat_comes_also_while_devices_never_stop_talking() -> None:
    async with served(heartbeat_s=0.3) as (at, port), feed_of(port, "chief") as chief:
        incident = await at.press("pil-n")
        assert (await at.command("north", "accept", incident=incident)).status_code == 200

        async def talk() -> None:
            while True:
                at.engine.tell_state("t-n", up.State(1, battery_pct=50))
                await asyncio.sleep(0.02)

        talking = asyncio.create_task(talk(), name="talk")
        try:
            while (await until(chief, "incidents", incident))["owner_live"]:
                pass
            async with feed_of(port, "north"):
                assert (await until(chief, "incidents", incident))["owner_live"] is True
        finally:
            talking.cancel()


async def test_a_fault_of_the_link_is_told_at_once() -> None:
    async with served(heartbeat_s=1000) as (at, port), feed_of(port, "north") as north:
        await take(north)
        for up_ in (False, True):
            at.engine.link_changed(up_)
            assert (await until(north, "health", "health"))["link_up"] is up_


async def test_a_client_that_does_not_read_is_dropped_and_nobody_waits_for_it() -> None:
    async with served(slow_s=0.5) as (at, port):
        with deaf(port, "north"):
            async with asyncio.timeout(20):
                number = 0
                while not at.console.feeds.dropped:
                    number += 1
                    name = f"{number % 10}" * 90
                    entries = [
                        {"id": f"bulk-{n}", "kind": "terminal", "unit": "north", "name": name}
                        for n in range(500)
                    ]
                    wanted = site()
                    wanted["device"] = [*wanted["device"], *entries]
                    await at.done("admin", ApplySite(wanted))
        assert at.console.feeds.connected == 0
        async with feed_of(port, "north") as north:
            assert (await take(north))["n"] == 0


@contextlib.contextmanager
def deaf(port: int, operator: str) -> Any:
    """A client that shakes hands and never reads."""
    with socket.socket() as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        found.connect(("127.0.0.1", port))
        found.sendall(
            f"GET /api/v1/feed HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            f"Authorization: Bearer {token(operator)}\r\n\r\n".encode()
        )
        yield found


def test_the_dirty_set_of_a_client_is_bounded() -> None:
    client = Client(Operator(id="x", unit="top", role="viewer"))
    for number in range(MAX_DIRTY * 2):
        client.mark([("fleet", f"t-{number}")])
        assert len(client.dirty) <= MAX_DIRTY
    assert ("*", "*") in client.dirty


async def test_a_change_that_nobody_may_see_sends_nothing() -> None:
    async with desk() as at:
        feeds = Feeds()
        feeds.attach(at.engine)
        async with at.engine.settled() as state:
            client = Client(state.site.operator["south"])
            from dispatchd.console.views import View

            view = View(state, at.engine.health.now_ms)
            client.snapshot(view, at.engine)
            client.mark([("fleet", "t-n"), ("incidents", "i1-9"), ("units", "north")])
            assert client.changes(view, at.engine) is None
            assert client.n == 0


async def test_a_said_alarm_reaches_the_feed_after_the_commit_only() -> None:
    async with served() as (at, port), feed_of(port, "chief") as chief:
        await take(chief)
        said = DeviceSaid("pil-n", up.Alarm(key=at.key(), kind="one-key", age_ms=0))
        await at.engine.tell(said)
        async with at.engine.settled() as state:
            incident = next(iter(state.incidents))
        doc = await until(chief, "incidents", incident)
        assert any(row.kind == "IncidentOpened" for row in at.store.rows_about(incident))
        assert doc["order"][1] == 0


async def test_when_the_daemon_stops_the_client_is_told() -> None:
    async with desk() as at:
        bound = listen("127.0.0.1", 0)
        ready = asyncio.Event()
        task = asyncio.create_task(serve(at.console.app, bound, ready.set), name="http")
        await ready.wait()
        async with feed_of(bound.getsockname()[1], "north") as north:
            await take(north)
            task.cancel()
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    await take(north)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        async with asyncio.timeout(10):
            with contextlib.suppress(asyncio.CancelledError):
                await task
        bound.close()
