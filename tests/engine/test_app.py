"""The daemon as its supervisor sees it: `dispatchd run`, what it says, its files, and its ends."""

import asyncio
import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from dispatchd.ctl.errors import BAD_FILE
from dispatchd.links.broker.access import DAEMON_USER, Access, Grant
from dispatchd.links.broker.process import EmbeddedBroker
from protocols.secret import hash_secret
from tests.e2e.process import BOTH, ROOT, Daemon, alive, daemon, free_port, until
from tests.engine.site import SITE

RUN = (sys.executable, "-m", "dispatchd", "run")


def settings(folder: Path, broker: str = "amqtt", **http: Any) -> Path:
    """A settings file on free ports."""
    path = folder / "dispatchd.toml"
    path.write_text(
        f'dir = "{folder / "state"}"\n[http]\naddress = "127.0.0.1:{http.get("port", 0)}"\n'
        f'[broker]\nmode = "{broker}"\nlisten = "127.0.0.1:0"\n',
        encoding="utf-8",
    )
    return path


@contextlib.contextmanager
def ran(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Until it is ready; killed at the end at the latest."""
    command = [*RUN, "--config", str(path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


def failed(path: Path) -> tuple[int, str]:
    """Exit code and last words of a daemon that cannot start."""
    command = [*RUN, "--config", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr.strip().splitlines()[-1]


@BOTH
def test_it_says_once_that_it_is_ready_and_ends_in_order(tmp_path: Path, broker: str) -> None:
    with ran(settings(tmp_path, broker)) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["ready"] is True
        assert json.loads((tmp_path / "state/daemon.json").read_bytes()) == ready
        files = ("daemon.json", "admin.token", "dispatch.db")
        modes = {stat.S_IMODE((tmp_path / "state" / name).stat().st_mode) for name in files}
        assert modes == {0o600}
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 1
        process.send_signal(signal.SIGTERM)
        said, logged = process.communicate(timeout=20)
        assert (process.returncode, said) == (0, "")
        assert "stopped" in logged
        token = (tmp_path / "state/admin.token").read_text().strip()
        assert token not in logged
        assert not alive(int(children[0]))


def test_a_second_daemon_in_the_same_folder_is_told_which_process_has_it(tmp_path: Path) -> None:
    with ran(settings(tmp_path)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        code, why = failed(tmp_path / "dispatchd.toml")
        assert code
        assert f"process {process.pid}" in why


def test_a_taken_port_or_a_foreign_file_is_said_in_a_sentence(tmp_path: Path) -> None:
    with ran(settings(tmp_path)) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["http"].rpartition(":")[2]
        (tmp_path / "other").mkdir()
        code, why = failed(settings(tmp_path / "other", port=port))
        assert code
        assert f"127.0.0.1:{port}" in why
    (tmp_path / "second").mkdir()
    (tmp_path / "second/state").write_text("a file is in the way of the folder")
    code, why = failed(settings(tmp_path / "second"))
    assert code == BAD_FILE
    assert "cannot use its folder" in why
    (tmp_path / "third/state").mkdir(parents=True)
    (tmp_path / "third/state/dispatch.db").write_bytes(b"not a database, but long enough to look at" * 100)
    code, why = failed(settings(tmp_path / "third"))
    assert code
    assert "not an SQLite database" in why


async def test_a_broker_that_cannot_be_kept_alive_ends_the_daemon_loudly(tmp_path: Path) -> None:
    """More deaths than its budget of five a minute: the supervisor starts everything anew."""
    async with daemon(tmp_path, "amqtt", SITE) as at:
        process, seen = at.process, set[int]()
        assert process is not None

        async def killed() -> bool:
            seen.update(at.children())
            at.kill_broker()
            return process.returncode is not None

        await until(killed, 40, 0.1)
        assert process.returncode
        assert len(seen) >= 6
        assert "died 6 times" in at.log()


async def test_a_database_that_is_taken_away_ends_the_daemon_loudly(tmp_path: Path) -> None:
    async with daemon(tmp_path, "amqtt", SITE) as at:
        at.database.rename(tmp_path / "elsewhere.db")
        at.database.touch()
        answer = await at.client.post(
            "/commands/broadcast", json={"command": "broadcast", "text": "x", "target": {"everybody": True}}
        )
        assert answer.status_code == 503
        assert await at.ended() not in (0, -9)
        assert "was replaced while dispatchd was running" in at.log()
        at.database.unlink()
        (tmp_path / "elsewhere.db").rename(at.database)
        await at.start()
        assert (await at.health())["ready"]


@contextlib.asynccontextmanager
async def foreign_broker(folder: Path, kind: Any) -> AsyncIterator[EmbeddedBroker]:
    """One that the daemon does not start, with a password for it."""
    (folder / "password").write_text("known to ops\n")
    broker = EmbeddedBroker(
        folder / "broker",
        Access("dispatch/v1", Grant(hash_secret("known to ops"))),
        prefer=kind,
        port=free_port(),
    )
    await broker.start()
    watch = asyncio.create_task(broker.wait(), name="watch")
    try:
        yield broker
    finally:
        await broker.stop()
        await watch


@BOTH
async def test_it_uses_a_broker_that_runs_already_and_starts_none(tmp_path: Path, broker: str) -> None:
    async with foreign_broker(tmp_path, broker) as foreign:
        at = Daemon(tmp_path, broker)
        settings_file = tmp_path / "settings.json"
        found = json.loads(settings_file.read_text())
        found["broker"] = {
            "mode": "url", "url": foreign.url, "username": DAEMON_USER, "password_file": str(tmp_path / "password"),
        }  # fmt: skip
        settings_file.write_text(json.dumps(found))
        try:
            await at.start()
            assert at.ready["mqtt"] == foreign.url
            assert at.children() == []
            assert (await at.health())["link_up"] is True
            os.kill(foreign.pid, signal.SIGKILL)
            await until(lambda: link_is(at, up=False))
            await until(lambda: link_is(at, up=True))
            assert await at.stop() == 0
            assert "known to ops" not in at.log()
        finally:
            if at.running:
                await at.kill()
            await at.client.aclose()


async def link_is(at: Daemon, *, up: bool) -> bool:
    return bool((await at.health())["link_up"] is up)
