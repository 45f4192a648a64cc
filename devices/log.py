"""The device's own log: one JSON line for each thing it did, with keys, items and monotonic ms. Bounded, rotated.

Lines carry `ev`, `t_ms` (monotonic, comparable within one boot of the machine), `site_ms` when site time is known,
and `device`. Writing is not durable: the log is for people and tests, never for promises.
"""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO

import msgspec

MAX_FILE_BYTES: Final = 4 * 1024 * 1024
"""A fuller log becomes `.1`, the `.1` before it is gone."""

_encoder = msgspec.json.Encoder()


def line(device: str, fields: dict[str, Any]) -> str:
    return _encoder.encode({"device": device, **fields}).decode()


class DeviceLog:
    """Appends to `path`, if given, and hands every line to `tell`. Call it with the fields of a line."""

    def __init__(
        self, device: str, path: Path | None = None, tell: Callable[[str], None] | None = None
    ) -> None:
        self._device = device
        self._path = path
        self._tell = tell
        self._file: TextIO | None = None
        self._bytes = 0
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open(path)

    def __call__(self, fields: dict[str, Any]) -> None:
        text = line(self._device, fields)
        if self._tell is not None:
            self._tell(text)
        if self._file is not None and self._path is not None:
            self._write(self._file, text + "\n", self._path)

    def _write(self, file: TextIO, text: str, path: Path) -> None:
        """A full disk costs lines of this log, nothing else."""
        try:
            file.write(text)
        except OSError:
            return
        self._bytes += len(text.encode())
        if self._bytes > MAX_FILE_BYTES:
            file.close()
            path.replace(path.with_suffix(path.suffix + ".1"))
            self._open(path)

    def _open(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._bytes = path.stat().st_size

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
