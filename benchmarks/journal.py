"""A long journal made of a recorded one: the same days again and again, with new ids, and one snapshot near its end.

What lies before the snapshot's own hour is filler that a start never reads. From there on every repetition carries ids
of its own, so that a start folds new incidents, calls and broadcasts instead of doubles that change nothing.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import msgspec

from dispatchd.core import facts as f
from dispatchd.core.core import Core
from dispatchd.core.state import STATE_VERSION
from dispatchd.store import SqliteStore
from dispatchd.store.base import NewRow, Row, Snapshot

COMMIT_ROWS: Final = 10_000
SITE_KINDS: Final = frozenset(
    {"Started", "SiteSet", "EntrySet", "EntryRemoved", "SecretSet", "MembershipSet"}
)
_ID: Final = re.compile(r"[a-z]1-(\d+)")
_state = msgspec.msgpack.Encoder()


def fill(file: Path, recorded: list[Row], facts: int, after_snapshot: int) -> None:
    """`facts` rows in all, `after_snapshot` - 1 of them after the snapshot: one more would have made the next one.

    The snapshot's state has lived through as many rows as follow it.
    """
    site = [NewRow(*row[1:]) for row in recorded if row.kind in SITE_KINDS]
    life = [NewRow(*row[1:]) for row in recorded if row.kind not in SITE_KINDS]
    lived = after_snapshot - 1
    core, rows = Core(), again(life)
    with closing(SqliteStore(file)) as store:
        _write(store, _folded(core, site))
        _write(store, islice(_for_ever(life), facts - len(site) - 2 * lived))
        _write(store, _folded(core, islice(rows, lived)))
        core.state.seq = store.last_seq()
        store.save_snapshot(
            Snapshot(core.state.seq, core.state.now_ms, STATE_VERSION, _state.encode(core.state))
        )
        _write(store, islice(rows, lived))


def _for_ever(rows: list[NewRow]) -> Iterator[NewRow]:
    while True:
        yield from rows


def _folded(core: Core, rows: Iterable[NewRow]) -> Iterator[NewRow]:
    for row in rows:
        core.apply(f.decode(row.kind, row.v, row.body), row.now_ms)
        yield row


def _write(store: SqliteStore, rows: Iterable[NewRow]) -> None:
    rows = iter(rows)
    while some := list(islice(rows, COMMIT_ROWS)):
        store.commit(some)


def again(life: list[NewRow]) -> Iterator[NewRow]:
    """The same facts for ever, each time later and with new ids."""
    plain = [(row, msgspec.msgpack.decode(row.body)) for row in life]
    ids = chain.from_iterable(_ID.findall(str(body)) for _, body in plain)
    step = max(map(int, ids), default=0)
    lasts_ms = life[-1].now_ms - life[0].now_ms + 1
    number = 0
    while True:
        for row, body in plain:
            yield row._replace(
                now_ms=row.now_ms + number * lasts_ms,
                about=_moved(row.about, number * step),
                body=msgspec.msgpack.encode(_moved(body, number * step)),
            )
        number += 1


def _moved(value: Any, by: int) -> Any:
    """Every id of the site's counter, wherever it stands, `by` farther on."""
    if isinstance(value, str):
        return _ID.sub(lambda found: f"{found[0][:3]}{int(found[1]) + by}", value)
    if isinstance(value, dict):
        return {_moved(key, by): _moved(one, by) for key, one in value.items()}
    if isinstance(value, list):
        return [_moved(one, by) for one in value]
    return value
