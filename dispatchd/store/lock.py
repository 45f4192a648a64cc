"""One daemon per database: a lock on a side file, held for life and released by the kernel, also on kill -9.

It is an fcntl lock, so a forked child does not keep it. Such a lock belongs to the process and is lost when
it closes ANY descriptor of the file; therefore `_held` refuses a second try here before the file is touched.
The side file stays for ever: removing it would let two daemons lock two files of one name.
"""

import fcntl
import os
from pathlib import Path
from threading import Lock

from dispatchd.store.base import StoreBusy

_held: set[Path] = set()
_guard = Lock()


class DaemonLock:
    """Holds PATH.lock until `release`. StoreBusy, naming the holder's process id, if it is taken."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + ".lock")
        with _guard:
            if self.path in _held:
                raise _taken(database, str(os.getpid()))
            self._fd = _locked(self.path, database)
            _held.add(self.path)

    def release(self) -> None:
        with _guard:
            _held.discard(self.path)
            os.close(self._fd)


def _locked(path: Path, database: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.pwrite(fd, b"%-10d\n" % os.getpid(), 0)  # in place: it needs no new block on a full disk
    except (BlockingIOError, PermissionError):
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        os.close(fd)
        raise _taken(database, holder or "unknown") from None
    except OSError:
        os.close(fd)
        raise
    return fd


def _taken(database: Path, pid: str) -> StoreBusy:
    return StoreBusy(
        f"Another dispatchd (process {pid}) uses {database}.",
        "Stop that one first, or give this one its own store.url.",
    )
