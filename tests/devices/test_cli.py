"""`dispatch-device` by itself: its errors, its exit codes, its log; and the page that describes it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from devices import cli, keyboard, log, settings
from devices.credentials import CredentialsError, load, parse, split
from devices.outbox_file import FileOutbox

REPOSITORY = Path(__file__).resolve().parents[2]
GOOD = {"device": "p-1", "kind": "pillar", "urls": ["mqtt://127.0.0.1:1"], "secret": "s", "patrol": None}


def write(path: Path, mode: int = 0o600, **fields: object) -> Path:
    path.write_text(json.dumps({**GOOD, **fields}))
    path.chmod(mode)
    return path


def test_credentials_load_and_an_open_file_is_warned_about(tmp_path: Path) -> None:
    credentials, warnings = load(write(tmp_path / "a.json"), "pillar")
    assert (credentials.root, warnings) == ("dispatch/v1", [])
    _, warnings = load(write(tmp_path / "b.json", 0o644), "pillar")
    assert "chmod 600" in warnings[0]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"device": "A/#"}, "dispatchd device add"),
        ({"urls": []}, "dispatchd device add"),
        ({"urls": ["mqtt://h"] * 4}, "dispatchd device add"),
        ({"urls": ["http://h"]}, "mqtt://host:port"),
        ({"urls": ["mqtt://h:99999"]}, "mqtt://h:99999"),
        ({"kind": "drone"}, "neither"),
    ],
)
def test_bad_credentials_say_what_is_wrong(fields: dict[str, object], says: str) -> None:
    with pytest.raises(CredentialsError, match=re.escape(says)):
        parse(json.dumps({**GOOD, **fields}).encode())


def test_urls_split_with_their_default_ports() -> None:
    assert split("mqtt://h") == ("h", 1883, False)
    assert split("mqtts://h:9") == ("h", 9, True)


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    credentials = str(write(tmp_path / "a.json"))
    assert cli.main(["pillar", "--credentials", str(tmp_path / "none.json")]) == cli.BAD_INPUT
    assert "dispatchd device add" in capsys.readouterr().err
    assert cli.main(["terminal", "--credentials", credentials]) == cli.BAD_INPUT
    assert "dispatch-device pillar" in capsys.readouterr().err
    box = FileOutbox(tmp_path / "state" / "outbox")
    state = str(tmp_path / "state")
    assert cli.main(["pillar", "--credentials", credentials, "--dir", state]) == cli.BAD_OUTBOX
    assert "in use by another process" in capsys.readouterr().err
    box.close()


def test_quit_switches_it_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("press\nhello?\nquit\n")
    with keys.open() as source:
        monkeypatch.setattr("sys.stdin", source)
        state = str(tmp_path / "state")
        credentials = str(write(tmp_path / "a.json"))
        assert cli.main(["pillar", "--credentials", credentials, "--dir", state]) == cli.OK
    assert "press the alarm key" in capsys.readouterr().out
    lines = (tmp_path / "state" / "log.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["ev"] == "started"


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "dispatch-device pillar --credentials" in capsys.readouterr().out


def test_the_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MAX_FILE_BYTES", 500)
    path = tmp_path / "log.jsonl"
    with log.DeviceLog("p-1", path) as write_line:
        for number in range(100):
            write_line({"ev": "x", "t_ms": number})
    last = json.loads(path.with_name("log.jsonl.1").read_text().splitlines()[-1])
    assert last["device"] == "p-1"
    assert path.stat().st_size <= 600
    assert path.with_name("log.jsonl.1").stat().st_size <= 600


def test_the_page_names_every_key_and_setting() -> None:
    page = (REPOSITORY / "docs" / "device.md").read_text()
    for word in (*keyboard.PILLAR_KEYS, *keyboard.TERMINAL_KEYS, *settings.NAMES):
        assert f"`{word}`" in page, word


def test_a_pillar_with_a_microphone_tries_to_be_heard_when_it_is_pressed(tmp_path: Path) -> None:
    """There is no broker, so its offers are not answered; it says so and goes on."""
    credentials = str(write(tmp_path / "a.json"))
    command = [
        sys.executable, "-m", "devices.cli", "pillar", "--credentials", credentials, "--dir", str(tmp_path / "state"),
        "--mic", "tone:440", "--speaker", "null",
    ]  # fmt: skip
    run = subprocess.run(
        command, input="press\nwait 3\nquit\n", capture_output=True, text=True, timeout=30, check=False
    )
    assert run.returncode == cli.OK, run.stderr
    assert "no answer within 2 s" in run.stdout
