"""The walls between the rooms stand: each import that breaks one is planted in a copy, and must be named."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.tree import PACKAGES, copy_project, pyproject

BREACHES = [
    ("protocols", "import devices", "protocols imports nothing of ours"),
    ("protocols", "import socket", "protocols does no I/O"),
    ("devices", "import dispatchd.core", "devices imports protocols only"),
    ("simulators", "import dispatchd.core", "simulators imports devices and protocols only"),
    ("dispatchd", "import simulators", "dispatchd imports protocols only"),
    ("dispatchd/core", "import dispatchd.store", "the core lies below everything else in the daemon"),
    ("dispatchd/core", "import time", "the core has no clock, randomness, await, logging or I/O"),
]


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", code, "--no-cache"]
    env = os.environ | {"PYTHONPATH": str(tree), "COLUMNS": "200"}
    return subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("tree"))


def test_every_contract_has_a_breach() -> None:
    contracts = {contract["name"] for contract in pyproject()["tool"]["importlinter"]["contracts"]}
    assert contracts == {name for _, _, name in BREACHES}


@pytest.mark.parametrize(("room", "line", "contract"), BREACHES)
def test_breach_is_named(tree: Path, tmp_path: Path, room: str, line: str, contract: str) -> None:
    for package in PACKAGES:
        shutil.copytree(tree / package, tmp_path / package)
    shutil.copy2(tree / "pyproject.toml", tmp_path)
    (tmp_path / room / "planted.py").write_text(f'"""Planted."""\n\n{line}\n', encoding="utf-8")
    result = lint_imports(tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{contract} BROKEN" in result.stdout
