"""A newcomer's machine: an empty home, a plain PATH, a copy of the project; `make` does the rest."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.packaging.locks import LOCKS, read_lock
from tests.packaging.tree import PACKAGES, copy_project

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

SECOND_RUN_S = 2.0  # make finds its stamps and does nothing
KEPT = ("PIP_", "SSL_", "REQUESTS_", "UV_")  # how this machine reaches its registries


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project after `make setup`."""
    tree = copy_project(tmp_path_factory.mktemp("clone"))
    make(tree, "setup")
    return tree


def make(tree: Path, *targets: str) -> str:
    """Run make in `tree` as somebody with nothing installed but Python; returns what it printed."""
    python = Path(sys.base_prefix) / "bin"
    env = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
    env |= {"HOME": str(tree.parent), "PATH": f"{python}:/usr/bin:/bin", "LANG": "C.UTF-8"}
    run = subprocess.run(["make", *targets], cwd=tree, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_make_alone_lists_the_targets(tmp_path: Path) -> None:
    listing = make(copy_project(tmp_path / "tree"))
    for target in ("setup", "demo", "test", "test-all", "bench", "lock"):
        assert f"make {target} " in listing


def test_set_up_installs_the_locked_versions(clone: Path) -> None:
    code = (
        "from importlib.metadata import distributions as d; print(*[f'{x.name}=={x.version}' for x in d()])"
    )
    run = [str(clone / ".venv/bin/python"), "-c", code]
    printed = (
        subprocess.run(run, cwd=clone, capture_output=True, text=True, check=True).stdout.lower().split()
    )
    installed = {name.replace("_", "-"): version for name, version in (item.split("==") for item in printed)}
    locked = {
        name: str(pin.version)
        for lock in ("runtime", "build", "dev")
        for name, pin in read_lock(lock).items()
    }
    brought_by_venv = {"pip", "setuptools"}
    assert installed.keys() - locked.keys() - brought_by_venv == {"dispatchd"}
    assert {
        name: version for name, version in installed.items() if locked.get(name, version) != version
    } == {}


def test_second_set_up_does_nothing(clone: Path) -> None:
    started = time.monotonic()
    make(clone, "setup")
    assert time.monotonic() - started < SECOND_RUN_S


def test_the_editable_install_is_the_tree(clone: Path, tmp_path: Path) -> None:
    code = f"import {', '.join(PACKAGES)}; print(dispatchd.__file__)"
    run = subprocess.run(
        [clone / ".venv/bin/python", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert Path(run.stdout.strip()) == clone / "dispatchd/__init__.py"


def test_lock_chooses_the_same_versions_again(clone: Path) -> None:
    before = {path.name: path.read_text(encoding="utf-8") for path in (clone / "requirements").glob("*.txt")}
    assert set(before) == {f"{name}.txt" for name in LOCKS}
    make(clone, "lock")
    for name, text in before.items():
        after = (clone / "requirements" / name).read_text(encoding="utf-8")
        assert pins(after) == pins(text), (
            f"requirements/{name} is not what pyproject.toml asks for: run make lock"
        )


def pins(lock: str) -> list[str]:
    """The lock's `name==version` lines: hashes may come later, when a maintainer adds wheels."""
    return [line.rstrip(" \\") for line in lock.splitlines() if "==" in line and not line.startswith(" ")]
