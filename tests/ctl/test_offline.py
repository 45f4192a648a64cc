"""`dispatchd replay` on the store of a daemon that is stopped, and its refusal while one runs."""

import asyncio
from pathlib import Path

import pytest

from dispatchd import cli
from dispatchd.ctl import errors
from dispatchd.store import open_store
from tests.console.desk import desk


def pressed(url: str) -> str:
    async def press() -> str:
        store = open_store(url)
        async with desk(store) as at:
            await at.online("t-n", (26.8905, 112.5702))
            incident = await at.press("pil-n")
        store.close()
        return incident

    return asyncio.run(press())


def test_it_tells_what_the_store_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    incident = pressed(f"sqlite:{tmp_path}/dispatch.db")
    capsys.readouterr()
    assert cli.main(["replay", incident, "--dir", str(tmp_path), "--lang", "en"]) == 0
    out = capsys.readouterr().out
    assert f"incident {incident} opened: one-key at pil-n" in out
    assert "p-n (police) chosen" in out
    assert cli.main(["replay", "i9-9", "--dir", str(tmp_path)]) == errors.REFUSED
    assert cli.main(["replay", incident, "--dir", f"{tmp_path}/nowhere"]) == errors.BAD_FILE
    assert not (tmp_path / "nowhere").exists()


def test_a_store_in_use_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(f"sqlite:{tmp_path}/dispatch.db")
    assert cli.main(["replay", "i1-1", "--dir", str(tmp_path)]) == errors.BAD_FILE
    assert "ctl replay" in capsys.readouterr().err
    store.close()
