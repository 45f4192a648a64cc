"""amqtt's flaws, each with its cure's test; the guarded broker runs inside this process so that bounds can
be short.

Flaws that show the same way on a process (retained, wrong password, take-over, will) are in
test_both_brokers too.
"""

import asyncio
import time

import pytest

from dispatchd.links.broker import limits
from dispatchd.links.broker.access import Access, Grant
from protocols.secret import hash_secret
from tests.links.broker.harness import (
    GRANTS,
    PATIENCE_S,
    ROOT,
    SECRETS,
    Raw,
    client,
    connect_packet,
    connect_packet_with_will,
    heard_until,
    in_process,
    next_message,
    packet,
    text,
)

DOWN = f"{ROOT}/d/pillar-1/down"
PRESENCE = f"{ROOT}/d/pillar-1/presence"
NEVER_S = 6 * PATIENCE_S  # a limit that must not be what a test sees


async def test_a_client_that_logs_in_is_sent_nothing_it_did_not_ask_for() -> None:
    async with in_process() as (_, port), client(port, "dispatchd") as daemon:
        await daemon.subscribe(f"{ROOT}/#", 1)
        await daemon.publish(PRESENCE, b"born", 1, retain=True)
        await daemon.publish(f"{DOWN}/config", b"kept", 1, retain=True)
        raw = await Raw.log_in(port, "pillar-1")
        raw.writer.write(b"\xc0\x00")
        assert await raw.read(2) == b"\xd0\x00"  # the PINGRESP is the first thing after CONNACK


@pytest.mark.parametrize("clean_flag", [0xC2, 0xC0])
async def test_a_wrong_password_does_not_touch_the_session(clean_flag: int) -> None:
    async with (
        in_process() as (_, port),
        client(port, "dispatchd") as daemon,
        client(port, "pillar-1") as pillar,
    ):
        await pillar.subscribe(f"{DOWN}/#", 1)
        raw = await Raw.open(port)
        head = text("MQTT") + bytes((4, clean_flag, 0, 0))
        raw.writer.write(packet(0x10, head + text("pillar-1") + text("pillar-1") + text("wrong")))
        assert await raw.closed_by_broker() == b"\x20\x02\x00\x05"
        await daemon.publish(f"{DOWN}/receipt", b"heard", 1)
        assert (await next_message(pillar)).payload == b"heard"


async def test_take_over_publishes_the_old_will_and_the_new_connection_hears() -> None:
    async with in_process() as (_, port), client(port, "dispatchd") as daemon:
        await daemon.subscribe(f"{ROOT}/#", 1)
        connections = []
        for will in ("first", "second"):
            raw = await Raw.open(port)
            raw.writer.write(connect_packet_with_will("pillar-1", PRESENCE, will))
            assert await raw.read(4) == b"\x20\x02\x00\x00"
            connections.append(raw)
        assert await connections[0].closed_by_broker() == b""
        new = connections[1]
        new.writer.write(packet(0x82, b"\x00\x01" + text(f"{DOWN}/#") + b"\x00"))
        assert await new.read(5) == b"\x90\x03\x00\x01\x00"
        await daemon.publish(f"{DOWN}/x", b"heard", 1)
        assert await new.read(len(packet(0x30, text(f"{DOWN}/x") + b"heard"))) == packet(
            0x30, text(f"{DOWN}/x") + b"heard"
        )
        await daemon.publish(f"{ROOT}/end", b"", 1)
        first = await next_message(daemon)
        assert (str(first.topic), first.payload) == (PRESENCE, b"first")
        assert await heard_until(daemon, f"{ROOT}/end") == [f"{DOWN}/x"]
        new.abort()


async def test_a_hundred_log_ins_do_not_hold_up_a_message() -> None:
    users = {f"t-{n}": f"secret-{n}" for n in range(100)}
    devices = {user: Grant(hash_secret(secret)) for user, secret in users.items()}
    async with in_process(Access(ROOT, GRANTS["dispatchd"], devices)) as (_, port):
        started = time.perf_counter()
        raws = [await Raw.open(port) for _ in users]
        for raw, (user, secret) in zip(raws, users.items(), strict=True):
            raw.writer.write(connect_packet(user, secret))
        for raw in raws:
            assert await raw.read(4) == b"\x20\x02\x00\x00"
        assert time.perf_counter() - started < 3.0  # Argon2 took 11.7 s
        for raw in raws:
            raw.abort()


async def test_a_packet_is_measured_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOGIN_TIMEOUT_S", NEVER_S)
    async with in_process() as (_, port):
        over = limits.MAX_LOGIN_PACKET_BYTES + 1
        raw = await Raw.open(port)
        raw.writer.write(packet(0x10, bytes(over))[:100])
        assert await raw.closed_by_broker() == b""


async def test_who_sends_no_connect_is_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOGIN_TIMEOUT_S", 0.2)
    async with in_process() as (_, port):
        silent, slow = await Raw.open(port), await Raw.open(port)
        slow.writer.write(connect_packet("pillar-1", SECRETS["pillar-1"])[:-1])
        assert await silent.closed_by_broker() == b""
        assert await slow.closed_by_broker() == b""


async def test_idle_strangers_cannot_shut_a_device_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PENDING_LOGINS", 3)
    monkeypatch.setattr(limits, "LOGIN_TIMEOUT_S", NEVER_S)
    async with in_process() as (broker, port):
        strangers = [await Raw.open(port) for _ in range(5)]
        raw = await Raw.log_in(port, "pillar-1")
        for oldest in strangers[:3]:
            assert await oldest.closed_by_broker() == b""
        assert len(broker._pending) <= 3
        raw.abort()


async def test_the_number_of_sessions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_SESSIONS", 1)
    async with in_process() as (_, port):
        held = await Raw.log_in(port, "pillar-1")
        raw = await Raw.open(port)
        raw.writer.write(connect_packet("terminal-1", SECRETS["terminal-1"]))
        assert await raw.closed_by_broker() == b"\x20\x02\x00\x03"
        again = await Raw.log_in(port, "pillar-1")
        assert await held.closed_by_broker() == b""
        again.abort()


async def test_a_client_id_that_is_not_the_user_name_is_refused() -> None:
    async with in_process() as (_, port):
        for client_id in ("pillar-2", "terminal-1", "", "pillar-1/#"):
            raw = await Raw.open(port)
            raw.writer.write(connect_packet("pillar-1", SECRETS["pillar-1"], client_id=client_id))
            assert await raw.closed_by_broker() == b"\x20\x02\x00\x02"


async def test_a_will_that_may_not_be_published_is_refused() -> None:
    async with in_process() as (_, port):
        raw = await Raw.open(port)
        raw.writer.write(connect_packet_with_will("pillar-1", f"{ROOT}/d/terminal-1/down/call", "forged"))
        assert await raw.closed_by_broker() == b"\x20\x02\x00\x05"


async def test_a_silent_client_is_cut_after_one_and_a_half_keep_alives() -> None:
    async with in_process() as (_, port), client(port, "dispatchd") as daemon:
        await daemon.subscribe(PRESENCE, 1)
        raw = await Raw.open(port)
        started = time.monotonic()
        head = text("MQTT") + bytes((4, 0xC6, 0, 1))
        body = text("pillar-1") + text(PRESENCE) + text("dead") + text("pillar-1") + text(SECRETS["pillar-1"])
        raw.writer.write(packet(0x10, head + body))
        assert (await next_message(daemon)).payload == b"dead"
        assert 1.4 < time.monotonic() - started < 4.0


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"\xf0\x00", id="reserved type"),
        pytest.param(b"\x32\x05\x00\x09abc", id="topic longer than the packet"),
        pytest.param(packet(0x34, text(f"{ROOT}/d/pillar-1/up/x") + b"\x00\x01"), id="QoS 2"),
        pytest.param(packet(0x30, text(f"{ROOT}/d/pillar-1/up/+")), id="wildcard in a topic"),
        pytest.param(packet(0x30, text("")), id="empty topic"),
        pytest.param(packet(0x82, b"\x00\x01"), id="no filter"),
        pytest.param(connect_packet("pillar-1", SECRETS["pillar-1"]), id="second CONNECT"),
        pytest.param(b"\x20\x02\x00\x00", id="CONNACK from a client"),
    ],
)
async def test_a_protocol_error_ends_the_connection_and_nothing_else(bad: bytes) -> None:
    async with in_process() as (_, port), client(port, "terminal-1") as other:
        raw = await Raw.log_in(port, "pillar-1")
        raw.writer.write(bad)
        assert await raw.closed_by_broker() == b""
        await other.publish(f"{ROOT}/d/terminal-1/up/x", b"", 1)


@pytest.mark.parametrize("bad", ["", "#/x", f"{DOWN}/#/x", f"{DOWN}/x#", f"{DOWN}/x+", "\0"])
async def test_a_malformed_filter_is_refused(bad: str) -> None:
    async with in_process() as (_, port):
        raw = await Raw.log_in(port, "pillar-1")
        raw.writer.write(packet(0x82, b"\x00\x01" + text(bad) + b"\x00"))
        assert await raw.read(5) == b"\x90\x03\x00\x01\x80"


@pytest.mark.parametrize("closed", ["#", f"{ROOT}/#", f"{ROOT}/d/terminal-1/down/#", f"{ROOT}/g/tg-1/down/#"])
async def test_a_filter_beyond_the_grant_is_refused_and_said(closed: str) -> None:
    async with in_process() as (_, port):
        raw = await Raw.log_in(port, "pillar-1")
        raw.writer.write(packet(0x82, b"\x00\x01" + text(closed) + b"\x00" + text(f"{DOWN}/#") + b"\x01"))
        assert await raw.read(6) == b"\x90\x04\x00\x01\x80\x01"


async def test_filters_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_FILTERS", 2)
    async with in_process() as (_, port):
        raw = await Raw.log_in(port, "pillar-1")
        topics = b"".join(text(f"{DOWN}/{n}") + b"\x00" for n in (1, 2, 3, 1))
        raw.writer.write(packet(0x82, b"\x00\x01" + topics))
        assert await raw.read(8) == b"\x90\x06\x00\x01\x00\x00\x80\x00"


async def test_overlapping_filters_give_one_message() -> None:
    async with (
        in_process() as (_, port),
        client(port, "dispatchd") as daemon,
        client(port, "pillar-1") as pillar,
    ):
        await pillar.subscribe([(f"{DOWN}/#", 0), (f"{DOWN}/x", 1), (f"{DOWN}/+", 0)])
        await daemon.publish(f"{DOWN}/x", b"", 1)
        await daemon.publish(f"{DOWN}/end", b"", 1)
        assert await heard_until(pillar, f"{DOWN}/end") == [f"{DOWN}/x"]


async def test_an_unsubscribed_filter_is_silent() -> None:
    async with (
        in_process() as (_, port),
        client(port, "dispatchd") as daemon,
        client(port, "pillar-1") as pillar,
    ):
        await pillar.subscribe([(f"{DOWN}/#", 1), (f"{DOWN}/end", 1)])
        await daemon.publish(f"{DOWN}/x", b"", 1)
        await next_message(pillar)
        await pillar.unsubscribe(f"{DOWN}/#")
        await daemon.publish(f"{DOWN}/x", b"", 1)
        await daemon.publish(f"{DOWN}/end", b"", 1)
        assert await heard_until(pillar, f"{DOWN}/end") == []


async def test_a_client_that_never_acknowledges_is_cut_not_robbed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_INFLIGHT_MESSAGES", 5)
    monkeypatch.setattr(limits, "MAX_QUEUED_MESSAGES", 10)
    async with in_process() as (_, port), client(port, "dispatchd") as daemon:
        raw = await Raw.log_in(port, "pillar-1")
        raw.writer.write(packet(0x82, b"\x00\x01" + text(f"{DOWN}/#") + b"\x01"))
        await raw.read(5)
        for _ in range(15):
            await daemon.publish(f"{DOWN}/x", b"", 1)
        window = await raw.read(5 * len(packet(0x32, text(f"{DOWN}/x") + bytes(2))))
        for acknowledged in (1, 2):
            raw.writer.write(packet(0x40, acknowledged.to_bytes(2, "big")))
        assert len(await raw.read(len(window) // 5 * 2)) == len(window) // 5 * 2
        for _ in range(3):
            await daemon.publish(f"{DOWN}/x", b"", 1)
        assert await raw.closed_by_broker() == b""


async def test_devices_wait_while_the_daemon_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_INFLIGHT_MESSAGES", 5)
    monkeypatch.setattr(limits, "MAX_QUEUED_MESSAGES", 10)
    up = f"{ROOT}/d/pillar-1/up/alarm"
    async with in_process() as (_, port), client(port, "pillar-1") as pillar:
        daemon = await Raw.log_in(port, "dispatchd")
        daemon.writer.write(packet(0x82, b"\x00\x01" + text(f"{ROOT}/#") + b"\x01"))
        await daemon.read(5)
        size = len(packet(0x32, text(up) + bytes(2)))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(100):
                tasks.create_task(pillar.publish(up, b"", 1))
            for number in range(1, 101):
                await daemon.read(size)
                daemon.writer.write(packet(0x40, number.to_bytes(2, "big")))


async def test_voice_to_a_deaf_listener_is_dropped_and_others_hear_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_SEND_BUFFER_BYTES", 10_000)
    voice = f"{ROOT}/g/tg-1/down/voice"
    devices = {user: Grant(GRANTS[user].secret_hash, ("tg-1",)) for user in ("terminal-1", "terminal-2")}
    async with (
        in_process(Access(ROOT, GRANTS["dispatchd"], devices)) as (broker, port),
        client(port, "dispatchd") as daemon,
        client(port, "terminal-1") as hears,
    ):
        await hears.subscribe(voice, 0)
        deaf = await Raw.log_in(port, "terminal-2")
        deaf.writer.write(packet(0x82, b"\x00\x01" + text(voice) + b"\x00"))
        await deaf.read(5)
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
        outbox = broker._clients["terminal-2"].outbox
        frames = 0
        while outbox.dropped_qos0 == 0 and frames < 1_000:
            await daemon.publish(voice, bytes(100_000), 0)
            await next_message(hears)
            frames += 1
        assert outbox.dropped_qos0 > 0
        deaf.abort()


async def test_what_a_device_may_not_keep_is_not_kept() -> None:
    async with in_process() as (broker, port), client(port, "pillar-1") as pillar:
        await pillar.publish(f"{ROOT}/d/pillar-1/up/alarm", b"x", 1, retain=True)
        await pillar.publish(PRESENCE, b"born", 1, retain=True)
        assert list(broker._retained) == [PRESENCE]
        await pillar.publish(PRESENCE, b"", 1, retain=True)
        assert list(broker._retained) == []


async def test_retained_messages_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_RETAINED", 1)
    async with in_process() as (broker, port), client(port, "dispatchd") as daemon:
        for payload in (b"1", b"2"):
            for topic in ("a", "b"):
                await daemon.publish(f"{ROOT}/{topic}", payload, 1, retain=True)
        assert broker._retained == {f"{ROOT}/a": (b"2", 1)}
