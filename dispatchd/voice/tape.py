"""One file of a recording on its way to the disk: frames in, whole Ogg pages out, a row of the index at the end.

What must hold: the file plays at any moment and up to the last flush; a write that fails leaves it as it was and costs
the frames of that write only; nothing after a gap is earlier or later than it was said. All of it runs in the
recorder's thread, except `Label.of`.
"""

import copy
import hashlib
import os
from collections.abc import Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Final, NamedTuple

from dispatchd.store.base import Recording
from protocols.voice import CLOCK_HZ, Frame

from . import ogg

FLUSH_S: Final = 0.4
"""Between writes; with HOLD_S and the recorder's turn no more than a second is lost with the process."""
HOLD_S: Final = 0.1
"""Frames so young are kept back for one that was overtaken; what comes later still counts as lost."""
LONGEST_MS: Final = 600_000
"""Of one file; what goes on, goes on in the next part."""
AHEAD_S: Final = 5.0
"""A talker's clock may run ahead of arrival by so much; beyond it the gap is closed, and `why` says so."""
LATE: Final = -480
"""Samples that frames may overlap (a talker changed their length); one that overlaps more came too late."""


class Label(NamedTuple):
    """What is known of a recording when it begins; it stands in the file's tags too. `core_ms`: core time."""

    recording: str
    group: str
    talker: str
    burst: int
    wall_ms: int
    core_ms: int
    name: str = ""
    incident: str = ""
    unit: str = ""
    drill: bool = False

    def tags(self, zone: tzinfo) -> dict[str, str]:
        """For players the usual ones, for us all fields."""
        fields = {f"DISPATCH_{name.upper()}": str(value) for name, value in self._asdict().items()}
        fields["DISPATCH_DRILL"] = "1" if self.drill else ""
        time = local(self.wall_ms, zone).isoformat(sep=" ", timespec="milliseconds")
        artist = self.name or self.talker
        return {"TITLE": f"{self.group} {artist} {time}", "ARTIST": artist, "DATE": time, **fields}

    @staticmethod
    def of(tags: Mapping[str, str]) -> "Label":
        """Back from a file's tags. ValueError if they are not ours."""
        found = {name: tags.get(f"DISPATCH_{name.upper()}", "") for name in Label._fields}
        numbers = {name: int(found[name]) for name in ("burst", "wall_ms", "core_ms")}
        texts = {name: value for name, value in found.items() if name not in {*numbers, "drill"}}
        return Label(**texts, **numbers, drill=bool(found["drill"]))  # type: ignore[arg-type]

    def path(self, zone: tzinfo) -> str:
        """Below the folder of recordings: one folder a day of the site."""
        return f"{local(self.wall_ms, zone):%Y-%m-%d}/{self.recording}.opus"

    def row(self, whole: ogg.Whole, path: str, sha256: str, lost: int, why: str) -> Recording:
        """Its row of the index."""
        return Recording(
            self.recording, self.group, self.talker, self.name, self.incident, self.unit, self.burst, self.wall_ms,
            whole.ms, whole.frames, lost, whole.bytes, path, sha256, self.drill, why,
        )  # fmt: skip


def local(wall_ms: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(wall_ms / 1000, zone)


class Tape:
    """`put` frames, `flush` now and then, `close`; `next` is the part after this one."""

    def __init__(
        self, folder: Path, label: Label, zone: tzinfo, begin: tuple[int, int] | None = None
    ) -> None:
        self.label = label
        self._zone, self._folder = zone, folder
        self._stream = ogg.Stream(label.tags(zone), label.burst & 0xFFFFFFFF)
        self._fd = -1
        self._path = label.path(zone)
        self._bytes = 0
        self._hash = hashlib.sha256()
        self._waiting: list[tuple[Frame, float]] = []
        self._origin: int | None = begin[0] if begin else None
        """`ts` of granule 0."""
        self._seq: int | None = begin[1] if begin else None
        """The first sequence number that belongs here."""
        self._next_seq = self._seq
        self._first_s = 0.0
        self._flushed_s = 0.0
        self._like = b""
        self.frames = 0
        self.why = ""
        self.error: OSError | None = None

    @property
    def ms(self) -> int:
        """Of sound in the file."""
        return self._stream.granule * 1000 // CLOCK_HZ

    def put(self, frame: Frame, at_s: float) -> None:
        """A frame that arrived at `at_s`, by any clock that does not jump."""
        if self._origin is None or self._seq is None:
            self._origin, self._seq, self._next_seq = frame.ts, frame.seq, frame.seq
        if not self._flushed_s:
            self._first_s = self._flushed_s = at_s
        self._waiting.append((frame, at_s))

    def flush(self, now_s: float, *, last: bool = False) -> None:
        """Write what is due. OSError: it could not be written and is lost; the file is as it was."""
        if not last and now_s - self._flushed_s < FLUSH_S:
            return
        due = self._due(None if last else now_s - HOLD_S)
        if not due and not (last and self._bytes):
            return
        self._flushed_s = now_s
        stream, like = copy.copy(self._stream), self._like
        packets, frames = self._laid_out(due)
        try:
            self._write(self._pages(packets, last=last))
        except OSError:
            self._stream, self._like = stream, like
            raise
        self.frames += frames

    def _due(self, until_s: float | None) -> list[tuple[Frame, float]]:
        """Those that arrived until then and all before them, in order."""
        self._waiting.sort(key=lambda waiting: waiting[0].seq)
        count = len(self._waiting)
        while until_s is not None and count and self._waiting[count - 1][1] > until_s:
            count -= 1
        due, self._waiting = self._waiting[:count], self._waiting[count:]
        return due

    def _laid_out(self, due: list[tuple[Frame, float]]) -> tuple[list[bytes], int]:
        """Their packets with the gaps between them filled, and how many of them are frames."""
        packets: list[bytes] = []
        frames, granule = 0, self._stream.granule
        for frame, at_s in due:
            if frame.opus:  # the last may only say that it is the last
                self._next_seq = max(self._next_seq or 0, frame.seq + 1)
            gap = self._gap(frame, at_s, granule)
            if gap < LATE:
                continue
            like = self._like or frame.opus
            fill = ogg.fillers(like, gap) if like and gap > 0 else []
            said = [frame.opus] if ogg.samples(frame.opus) else []
            packets += fill + said
            granule += sum(map(ogg.samples, fill + said))
            frames += len(said)
            self._like = frame.opus or self._like
        return packets, frames

    def _gap(self, frame: Frame, at_s: float, granule: int) -> int:
        """Samples between the end of the file and this frame; negative when its place is taken."""
        assert self._origin is not None
        place = frame.ts - self._origin
        if place > (at_s - self._first_s + AHEAD_S) * CLOCK_HZ and place > granule:
            self._origin += place - granule
            self.why = self.why or "the talker's clock jumped; a gap was closed"
            return 0
        return place - granule

    def _pages(self, packets: list[bytes], *, last: bool) -> bytes:
        head = b"" if self._bytes else self._stream.head()
        return head + self._stream.pages(packets, last=last)

    def _write(self, pages: bytes) -> None:
        """All of it or nothing."""
        if self._fd < 0:
            self._fd = self._create()
        try:
            done = 0
            while done < len(pages):
                done += os.pwrite(self._fd, pages[done:], self._bytes + done)
        except OSError:
            os.ftruncate(self._fd, self._bytes)
            raise
        self._bytes += len(pages)
        self._hash.update(pages)

    def _create(self) -> int:
        """A new file for the daemon's user alone; never one that is there."""
        path = self._folder / self._path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def close(self, now_s: float, lost: int = 0) -> Recording:
        """The end of the file, and its row. `lost`: frames that never came here. Writes what it can."""
        try:
            self.flush(now_s, last=True)
            if self._fd >= 0:
                os.fsync(self._fd)
        except OSError as error:
            self.failed(error)
        try:
            self._let_go()
        except OSError as error:
            self.failed(error)
        return self._row(lost)

    def _let_go(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
            if not self._bytes:
                (self._folder / self._path).unlink(missing_ok=True)

    def _row(self, lost: int) -> Recording:
        expected = (self._next_seq or 0) - (self._seq or 0)
        missing = max(0, expected - self.frames, lost)
        whole = ogg.Whole({}, self._bytes, self.ms, self.frames)
        path, digest = (self._path, self._hash.hexdigest()) if self._bytes else ("", "")
        return self.label.row(whole, path, digest, missing, self.why)

    def failed(self, error: OSError) -> None:
        """Something of it could not be written."""
        self.error = error
        self.why = f"not whole: {error.strerror or error}"

    def next(self, part: int) -> "Tape":
        """The part that begins where this one ends; frames that wait here go there."""
        assert self._origin is not None
        stem = self.label.recording if part == 2 else self.label.recording.rpartition("-")[0]
        label = self.label._replace(
            recording=f"{stem}-{part}",
            wall_ms=self.label.wall_ms + self.ms,
            core_ms=self.label.core_ms + self.ms,
        )
        begin = (self._origin + self._stream.granule, self._next_seq or 0)
        found = Tape(self._folder, label, self._zone, begin)
        for frame, at_s in self._waiting:
            found.put(frame, at_s)
        self._waiting = []
        return found
