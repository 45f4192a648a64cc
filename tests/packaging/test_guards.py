"""What tests/conftest.py promises of every run, tried on small runs of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SBIN
from tests.packaging.tree import ROOT

HEAD = '"""A small run."""\n\nimport pytest\n\n\n'
PASSES = "def test_passes() -> None: ...\n\n\n"
# Put together here, so that the search for skipped tests does not find this file.
SKIPS = "def test_skips() -> None:\n    pytest." + "skip('no')\n"
FAILS_AS_EXPECTED = "@pytest.mark." + "xfail(strict=False)\ndef test_fails() -> None:\n    raise ValueError\n"
SKIPS_ALL = "pytest." + "skip('no', allow_module_level=True)\n"
NEEDS_A_BROKER = "@pytest.mark.mosquitto\ndef test_needs_a_broker() -> None: ...\n"
PARALLEL = pytest.mark.parametrize("workers", ["0", "1"])


def run(folder: Path, body: str, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on `body` under the project's settings on a machine without any broker."""
    conftest = (ROOT / "tests/conftest.py").read_text(encoding="utf-8")
    (folder / "conftest.py").write_text(conftest.replace(SBIN, "/nowhere"), encoding="utf-8")
    (folder / "test_small.py").write_text(HEAD + PASSES + body, encoding="utf-8")
    shutil.copy2(ROOT / "pyproject.toml", folder)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", ".", *options]
    clean = {name: value for name, value in os.environ.items() if name not in {"CI", "STRICT"}}
    clean |= {"PATH": "/nowhere", "PYTEST_ADDOPTS": ""} | env
    return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)


def test_a_run_that_passes_passes(tmp_path: Path) -> None:
    result = run(tmp_path, "", "--hypothesis-seed=7")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "hypothesis: seed 7; repeat with --hypothesis-seed=7" in result.stdout


@PARALLEL
def test_a_skipped_or_xfailed_test_fails_the_run(tmp_path: Path, workers: str) -> None:
    result = run(tmp_path, SKIPS + "\n\n" + FAILS_AS_EXPECTED, "-n", workers)
    assert result.returncode == pytest.ExitCode.TESTS_FAILED
    for name in ("test_skips", "test_fails"):
        assert f"test_small.py::{name}: skipped or xfailed" in result.stdout


@pytest.mark.full
@PARALLEL
def test_a_skipped_module_fails_the_run(tmp_path: Path, workers: str) -> None:
    result = run(tmp_path, SKIPS_ALL, "-n", workers)
    assert result.returncode == pytest.ExitCode.TESTS_FAILED
    assert "test_small.py: skipped or xfailed" in result.stdout


@pytest.mark.full
@PARALLEL
def test_what_a_platform_lacks_is_deselected_by_name(tmp_path: Path, workers: str) -> None:
    result = run(tmp_path, NEEDS_A_BROKER, "-n", workers)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "mosquitto is missing here (1 tests)" in result.stdout
    assert "\ntest_small.py::test_needs_a_broker\n" in result.stdout


@pytest.mark.full
@pytest.mark.parametrize("env", [{"STRICT": "1"}, {"CI": "true"}], ids=["STRICT", "CI"])
def test_what_a_platform_lacks_fails_when_strict(tmp_path: Path, env: dict[str, str]) -> None:
    result = run(tmp_path, NEEDS_A_BROKER, **env)
    assert result.returncode == pytest.ExitCode.TESTS_FAILED
    assert "mosquitto is missing, an error with STRICT=1" in result.stdout
    assert "hypothesis: seed 20261122;" in result.stdout


def test_a_marker_nobody_declared_is_an_error(tmp_path: Path) -> None:
    result = run(tmp_path, "@pytest.mark.ful\ndef test_typo() -> None: ...\n")
    assert result.returncode != 0
    assert "'ful' not found in `markers`" in result.stdout
