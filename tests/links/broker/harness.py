"""What the broker tests share: a small cast of identities, running brokers, real clients, and raw MQTT
bytes.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import aiomqtt
import pytest

from dispatchd.links.broker.access import DAEMON_USER, Access, Grant
from dispatchd.links.broker.amqtt_broker import GuardedBroker
from dispatchd.links.broker.process import EmbeddedBroker
from protocols.secret import hash_secret

Kind = Literal["amqtt", "mosquitto"]
BOTH = pytest.mark.parametrize("kind", ["amqtt", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])

ROOT = "dispatch/v1"
SECRETS = {user: f"secret-of-{user}" for user in (DAEMON_USER, "pillar-1", "terminal-1", "terminal-2")}
GRANTS = {user: Grant(hash_secret(secret)) for user, secret in SECRETS.items()}
PATIENCE_S = 10.0  # for anything a test waits for; reaching it is a failure


def cast(groups: Mapping[str, tuple[str, ...]] | None = None, without: Iterable[str] = ()) -> Access:
    """pillar-1, terminal-1 (of tg-1), terminal-2 (of no group), or as `groups` and `without` say."""
    member = {"terminal-1": ("tg-1",)} if groups is None else groups
    devices = {
        user: Grant(grant.secret_hash, member.get(user, ()))
        for user, grant in GRANTS.items()
        if user != DAEMON_USER and user not in without
    }
    return Access(ROOT, GRANTS[DAEMON_USER], devices)


@contextlib.asynccontextmanager
async def running(kind: Kind, folder: Path, access: Access | None = None) -> AsyncIterator[EmbeddedBroker]:
    """An embedded broker with its watch."""
    broker = EmbeddedBroker(folder, access or cast(), prefer=kind)
    await broker.start()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(broker.wait(), name="broker-watch")
        try:
            yield broker
        finally:
            await broker.stop()


@contextlib.asynccontextmanager
async def in_process(access: Access | None = None) -> AsyncIterator[tuple[GuardedBroker, int]]:
    """The guarded amqtt inside this process, for tests that shorten its limits; yields it and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    broker = GuardedBroker("127.0.0.1", port, access or cast())
    await broker.start()
    try:
        yield broker, port
    finally:
        await broker.shutdown()


def client(port: int, user: str, secret: str | None = None, **options: Any) -> aiomqtt.Client:
    """A real client as `user`; `identifier`, `will` and the like by options."""
    options.setdefault("identifier", user)
    password = SECRETS.get(user, "none") if secret is None else secret
    return aiomqtt.Client("127.0.0.1", port, username=user, password=password, timeout=PATIENCE_S, **options)


async def next_message(listener: aiomqtt.Client) -> aiomqtt.Message:
    """The next message the client hears, in time."""
    async with asyncio.timeout(PATIENCE_S):
        return await anext(aiter(listener.messages))


async def heard_until(listener: aiomqtt.Client, last_topic: str) -> list[str]:
    """Topics heard, in order, before the one that marks the end."""
    heard: list[str] = []
    while (topic := str((await next_message(listener)).topic)) != last_topic:
        heard.append(topic)
    return heard


async def until_disconnected(listener: aiomqtt.Client) -> None:
    """Returns when the client notices that it was cut."""
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(aiomqtt.MqttError):
            async for _ in listener.messages:
                pass


async def hang_up(lost: aiomqtt.Client) -> None:
    """Leave a client whose connection is gone already."""
    with contextlib.suppress(aiomqtt.MqttError):
        await lost.__aexit__(None, None, None)


# --- raw bytes, for what no decent client sends


def text(value: str | bytes) -> bytes:
    """An MQTT string: two length bytes, then it."""
    raw = value.encode() if isinstance(value, str) else value
    return len(raw).to_bytes(2, "big") + raw


def packet(kind: int, body: bytes) -> bytes:
    """A packet of any type with its length."""
    length, rest = bytearray(), len(body)
    while rest > 0x7F:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    length.append(rest)
    return bytes((kind,)) + bytes(length) + body


def connect_packet(user: str, secret: str, client_id: str | None = None, keep_alive_s: int = 0) -> bytes:
    """A plain clean CONNECT."""
    head = text("MQTT") + bytes((4, 0xC2)) + keep_alive_s.to_bytes(2, "big")
    return packet(0x10, head + text(user if client_id is None else client_id) + text(user) + text(secret))


def connect_packet_with_will(user: str, will_topic: str, will: str) -> bytes:
    """A clean CONNECT with a retained QoS 0 will."""
    head = text("MQTT") + bytes((4, 0xC2 | 0x24)) + bytes(2)
    return packet(0x10, head + text(user) + text(will_topic) + text(will) + text(user) + text(SECRETS[user]))


class Raw:
    """A bare TCP connection to the broker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int) -> "Raw":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @classmethod
    async def log_in(cls, port: int, user: str, keep_alive_s: int = 0) -> "Raw":
        raw = await cls.open(port)
        raw.writer.write(connect_packet(user, SECRETS[user], keep_alive_s=keep_alive_s))
        assert await raw.read(4) == b"\x20\x02\x00\x00"
        return raw

    async def read(self, count: int) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readexactly(count)

    async def closed_by_broker(self) -> bytes:
        """Waits for the end of the connection; returns what came before it."""
        got = b""
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionError):
                while more := await self.reader.read(4096):
                    got += more
        self.writer.close()
        return got

    def abort(self) -> None:
        self.writer.transport.abort()
