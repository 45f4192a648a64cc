"""systemd itself reads the unit: no fault, what it names exists, and how exposed it says the service is."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.packaging.tree import ROOT

pytestmark = [pytest.mark.full, pytest.mark.systemd]

UNIT = ROOT / "deploy/dispatchd.service"
PROGRAM = "opt/dispatchd/bin/dispatchd"
EXPOSURE_MAX = 12
"""Tenths, of 100. 10 are the price of the network, which is what the service is for."""


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def faults(machine: Path) -> list[str]:
    """What systemd says of our unit; of this machine's own units it may say more."""
    found = analyze("verify", "--man=no", f"--root={machine}", f"/etc/systemd/system/{UNIT.name}")
    said = [line for line in found.stderr.splitlines() if UNIT.name in line]
    return said or ([found.stderr] if found.returncode else [])


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A root folder with the unit where docs/operations.md puts it, and systemd's own units."""
    for folder in ("etc/systemd/system", "opt/dispatchd/bin", "usr/lib/systemd"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "usr/lib/systemd/system").symlink_to("/usr/lib/systemd/system")
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / PROGRAM).touch(0o755)
    (tmp_path / "etc/systemd/system" / UNIT.name).write_text(UNIT.read_text("utf-8"), "utf-8")
    return tmp_path


def test_it_has_no_fault(machine: Path) -> None:
    assert faults(machine) == []


@pytest.mark.parametrize(
    ("good", "bad"), [("StateDirectory=", "StateFolder="), (f"/{PROGRAM}", "/opt/elsewhere/dispatchd")]
)
def test_a_fault_would_be_seen(machine: Path, good: str, bad: str) -> None:
    unit = machine / "etc/systemd/system" / UNIT.name
    assert good in unit.read_text("utf-8")
    unit.write_text(unit.read_text("utf-8").replace(good, bad), "utf-8")
    assert faults(machine)


def test_it_is_no_more_exposed_than_it_must_be() -> None:
    found = analyze("security", "--offline=true", "--json=short", f"--threshold={EXPOSURE_MAX}", str(UNIT))
    assert found.returncode == 0, [
        check["name"] for check in json.loads(found.stdout) if not check["set"]
    ] + [found.stderr]
