"""Says in a sentence what SQLite or the disk refused, and what to do next.

Only what can happen to a sound program becomes a StoreError; a broken constraint or a wrong type is our own
bug and passes unchanged.
"""

import errno
import sqlite3
from pathlib import Path

from dispatchd.store.base import StoreBroken, StoreBusy, StoreError, StoreFull

OLDEST_SQLITE = (3, 37, 0)  # the first with STRICT tables
_OUR_BUGS = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.DataError,
    sqlite3.NotSupportedError,
)
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}  # the second: no space to enlarge the -shm file
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


def check_version() -> None:
    """StoreBroken if Python came with an SQLite older than OLDEST_SQLITE."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        raise StoreBroken(
            f"Python's SQLite is {sqlite3.sqlite_version}; dispatchd needs {wanted} or newer.",
            "Install a newer Python or libsqlite3.",
        )


def from_sqlite(error: sqlite3.Error, path: Path) -> StoreError | None:
    """The StoreError for an SQLite error, None if the error is our own bug."""
    if isinstance(error, _OUR_BUGS):
        return None
    code: int = getattr(error, "sqlite_errorcode", 0)
    if {code, code & 0xFF} & _FULL:
        return _full(path)
    if code & 0xFF in _BUSY:
        return _busy(path)
    return _damaged(path, error) if code & 0xFF in _DAMAGED else _failed(path, error)


def from_os(error: OSError, path: Path) -> StoreError:
    """The StoreError for what the system refused at opening or looking at the file."""
    return _full(path) if error.errno in _NO_SPACE else _failed(path, error)


def _full(path: Path) -> StoreError:
    return StoreFull(
        f"No space left to write {path}.",
        f"Free space on the disk of {path.parent}; dispatchd goes on by itself once there is some.",
    )


def _busy(path: Path) -> StoreError:
    return StoreBusy(
        f"Another program keeps {path} locked.",
        f"Close sqlite3 shells and backup tools that have it open (fuser {path} lists them).",
    )


def _damaged(path: Path, error: Exception) -> StoreError:
    return StoreBroken(
        f"{path} is damaged or not an SQLite database ({error}).",
        "Stop dispatchd, keep the file and its -wal aside, check the disk, restore the last backup.",
    )


def _failed(path: Path, error: Exception) -> StoreError:
    return StoreBroken(
        f"{path} cannot be used ({error}).",
        f"Check that {path.parent} exists and dispatchd may write there, and the disk (dmesg). Start again.",
    )
