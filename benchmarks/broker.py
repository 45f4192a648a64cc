"""One mosquitto for both sides, with the files that dispatchd itself renders, and one more user for the baseline.

The baseline speaks below BARE_ROOT, the daemon below its own root; every client may use both.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

from dispatchd.links.broker import mosquitto
from dispatchd.links.broker.access import DAEMON_USER, Access, Grant
from dispatchd.links.broker.process import find_mosquitto
from protocols.secret import hash_secret

from .town import Somebody

HOST: Final = "127.0.0.1"
ROOT: Final = "dispatch/v1"
BARE_ROOT: Final = "bare"
BARE_USER: Final = "bare"
PASSWORD: Final = "only-here"
START_TIMEOUT_S: Final = 10.0


class NoMosquitto(Exception):
    """The benchmark needs mosquitto."""


class Running(NamedTuple):
    """Where it listens, and its process."""

    port: int
    pid: int


@asynccontextmanager
async def broker(folder: Path, who: Iterable[Somebody]) -> AsyncIterator[int]:
    """Its port, while it runs."""
    async with running(folder, who, {}) as started:
        yield started.port


@asynccontextmanager
async def running(
    folder: Path, who: Iterable[Somebody], groups: Mapping[str, tuple[str, ...]]
) -> AsyncIterator[Running]:
    """A broker that lets each device hear its talk `groups`."""
    program = find_mosquitto()
    if program is None:
        raise NoMosquitto("mosquitto is not installed: apt-get install mosquitto")
    port = _free_port()
    config = _write_files(folder, port, who, groups)
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(program, "-c", str(config), stdout=log, stderr=log)
    try:
        await _serving(port)
        yield Running(port, process.pid)
    finally:
        process.terminate()
        await process.wait()


def _write_files(
    folder: Path, port: int, who: Iterable[Somebody], groups: Mapping[str, tuple[str, ...]]
) -> Path:
    folder = folder.resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    users = {one.id: one.secret for one in who} | {BARE_USER: PASSWORD}
    access = Access(
        ROOT,
        Grant(hash_secret(PASSWORD)),
        {user: Grant(hash_secret(secret), groups.get(user, ())) for user, secret in users.items()},
    )
    bare = f"user {BARE_USER}\ntopic readwrite {BARE_ROOT}/#\n"
    own = f"pattern write {BARE_ROOT}/d/%u/up/#\npattern read {BARE_ROOT}/d/%u/down/#\n"
    config = mosquitto.render_config(folder, HOST, port, "root" if os.geteuid() == 0 else None)
    for name, text in (
        (mosquitto.USERS_FILE, mosquitto.render_passwords(access)),
        (mosquitto.ACL_FILE, bare + mosquitto.render_acl(access) + own),
        ("mosquitto.conf", config),
        (DAEMON_USER, PASSWORD),
    ):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    return folder / "mosquitto.conf"


async def _serving(port: int) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
