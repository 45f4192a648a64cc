"""Real brokers for the shell: mosquitto as a child, amqtt within the test; both on loopback, open to all."""

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from amqtt.broker import Broker

Start = Callable[[], Awaitable[None]]


def free_port() -> int:
    """Below the ports that connecting sockets are given, or a device might meet itself there."""
    while True:
        port = secrets.choice(range(20_000, 32_000))
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


async def reachable(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def mosquitto(port: int, folder: Path, *, refuses: bool = False) -> AsyncIterator[int]:
    """`refuses`: every name and secret is wrong."""
    config = folder / f"mosquitto-{port}.conf"
    anonymous = "false" if refuses else "true"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous {anonymous}\npersistence false\nlog_type none\n"
    )
    program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
    assert program, "the mosquitto broker is not installed"
    process = await asyncio.create_subprocess_exec(program, "-c", str(config))
    try:
        await reachable(port)
        yield port
    finally:
        process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def amqtt(port: int) -> AsyncIterator[int]:
    config: dict[str, Any] = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    broker = Broker(config)
    await broker.start()
    try:
        yield port
    finally:
        await broker.shutdown()


@pytest.fixture(params=[pytest.param("mosquitto", marks=pytest.mark.mosquitto), "amqtt"])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[int]:
    """The port of a broker."""
    running = mosquitto(free_port(), tmp_path) if request.param == "mosquitto" else amqtt(free_port())
    async with running as port:
        yield port
