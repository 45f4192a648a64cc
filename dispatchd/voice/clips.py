"""The daemon's clips: DIR/clips/ID.clip, named by their content, bounded in number, bytes and age.

What must hold: a clip that was added is on disk before it is named to anybody; a file that does not hold what its name
says counts as none; the oldest unused go first, and one that is in use (an open broadcast) never goes. A use is
noted as the file's time. Methods block on the disk: call them from a thread.
"""

import contextlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from protocols.clip import describe, parts_of
from protocols.down import Clip
from protocols.topics import is_id

MAX_CLIPS: Final = 2_000
MAX_BYTES: Final = 256 * 1024 * 1024
MAX_AGE_S: Final = 30 * 86_400
"""Since its last use."""
CACHED: Final = 16
"""Clips in memory, least recently asked for out; the longest have 1 MB."""
SUFFIX: Final = ".clip"

log = structlog.get_logger("clips")
_encoder = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list[bytes])


class Kept(msgspec.Struct, frozen=True):
    """One clip: how it is named, and its packets."""

    clip: Clip
    frames: tuple[bytes, ...]

    def part(self, number: int) -> list[bytes]:
        """ValueError if it has no such part."""
        parts = parts_of(self.frames)
        if not 0 <= number < len(parts):
            raise ValueError(f"clip {self.clip.clip} has {len(parts)} parts, not number {number}")
        return parts[number]


class ClipStore:
    """One folder of clips."""

    def __init__(
        self,
        folder: Path,
        *,
        max_clips: int = MAX_CLIPS,
        max_bytes: int = MAX_BYTES,
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        self._folder = folder
        self._max_clips, self._max_bytes, self._max_age_s = max_clips, max_bytes, max_age_s
        self._cache: OrderedDict[str, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, frames: Sequence[bytes], in_use: Collection[str] = ()) -> Clip:
        """Keep it, and make room for it. ValueError for what is no clip, OSError when the disk refuses."""
        clip = describe(frames)
        path = self._path(clip.clip)
        with self._lock:
            if self._read(clip.clip) is None:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _write(path, _encoder.encode(list(frames)))
            self._used(path)
            self._tidy({*in_use, clip.clip})
        return clip

    def get(self, id_: str) -> Kept | None:
        """It, if it is here and whole; that is a use."""
        with self._lock:
            found = self._cache.get(id_) or self._read(id_)
            if found is None:
                return None
            self._cache[id_] = found
            self._cache.move_to_end(id_)
            while len(self._cache) > CACHED:
                self._cache.popitem(last=False)
            self._used(self._path(id_))
            return found

    def tidy(self, in_use: Collection[str] = ()) -> int:
        """Remove what is too much or too old, how many."""
        with self._lock:
            return self._tidy(set(in_use))

    def _path(self, id_: str) -> Path:
        return self._folder / (id_ + SUFFIX)

    def _read(self, id_: str) -> Kept | None:
        """From the disk; a torn or foreign file is told and counts as none."""
        if not is_id(id_):
            return None
        try:
            frames = _decoder.decode(self._path(id_).read_bytes())
            clip = describe(frames)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("clip cannot be read", clip=id_, error=str(error), do="make the broadcast again")
            return None
        if clip.clip != id_:
            log.warning("clip holds another sound than its name says", clip=id_, do="look at the disk")
            return None
        return Kept(clip, tuple(frames))

    def _used(self, path: Path) -> None:
        with contextlib.suppress(OSError):  # its time is only a hint
            os.utime(path)

    def _tidy(self, in_use: set[str]) -> int:
        found = sorted(self._listed())
        count, held_bytes = len(found), sum(size for _, size, _ in found)
        oldest_s = time.time() - self._max_age_s
        for used_s, size, path in found:
            fits = count <= self._max_clips and held_bytes <= self._max_bytes and used_s >= oldest_s
            if not fits and path.stem not in in_use:
                count, held_bytes = count - 1, held_bytes - size
                self._cache.pop(path.stem, None)
                path.unlink(missing_ok=True)
        return len(found) - count

    def _listed(self) -> list[tuple[float, int, Path]]:
        found = []
        for path in self._folder.glob("*" + SUFFIX):
            with contextlib.suppress(FileNotFoundError):
                stat = path.stat()
                found.append((stat.st_mtime, stat.st_size, path))
        return found


def _write(path: Path, content: bytes) -> None:
    """Whole and on disk, or not at all."""
    beside = path.with_suffix(".new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
