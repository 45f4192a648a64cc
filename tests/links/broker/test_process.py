"""The child process: it comes back, it goes with its parent, it tells no secret."""

import asyncio
import contextlib
import os
import signal
import stat
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dispatchd.links.broker import process
from dispatchd.links.broker.process import RESTART_LIMIT, BrokerFailed, EmbeddedBroker
from tests.links.broker.harness import (
    BOTH,
    PATIENCE_S,
    ROOT,
    SECRETS,
    Kind,
    Raw,
    cast,
    client,
    connect_packet,
    running,
)

STARTS_A_BROKER = """
import asyncio, sys
from pathlib import Path
from dispatchd.links.broker.process import EmbeddedBroker
from tests.links.broker.harness import cast

async def main():
    broker = EmbeddedBroker(Path(sys.argv[2]), cast(), prefer=sys.argv[1])
    await broker.start()
    print(broker.pid, broker.port, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def until_gone(pid: int) -> None:
    """A pidfd becomes readable at the end of its process, whoever its parent is."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(watched, gone.set)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await gone.wait()
    finally:
        asyncio.get_running_loop().remove_reader(watched)
        os.close(watched)


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode()


def modes_in(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def until_answered(port: int, user: str) -> None:
    """Log in as a device would: again and again."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                raw = await Raw.log_in(port, user)
                raw.abort()
                return
            await asyncio.sleep(0.02)


@BOTH
async def test_a_killed_broker_comes_back_on_the_same_port(kind: Kind, tmp_path: Path) -> None:
    async with running(kind, tmp_path) as broker:
        for _ in range(2):
            pid, url = broker.pid, broker.url
            raw = await Raw.log_in(broker.port, "pillar-1")
            os.kill(pid, signal.SIGKILL)
            assert await raw.closed_by_broker() == b""
            await until_answered(broker.port, "pillar-1")
            assert (broker.pid != pid, broker.url) == (True, url)


@BOTH
async def test_a_reload_during_an_outage_is_in_force_after_it(kind: Kind, tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path, cast(), prefer=kind)
    await broker.start()
    os.kill(broker.pid, signal.SIGKILL)
    assert broker._child is not None
    await broker._child.exited.wait()
    await broker.reload(cast(without=["pillar-1"]))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(broker.wait(), name="broker-watch")
        await until_answered(broker.port, "terminal-1")
        raw = await Raw.open(broker.port)
        raw.writer.write(connect_packet("pillar-1", SECRETS["pillar-1"]))
        assert await raw.closed_by_broker() == b"\x20\x02\x00\x05"
        await broker.stop()


@BOTH
async def test_a_broker_that_does_not_confirm_a_reload_is_replaced(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "RELOAD_TIMEOUT_S", 0.5)
    async with running(kind, tmp_path) as broker:
        pid = broker.pid
        os.kill(pid, signal.SIGSTOP)
        await broker.reload(cast(without=["pillar-1"]))
        await until_answered(broker.port, "terminal-1")
        assert broker.pid != pid
        raw = await Raw.open(broker.port)
        raw.writer.write(connect_packet("pillar-1", SECRETS["pillar-1"]))
        assert await raw.closed_by_broker() == b"\x20\x02\x00\x05"


@BOTH
async def test_dying_beyond_the_budget_is_raised(kind: Kind, tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path, cast(), prefer=kind)
    await broker.start()

    async def kill_repeatedly() -> None:
        for _ in range(RESTART_LIMIT + 1):
            await until_answered(broker.port, "pillar-1")
            pid = broker.pid
            os.kill(pid, signal.SIGKILL)
            await until_gone(pid)

    with pytest.raises(BrokerFailed, match="died 6 times"):
        async with asyncio.timeout(60):
            await asyncio.gather(broker.wait(), kill_repeatedly())
    await broker.stop()


@BOTH
async def test_a_taken_port_is_said(kind: Kind, tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    broker = EmbeddedBroker(tmp_path, cast(), prefer=kind, port=port)
    with pytest.raises(BrokerFailed, match=f"does not start on 127.0.0.1:{port}"):
        await broker.start()
    await broker.stop()
    server.close()


@BOTH
async def test_stop_ends_the_process_and_the_watch(kind: Kind, tmp_path: Path) -> None:
    async with running(kind, tmp_path) as broker:
        pid = broker.pid
    await until_gone(pid)


@BOTH
async def test_the_broker_dies_with_its_parent(kind: Kind, tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTS_A_BROKER, kind, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        while not (line := await parent.stdout.readline()).split()[0].isdigit():
            pass
    pid, port = map(int, line.split())
    await until_answered(port, "pillar-1")
    parent.kill()
    await parent.wait()
    await until_gone(pid)


@BOTH
async def test_no_secret_is_in_logs_command_lines_or_open_files(kind: Kind, tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with running(kind, tmp_path) as broker:
            command = command_line(broker.pid)
            async with client(broker.port, "pillar-1") as pillar:
                await pillar.publish(f"{ROOT}/d/pillar-1/up/x", b"", 1)
            raw = await Raw.open(broker.port)
            raw.writer.write(connect_packet("pillar-1", "a-wrong-secret"))
            await raw.closed_by_broker()
            await broker.reload(cast(without=["pillar-1"]))
    told = command + repr(logs)
    assert "broker_log" in told
    assert not [secret for secret in (*SECRETS.values(), "a-wrong-secret", "$7$") if secret in told]
    assert modes_in(tmp_path) == {0o600}


async def test_mosquitto_is_found_where_an_ordinary_path_does_not_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("dispatchd.links.broker.process.SYSTEM_PATHS", (str(tmp_path / "sbin"),))
    with pytest.raises(BrokerFailed, match="not installed"):
        EmbeddedBroker(tmp_path, cast(), prefer="mosquitto")
    assert EmbeddedBroker(tmp_path, cast()).kind == "amqtt"
    fake = tmp_path / "sbin" / "mosquitto"
    fake.parent.mkdir()
    fake.touch(0o755)
    assert EmbeddedBroker(tmp_path, cast()).kind == "mosquitto"
