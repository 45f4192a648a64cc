"""Makes the demo site from a seed: `python -m simulators.demo.make > simulators/demo/site.toml`.

One sub-bureau, 6 stations each with a brigade (大队), 23 community police rooms each with a squadron (中队);
100 patrols of three forces with one terminal each; 110 rally points, 12 pillars; operators at every level;
a notice against fraud twice a day.
The same seed makes the same bytes; a test compares them with the committed file. `--terminals` makes
larger ones.
"""

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

from protocols.site import Device, Operator, Patrol, Point, Schedule, Site, TalkGroup, Unit
from simulators import town

from .names import DISTRICT, FAMILY, GIVEN, NUMERALS, ROOMS, STATIONS
from .toml import render

Force = Literal["police", "auxiliary", "volunteer"]
Post = tuple[str, Literal["viewer", "operator", "duty-leader", "admin"], bool]
SEED: Final = 110
TERMINALS: Final = 100
PILLARS: Final = 12
SITE_FILE: Final = Path(__file__).with_name("site.toml")
TOP: Final = "hq"
MOBILE: Final[tuple[Force, ...]] = ("police", "police", "police", "police", "auxiliary")
"""Forces of a brigade's five mobile patrols."""
FOOT: Final[tuple[Force, ...]] = ("auxiliary", "volunteer", "volunteer")
"""Forces of a squadron's three patrols on foot."""
FORCE: Final[dict[Force, tuple[str, str]]] = {
    "police": ("民警", "police"),
    "auxiliary": ("辅警", "auxiliary"),
    "volunteer": ("义警", "volunteer"),
}


def make(seed: int = SEED, terminals: int = TERMINALS, pillars: int = PILLARS) -> Site:
    """The site; more than 100 patrols join the squadrons as volunteers. Pillars: 1 to 110, terminals
    from 100.
    """
    rng = random.Random(seed)
    units = list(_units())
    points = list(_points())
    patrols = list(_patrols(terminals))
    devices = [*_terminals(patrols), *_pillars(points, pillars)]
    return Site(
        name="云汀城区 · Yunting town (fictional)",
        unit=units,
        point=points,
        patrol=patrols,
        device=devices,
        talk_group=list(_talk_groups(patrols)),
        operator=list(_operators(units, rng)),
        schedule=list(_schedules()),
    )


def _units() -> Iterator[Unit]:
    yield Unit(id=TOP, name=DISTRICT[0], name_en=DISTRICT[1], level="sub-bureau", duty_leaders=["t-001"])
    for number, (name, name_en) in enumerate(STATIONS, 1):
        leader = f"t-{2 + (number - 1) * len(MOBILE):03d}"
        yield Unit(
            id=_station(number), parent=TOP, name=f"{name}派出所", name_en=f"{name_en} Station",
            level="station", duty_leaders=[leader],
        )  # fmt: skip
        yield Unit(
            id=f"b-{number}", parent=_station(number), name=f"第{NUMERALS[number - 1]}大队",
            name_en=f"Brigade {number}", level="brigade",
        )  # fmt: skip
    for number, (name, name_en) in enumerate(ROOMS, 1):
        brigade, within = _brigade_of(number)
        yield Unit(
            id=_room(number), parent=_station(brigade), name=f"{name}社区警务室",
            name_en=f"{name_en} Community Police Room", level="community",
        )  # fmt: skip
        yield Unit(
            id=_squadron(number), parent=_room(number),
            name=f"第{NUMERALS[brigade - 1]}大队第{NUMERALS[within - 1]}中队",
            name_en=f"Brigade {brigade} Squadron {within}", level="squadron",
        )  # fmt: skip


def _station(number: int) -> str:
    return f"st-{number}"


def _room(number: int) -> str:
    return f"room-{number:02d}"


def _squadron(number: int) -> str:
    return f"sq-{number:02d}"


def _brigade_of(room: int) -> tuple[int, int]:
    """Which brigade a squadron belongs to, and its number there: four each, the last has three."""
    return (room - 1) // 4 + 1, (room - 1) % 4 + 1


def _points() -> Iterator[Point]:
    """A rally point at every corner, numbered road by road from the south-west."""
    for at, (lat, lon) in enumerate(town.streets().places):
        name, name_en = town.corner(at)
        yield Point(
            id=f"pt-{at + 1:03d}", unit=_room(room_of(at)), number=str(at + 1), name=name, name_en=name_en,
            lat=lat, lon=lon,
        )  # fmt: skip


def room_of(junction: int) -> int:
    """The community (1 to 23) a corner lies in: five corners each, along the roads."""
    row, column = divmod(junction, town.COLUMNS)
    along = column if row % 2 == 0 else town.COLUMNS - 1 - column
    return (row * town.COLUMNS + along) * len(ROOMS) // (town.ROWS * town.COLUMNS) + 1


def _patrols(count: int) -> Iterator[Patrol]:
    yield Patrol(id="g-001", unit=TOP, force="police", name="分局指挥车", name_en="Sub-bureau command car")
    wanted: list[tuple[str, Force]] = [
        (f"b-{brigade}", force) for brigade in range(1, len(STATIONS) + 1) for force in MOBILE
    ]
    wanted += [(_squadron(room), force) for room in range(1, len(ROOMS) + 1) for force in FOOT]
    rooms = len(ROOMS)
    wanted += [(_squadron(extra % rooms + 1), "volunteer") for extra in range(count - 1 - len(wanted))]
    numbers: dict[str, int] = {}
    for at, (unit, force) in enumerate(wanted[: count - 1], 2):
        numbers[unit] = number = numbers.get(unit, 0) + 1
        yield _patrol(at, unit, force, number)


def _patrol(at: int, unit: str, force: Force, number: int) -> Patrol:
    kind, kind_en = FORCE[force]
    if unit.startswith("b-"):
        place, place_en = f"第{NUMERALS[int(unit[2:]) - 1]}大队机动", f"Brigade {unit[2:]} mobile"
    else:
        name, name_en = ROOMS[int(unit[3:]) - 1]
        place, place_en = f"{name}步巡", f"{name_en} foot"
    return Patrol(
        id=f"g-{at:03d}", unit=unit, force=force,
        name=f"{place}{number}组({kind})", name_en=f"{place_en} patrol {number} ({kind_en})",
    )  # fmt: skip


def _terminals(patrols: Sequence[Patrol]) -> Iterator[Device]:
    for patrol in patrols:
        yield Device(
            id=f"t-{patrol.id[2:]}", kind="terminal", unit=patrol.unit, patrol=patrol.id, display=True
        )


def _pillars(points: Sequence[Point], count: int) -> Iterator[Device]:
    """Spread evenly over the rally points; every second one has a display."""
    for number in range(1, count + 1):
        point = points[(2 * number - 1) * len(points) // (2 * count)]
        yield Device(
            id=f"p-{number:02d}", kind="pillar", unit=point.unit, point=point.id, profile="C",
            display=number % 2 == 0,
            name=f"{number}号报警柱", name_en=f"Pillar {number}",
        )  # fmt: skip


def _talk_groups(patrols: Sequence[Patrol]) -> Iterator[TalkGroup]:
    yield TalkGroup(id="tg-all", unit=TOP, units=[TOP], name="全区", name_en="Everybody")
    for number, (name, name_en) in enumerate(STATIONS, 1):
        yield TalkGroup(
            id=f"tg-{number}", unit=_station(number), units=[_station(number)],
            name=f"{name}所", name_en=f"{name_en} area",
        )  # fmt: skip
    for force, (name, name_en) in FORCE.items():
        members = [f"t-{patrol.id[2:]}" for patrol in patrols if patrol.force == force]
        yield TalkGroup(id=f"tg-{force}", unit=TOP, devices=members, name=name, name_en=name_en.capitalize())


def _schedules() -> Iterator[Schedule]:
    yield Schedule(
        id="anti-fraud", unit=TOP, name="防诈骗提示", name_en="Anti-fraud notice", at=["10:00", "18:00"],
        text="民警提醒您:不轻信陌生来电,不点击不明链接,不向陌生账户转账。如遇诈骗,请拨打110或96110。",
    )  # fmt: skip


STAFF: Final[dict[str, tuple[Post, ...]]] = {
    "sub-bureau": (
        ("lead", "duty-leader", True),
        ("desk-1", "operator", True),
        ("desk-2", "operator", False),
        ("admin", "admin", False),
        ("view", "viewer", False),
    ),
    "station": (("lead", "duty-leader", True), ("desk", "operator", False)),
    "community": (("desk", "operator", True),),
}
"""Level of a unit → its posts: name, role, police."""


def _operators(units: Sequence[Unit], rng: random.Random) -> Iterator[Operator]:
    people = [(f + g, f"{g_en} {f_en}") for f, f_en in FAMILY for g, g_en in GIVEN]
    rng.shuffle(people)
    for unit in units:
        for post, role, police in STAFF.get(unit.level, ()):
            name, name_en = people.pop()
            id_ = f"{unit.id}-{post}"
            yield Operator(id=id_, unit=unit.id, role=role, police=police, name=name, name_en=name_en)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m simulators.demo.make", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED, help="of the people's names")
    parser.add_argument("--terminals", type=int, default=TERMINALS, help="100 to 10000")
    parser.add_argument("--pillars", type=int, default=PILLARS, help="1 to 110")
    args = parser.parse_args(argv)
    if not (TERMINALS <= args.terminals <= 10_000 and 1 <= args.pillars <= len(town.streets().places)):
        parser.error("--terminals goes from 100 to 10000, --pillars from 1 to 110")
    sys.stdout.write(render(make(args.seed, args.terminals, args.pillars)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
