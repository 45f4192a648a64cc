"""Every transcript is what the core decides now; every rule has one; none is there for nothing.

`pytest tests/scenarios --rewrite` writes the decisions anew under the steps: read the diff against the rules.
"""

import re
from pathlib import Path
from typing import Final

import pytest

from .player import Player

HERE: Final = Path(__file__).parent
SCRIPTS: Final = sorted(HERE.glob("*.txt"))
MARK: Final = "    "
"""Recorded lines are indented by this; steps and comments are not."""


def _played(text: str) -> str:
    """The script with what the core decides under each step."""
    player = Player()
    out: list[str] = []
    for line in text.splitlines():
        if line.startswith(MARK):
            continue
        out.append(line)
        if line.strip() and not line.startswith("#"):
            player.play(line)
            out += [MARK + said for said in player.lines()]
    return "\n".join(out) + "\n"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_transcript(path: Path, rewrite: bool) -> None:
    recorded = path.read_text(encoding="utf-8")
    played = _played(recorded)
    if rewrite:
        path.write_text(played, encoding="utf-8")
    else:
        assert played == recorded, (
            f"{path.name} decides otherwise now; if that is right: pytest {HERE.name} --rewrite"
        )


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_transcript_says_its_rule_and_records_something(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# "), f"{path.name} does not open with its rule"
    assert any(line.startswith(MARK) for line in lines), f"{path.name} records no decision"


def test_every_rule_has_its_transcript_and_every_transcript_its_rule() -> None:
    listed = set(re.findall(r"`([a-z0-9-]+)\.txt`", (HERE / "README.md").read_text(encoding="utf-8")))
    assert listed == {path.stem for path in SCRIPTS}
