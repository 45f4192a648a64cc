"""Episodes one after the other, each of its own seed; a failure says which seed, which rule, what went before."""

import traceback
from collections import Counter

from msgspec import Struct, field

from .episode import Episode
from .world import Violation


class Run(Struct):
    """What a run came to."""

    inputs: int = 0
    episodes: int = 0
    made: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = []


def run(seed: int, inputs: int, *, keep_going: bool = False) -> Run:
    """Episodes of seed, seed + 1, … until `inputs` were decided or a rule did not hold."""
    result = Run()
    while result.inputs < inputs and (keep_going or not result.failures):
        _one(seed + result.episodes, result)
        result.episodes += 1
    return result


def _one(seed: int, result: Run) -> None:
    episode = Episode(seed)
    try:
        episode.run()
    except Violation as violation:
        result.failures.append(_story(episode, str(violation)))
    except Exception:  # noqa: BLE001 - a core that raises breaks the first rule of all; the story keeps the trace
        result.failures.append(_story(episode, f"raised: {traceback.format_exc()}"))
    result.inputs += episode.inputs
    result.made.update(episode.made)
    result.counts.update(episode.world.counts)


def _story(episode: Episode, what: str) -> str:
    return "\n".join(
        [
            *episode.world.story(),
            f"INVARIANT {what}",
            f"repeat: python -m tests.simulation --seed {episode.seed}",
        ]
    )
