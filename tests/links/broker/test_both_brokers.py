"""What a client sees, the same on both brokers: the matrix, log-in, revocation, membership, wills,
retained.
"""

import asyncio
import random
from pathlib import Path

import aiomqtt
import pytest

from dispatchd.links.broker.access import Access, Grant
from protocols.secret import hash_secret
from tests.links.broker.harness import (
    BOTH,
    ROOT,
    SECRETS,
    Kind,
    Raw,
    cast,
    client,
    connect_packet,
    connect_packet_with_will,
    hang_up,
    heard_until,
    next_message,
    packet,
    running,
    text,
    until_disconnected,
)
from tests.links.broker.table import PUBLISH, RECEIVE

NOT_AUTHORIZED = 5


@BOTH
async def test_the_publish_matrix(kind: Kind, tmp_path: Path) -> None:
    end = f"{ROOT}/end"
    async with running(kind, tmp_path) as broker, client(broker.port, "dispatchd") as daemon:
        await daemon.subscribe(f"{ROOT}/#", 1)
        heard = {}
        for user in dict.fromkeys(user for user, _, _ in PUBLISH):
            topics = [topic for who, topic, _ in PUBLISH if who == user]
            if user == "dispatchd":
                await publish_all(daemon, topics)
            else:
                async with client(broker.port, user) as device:
                    await publish_all(device, topics)
            await daemon.publish(end, b"", 1)
            heard[user] = await heard_until(daemon, end)
    assert heard == {user: [t for who, t, may in PUBLISH if who == user and may] for user in heard}


async def publish_all(sender: aiomqtt.Client, topics: list[str]) -> None:
    for topic in topics:
        await sender.publish(topic, b"x", 1)


@BOTH
async def test_the_receive_matrix(kind: Kind, tmp_path: Path) -> None:
    heard, expected = {}, {}
    async with running(kind, tmp_path) as broker, client(broker.port, "dispatchd") as daemon:
        for user, topic_filter, topic, may in RECEIVE:
            end = f"{ROOT}/d/{user}/down/end"
            async with client(broker.port, user) as device:
                await device.subscribe([(topic_filter, 1), (end, 1)])
                await daemon.publish(topic, b"x", 1)
                await daemon.publish(end, b"", 1)
                heard[user, topic_filter] = await heard_until(device, end)
            expected[user, topic_filter] = [topic] if may else []
    assert heard == expected


WRONG_LOG_INS = [
    ("pillar-1", "wrong"),
    ("pillar-1", ""),
    ("dispatchd", SECRETS["pillar-1"]),
    ("nobody", "x"),
    ("", ""),
    ("+", SECRETS["pillar-1"]),
    ("#", SECRETS["pillar-1"]),
    ("pillar-1/#", SECRETS["pillar-1"]),
    ("d/pillar-1", SECRETS["pillar-1"]),
]


@BOTH
async def test_a_wrong_log_in_is_refused(kind: Kind, tmp_path: Path) -> None:
    async with running(kind, tmp_path) as broker:
        answers = {}
        for user, secret in WRONG_LOG_INS:
            raw = await Raw.open(broker.port)
            raw.writer.write(connect_packet(user, secret, client_id="pillar-1"))
            answers[user, secret] = await raw.closed_by_broker()
    assert answers == dict.fromkeys(WRONG_LOG_INS, bytes((0x20, 2, 0, NOT_AUTHORIZED)))


@BOTH
async def test_an_anonymous_connection_is_refused(kind: Kind, tmp_path: Path) -> None:
    async with running(kind, tmp_path) as broker:
        raw = await Raw.open(broker.port)
        raw.writer.write(packet(0x10, text("MQTT") + bytes((4, 2, 0, 0)) + text("pillar-1")))
        assert await raw.closed_by_broker() == bytes((0x20, 2, 0, NOT_AUTHORIZED))


@BOTH
async def test_a_wrong_password_does_not_disturb_the_live_device(kind: Kind, tmp_path: Path) -> None:
    async with (
        running(kind, tmp_path) as broker,
        client(broker.port, "dispatchd") as daemon,
        client(broker.port, "pillar-1") as pillar,
    ):
        await pillar.subscribe(f"{ROOT}/d/pillar-1/down/#", 1)
        for secret in ("wrong", SECRETS["terminal-1"]):
            with pytest.raises(aiomqtt.MqttError):
                await client(broker.port, "pillar-1", secret).__aenter__()
        await daemon.publish(f"{ROOT}/d/pillar-1/down/receipt", b"still here", 1)
        assert (await next_message(pillar)).payload == b"still here"
        await pillar.publish(f"{ROOT}/d/pillar-1/up/state", b"", 1)


@BOTH
async def test_another_identity_cannot_steal_a_client_id(kind: Kind, tmp_path: Path) -> None:
    async with (
        running(kind, tmp_path) as broker,
        client(broker.port, "dispatchd") as daemon,
        client(broker.port, "pillar-1") as pillar,
    ):
        await pillar.subscribe(f"{ROOT}/d/pillar-1/down/#", 1)
        thief = await Raw.open(broker.port)
        thief.writer.write(connect_packet("terminal-2", SECRETS["terminal-2"], client_id="pillar-1"))
        await thief.read(4)
        await daemon.publish(f"{ROOT}/d/pillar-1/down/receipt", b"mine", 1)
        assert (await next_message(pillar)).payload == b"mine"
        thief.abort()


@BOTH
async def test_the_same_device_logs_in_again_and_takes_over(kind: Kind, tmp_path: Path) -> None:
    will = aiomqtt.Will(f"{ROOT}/d/pillar-1/presence", b"old", 1)
    new_will = aiomqtt.Will(f"{ROOT}/d/pillar-1/presence", b"new", 1)
    async with running(kind, tmp_path) as broker, client(broker.port, "dispatchd") as daemon:
        await daemon.subscribe(f"{ROOT}/#", 1)
        old = await client(broker.port, "pillar-1", will=will, clean_session=False).__aenter__()
        await old.subscribe(f"{ROOT}/d/pillar-1/down/#", 1)
        async with client(broker.port, "pillar-1", will=new_will, clean_session=False) as new:
            await until_disconnected(old)
            await hang_up(old)
            await new.subscribe(f"{ROOT}/d/pillar-1/down/#", 1)
            await daemon.publish(f"{ROOT}/d/pillar-1/down/receipt", b"heard", 1)
            assert (await next_message(new)).payload == b"heard"
            await new.publish(f"{ROOT}/d/pillar-1/up/end", b"", 1)
            payloads = []
            while str((message := await next_message(daemon)).topic) != f"{ROOT}/d/pillar-1/up/end":
                payloads.append(message.payload)
    assert b"new" not in payloads
    assert payloads.count(b"old") <= 1


@BOTH
async def test_an_oversize_packet_before_log_in_closes_the_connection(kind: Kind, tmp_path: Path) -> None:
    async with running(kind, tmp_path) as broker:
        raw = await Raw.open(broker.port)
        raw.writer.write(b"\x10\xff\xff\xff\x7f" + text("MQTT"))
        assert await raw.closed_by_broker() == b""


@BOTH
async def test_an_oversize_packet_after_log_in_closes_the_connection(kind: Kind, tmp_path: Path) -> None:
    async with running(kind, tmp_path) as broker, client(broker.port, "dispatchd") as daemon:
        await daemon.subscribe(f"{ROOT}/#", 0)
        raw = await Raw.log_in(broker.port, "pillar-1")
        fits = packet(0x30, text(f"{ROOT}/d/pillar-1/up/x") + b"x" * 120_000)
        raw.writer.write(fits + b"\x30\xff\xff\x0f")
        assert len((await next_message(daemon)).payload) == 120_000
        assert await raw.closed_by_broker() == b""


@BOTH
@pytest.mark.parametrize("seed", [1, 2])
async def test_noise_hurts_nobody_else(kind: Kind, seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    async with running(kind, tmp_path) as broker, client(broker.port, "dispatchd") as daemon:
        for _ in range(20):
            stranger = await Raw.open(broker.port)
            stranger.writer.write(rng.randbytes(rng.randrange(1, 200)))
            known = await Raw.log_in(broker.port, "pillar-1")
            known.writer.write(rng.randbytes(rng.randrange(1, 200)))
            stranger.writer.close()
            known.writer.close()
        await daemon.subscribe(f"{ROOT}/x", 1)
        await daemon.publish(f"{ROOT}/x", b"alive", 1)
        assert (await next_message(daemon)).payload == b"alive"


@BOTH
async def test_membership_follows_a_reload_without_a_new_log_in(kind: Kind, tmp_path: Path) -> None:
    group, end = f"{ROOT}/g/tg-1/down/voice", f"{ROOT}/d/terminal-2/down/end"
    async with (
        running(kind, tmp_path) as broker,
        client(broker.port, "dispatchd") as daemon,
        client(broker.port, "terminal-2") as terminal,
    ):
        await terminal.subscribe(end, 1)
        heard = []
        for member in (False, True, False, True):
            await broker.reload(cast({"terminal-2": ("tg-1",)} if member else {}))
            await terminal.subscribe(f"{ROOT}/g/tg-1/down/#", 1)
            await daemon.publish(group, b"", 1)
            await daemon.publish(end, b"", 1)
            heard.append(await heard_until(terminal, end))
    assert heard == [[], [group], [], [group]]


@BOTH
async def test_revocation_cuts_the_live_session_and_only_that(kind: Kind, tmp_path: Path) -> None:
    async with (
        running(kind, tmp_path) as broker,
        client(broker.port, "terminal-1") as stays,
        client(broker.port, "dispatchd") as daemon,
    ):
        await stays.subscribe(f"{ROOT}/d/terminal-1/down/#", 1)
        revoked = await Raw.log_in(broker.port, "pillar-1")
        await broker.reload(cast(without=["pillar-1"]))
        assert await revoked.closed_by_broker() == b""
        with pytest.raises(aiomqtt.MqttError):
            await client(broker.port, "pillar-1").__aenter__()
        await daemon.publish(f"{ROOT}/d/terminal-1/down/end", b"", 1)
        assert (await next_message(stays)).payload == b""


@BOTH
async def test_a_new_secret_cuts_whoever_holds_the_old_one(kind: Kind, tmp_path: Path) -> None:
    async with running(kind, tmp_path) as broker:
        old = await Raw.log_in(broker.port, "pillar-1")
        access = cast()
        changed = Access(ROOT, access.daemon, {**access.devices, "pillar-1": Grant(hash_secret("new"))})
        await broker.reload(changed)
        assert await old.closed_by_broker() == b""
        async with client(broker.port, "pillar-1", "new"):
            pass


@BOTH
async def test_a_device_added_by_reload_can_log_in(kind: Kind, tmp_path: Path) -> None:
    async with running(kind, tmp_path, cast(without=["pillar-1"])) as broker:
        await broker.reload(cast())
        async with client(broker.port, "pillar-1"):
            pass


@BOTH
async def test_the_will_fires_on_a_cut_connection_and_stays_for_the_daemon(
    kind: Kind, tmp_path: Path
) -> None:
    presence = f"{ROOT}/d/pillar-1/presence"
    async with running(kind, tmp_path) as broker, client(broker.port, "dispatchd") as daemon:
        await daemon.subscribe(f"{ROOT}/#", 1)
        raw = await Raw.open(broker.port)
        raw.writer.write(connect_packet_with_will("pillar-1", presence, "dead"))
        await raw.read(4)
        raw.abort()
        assert (await next_message(daemon)).payload == b"dead"
        await daemon.unsubscribe(f"{ROOT}/#")
        await daemon.subscribe(f"{ROOT}/#", 1)
        kept = await next_message(daemon)
        assert (kept.payload, kept.retain) == (b"dead", True)


@BOTH
async def test_a_goodbye_does_not_fire_the_will(kind: Kind, tmp_path: Path) -> None:
    will = aiomqtt.Will(f"{ROOT}/d/pillar-1/presence", b"dead", 1)
    async with running(kind, tmp_path) as broker, client(broker.port, "dispatchd") as daemon:
        await daemon.subscribe(f"{ROOT}/#", 1)
        async with client(broker.port, "pillar-1", will=will) as pillar:
            await pillar.publish(f"{ROOT}/d/pillar-1/up/last", b"", 1)
        async with client(broker.port, "pillar-1") as pillar:
            await pillar.publish(f"{ROOT}/end", b"", 1)
        await daemon.publish(f"{ROOT}/end", b"", 1)
        assert await heard_until(daemon, f"{ROOT}/end") == [f"{ROOT}/d/pillar-1/up/last"]


@BOTH
async def test_a_will_on_another_devices_topic_never_leaves(kind: Kind, tmp_path: Path) -> None:
    async with (
        running(kind, tmp_path) as broker,
        client(broker.port, "dispatchd") as daemon,
        client(broker.port, "terminal-1") as terminal,
    ):
        await terminal.subscribe(f"{ROOT}/d/terminal-1/down/#", 1)
        forger = await Raw.open(broker.port)
        forger.writer.write(connect_packet_with_will("pillar-1", f"{ROOT}/d/terminal-1/down/call", "forged"))
        await forger.read(4)  # amqtt refuses here, mosquitto when the will would fire
        forger.abort()
        async with client(broker.port, "pillar-1"):  # so the forger's session is over
            pass
        end = f"{ROOT}/d/terminal-1/down/end"
        await daemon.publish(end, b"", 1)
        assert await heard_until(terminal, end) == []


@BOTH
async def test_retained_presence_reaches_only_the_permitted(kind: Kind, tmp_path: Path) -> None:
    presence = f"{ROOT}/d/pillar-1/presence"
    async with running(kind, tmp_path) as broker, client(broker.port, "dispatchd") as daemon:
        await daemon.subscribe(f"{ROOT}/#", 1)  # a filter that matches, held by somebody else
        async with client(broker.port, "pillar-1") as pillar:
            await pillar.publish(presence, b"born", 1, retain=True)
        await next_message(daemon)
        for user in ("terminal-1", "pillar-1"):
            end = f"{ROOT}/d/{user}/down/end"
            async with client(broker.port, user) as device:
                await device.subscribe([(presence, 1), (f"{ROOT}/#", 1), (end, 1)])
                await daemon.publish(end, b"", 1)
                assert await heard_until(device, end) == []


@BOTH
async def test_a_thousand_unacknowledged_messages_arrive(kind: Kind, tmp_path: Path) -> None:
    async with running(kind, tmp_path) as broker, client(broker.port, "dispatchd") as daemon:
        raw = await Raw.log_in(broker.port, "pillar-1")
        topic = f"{ROOT}/d/pillar-1/down/x"
        raw.writer.write(packet(0x82, b"\x00\x01" + text(f"{ROOT}/d/pillar-1/down/#") + b"\x01"))
        await raw.read(5)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(10):
                tasks.create_task(publish_all(daemon, [topic] * 100))
        size = len(packet(0x32, text(topic) + b"\x00\x01" + b"x"))
        assert len(await raw.read(1000 * size)) == 1000 * size


@BOTH
async def test_delivery_is_at_the_lower_qos(kind: Kind, tmp_path: Path) -> None:
    async with (
        running(kind, tmp_path) as broker,
        client(broker.port, "dispatchd") as daemon,
        client(broker.port, "pillar-1") as pillar,
    ):
        await pillar.subscribe(f"{ROOT}/d/pillar-1/down/#", 1)
        for qos in (0, 1):
            await daemon.publish(f"{ROOT}/d/pillar-1/down/x", b"", qos)
            assert (await next_message(pillar)).qos == qos
