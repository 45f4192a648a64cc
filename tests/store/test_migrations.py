"""Old databases open with everything in them; newer ones are refused; a step that fails leaves no trace.

databases/NNNN.sql is a dump of a database at schema NNNN, made once when that schema was the newest. Add one
with every migration; never change one.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dispatchd.store import SqliteStore
from dispatchd.store.base import Malformed, Recording, Row, Snapshot, Sought, StoreBroken, TrailPoint
from dispatchd.store.schema import Migration, apply, load_migrations, schema_version

DATABASES = Path(__file__).parent / "databases"
DUMPS = sorted(DATABASES.glob("*.sql"))
RECORDED = Recording(
    "r5-1", "tg-1", "t-007", "巡逻一组", "i-1", "north", 1, 1790000000000, 1500, 75, 2, 4321, "2026-09-21/r5-1.opus",
    "ab" * 32, True, "disk full",
)  # fmt: skip
SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "site.db"


def restore(dump: Path, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(dump.read_text(encoding="utf-8"))


def schema_of(path: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(SCHEMA).fetchall()


def test_every_schema_has_its_old_database() -> None:
    assert [int(dump.stem) for dump in DUMPS] == [step.version for step in load_migrations()]


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
def test_an_old_database_opens_with_everything_in_it(dump: Path, path: Path) -> None:
    restore(dump, path)
    store = SqliteStore(path)
    try:
        assert list(store.rows()) == [
            Row(1, 1000, 1790000001000, "device_enrolled", 1, "pillar-03", b"\x81\xa2id\xa9pillar-03"),
            Row(2, 61000, 1790000061000, "alarm_raised", 1, "i-1", b"\x80"),
            Row(3, 60500, 1790000060500, "owner_named", 2, "i-1", "值班 O'Hara".encode()),
        ]
        assert store.rows_about("i-1", after=2)[0].kind == "owner_named"
        assert store.latest_snapshot() == Snapshot(2, 61000, 1, b"\x00\xff")
        assert (store.last_now_ms(), store.next_start(), store.generation()) == (61000, 6, 3)
        assert store.trail("t-007", 0, 2**60) == [
            TrailPoint("t-007", 1790000000000, 26.9, 112.61, 4.5),
            TrailPoint("t-007", 1790000005000, 26.95, 112.6, None),
        ]
        assert store.malformed() == [Malformed(1790000000001, "d/x/up/alarm", b"\xc1", "no map")]
        assert store.commit([]) == 3
        assert store.recordings(Sought()) == ([RECORDED] if int(dump.stem) >= 2 else [])
    finally:
        store.close()


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
def test_a_migrated_database_has_the_schema_of_a_new_one(dump: Path, path: Path, tmp_path: Path) -> None:
    restore(dump, path)
    SqliteStore(path).close()
    SqliteStore(tmp_path / "new.db").close()
    assert schema_of(path) == schema_of(tmp_path / "new.db")


def test_a_newer_schema_is_refused_untouched(path: Path) -> None:
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO schema_version VALUES (9000, 'from-the-future')")
        db.commit()
    before = path.read_bytes()
    with pytest.raises(StoreBroken, match="schema 9000, this dispatchd knows schemas up to") as raised:
        SqliteStore(path)
    assert "Install the newer dispatchd" in raised.value.next_step
    assert path.read_bytes() == before


def test_a_step_that_fails_halfway_leaves_no_trace(path: Path) -> None:
    SqliteStore(path).close()
    before, version = schema_of(path), len(load_migrations())
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            apply(
                db, Migration(version + 1, "bad", "CREATE TABLE extra (x); INSERT INTO nowhere VALUES (1);")
            )
        assert not db.in_transaction
        assert schema_version(db) == version
    assert schema_of(path) == before


def test_a_step_is_recorded_with_what_it_did(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        assert schema_version(db) == 0
        apply(db, Migration(1, "one-table", "CREATE TABLE extra (x);"))
        assert db.execute("SELECT * FROM schema_version").fetchall() == [(1, "one-table")]
        assert db.execute("SELECT * FROM extra").fetchall() == []
