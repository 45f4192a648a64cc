"""The external broker's example: the same walls as the broker that dispatchd starts, tried on a real mosquitto."""

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dispatchd.links.broker import mosquitto
from dispatchd.links.broker.access import Access, Grant
from dispatchd.links.broker.process import find_mosquitto
from protocols import topics
from protocols.secret import hash_secret
from tests.links.broker.harness import ROOT as TOPIC_ROOT
from tests.links.broker.harness import SECRETS, client, next_message
from tests.packaging.tree import ROOT

FOLDER = ROOT / "deploy/mosquitto"
ACL = (FOLDER / "dispatchd.acl").read_text("utf-8")
CONF = (FOLDER / "dispatchd.conf").read_text("utf-8")
EXCEPT = {"listener", "password_file", "acl_file"}
"""Where it differs from our own broker by what it is: a place on this machine."""
OURS_ONLY = {"per_listener_settings", "max_connections", "sys_interval", "log_dest", "log_timestamp"}
OURS_ONLY |= {"log_type", "connection_messages", "max_inflight_bytes"}


def said(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_its_list_is_what_dispatchd_writes_for_its_own_broker() -> None:
    nobody = Access(topics.DEFAULT_ROOT, Grant(hash_secret("x")))
    assert said(ACL) == said(mosquitto.render_acl(nobody))


def test_the_member_of_a_talk_group_is_written_as_dispatchd_writes_him() -> None:
    grant = Grant(hash_secret("x"), ("tg-1",))
    ours = mosquitto.render_acl(Access(topics.DEFAULT_ROOT, grant, {"t-001": grant}))
    shown = [line.removeprefix("# ") for line in ACL.splitlines() if line.startswith(("# user", "# topic"))]
    assert "\n".join(shown) in ours
    assert len(shown) == 3


def test_its_limits_are_those_of_our_own_broker(tmp_path: Path) -> None:
    ours = dict(line.split(" ", 1) for line in mosquitto.render_config(tmp_path, "h", 1, None).splitlines())
    theirs = dict(line.split(" ", 1) for line in said(CONF))
    assert {name: theirs.get(name) for name in ours if name not in EXCEPT | OURS_ONLY} == {
        name: value for name, value in ours.items() if name not in EXCEPT | OURS_ONLY
    }


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[int]:
    """mosquitto on the example's files with a free port and this folder instead of /etc/mosquitto; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.chmod(0o755)
    (folder / "dispatchd.acl").write_text(ACL, "utf-8")
    users = folder / "dispatchd.users"
    users.write_text("".join(f"{user}:{hash_secret(secret)}\n" for user, secret in SECRETS.items()), "utf-8")
    conf = CONF.replace("/etc/mosquitto", str(folder)).replace("listener 1883", f"listener {port}")
    (folder / "dispatchd.conf").write_text(conf + "user root\n", "utf-8")
    program = find_mosquitto()
    assert program, "apt-get install mosquitto"
    command = [program, "-v", "-c", str(folder / "dispatchd.conf")]
    process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        async with asyncio.timeout(10):
            while b"running" not in (line := await process.stderr.readline()):
                assert line, f"mosquitto ended with {await process.wait()}"
        yield port
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.mosquitto
async def test_a_device_speaks_as_itself_and_hears_itself_only(tmp_path: Path) -> None:
    async with (
        running(tmp_path) as port,
        client(port, "dispatchd") as daemon,
        client(port, "pillar-1") as pillar,
        client(port, "terminal-1") as terminal,
    ):
        for heard in topics.daemon_filters(TOPIC_ROOT):
            await daemon.subscribe(heard, 1)
        await pillar.subscribe(f"{TOPIC_ROOT}/#", 1)
        await terminal.publish(topics.up(TOPIC_ROOT, "pillar-1", "alarm"), b"another's", 1)
        await pillar.publish(topics.up(TOPIC_ROOT, "pillar-1", "alarm"), b"own", 1)
        assert (await next_message(daemon)).payload == b"own"
        await daemon.publish(topics.down(TOPIC_ROOT, "terminal-1", "call"), b"another's", 1)
        await daemon.publish(topics.down(TOPIC_ROOT, "pillar-1", "receipt"), b"own", 1)
        assert (await next_message(pillar)).payload == b"own"


@pytest.mark.mosquitto
async def test_nobody_comes_in_without_his_secret(tmp_path: Path) -> None:
    async with running(tmp_path) as port:
        with pytest.raises(Exception, match=r"[Nn]ot authori"):
            async with client(port, "pillar-1", "wrong"):
                pass
