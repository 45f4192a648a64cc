"""The recordings that are there: index, what a dead daemon left, holds, and which have grown old enough to go.

What must hold: nothing of an incident goes before its end is `record_days` old, nothing under a hold goes at all; a
size limit takes only what belongs to no incident, and nothing younger than UNTOUCHED_DAYS. A file goes before its row
says so: on a full disk the row cannot be written, and the space is needed; the next look says it.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from dispatchd.clock import wall_ms
from dispatchd.core import facts
from dispatchd.core.facts import Ended, Merged
from dispatchd.store.base import Recording, Sought, Store, StoreError
from protocols.rules import Rules

from . import ogg
from .tape import Label

DAY_MS: Final = 86_400_000
UNTOUCHED_DAYS: Final = 30
"""No size limit touches what is younger."""
NEWEST_DAYS: Final = 3
"""Folders in which the start looks for what a dead daemon left; all others are looked through at the first tidying."""
PAGE: Final = 1_000
REMOVED_AT_ONCE: Final = 2_000
"""Files of one tidying; the rest go in the next."""
MERGES: Final = 10
"""How often an incident may have been merged into another one until we stop looking for its end."""
TIDY_S: Final = 3600.0
DAEMON_ENDED: Final = "the daemon ended"

log = structlog.get_logger("recordings")


class Expired(NamedTuple):
    """A recording that goes, and why."""

    recording: str
    why: str


def expired(
    rows: Iterable[Recording],
    now_ms: int,
    rules: Rules,
    holds: Mapping[str, Sequence[str]],
    ended: Mapping[str, int],
    excess_bytes: int = 0,
) -> list[Expired]:
    """Which of `rows` go at wall time `now_ms`. `ended`: incident → wall time of its end, absent while it is open or
    unknown. `excess_bytes`: by how much all files exceed the size limit."""
    found: list[Expired] = []
    for row in sorted(rows, key=lambda row: (row.wall_ms, row.recording)):
        if row.removed_ms or (row.incident and holds.get(row.incident)):
            continue
        why = _too_old(row, now_ms, rules, ended)
        if (
            not why
            and not row.incident
            and excess_bytes > 0
            and now_ms - row.wall_ms >= UNTOUCHED_DAYS * DAY_MS
        ):
            why = "the oldest of no incident when recordings.max_gb was exceeded"
        if why:
            found.append(Expired(row.recording, why))
            excess_bytes -= row.bytes
    return found


def _too_old(row: Recording, now_ms: int, rules: Rules, ended: Mapping[str, int]) -> str:
    if not row.incident:
        old = now_ms - row.wall_ms >= rules.recording_days * DAY_MS
        return f"of no incident and older than {rules.recording_days} days" if old else ""
    end_ms = ended.get(row.incident)
    if end_ms is None or now_ms - end_ms < rules.record_days * DAY_MS:
        return ""
    return f"its incident ended more than {rules.record_days} days before"


class Adopted(NamedTuple):
    """A recording that a dead daemon left, and the core time at which it began."""

    row: Recording
    core_ms: int


class Recordings:
    """Files and index together. Its methods block; call them in a thread."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self._store = store

    def keep(self, row: Recording) -> None:
        """Into the index. StoreError when it does not take it."""
        self._store.add_recording(row)

    def sought(self, sought: Sought, limit: int) -> list[Recording]:
        """The newest `limit` of these."""
        return self._store.recordings(sought, limit)

    def one(self, id_: str) -> Recording | None:
        """Its row, also when its file was removed."""
        return self._store.recording(id_)

    def file(self, row: Recording) -> Path | None:
        """Its file, if it is there."""
        path = self.folder / row.path
        return path if row.path and not row.removed_ms and path.is_file() else None

    # --- what a dead daemon left --------------------------------------------------------------------------------

    def adopt_newest(self) -> list[Adopted]:
        """Before anything is recorded: files without a row are mended and indexed."""
        return [one for day in self._days()[-NEWEST_DAYS:] for one in self._adopt(day)]

    def adopt_older(self) -> list[Adopted]:
        """The same of all other folders; nothing is recorded into these."""
        return [one for day in self._days()[:-NEWEST_DAYS] for one in self._adopt(day)]

    def _days(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("????-??-??") if path.is_dir())

    def _adopt(self, day: Path) -> Iterator[Adopted]:
        for path in sorted(day.glob("r*.opus")):
            row = self._store.recording(path.stem)
            if row is None:
                yield from self._mended(path)
            elif row.removed_ms:
                path.unlink(missing_ok=True)

    def _mended(self, path: Path) -> Iterator[Adopted]:
        """Its row; none when nothing of it can be used."""
        try:
            whole = ogg.mend(path)
            label = Label.of(whole.tags)
        except (OSError, ValueError) as error:
            log.warning("a file is no recording and is set aside", path=str(path), error=str(error))
            with contextlib.suppress(OSError):
                path.rename(path.with_suffix(".broken"))
            return
        why = "" if whole.ended else DAEMON_ENDED
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        row = label.row(whole, f"{path.parent.name}/{path.name}", digest, 0, why)
        self.keep(row)
        log.info("a recording that a dead daemon left was mended", recording=row.recording, ms=row.ms)
        yield Adopted(row, label.core_ms)

    # --- what goes ----------------------------------------------------------------------------------------------

    def tidy(
        self, now_ms: int, rules: Rules, holds: Mapping[str, Sequence[str]], max_bytes: int = 0
    ) -> list[Expired]:
        """Remove what has grown old, and what is over `max_bytes` (0 = no limit); give what went."""
        found: list[Expired] = []
        old_ms = now_ms - rules.record_days * DAY_MS
        for page in self._pages(attached=True, before_ms=old_ms):
            held, ended = self._fates({row.incident for row in page}, holds)
            found += self._remove(page, expired(page, now_ms, rules, held, ended), now_ms)
            if len(found) >= REMOVED_AT_ONCE:
                return found
        excess = max(0, self._store.recordings_bytes() - max_bytes) if max_bytes else 0
        for page in self._pages(attached=False, before_ms=now_ms - UNTOUCHED_DAYS * DAY_MS):
            gone = self._remove(page, expired(page, now_ms, rules, {}, {}, excess), now_ms)
            names = {one.recording for one in gone}
            excess -= sum(row.bytes for row in page if row.recording in names)
            found += gone
            young = now_ms - page[-1].wall_ms < rules.recording_days * DAY_MS
            if len(found) >= REMOVED_AT_ONCE or (young and excess <= 0):
                break
        return found

    def _pages(self, *, attached: bool, before_ms: int) -> Iterator[list[Recording]]:
        after = (0, "")
        while page := self._store.recordings_due(
            attached=attached, before_ms=before_ms, after=after, limit=PAGE
        ):
            yield page
            after = (page[-1].wall_ms, page[-1].recording)

    def _remove(self, page: list[Recording], gone: list[Expired], now_ms: int) -> list[Expired]:
        rows = {row.recording: row for row in page}
        for one in gone:
            path = self.folder / rows[one.recording].path
            if rows[one.recording].path:
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # not empty
                    path.parent.rmdir()
            self._store.remove_recording(one.recording, now_ms, one.why)
        if gone:
            log.info("recordings removed", count=len(gone), first=gone[0].recording, why=gone[0].why)
        return gone

    def _fates(
        self, incidents: Iterable[str], holds: Mapping[str, Sequence[str]]
    ) -> tuple[dict[str, list[str]], dict[str, int]]:
        """Holds and ends of incidents, those of the incidents they were merged into counted as theirs."""
        held: dict[str, list[str]] = {}
        ended: dict[str, int] = {}
        for incident in incidents:
            chain, end_ms = self._fate(incident)
            held[incident] = [hold for one in chain for hold in holds.get(one, ())]
            if end_ms is not None:
                ended[incident] = end_ms
        return held, ended

    def _fate(self, incident: str) -> tuple[list[str], int | None]:
        """It and what it was merged into, and the wall time at which the last of these ended, by the journal."""
        chain = [incident]
        while len(chain) <= MERGES:
            into = ""
            for row in self._store.rows_about(chain[-1]):
                if row.kind in _ENDS:
                    fact = facts.decode(row.kind, row.v, row.body)
                    if isinstance(fact, Ended):
                        return chain, row.wall_ms
                    if isinstance(fact, Merged) and fact.incident == chain[-1]:
                        into = fact.into
            if not into or into in chain:
                return chain, None
            chain.append(into)
        return chain, None


_ENDS: Final = {Ended.__name__, Merged.__name__}
Look = Callable[[], Awaitable[tuple[Rules, dict[str, list[str]]]]]
"""Gives the site's rules and the holds of the state now."""


async def keep(recordings: Recordings, look: Look, max_bytes: int = 0) -> None:
    """Until cancelled: every TIDY_S remove what has grown old. What store or disk refuse waits for the next time."""
    older = False
    while True:
        rules, holds = await look()
        try:
            if not older:
                await asyncio.to_thread(recordings.adopt_older)
                older = True
            await asyncio.to_thread(recordings.tidy, wall_ms(), rules, holds, max_bytes)
        except (OSError, StoreError) as error:
            log.warning("recordings are not tidied; tried again in an hour", error=str(error))
        await asyncio.sleep(TIDY_S)
