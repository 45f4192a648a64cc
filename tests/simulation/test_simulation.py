"""The city of chance runs: enough inputs, every kind of fact and of fault, and the same again from a seed.

SIM_SEED sets the first seed (it is printed), SIM_INPUTS the number of inputs (300,000; millions in a soak).
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from dispatchd.core import facts as f

from .episode import Episode
from .runner import Run, run

SEED: Final = int(os.environ.get("SIM_SEED", "1"))
INPUTS: Final = int(os.environ.get("SIM_INPUTS", "300000"))
SHARES: Final = 2
"""The run is dealt to so many tests, so that as many cores can have one."""
NEVER_MADE: Final[frozenset[str]] = frozenset()
"""Kinds of fact that no run of the simulation makes, each with its reason here."""
WORLD_MUST: Final = (
    "messages lost", "messages doubled", "messages late", "commits refused", "commits of unknown outcome",
    "crashes before commit", "crashes after commit", "crashes between effects", "commands done", "commands refused",
)  # fmt: skip
ROOT: Final = Path(__file__).parents[2]


def _first_seed(share: int) -> int:
    return SEED + share * 1_000_000


@pytest.mark.timeout(INPUTS // 500 + 120)
@pytest.mark.parametrize("share", range(SHARES))
def test_all_rules_hold(share: int) -> None:
    """Prints its seed; a failure ends with the command that repeats it."""
    seed, inputs = _first_seed(share), -(-INPUTS // SHARES)
    print(f"SIM_SEED={SEED}: share {share} starts at seed {seed}")
    result = run(seed, inputs)
    assert not result.failures, "\n".join(result.failures)
    assert result.inputs >= inputs
    _everything_happened(result)


def _everything_happened(result: Run) -> None:
    """A rule that never had its chance proves nothing."""
    missing = set(f.KINDS) - set(result.made) - NEVER_MADE
    assert not missing, f"no episode made {sorted(missing)}"
    assert not NEVER_MADE & set(result.made), "a kind that is listed as never made was made: strike it off"
    assert all(result.counts[what] for what in WORLD_MUST), dict(result.counts)


def test_a_seed_repeats_itself_in_any_process() -> None:
    """Otherwise no failure could be repeated, and the core would depend on something it was not given."""
    digests = {_digest(hash_seed) for hash_seed in ("1", "2")}
    episode = Episode(SEED)
    episode.run()
    assert digests == {episode.digest()}


_DIGEST: Final = f"""
from tests.simulation.episode import Episode
episode = Episode({SEED})
episode.run()
print(episode.digest())
"""


def _digest(hash_seed: str) -> str:
    env = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", _DIGEST],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_the_command_prints_what_it_ran() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seed", str(SEED)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "inputs in 1 episodes" in done.stdout
