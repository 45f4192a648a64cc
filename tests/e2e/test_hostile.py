"""What hostile or broken surroundings do to a running daemon: a clear error, a number in the metrics, nothing lost."""

import asyncio
import contextlib
import hashlib
import itertools
import json
import random
import signal
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import websockets

from protocols import codec, down, envelope, topics, up
from protocols.types import Key
from tests.e2e.device import ROOT, Device
from tests.e2e.process import BOTH, Daemon, daemon, until
from tests.e2e.wire import Connection, Refused

AT: dict[str, Any] = {"lat": 26.9, "lon": 112.6}
SITE: dict[str, Any] = {
    "name": "hostile test",
    "unit": [{"id": "top"}, {"id": "north", "parent": "top"}, {"id": "south", "parent": "top"}],
    "patrol": [{"id": "patrol-1", "unit": "north", "force": "police"}],
    "device": [
        {"id": "pillar-1", "kind": "pillar", "unit": "north", **AT},
        {"id": "pillar-2", "kind": "pillar", "unit": "south", **AT},
        {"id": "radio-1", "kind": "terminal", "unit": "north", "patrol": "patrol-1"},
    ],
}  # fmt: skip
DAY_S = 86_400
HOSTILE_IDS = ("a/b", "+", "#", "../x", "pillar-1/#", "PILLAR", "x" * 33, "", "pillar 1", "pillar-1\n")


@pytest.fixture
async def running(tmp_path: Path, broker: str) -> AsyncIterator[Daemon]:
    """A daemon of its own; afterwards it is still the same process, and ends in order."""
    async with daemon(tmp_path, broker, SITE) as found:
        assert found.process is not None
        pid = found.process.pid
        yield found
        assert found.running
        assert found.process.pid == pid, "it was started again meanwhile"
        assert await found.stop() == 0


@contextlib.asynccontextmanager
async def devices(at: Daemon, *ids: str) -> AsyncIterator[list[Device]]:
    """Decent devices, connected and greeted."""
    made = [
        Device(id_, at.port, at.secrets[id_], pillar=id_.startswith("pillar"), chance=random.Random())
        for id_ in ids
    ]
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(device.run(), name=device.id) for device in made]
        try:
            await until(lambda: all(device.greeted.is_set() for device in made))
            yield made
        finally:
            for task in running:
                task.cancel()


@contextlib.asynccontextmanager
async def wire(at: Daemon, user: str) -> AsyncIterator[Connection]:
    made = await Connection.open(at.port, user, at.secrets[user])
    try:
        yield made
    finally:
        made.abort()


def rows(at: Daemon, kind: str) -> int:
    """How many rows of a kind the journal holds, looked at from outside."""
    with contextlib.closing(sqlite3.connect(f"file:{at.database}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM journal WHERE kind = ?", (kind,)).fetchone()[0])


async def posted(who: httpx.AsyncClient, name: str, **fields: Any) -> httpx.Response:
    """The answer to a command, whatever it is."""
    return await who.post(f"/commands/{name}", json={"command": name, **fields})


async def pressed(pillar: Device) -> str:
    """The incident of a press that was receipted."""
    press = await pillar.press()
    await until(lambda: press.receipted_s)
    assert press.outcomes == {"committed"}
    (incident,) = press.incidents
    assert incident
    return incident


# --- bytes ------------------------------------------------------------------------------------------------------


@BOTH
async def test_bytes_that_are_no_message_are_kept_and_counted_and_do_no_harm(running: Daemon) -> None:
    garbage = {
        b"\xc1": "malformed",
        b"": "malformed",
        b"\x91" * 16_000: "malformed",
        b"\x81\xa3key" * 3000: "malformed",
        bytes(codec.MAX_UP_BYTES + 1): "oversize",
    }
    kinds = ("answer", "rung", "hello", "duty", "applied")
    async with devices(running, "pillar-1") as (pillar,), wire(running, "radio-1") as radio:
        for kind in kinds:
            for payload in garbage:
                await radio.publish(topics.up(ROOT, "radio-1", kind), payload)
        await radio.publish(f"{ROOT}/d/radio-1/up/nonsense", b"\x80")
        await pressed(pillar)

        async def counted() -> Any:
            numbers = await running.metrics()
            name = 'dispatchd_messages_total{{what="malformed_{}"}}'
            found = [numbers.get(name.format(code), 0) for code in ("malformed", "oversize", "unknown-kind")]
            return found == [4 * len(kinds), len(kinds), 1]

        await until(counted)
        kept = await until(lambda: running.get("/malformed"))
        await until(lambda: _kept(running))
        assert kept is not None


async def _kept(at: Daemon) -> bool:
    items = (await at.get("/malformed"))["items"]
    return bool(items) and all(
        item["topic"].startswith(f"{ROOT}/d/radio-1/up/") and item["why"] for item in items
    )


@BOTH
async def test_a_packet_no_broker_should_take_costs_its_sender_the_connection_only(running: Daemon) -> None:
    async with devices(running, "pillar-1") as (pillar,), wire(running, "radio-1") as radio:
        with pytest.raises(OSError):  # noqa: PT011 -- cut while it writes or reads
            await radio.publish(topics.up(ROOT, "radio-1", "alarm"), bytes(1_000_000))
            async with asyncio.timeout(10):
                await radio.received()
        await pressed(pillar)
        async with devices(running, "radio-1"):
            await pressed(pillar)


@BOTH
async def test_a_damaged_alarm_is_an_alarm(running: Daemon) -> None:
    whole = codec.encode(up.Alarm(Key("boot-9", 1), "one-key", 5))
    async with wire(running, "pillar-2") as pillar:
        await pillar.subscribe(topics.device_filter(ROOT, "pillar-2"))
        await pillar.publish(topics.up(ROOT, "pillar-2", "alarm"), whole[:-1])
        message = await asyncio.wait_for(pillar.received(), 10)
        receipt = codec.decode_down("receipt", envelope.unseal(message.payload).body)
        assert isinstance(receipt, down.Receipt)
        assert receipt.items[0].incident
    assert [one["device"] for one in (await running.get("/incidents"))["items"]] == ["pillar-2"]


# --- identities -------------------------------------------------------------------------------------------------


@BOTH
async def test_a_device_cannot_speak_for_another(running: Daemon) -> None:
    async with devices(running, "pillar-1") as (pillar,):
        with contextlib.suppress(OSError):  # a broker may cut who tries
            async with wire(running, "radio-1") as radio:
                for topic in (
                    topics.up(ROOT, "pillar-2", "alarm"),
                    topics.presence(ROOT, "pillar-2"),
                    topics.down(ROOT, "pillar-1", "receipt"),
                    "elsewhere",
                ):
                    await radio.publish(topic, codec.encode(up.Alarm(Key("forged", 1))))
                await radio.publish(topics.up(ROOT, "radio-1", "state"), codec.encode(up.State(1)))
        incident = await pressed(pillar)
        assert [one["id"] for one in (await running.get("/incidents"))["items"]] == [incident]
        assert (await running.get("/incidents"))["items"][0]["press_count"] == 1
        assert not pillar.faults


@BOTH
async def test_an_unknown_device_or_a_wrong_secret_is_refused(running: Daemon) -> None:
    for user, secret in (("pillar-9", "x"), ("pillar-1", "wrong"), ("dispatchd", "guess")):
        with pytest.raises(Refused):
            await Connection.open(running.port, user, secret)
    assert any("refused" in str(line).lower() or "not authorised" in str(line) for line in running.lines())
    async with devices(running, "pillar-1") as (pillar,):
        await pressed(pillar)


@BOTH
async def test_a_removed_device_is_cut_at_once_and_cannot_come_back(running: Daemon) -> None:
    async with wire(running, "radio-1") as radio:
        await radio.publish(topics.up(ROOT, "radio-1", "state"), codec.encode(up.State(1)))
        await running.command("remove", table="device", id="radio-1")
        with pytest.raises(OSError):  # noqa: PT011 -- however it is cut
            async with asyncio.timeout(10):
                while True:
                    await radio.received()
    with pytest.raises(Refused):
        await Connection.open(running.port, "radio-1", running.secrets["radio-1"])
    assert "radio-1" not in str(await running.get("/fleet"))


@BOTH
async def test_ids_with_separators_and_wildcards_are_refused_everywhere(running: Daemon) -> None:
    for user in HOSTILE_IDS:
        with pytest.raises(OSError):  # noqa: PT011 -- refused, or cut for bytes MQTT forbids
            await Connection.open(running.port, user, "x")
    for id_ in HOSTILE_IDS:
        entry = {"id": id_, "kind": "terminal", "unit": "north"}
        answers = [
            await running.client.post(
                "/commands/set", json={"command": "set", "table": "device", "entry": entry}
            ),
            await running.client.post(
                "/commands/secret", json={"command": "secret", "device": id_, "secret_hash": "x"}
            ),
            await running.client.post("/commands/accept", json={"command": "accept", "incident": id_}),
        ]
        for answer in answers:
            assert answer.status_code in (404, 409, 422), (id_, answer.text)
            assert len(answer.json()["why"]) > 10
    for path in ("%2e%2e%2fx", "%23", "%2B", "a%2Fb", "x" * 5000, "%00", "%ff"):
        for table in ("incidents", "broadcasts", "items"):
            answer = await running.client.get(f"/{table}/{path}/not-heard")
            assert answer.status_code == 404, (path, answer.status_code)
            assert answer.json()["why"]
    async with devices(running, "pillar-1") as (pillar,):
        await pressed(pillar)
    assert {one["id"] for one in (await running.get("/fleet"))["items"]} == {
        "pillar-1",
        "pillar-2",
        "radio-1",
    }


@BOTH
async def test_wildcard_topics_reach_nobody(running: Daemon) -> None:
    for topic in (
        f"{ROOT}/d/+/up/alarm",
        f"{ROOT}/#",
        f"{ROOT}/d/radio-1/up/#",
        f"{ROOT}//d/radio-1/up/alarm",
    ):
        with contextlib.suppress(OSError):
            async with wire(running, "radio-1") as radio:
                await radio.publish(topic, codec.encode(up.Alarm(Key("wild", 1))))
                await radio.publish(topics.up(ROOT, "radio-1", "state"), codec.encode(up.State(1)))
    async with devices(running, "pillar-1") as (pillar,):
        incident = await pressed(pillar)
        assert [one["id"] for one in (await running.get("/incidents"))["items"]] == [incident]


# --- levels -----------------------------------------------------------------------------------------------------


async def operator(at: Daemon, id_: str, unit: str, role: str) -> httpx.AsyncClient:
    """Signed in as a new operator."""
    token = f"token-of-{id_}"
    entry = {"id": id_, "unit": unit, "role": role, "token_hash": hashlib.sha256(token.encode()).hexdigest()}
    await at.command("set", table="operator", entry=entry)
    return httpx.AsyncClient(base_url=at.client.base_url, headers={"authorization": f"Bearer {token}"})


@pytest.mark.parametrize("broker", ["amqtt"])
async def test_levels_are_walls_and_every_knock_is_counted(running: Daemon) -> None:
    async with devices(running, "pillar-1") as (pillar,):
        incident = await pressed(pillar)
        before = await running.get(f"/incidents/{incident}")
        async with (
            await operator(running, "south-op", "south", "operator") as south,
            await operator(running, "north-eye", "north", "viewer") as eye,
            httpx.AsyncClient(base_url=running.client.base_url) as nobody,
        ):
            knocks: list[tuple[httpx.AsyncClient, str, dict[str, Any], int]] = [
                (south, "accept", {"incident": incident}, 404),
                (south, "end", {"incident": incident, "outcome": "prank"}, 404),
                (south, "broadcast", {"text": "x", "target": {"devices": ["radio-1"]}}, 404),
                (south, "broadcast", {"text": "x", "target": {"units": ["top"]}}, 404),
                (south, "lamp", {"device": "pillar-1", "pattern": "flash"}, 404),
                (south, "set", {"table": "device", "entry": {}}, 403),
                (eye, "accept", {"incident": incident}, 403),
                (nobody, "accept", {"incident": incident}, 401),
            ]
            for who, name, fields, status in knocks:
                answer = await posted(who, name, **fields)
                assert answer.status_code == status, (name, answer.text)
                assert len(answer.json()["why"]) > 10
            assert (await south.get(f"/incidents/{incident}")).status_code == 404
            assert (await south.get("/incidents")).json()["items"] == []
            assert (await eye.get("/incidents")).json()["items"][0]["id"] == incident
        after = await running.get(f"/incidents/{incident}")
        assert (after["owner"], after["outcome"], after["open"]) == (before["owner"], "", True)
        numbers = await running.metrics()
        refused = {
            s: numbers[f'dispatchd_http_requests_total{{path="/commands/accept",status="{s}"}}']
            for s in (401, 403, 404)
        }
        assert refused == {401: 1, 403: 1, 404: 1}
        await running.command("accept", incident=incident)
        await running.command("end", incident=incident, outcome="mistaken")
        again = await running.client.post(
            "/commands/end", json={"command": "end", "incident": incident, "outcome": "prank"}
        )
        assert again.status_code == 409
        assert again.json()["why"]


# --- a full disk ------------------------------------------------------------------------------------------------


async def check_full_and_back(at: Daemon, fill: Any, free: Any) -> None:
    """Nothing is receipted while it is full, everybody is told, and everything comes through by itself afterwards."""
    async with devices(at, "pillar-1", "radio-1") as (pillar, _), feed(at) as told:
        first = await pressed(pillar)
        fill()
        presses = [await pillar.press() for _ in range(40)]

        async def refusing() -> bool:
            health, numbers = await at.health(), await at.metrics()
            return not health["store_ok"] and not health["ready"] and numbers["dispatchd_store_ok"] == 0

        await until(refusing)
        health = await at.health()
        assert "No space left" in str(health["why"])
        assert (await at.client.get("/ready")).status_code == 503
        answer = await posted(at.client, "broadcast", text="x" * 900, target={"everybody": True})
        assert (answer.status_code, "Free space" in answer.json()["why"]) == (507, True)
        await until(lambda: any(one.get("store_ok") is False for one in told))
        waiting = [press for press in presses if not press.receipted_s]
        assert waiting, "every press found room: the disk was not full"
        shown = await at.get(f"/incidents/{first}")
        assert shown["press_count"] == 1 + len(presses) - len(waiting), "shown and not on disk"
        assert (await at.metrics())['dispatchd_messages_total{what="up_not_stored"}'] > 0
        free()
        await until(lambda: all(press.receipted_s for press in presses), 30)
        await until(lambda: _store_ok(at))
        await until(lambda: told and told[-1].get("store_ok"))
        assert (await at.get(f"/incidents/{first}"))["press_count"] == 1 + len(presses)
        assert {i for press in presses for i in press.incidents} == {first}
        await until(lambda: pillar.settled)


async def _store_ok(at: Daemon) -> bool:
    return bool((await at.health())["store_ok"])


@contextlib.asynccontextmanager
async def feed(at: Daemon) -> AsyncIterator[list[dict[str, Any]]]:
    """Every word on health that an operator's live feed brings."""
    told: list[dict[str, Any]] = []
    url = str(at.client.base_url.copy_with(scheme="ws")).rstrip("/") + "/feed"

    async def listen() -> None:
        headers = {"authorization": at.client.headers["authorization"]}
        async with websockets.connect(url, additional_headers=headers, max_size=None) as socket:
            async for message in socket:
                told.extend(_health_in(json.loads(message)))

    task = asyncio.create_task(listen(), name="feed")
    try:
        await until(lambda: told or task.done())
        yield told
    finally:
        task.cancel()
        await asyncio.wait([task])


def _health_in(value: Any) -> Iterator[dict[str, Any]]:
    """Health documents anywhere in a message."""
    if isinstance(value, dict):
        if "store_ok" in value:
            yield value
        for inner in value.values():
            yield from _health_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _health_in(inner)


@pytest.mark.parametrize("broker", ["amqtt"])
async def test_a_full_disk_refuses_receipts_tells_everybody_and_recovers(running: Daemon) -> None:
    await check_full_and_back(
        running, lambda: running.send(signal.SIGUSR1), lambda: running.send(signal.SIGUSR2)
    )
    assert rows(running, "AlarmRaised") == 41
    assert rows(running, "StoreFailed") >= 1


@BOTH
@pytest.mark.full
async def test_a_full_file_system_refuses_receipts_tells_everybody_and_recovers(
    tmp_path: Path, broker: str
) -> None:
    """A real file system of 2 MiB, filled by another file that is then removed. Needs root."""
    with small_disk(tmp_path / "disk") as disk:
        async with daemon(tmp_path, broker, SITE, store=disk / "site.db") as at:
            ballast = disk / "other"

            def fill() -> None:
                with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                    while True:
                        file.write(bytes(4096))

            await check_full_and_back(at, fill, ballast.unlink)
            await at.stop()
            assert rows(at, "AlarmRaised") == 41


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


# --- the clock --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broker", ["amqtt"])
async def test_a_wall_clock_that_jumps_400_days_back_and_forth_moves_nobody(
    running: Daemon, tmp_path: Path
) -> None:
    async with devices(running, "pillar-1", "radio-1") as (pillar, radio):
        incident = await pressed(pillar)
        sent = await running.command("broadcast", text="集合", target={"everybody": True}, ttl_s=600)
        await until(lambda: radio.presented[sent["ids"]["broadcast"]])
        times = [(await running.health())["now_ms"]]
        for days in (400, -400, 0, -400, 400):
            (tmp_path / "wall").write_text(str(days * DAY_S))
            assert await pressed(pillar) == incident
            times.append((await running.health())["now_ms"])
        assert times == sorted(times)
        assert times[-1] - times[0] < 60_000
        assert (await running.get(f"/incidents/{incident}"))["late"] is False
        assert all(one["state"] == "closed" for one in (await running.get("/broadcasts"))["items"])


@pytest.mark.parametrize("broker", ["amqtt"])
@pytest.mark.timeout(120)
async def test_over_restarts_site_time_never_steps_back_nor_more_than_a_day(
    tmp_path: Path, broker: str
) -> None:
    async with daemon(tmp_path, broker, SITE) as at:
        times = [(await at.health())["now_ms"]]
        presses = 0
        for days in (400, -400, 0, 1):
            await at.kill()
            (tmp_path / "wall").write_text(str(days * DAY_S))
            await at.start()
            times.append((await at.health())["now_ms"])
            async with devices(at, "pillar-1") as (pillar,):
                await pressed(pillar)
                presses += 1
        steps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert all(0 <= step <= DAY_S * 1000 + 60_000 for step in steps), steps
        assert steps[0] >= DAY_S * 1000, "downtime is believed up to a day"
        await at.stop()
        assert rows(at, "AlarmRaised") == presses


def test_hostile_bytes_here_are_hostile() -> None:
    """If the decoder took them, the tests above would prove nothing."""
    with pytest.raises(msgspec.DecodeError):
        msgspec.msgpack.decode(b"\xc1")
