"""The demo site: the committed file is what its maker makes, and it is the town that the project promises."""

import subprocess
import sys
from collections import Counter

import pytest

from protocols.site import load
from simulators import town
from simulators.demo.make import SITE_FILE, main, make
from simulators.demo.toml import render


def test_the_committed_file_is_what_the_maker_makes() -> None:
    told = "run: python -m simulators.demo.make > simulators/demo/site.toml"
    assert SITE_FILE.read_text(encoding="utf-8") == render(make()), told


def test_the_maker_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == SITE_FILE.read_text(encoding="utf-8")


def test_it_says_that_everything_is_fictional() -> None:
    assert "EVERYTHING HERE IS FICTIONAL" in SITE_FILE.read_text(encoding="utf-8")


def test_it_is_the_town_that_is_promised() -> None:
    site = load(SITE_FILE.read_text(encoding="utf-8"))
    levels = Counter(unit.level for unit in site.unit)
    assert levels == {"sub-bureau": 1, "station": 6, "brigade": 6, "community": 23, "squadron": 23}
    assert [point.number for point in site.point] == [str(number) for number in range(1, 111)]
    terminals = [device.id for device in site.device if device.kind == "terminal"]
    assert terminals == [f"t-{number:03d}" for number in range(1, 101)]
    assert [one.id for one in site.device if one.kind == "pillar"] == [f"p-{n:02d}" for n in range(1, 13)]
    assert len({device.patrol for device in site.device if device.patrol}) == len(site.patrol) == 100
    assert {patrol.force for patrol in site.patrol} == {"police", "auxiliary", "volunteer"}
    assert {device.profile for device in site.device if device.kind == "pillar"} == {"C"}, (
        "pillars have sound"
    )
    assert [one.at for one in site.schedule if one.id == "anti-fraud"] == [["10:00", "18:00"]]


def test_every_level_has_its_people_and_nobody_a_token() -> None:
    site = load(SITE_FILE.read_text(encoding="utf-8"))
    level = {unit.id: unit.level for unit in site.unit}
    assert {level[one.unit] for one in site.operator} == {"sub-bureau", "station", "community"}
    assert {one.role for one in site.operator} == {"viewer", "operator", "duty-leader", "admin"}
    assert not any(one.token_hash for one in site.operator)
    assert len({one.name for one in site.operator}) == len(site.operator)
    assert all(
        entry.name and entry.name_en for entry in (*site.unit, *site.point, *site.patrol, *site.operator)
    )


def test_every_squadron_is_in_a_community_of_its_brigade() -> None:
    units = {unit.id: unit for unit in make().unit}
    brigade_at = {unit.parent: unit.name for unit in units.values() if unit.level == "brigade"}
    for unit in units.values():
        if unit.level == "squadron":
            assert unit.parent is not None
            assert unit.name.startswith(brigade_at[units[unit.parent].parent])


@pytest.mark.parametrize("terminals", [100, 1000, 10_000])
def test_larger_towns_load_too(terminals: int) -> None:
    site = make(terminals=terminals, pillars=110)
    assert load(render(site)) == site
    assert sum(device.kind == "terminal" for device in site.device) == terminals


def test_another_seed_only_renames_people() -> None:
    one, other = make(seed=1), make(seed=2)
    assert one.operator != other.operator
    assert (one.unit, one.device, one.point) == (other.unit, other.device, other.point)


def test_the_same_bytes_in_a_process_with_another_hash_seed() -> None:
    command = [sys.executable, "-m", "simulators.demo.make"]
    made = subprocess.run(
        command, env={"PYTHONHASHSEED": "4711"}, capture_output=True, check=True, timeout=30
    )
    assert made.stdout == SITE_FILE.read_bytes()


def test_the_river_is_crossed_by_bridges_only() -> None:
    graph = town.streets()
    assert len(graph.places) == 110
    for column in range(town.COLUMNS):
        south = town.junction(town.RIVER[column], column)
        crossed = any(neighbour == south + town.COLUMNS for neighbour, _ in graph.ways[south])
        assert crossed == (column in town.BRIDGES)
