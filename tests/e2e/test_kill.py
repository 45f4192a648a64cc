"""kill -9 of daemon and broker, at random, under load: nothing is lost, nothing is doubled (see killing.py)."""

import random
from pathlib import Path

import pytest

from tests.e2e.killing import Report, kill_and_compare
from tests.e2e.process import BOTH

KILLS, FULL_KILLS = 5, 50


def check(report: Report, kills: int) -> None:
    print(report.text())
    assert report.faults == []
    assert len(report.kills) == kills
    assert report.between * 2 >= kills, "too few kills landed between a press and its receipt"
    assert report.presses > kills
    assert report.broadcasts


@BOTH
@pytest.mark.alone
async def test_kills_lose_nothing_and_double_nothing(tmp_path: Path, broker: str) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    check(await kill_and_compare(tmp_path, broker, KILLS, seed), KILLS)


@BOTH
@pytest.mark.full
@pytest.mark.timeout(900)
async def test_many_kills_lose_nothing_and_double_nothing(tmp_path: Path, broker: str) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    check(await kill_and_compare(tmp_path, broker, FULL_KILLS, seed), FULL_KILLS)
