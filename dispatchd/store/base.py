"""What every store offers: rows, snapshots and small histories, and the three ways it can fail.

The store knows nothing of the core: a fact is an opaque row (kind, version, bytes). Each store keeps this:
  - `commit` returns only when its rows would survive a power cut, and leaves either all of them or none;
  - `seq` starts at 1 and has no gaps; rows are never changed and never removed;
  - after `StoreFull` and `StoreBusy` the store goes on as soon as the cause is gone; after `StoreBroken` it
    must be opened anew, because nobody knows what the disk holds;
  - every method may be called from any thread and blocks its caller.

Errors:
    StoreError          has `.next_step`, a sentence for whoever is on duty
     +-- StoreFull      no space left; nothing of this write was kept
     +-- StoreBusy      somebody else holds the database (a second daemon, an open sqlite3 shell)
     +-- StoreBroken    damaged, closed, of a newer schema, or the disk failed
A `ValueError` is a fault of the caller.
"""

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import NamedTuple, Protocol

SNAPSHOTS_KEPT = 2  # older ones are removed by the save that exceeds it
MALFORMED_KEPT = 1_000  # messages; a ring, the oldest goes first
MALFORMED_PAYLOAD_BYTES = 4_096  # the rest of a payload is cut off
MALFORMED_TEXT_CHARS = 512  # for the topic and for the reason, each; the rest is cut off
FIRST_GENERATION = 1  # of a store whose generation was never set


class NewRow(NamedTuple):
    """A fact to be kept. `now_ms` is site time, `wall_ms` ms UTC.

    `about` is the id of the incident, broadcast or device it is about, "" if there is none.
    """

    now_ms: int
    wall_ms: int
    kind: str
    v: int
    about: str
    body: bytes


class Row(NamedTuple):
    """A kept fact: a `NewRow` with its place in the journal."""

    seq: int
    now_ms: int
    wall_ms: int
    kind: str
    v: int
    about: str
    body: bytes


class Snapshot(NamedTuple):
    """The state after applying all rows up to and including `seq`, in form `v`."""

    seq: int
    now_ms: int
    v: int
    body: bytes


class TrailPoint(NamedTuple):
    """Where a device was: ms UTC, WGS-84 degrees, metres. One per device and time: the later write stays."""

    device: str
    at_ms: int
    lat: float
    lon: float
    accuracy_m: float | None


class Malformed(NamedTuple):
    """A message nobody could read, kept for the one who repairs the device."""

    at_ms: int
    topic: str
    payload: bytes
    why: str


class Recording(NamedTuple):
    """Who was recorded when, and the file. `wall_ms`, `removed_ms`: UTC; `ms`: its length; `why`: what it lacks.

    `unit` decides who may hear it. `path` is below the folder of recordings, "" when nothing was written at all.
    """

    recording: str
    group: str
    talker: str
    name: str
    incident: str
    unit: str
    burst: int
    wall_ms: int
    ms: int
    frames: int
    lost: int
    bytes: int
    path: str
    sha256: str
    drill: bool = False
    why: str = ""
    removed_ms: int = 0
    removed_why: str = ""


class Sought(NamedTuple):
    """Which recordings: "" = any. `units`, `incidents`: those of one of these units or incidents; None = all."""

    group: str = ""
    talker: str = ""
    incident: str = ""
    unit: str = ""
    from_ms: int = 0
    to_ms: int = 2**62
    units: frozenset[str] | None = None
    incidents: frozenset[str] = frozenset()


class StoreError(Exception):
    """The store could not do it. `str()` is what happened and what to do next."""

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__(f"{what} {next_step}")
        self.what = what
        self.next_step = next_step


class StoreFull(StoreError):
    """No space left. Nothing of this write was kept; try again when space was freed."""


class StoreBroken(StoreError):
    """Damaged, closed, of a newer schema, or the disk failed. Writes stay refused until it is opened anew."""


class StoreBusy(StoreError):
    """Somebody else holds the database. Nothing of this write was kept; try again."""


class Store(Protocol):
    """Journal, snapshots, counters, trails, malformed messages and the index of recordings of one site."""

    def commit(self, rows: Sequence[NewRow]) -> int:
        """Keep all rows or none, durable on return; give the journal's last seq, also if no rows came."""

    def last_seq(self) -> int:
        """Seq of the newest row, 0 when there is none."""

    def last_now_ms(self) -> int:
        """The highest `now_ms` of any row or kept snapshot, 0 when there is none."""

    def rows(self, after: int = 0, limit: int | None = None) -> Iterator[Row]:
        """Rows with seq > after in order, at most `limit`; none that is committed after this call."""

    def rows_about(self, about: str, after: int = 0, limit: int = 100_000) -> list[Row]:
        """The first `limit` rows about one id with seq > after, in order; none for "", which is no id."""

    def rows_of_kind(self, kind: str, *, newest: int = 1000) -> list[Row]:
        """The newest rows of one kind, newest first."""

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep it durably (replacing one of the same seq) and only the newest SNAPSHOTS_KEPT.

        ValueError if it claims rows the journal does not hold.
        """

    def latest_snapshot(self) -> Snapshot | None:
        """The snapshot with the highest seq."""

    def next_start(self) -> int:
        """Count one more start: 1, 2, 3 …, committed before it returns."""

    def generation(self) -> int:
        """The site generation, FIRST_GENERATION until it was set."""

    def set_generation(self, gen: int) -> None:
        """Raise the site generation durably. ValueError unless it grows."""

    def add_trail(self, points: Sequence[TrailPoint]) -> None:
        """Keep all points or none. ValueError if a number is not finite."""

    def trail(self, device: str, from_ms: int, to_ms: int, limit: int = 10_000) -> list[TrailPoint]:
        """The first `limit` points with from_ms <= at_ms < to_ms, oldest first."""

    def drop_trail(self, before_ms: int) -> int:
        """Remove points with at_ms < before_ms, in several small writes; give how many."""

    def keep_malformed(self, m: Malformed) -> None:
        """Keep it, cut to size, in the ring of MALFORMED_KEPT. A full write: the caller limits the rate."""

    def malformed(self, newest: int = 100) -> list[Malformed]:
        """The last kept ones, newest first."""

    def add_recording(self, recording: Recording) -> None:
        """Keep its row, in the place of one of the same name."""

    def recording(self, id_: str) -> Recording | None:
        """One row, also when its file was removed."""

    def recordings(self, sought: Sought, limit: int = 200) -> list[Recording]:
        """The newest `limit` with from_ms <= wall_ms < to_ms, newest first, removed ones too."""

    def recordings_due(
        self, *, attached: bool, before_ms: int, after: tuple[int, str] = (0, ""), limit: int = 1000
    ) -> list[Recording]:
        """The oldest whose file is there, of an incident or of none; `after`: time and name of the last seen."""

    def recordings_bytes(self) -> int:
        """Of all files that are there."""

    def remove_recording(self, id_: str, at_ms: int, why: str) -> bool:
        """Say when and why its file went; False if it had gone before or there is no such row."""

    def close(self) -> None:
        """Let go of everything; every later call but `close` raises StoreBroken."""


def closed_error() -> StoreBroken:
    """The error of every call after `close`."""
    return StoreBroken("The store is closed.", "Open it again, or start dispatchd again.")


def check_snapshot(snapshot: Snapshot, last_seq: int) -> None:
    """Raise ValueError if the snapshot claims rows that are not in the journal."""
    if not 0 <= snapshot.seq <= last_seq:
        raise ValueError(f"snapshot of row {snapshot.seq}, but the journal ends at row {last_seq}")


def check_generation(gen: int, held: int) -> None:
    """Raise ValueError unless the generation grows."""
    if gen <= held:
        raise ValueError(f"site generation {gen} is not above {held}: it only grows")


def check_points(points: Sequence[TrailPoint]) -> None:
    """Raise ValueError at the first point whose numbers are not finite."""
    for point in points:
        if not (isfinite(point.lat) and isfinite(point.lon) and isfinite(point.accuracy_m or 0.0)):
            raise ValueError(f"a number of this position is not finite: {point}")


def trimmed(m: Malformed) -> Malformed:
    """The message as it is kept: payload and texts cut, and what is not a Unicode character spelt out."""
    return Malformed(m.at_ms, _text(m.topic), m.payload[:MALFORMED_PAYLOAD_BYTES], _text(m.why))


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()[:MALFORMED_TEXT_CHARS]
