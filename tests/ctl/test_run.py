"""`dispatchd run` as a process: the ready line, the files it leaves, a second daemon, the end."""

import asyncio
import json
import signal
import stat
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from dispatchd import cli
from dispatchd.ctl import errors

WAIT_S = 30


def settings(directory: Path) -> Path:
    file = directory / "settings.toml"
    file.write_text(
        f'dir = "{directory}/state"\n[broker]\nlisten = "127.0.0.1:0"\n[log]\nformat = "json"\n', "utf-8"
    )
    return file


def mode(path: str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


async def start(file: Path) -> Process:
    args = ("run", "--config", str(file), "--http", "127.0.0.1:0", "--broker", "amqtt")
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dispatchd", *args, stdout=PIPE, stderr=PIPE
    )


async def test_ready_line_second_daemon_and_end(tmp_path: Path) -> None:
    file = settings(tmp_path)
    daemon = await start(file)
    try:
        assert daemon.stdout is not None
        async with asyncio.timeout(WAIT_S):
            ready = json.loads(await daemon.stdout.readline())
        assert set(ready) == {"ready", "http", "mqtt", "root", "admin_token_file", "voice"}
        assert ready["ready"] is True
        assert ready["http"].startswith("http://127.0.0.1:")
        assert mode(ready["admin_token_file"]) == 0o600
        directory = str(tmp_path / "state")
        for args in (["ctl", "me"], ["device", "add", "pil-1", "--kind", "pillar", "--unit", "top"]):
            assert await asyncio.to_thread(cli.main, [*args, "--dir", directory]) == 0
        assert mode(f"{directory}/credentials/pil-1.json") == 0o600
        second = await start(file)
        async with asyncio.timeout(WAIT_S):
            _, said = await second.communicate()
        assert second.returncode == errors.BAD_FILE
        assert b"Another dispatchd" in said
        assert b"Traceback" not in said
        daemon.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WAIT_S):
            out, log = await daemon.communicate()
        assert daemon.returncode == 0, log.decode()
        assert out == b"", "one line on stdout, no more"
        token = (await asyncio.to_thread(Path(ready["admin_token_file"]).read_bytes)).strip()
        assert token not in log
    finally:
        if daemon.returncode is None:
            daemon.kill()
            await daemon.wait()


async def test_a_wrong_address_is_refused_in_a_sentence(tmp_path: Path) -> None:
    args = ("run", "--dir", str(tmp_path / "x"), "--http", "0.0.0.0:8080")
    daemon = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dispatchd", *args, stdout=PIPE, stderr=PIPE
    )
    async with asyncio.timeout(WAIT_S):
        out, said = await daemon.communicate()
    assert (daemon.returncode, out) == (errors.BAD_FILE, b"")
    assert b"this machine only" in said
    assert b"Traceback" not in said
