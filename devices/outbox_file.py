"""The durable outbox: one append-only file of checked records, on disk before a publish.

A record is MAGIC, length and CRC-32 (big-endian) and a MessagePack entry. What is torn or rotten is skipped and
counted: reading goes on at the next record that checks. The file is rewritten (beside it, synced, renamed, folder
synced) when it holds much that is dead, after a failed write and when it was found damaged. One process at a time
has it (a lock file beside it).
"""

import fcntl
import os
import secrets
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from devices.outbox import ConnTaken, Entry, MemoryOutbox, Note, OutboxError, Record, Reserved

MAGIC: Final = b"\xd1\x5b"
HEAD: Final = struct.Struct(">2sII")
MAX_ENTRY_BYTES: Final = 64 * 1024
"""A longer entry is refused when written and taken for damage when read."""
COMPACT_BYTES: Final = 256 * 1024
"""A file longer than this, and than twice what lives, is rewritten."""
MAX_FILE_BYTES: Final = 256 * 1024 * 1024
"""A longer file is none of ours: not read."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)
Sync = Callable[[int], None]


def framed(entry: Entry) -> bytes:
    body = _encoder.encode(entry)
    if len(body) > MAX_ENTRY_BYTES:
        raise OutboxError(f"an entry of {len(body)} bytes does not fit the outbox ({MAX_ENTRY_BYTES})")
    return HEAD.pack(MAGIC, len(body), zlib.crc32(body)) + body


def scan(data: bytes) -> tuple[list[Entry], int]:
    """Every entry that checks, in order, and how many bytes belong to none."""
    entries: list[Entry] = []
    good = 0
    for end, entry in _entries(data):
        entries.append(entry)
        good += end
    return entries, len(data) - good


def _entries(data: bytes) -> Iterator[tuple[int, Entry]]:
    at = data.find(MAGIC)
    while 0 <= at <= len(data) - HEAD.size:
        _, length, crc = HEAD.unpack_from(data, at)
        body = data[at + HEAD.size : at + HEAD.size + length] if length <= MAX_ENTRY_BYTES else b""
        entry = _decoded(body) if len(body) == length and zlib.crc32(body) == crc else None
        if entry is not None:
            yield HEAD.size + length, entry
            at += HEAD.size + length
            if data[at : at + len(MAGIC)] == MAGIC:
                continue
        at = data.find(MAGIC, at if entry is not None else at + 1)


def _decoded(body: bytes) -> Any:
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


class FileOutbox(MemoryOutbox):
    """`path` is the file; its folder is made. OutboxError with the next step when it cannot be used.

    `damaged_bytes` tells what had to be skipped at opening. `sync` is os.fsync but for tests.
    """

    def __init__(self, path: Path, *, clock: str = "", sync: Sync = os.fsync) -> None:
        self._path = path
        self._sync = sync
        self._fd = -1
        self._lock_fd = -1
        self._bytes = 0
        self._broken = False
        self.damaged_bytes = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock()
            self._open()
            super().__init__("b" + secrets.token_hex(8), clock=clock)
        except OSError as error:
            self.close()
            raise OutboxError(
                f"cannot use the outbox {path}: {error.strerror}. Check the folder's owner and free space."
            ) from error
        except OutboxError:
            self.close()
            raise

    # -------------------------------------------------------------------------------------------- opening

    def _lock(self) -> None:
        self._lock_fd = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutboxError(
                f"the outbox {self._path} is in use by another process: stop that one, or give --dir another folder."
            ) from error

    def _open(self) -> None:
        data = self._read()
        self._entries, self.damaged_bytes = scan(data)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._bytes = len(data)
        self._sync_folder()

    def _read(self) -> bytes:
        if not self._path.exists():
            return b""
        if self._path.stat().st_size > MAX_FILE_BYTES:
            raise OutboxError(f"{self._path} is longer than an outbox grows: move it away and look into it.")
        return self._path.read_bytes()

    def _started(self) -> None:
        for entry in self._entries:
            self._apply(entry)
        self._entries.clear()
        self._broken = self.damaged_bytes > 0

    # -------------------------------------------------------------------------------------------- writing

    def _commit(self, entries: list[Entry], *, sync: bool) -> None:
        for entry in entries:
            self._apply(entry)
        try:
            if self._broken or (self._bytes > COMPACT_BYTES and self._bytes > 2 * self._live_bytes()):
                self._rewrite()
            else:
                self._append(b"".join(map(framed, entries)), sync=sync)
        except OSError as error:
            self._broken = True
            raise OutboxError(f"{self._path}: {error.strerror or error}") from error

    def _append(self, data: bytes, *, sync: bool) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self._bytes += len(data)
        if sync:
            self._sync(self._fd)

    def _rewrite(self) -> None:
        """Everything that lives into a new file, which then takes the name."""
        new = self._path.with_suffix(".new")
        data = b"".join(map(framed, self._living()))
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        old, self._fd = self._fd, fd
        try:
            self._bytes = 0
            self._append(data, sync=True)
            new.replace(self._path)
            self._sync_folder()
        finally:
            os.close(old)
        self._broken = False

    def _living(self) -> Iterator[Entry]:
        yield Reserved(self._reserved)
        yield ConnTaken(self._conn)
        for name, value in self._notes.items():
            yield Note(name, value)
        yield from self._live.values()

    def _live_bytes(self) -> int:
        return sum(HEAD.size + 64 + _size(entry) for entry in self._living())

    def _sync_folder(self) -> None:
        fd = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._sync(fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        for fd in (self._fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock_fd = -1


def _size(entry: Entry) -> int:
    match entry:
        case Record():
            return len(entry.body)
        case Note():
            return len(entry.value)
    return 0
