"""The town that the simulators play in, drawn by us: ten roads, eleven streets, a river with four bridges.

Nothing in it exists: names are invented, and the coordinates lie where there is no such town. Junction number
is row * COLUMNS + column, rows from the south, columns from the west. The same on every machine.
"""

from functools import cache
from typing import Final

from protocols.geo import LatLon

from .streets import Streets

SOUTH_WEST: Final[LatLon] = (26.8800, 112.5800)
ROADS: Final = (
    ("霁月路", "Jiyue Road"),
    ("松风路", "Songfeng Road"),
    ("望渡路", "Wangdu Road"),
    ("青禾路", "Qinghe Road"),
    ("云汀大道", "Yunting Avenue"),
    ("听泉路", "Tingquan Road"),
    ("棠梨路", "Tangli Road"),
    ("石榴路", "Shiliu Road"),
    ("鹿鸣路", "Luming Road"),
    ("北苑路", "Beiyuan Road"),
)
STREETS: Final = (
    ("竹影街", "Zhuying Street"),
    ("早春街", "Zaochun Street"),
    ("灯市街", "Dengshi Street"),
    ("书院街", "Shuyuan Street"),
    ("麦巷", "Mai Lane"),
    ("钟鼓街", "Zhonggu Street"),
    ("渡口街", "Dukou Street"),
    ("银杏街", "Yinxing Street"),
    ("织锦街", "Zhijin Street"),
    ("砚台巷", "Yantai Lane"),
    ("东篱街", "Dongli Street"),
)
ROWS: Final = len(ROADS)
COLUMNS: Final = len(STREETS)
ROW_DEG: Final = 0.0031
COLUMN_DEG: Final = 0.0036
BEND_DEG: Final = 0.0009
"""How far a junction stands from the even grid, at most."""
RIVER: Final = (2, 2, 2, 2, 3, 3, 3, 4, 4, 4, 4)
"""The river runs from west to east, in each column north of this row."""
BRIDGES: Final = (1, 4, 7, 9)
"""Columns whose street crosses the river."""


def junction(row: int, column: int) -> int:
    return row * COLUMNS + column


def corner(at: int) -> tuple[str, str]:
    """What people call junction `at`: 中文, English."""
    (road, road_en), (street, street_en) = ROADS[at // COLUMNS], STREETS[at % COLUMNS]
    return f"{road}{street}口", f"{road_en} / {street_en}"


@cache
def streets() -> Streets:
    """The graph, always the same one."""
    places = [_place(row, column) for row in range(ROWS) for column in range(COLUMNS)]
    along = [
        (junction(row, column), junction(row, column + 1))
        for row in range(ROWS)
        for column in range(COLUMNS - 1)
        if RIVER[column] == RIVER[column + 1] or row not in (RIVER[column], RIVER[column + 1])
    ]
    across = [
        (junction(row, column), junction(row + 1, column))
        for row in range(ROWS - 1)
        for column in range(COLUMNS)
        if row != RIVER[column] or column in BRIDGES
    ]
    return Streets.of(places, along + across)


def _place(row: int, column: int) -> LatLon:
    """Bent a little, by a rule instead of by chance, so that the town looks grown."""
    lat = SOUTH_WEST[0] + row * ROW_DEG + BEND_DEG * _wave(row * 7 + column * 3)
    lon = SOUTH_WEST[1] + column * COLUMN_DEG + BEND_DEG * _wave(row * 5 + column * 11)
    return round(lat, 6), round(lon, 6)


def _wave(number: int) -> float:
    """Between -1 and 1."""
    return (number * 37 % 21 - 10) / 10
