"""The wheel, built as `make wheel` builds it: four packages, three commands, all the source, no litter."""

import os
import subprocess
import sys
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.packaging.tree import PACKAGES, copy_project, project_files, pyproject

COMMANDS = sorted(pyproject()["project"]["scripts"])
LITTER = ("dispatchd/__pycache__/cli.cpython-311.pyc", "protocols/.hypothesis/x", "devices/.state/outbox")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the project in which somebody has worked."""
    source = copy_project(tmp_path_factory.mktemp("source"))
    for name in LITTER:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(b"left over")
    dist = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", dist], cwd=source, check=True
    )
    (built,) = dist.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip installed the wheel, without its dependencies."""
    target = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, wheel], check=True)
    return target


def names(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return set(archive.namelist())


def metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_four_top_level_names(wheel: Path) -> None:
    top = {name.split("/")[0] for name in names(wheel)}
    assert {name for name in top if not name.endswith(".dist-info")} == set(PACKAGES)
    assert len(top) == len(PACKAGES) + 1


def test_all_of_the_source_and_nothing_else(wheel: Path) -> None:
    source = {path for path in project_files() if path.split("/")[0] in PACKAGES}
    assert {name for name in names(wheel) if ".dist-info/" not in name} == source


def test_metadata_keeps_it_private_and_licensed(wheel: Path) -> None:
    fields = metadata(wheel)
    assert "Private :: Do Not Upload" in fields.get_all("Classifier", [])
    assert fields["License-Expression"] == "Apache-2.0"
    assert fields["Requires-Python"] == ">=3.11"
    assert {name.rsplit("/", 1)[1] for name in names(wheel) if "/licenses/" in name} == {"LICENSE", "NOTICE"}


@pytest.mark.parametrize("command", COMMANDS)
def test_command_runs_from_the_wheel(site: Path, tmp_path: Path, command: str) -> None:
    env = os.environ | {"PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}
    help_ = subprocess.run(
        [site / "bin" / command, "--help"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert (help_.returncode, help_.stderr) == (0, "")
    assert command in help_.stdout


def test_packages_are_found_in_the_wheel_not_in_the_tree(site: Path, tmp_path: Path) -> None:
    code = f"import {', '.join(PACKAGES)}; print(*[p.__file__ for p in ({', '.join(PACKAGES)})], sep='\\n')"
    env = os.environ | {"PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert [Path(line).parent for line in found.stdout.split()] == [site / name for name in PACKAGES]
