"""mumble-server (Debian) with files and ports of its own, and as much of its protocol as a load client needs.

Control messages are protobuf by TLS: type (2 bytes), length (4), body. Only what is used here is written or read:
varints and bytes, in the fields named beside them. Voice goes by UDP, sealed (ocb.py).
"""

import asyncio
import getpass
import secrets
import shutil
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

HOST: Final = "127.0.0.1"
PROGRAMS: Final = ("murmurd", "mumble-server")
SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"
START_TIMEOUT_S: Final = 30.0
"""It makes itself a certificate first."""
STOP_TIMEOUT_S: Final = 10.0

VERSION, AUTHENTICATE, REJECT, SYNC = 0, 2, 4, 5
CHANNEL_STATE, USER_STATE, PERMISSION_DENIED, CRYPT_SETUP = 7, 9, 12, 15
OUR_VERSION: Final = 0x010304
OPUS: Final = 4 << 5
"""Head of a datagram: Opus, to the talker's own channel."""
PING: Final = 1 << 5
LAST: Final = 0x2000
_head = struct.Struct(">HI")


class NoMumble(Exception):
    """mumble-server is not installed."""


class Server(NamedTuple):
    """`password` is SuperUser's, who may make channels."""

    port: int
    pid: int
    password: str


def find() -> str | None:
    """The program, looked for where Debian keeps it too."""
    found = (shutil.which(name) or shutil.which(name, path=SBIN) for name in PROGRAMS)
    return next((one for one in found if one), None)


@asynccontextmanager
async def server(folder: Path, users: int) -> AsyncIterator[Server]:
    """A private server in `folder`, on loopback; ended with the context. NoMumble when there is none."""
    program = find()
    if program is None:
        raise NoMumble("mumble-server is not installed: apt-get install mumble-server")
    folder.mkdir(parents=True, exist_ok=True)
    port, password, settings = _free_port(), secrets.token_hex(8), folder / "server.ini"
    settings.write_text(_settings(folder, port, users))
    with (folder / "console").open("wb") as console:
        await _run(program, "-ini", str(settings), "-supw", password, stdout=console)
        process = await asyncio.create_subprocess_exec(
            program, "-fg", "-ini", str(settings), stdout=console, stderr=console
        )
        try:
            await _serving(port, process)
            yield Server(port, process.pid, password)
        finally:
            await _stop(process)


def _settings(folder: Path, port: int, users: int) -> str:
    """Its defaults, but for places, numbers and limits that a load would run into; as root it would change its user."""
    return (
        f"uname={getpass.getuser()}\ndatabase={folder}/mumble.sqlite\nlogfile={folder}/mumble.log\npidfile=\n"
        f"host={HOST}\nport={port}\nusers={users}\nbandwidth=240000\n"
        "timeout=3600\nautobanAttempts=0\nmessagelimit=10000\nmessageburst=10000\nbonjour=false\nsendversion=false\n"
    )


async def _run(*command: str, stdout: object) -> None:
    process = await asyncio.create_subprocess_exec(*command, stdout=stdout, stderr=stdout)  # type: ignore[arg-type]
    async with asyncio.timeout(START_TIMEOUT_S):
        await process.wait()


async def _serving(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
    raise NoMumble(f"mumble-server ended at once ({process.returncode})")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _free_port() -> int:
    """Free for both TCP and UDP."""
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.bind((HOST, 0))
        port = int(tcp.getsockname()[1])
        udp.bind((HOST, port))
        return port


# --- protobuf ---------------------------------------------------------------------------------------------------


def message(kind: int, *fields: tuple[int, int | bytes]) -> bytes:
    """A control message of (field number, value)."""
    body = b"".join(_field(number, value) for number, value in fields)
    return _head.pack(kind, len(body)) + body


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        return _base128(number << 3 | 2) + _base128(len(value)) + value
    return _base128(number << 3) + _base128(value)


def _base128(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def fields(body: bytes) -> dict[int, int | bytes]:
    """The last value of every field; 32 and 64 bit ones are not used by what is read here."""
    found: dict[int, int | bytes] = {}
    at = 0
    while at < len(body):
        tag, at = _read128(body, at)
        value, at = _read128(body, at)
        if tag & 7 == 2:
            found[tag >> 3] = body[at : at + value]
            at += value
        else:
            found[tag >> 3] = value
    return found


def _read128(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


def messages(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Whole control messages of a stream: kind, body, and where the rest begins."""
    at = 0
    while at + _head.size <= len(data):
        kind, size = _head.unpack_from(data, at)
        if at + _head.size + size > len(data):
            return
        at += _head.size + size
        yield kind, data[at - size : at], at


# --- datagrams --------------------------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    """mumble's own variable length, as far as 28 bits; it is not protobuf's."""
    if value < 0x80:
        return bytes([value])
    if value < 0x4000:
        return (0x8000 | value).to_bytes(2, "big")
    if value < 0x200000:
        return (0xC00000 | value).to_bytes(3, "big")
    return (0xE0000000 | value).to_bytes(4, "big")


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Value and where the rest begins."""
    first = data[at]
    size = 1 if first < 0x80 else 2 if first < 0xC0 else 3 if first < 0xE0 else 4
    low = int.from_bytes(data[at : at + size], "big")
    return low & (1 << 8 * size - size) - 1, at + size


def voice(seq: int, opus: bytes) -> bytes:
    """Client → server, before it is sealed."""
    return bytes([OPUS]) + varint(seq) + varint(len(opus)) + opus


def heard(plain: bytes) -> tuple[int, int, bytes]:
    """Server → client: session, seq, Opus."""
    session, at = read_varint(plain, 1)
    seq, at = read_varint(plain, at)
    size, at = read_varint(plain, at)
    return session, seq, plain[at : at + (size & ~LAST)]
