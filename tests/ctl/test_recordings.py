"""`dispatchd ctl recordings` and `hold` against a real console with real files."""

from pathlib import Path

from dispatchd.ctl import errors
from dispatchd.voice.recordings import Recordings
from tests.console.desk import Desk
from tests.console.test_recordings import SOUND, played, row

from .conftest import Station


async def give(at: Desk, folder: Path) -> str:
    """Three recordings, one of a new incident."""
    kept = Recordings(folder, at.store)
    incident = await at.press("pil-n")
    for one in (
        row("r1", "north"),
        row("r2", "north", incident, drill=True, why="the daemon ended"),
        row("r3", "south", lost=0),
    ):
        path = folder / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(SOUND)
        kept.keep(one)
    at.console.attach(at.engine, at.store, kept)
    return incident


def test_they_are_listed_and_fetched(station: Station, tmp_path: Path) -> None:
    incident = station.do(lambda at: give(at, tmp_path / "recordings"))
    code, out, _ = station.run("ctl", "recordings", by="north")
    assert code == 0
    assert "r1" in out
    assert "巡逻一组" in out
    assert "1.5 s" in out
    assert "2 帧" in out
    assert "r3" not in out
    listed = station.json("ctl", "recordings", "--incident", incident, by="north")["items"]
    assert [doc["id"] for doc in listed] == ["r2"]
    out = station.run("ctl", "recordings", "--limit", "1", "--lang", "en", by="north")[1]
    assert "the daemon ended" in out
    assert "r1" not in out
    target = tmp_path / "word.opus"
    code, out, _ = station.run("ctl", "recordings", "r1", "--out", str(target), by="north")
    assert code == 0
    assert target.read_bytes() == SOUND
    assert target.stat().st_mode & 0o777 == 0o600
    assert "5120" in out
    assert played(station.desk) == [("north", "r1")]


def test_what_cannot_be_fetched_leaves_no_file(station: Station, tmp_path: Path) -> None:
    station.do(lambda at: give(at, tmp_path / "recordings"))
    for args, code in (
        (("r3", "--out", str(tmp_path / "a.opus")), errors.REFUSED),
        (("r1", "--out", str(tmp_path / "no" / "a.opus")), errors.BAD_FILE),
        (("--out", str(tmp_path / "a.opus")), errors.USAGE),
        (("--limit", "many"), errors.REFUSED),
    ):
        found, _, err = station.run("ctl", "recordings", *args, by="north")
        assert found == code, (args, err)
        assert err
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.suffix in (".opus", ".new")) == []
    (tmp_path / "recordings/2026-09-21/r1.opus").unlink()
    code, _, err = station.run("ctl", "recordings", "r1", "--out", str(tmp_path / "a.opus"), by="north")
    assert code == errors.REFUSED
    assert "removed" in err
    assert not (tmp_path / "a.opus").exists()


def test_a_hold_is_set_and_released(station: Station, tmp_path: Path) -> None:
    incident = station.do(lambda at: give(at, tmp_path / "recordings"))
    assert station.run("ctl", "hold", incident, "case-118", by="north")[0] == errors.NOT_ALLOWED
    assert station.run("ctl", "hold", incident, "case-118", "--reason", "办案", by="chief")[0] == 0
    assert station.json("ctl", "recordings", "r2", by="chief")["holds"] == ["case-118"]
    assert "case-118" in station.run("ctl", "recordings", by="chief")[1]
    assert station.run("ctl", "hold", incident, "case-118", "--release", by="chief")[0] == 0
    assert station.json("ctl", "recordings", "r2", by="chief")["holds"] == []
