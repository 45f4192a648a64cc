"""docs/testing.md lists exactly the tests that need something a platform may lack (`--rewrite` writes it)."""

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import NEEDS
from tests.packaging.tree import ROOT

PAGE = ROOT / "docs/testing.md"


def marked(need: str) -> list[str]:
    """Names of the tests that carry the marker, with their parameters, sorted."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", need, "-p", "no:cacheprovider"]
    env = os.environ | {"STRICT": "1"}  # strict runs deselect nothing
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert run.returncode in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}, run.stdout + run.stderr
    return sorted(line for line in run.stdout.splitlines() if "::" in line)


def block(need: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- needs {need} -->\n)(.*?)(<!-- end {need} -->)", re.DOTALL)


@pytest.mark.full
@pytest.mark.parametrize("need", sorted(NEEDS))
def test_listed_by_name(need: str, rewrite: bool) -> None:
    page = PAGE.read_text(encoding="utf-8")
    listed = block(need).search(page)
    assert listed, f"docs/testing.md has no list of the tests that need {need}"
    expected = "".join(f"- `{name}`\n" for name in marked(need))
    if rewrite:
        PAGE.write_text(block(need).sub(rf"\g<1>{expected}\g<3>", page), encoding="utf-8")
    else:
        assert listed[2] == expected, "run: .venv/bin/python -m pytest tests/packaging --rewrite"
