"""Brings a database to the newest schema: numbered files migrations/NNNN-title.sql, one transaction each.

A file, once released, never changes. A database of a newer schema or of another program is refused untouched.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from importlib.resources import files
from typing import NamedTuple

from dispatchd.store import queries as q
from dispatchd.store.base import StoreBroken


class Migration(NamedTuple):
    """One step from version - 1 to version."""

    version: int
    title: str
    sql: str


def load_migrations() -> list[Migration]:
    """The shipped migrations, 1, 2, 3 … without a gap."""
    folder = files("dispatchd.store") / "migrations"
    found = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    steps = [_parse(f.name, f.read_text(encoding="utf-8")) for f in found]
    assert [s.version for s in steps] == list(range(1, len(steps) + 1)), "migration numbers have a gap"
    return steps


def _parse(name: str, sql: str) -> Migration:
    number, title = name.removesuffix(".sql").split("-", 1)
    return Migration(int(number), title, sql)


def schema_version(db: sqlite3.Connection) -> int:
    """The version a database is at, 0 for an empty one. StoreBroken if it is another program's."""
    with closing(db.execute(q.TABLES)) as found:
        tables = {name for (name,) in found}
    if not tables:
        return 0
    if "schema_version" not in tables:
        raise StoreBroken(
            "This SQLite file was not made by dispatchd: it has other tables.",
            "Check store.url in the configuration; nothing was written to the file.",
        )
    return int(db.execute(q.SCHEMA_VERSION).fetchone()[0])


def missing(db: sqlite3.Connection, steps: Sequence[Migration]) -> Sequence[Migration]:
    """The steps a database still needs; only reads. StoreBroken if it is newer than the last step."""
    held = schema_version(db)
    if held > len(steps):
        raise StoreBroken(
            f"The database has schema {held}, this dispatchd knows schemas up to {len(steps)}.",
            "Install the newer dispatchd again, or restore a backup made before the upgrade.",
        )
    return steps[held:]


def apply(db: sqlite3.Connection, step: Migration) -> None:
    """Apply one step and record it, or leave the database as it was and raise sqlite3.Error."""
    record = q.RECORD_VERSION.format(version=step.version, title=step.title)
    try:
        db.executescript(f"{q.BEGIN};\n{q.SCHEMA_TABLE};\n{step.sql}\n{record}\n{q.COMMIT};")
    except sqlite3.Error:
        if db.in_transaction:
            db.execute(q.ROLLBACK)
        raise
