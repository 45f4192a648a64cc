"""Every planted fault is caught, by the rule it breaks; without a plant the copy runs clean."""

from pathlib import Path

import pytest

from . import plants
from .plants import FAST, PLANTS, Plant


def _name(one: Plant) -> str:
    return one.name.replace(" ", "-")


def _is_caught(one: Plant, tree: Path) -> None:
    plants.copy_tree(tree)
    plants.apply(one, tree)
    outcome = plants.simulate(tree)
    assert outcome.caught_by in one.catches, (
        f"{one.name} was caught by {outcome.caught_by!r}\n{outcome.output}"
    )


@pytest.mark.parametrize("one", FAST, ids=_name)
def test_plant_is_caught(one: Plant, tmp_path: Path) -> None:
    _is_caught(one, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("one", [one for one in PLANTS if one not in FAST], ids=_name)
def test_slow_plant_is_caught(one: Plant, tmp_path: Path) -> None:
    _is_caught(one, tmp_path)


def test_there_are_enough_and_all_of_them_fit_the_source() -> None:
    assert len({one.name for one in PLANTS}) == len(PLANTS) >= 12
    for one in PLANTS:
        text = (plants.ROOT / one.path).read_text(encoding="utf-8")
        assert text.count(one.old) == 1, (
            f"{one.name}: its string stands {text.count(one.old)} times in {one.path}"
        )


def test_the_copy_without_a_plant_is_clean(tmp_path: Path) -> None:
    plants.copy_tree(tmp_path)
    outcome = plants.simulate(tmp_path, inputs=10_000)
    assert outcome.caught_by == "", outcome.output
    assert "inputs in" in outcome.output


def test_a_plant_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    plants.copy_tree(tmp_path)
    with pytest.raises(ValueError, match="stands 0 times"):
        plants.apply(plants.plant("none", "dispatchd/clock.py", "no such line", "", "x"), tmp_path)
