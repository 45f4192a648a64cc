"""The command line: help, wrong usage, a daemon that does not come up, lines that a person types."""

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from devices.credentials import parse
from protocols.site import load
from simulators import roster
from simulators.assemble import Manner, assemble
from simulators.check.run import ALL
from simulators.cli import main, parser
from simulators.demo.command import MARK, TERMINATED, prepare
from simulators.demo.daemon import Daemon, DaemonError, last_lines
from simulators.demo.make import SITE_FILE
from simulators.enrol import write_credentials
from simulators.fleet import Fleet
from simulators.live import status
from simulators.script import Script
from simulators.town import streets
from simulators.words import language, words


def commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def test_every_command_has_an_example_and_its_exit_codes() -> None:
    found = dict(commands())
    assert set(found) == {"city", "demo", "check-device"}
    for name, command in found.items():
        assert f"dispatch-sim {name}" in (command.epilog or ""), name
        assert "exit codes" in (command.epilog or ""), name
        assert all(action.help for action in command._actions), name


@pytest.mark.parametrize(
    "argv", [[], ["town"], ["city", "--shard", "2/2"], ["check-device", "--role", "lamp"]]
)
def test_wrong_usage_is_exit_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_a_city_without_credentials_says_how_to_get_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["city", "--credentials", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert "0 terminals, 100 are wanted" in told
    assert "--token-file" in told


# --- daemon -----------------------------------------------------------------------------------------------------


async def test_a_daemon_that_does_not_come_up_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("this is no site", encoding="utf-8")
    daemon = Daemon(tmp_path)
    with pytest.raises(DaemonError) as failed:
        await daemon.start(broken)
    await daemon.stop()
    assert "ended at once" in str(failed.value)
    assert last_lines(daemon.log)[-1] in str(failed.value)


async def test_a_daemon_that_is_killed_is_noticed_with_its_last_words(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    ready = await daemon.start(SITE_FILE)
    assert ready.admin_token_file.startswith(str(tmp_path))
    assert ready.http.startswith("http://127.0.0.1:")
    assert daemon._process is not None
    daemon._process.kill()
    with pytest.raises(DaemonError, match="went away with exit code -9"):
        await asyncio.wait_for(daemon.died(), 20)
    assert await daemon.stop() == -9


def test_only_a_folder_of_a_demo_is_emptied(tmp_path: Path) -> None:
    mine = tmp_path / "precious"
    mine.mkdir()
    (mine / "file").touch()
    with pytest.raises(OSError, match="was not made by a demo"):
        prepare(mine, fresh=True)
    assert (mine / "file").exists()
    demo = tmp_path / "demo"
    prepare(demo, fresh=True)
    (demo / "old").touch()
    prepare(demo, fresh=False)
    assert (demo / "old").exists()
    prepare(demo, fresh=True)
    assert [path.name for path in demo.iterdir()] == [MARK]


# --- roster and script ------------------------------------------------------------------------------------------


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    for device in load(SITE_FILE.read_text(encoding="utf-8")).device:
        path = tmp_path / f"{device.id}.json"
        write_credentials(
            path, device.id, device.kind, "mqtt://127.0.0.1:1", "x", "dispatch/v1", device.patrol
        )
    return tmp_path


def fleet_of(folder: Path, *, shard: tuple[int, int] = (0, 1)) -> Fleet:
    site = roster.read_site(SITE_FILE)
    people = roster.read(folder, site, streets(), roster.Wanted(100, 12, shard))
    return assemble(people, Manner())


async def test_shards_share_all_devices_out(credentials: Path) -> None:
    parts = [set(fleet_of(credentials, shard=(part, 3)).devices) for part in range(3)]
    assert [len(part) for part in parts] == [38, 37, 37]
    assert set.union(*parts) == set(fleet_of(credentials).devices)


def test_credentials_are_for_nobody_else_to_read(credentials: Path) -> None:
    path = credentials / "p-01.json"
    assert path.stat().st_mode & 0o077 == 0
    assert parse(path.read_bytes()).device == "p-01"


async def test_a_person_types_and_is_answered(credentials: Path) -> None:
    fleet = fleet_of(credentials)
    say = words("en")
    script = Script(fleet, say, lambda: status(fleet, say))
    assert script.do("press p-03") == "press p-03: done"
    assert "there is no 'p-99'" in script.do("press p-99")
    assert "take p-01 to p-12" in script.do("press t-001")
    assert "there is no 'p-01'" in script.do("deaf p-01")
    assert script.do("deaf t-006") == "deaf t-006: done"
    assert "deaf 1" in script.do("status")
    script.do("deaf t-006")
    assert "deaf 0" in script.do("status")
    assert "there is no 'p-01'" in script.do("talk p-01")
    assert script.do("talk t-017") == "t-017 is switched off and cannot talk", "the fleet does not run"
    assert script.do("") == ""
    assert "emergency t-017" in script.do("what?")
    assert not script.quit.is_set()
    script.do("quit")
    assert script.quit.is_set()


def test_the_language_is_asked_for_or_the_environment_s(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    assert language(None) == "en"
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert language(None) == "zh"
    assert language("en") == "en"


# --- check-device -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("only", "code"), [("growing-conn", 0), ("alarm", 1)])
def test_check_device_judges_the_real_program_of_a_pillar(tmp_path: Path, only: str, code: int) -> None:
    """Nobody presses a key here, so that the point about the alarm fails."""
    file = tmp_path / "credentials.json"
    check = subprocess.Popen(
        [
            *(sys.executable, "-m", "simulators.cli", "check-device", "--role", "pillar", "--json"),
            *("--listen", "127.0.0.1:0", "--credentials", str(file), "--only", only, "--patience", "6"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert check.stderr is not None
    assert "Let the device connect" in check.stderr.readline()
    pillar = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "devices.cli",
            "pillar",
            "--credentials",
            str(file),
            "--dir",
            str(tmp_path / "p"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        out, _ = check.communicate(timeout=50)
    finally:
        pillar.terminate()
        pillar.communicate(timeout=10)
        check.kill()
    report = json.loads(out.splitlines()[-1])
    assert check.returncode == code
    assert [(point["point"], point["ok"]) for point in report["points"]] == [
        ("hello", True),
        (only, code == 0),
    ]
    assert (report["device"], report["failed"]) == ("check-device", code)


def test_the_page_lists_every_point_as_it_is() -> None:
    page = (Path(__file__).parents[2] / "docs" / "simulators.md").read_text(encoding="utf-8")
    for point in ALL:
        who = "both" if len(point.roles) == 2 else point.roles[0]
        assert f"| `{point.id}` | {who} | {point.expected} |" in page


def test_a_demo_that_is_told_to_stop_takes_its_daemon_along(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "simulators.cli", "demo", "--once", "--dir", str(tmp_path / "state")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as demo:
        assert demo.stderr is not None
        url = next(word for line in demo.stderr for word in line.split() if word.startswith("http://"))
        demo.terminate()
        demo.communicate(timeout=30)
        assert demo.returncode == TERMINATED
    with pytest.raises(httpx.ConnectError):
        httpx.get(url.rstrip(",") + "/api/v1/health", timeout=5, trust_env=False)
