"""A Site as TOML that a person reads: one entry a line, a heading for each table."""

import json
from typing import Any, Final

import msgspec

from protocols.site import Site

HEAD: Final = """\
# The demo site of dispatchd. EVERYTHING HERE IS FICTIONAL: the town is drawn, its streets, communities
# and people are invented, and its coordinates lie where there is no such town.
#
# Made by `python -m simulators.demo.make`; change that, not this. One sub-bureau (分局), 6 stations
# (派出所), each with
# a brigade (大队) of mobile patrols, 23 community police rooms (社区警务室), each with a squadron (中队)
# on foot. Operators have no token here: `dispatchd operator` makes one when somebody is to sign in.
"""
HEADINGS: Final = {
    "unit": "Units 单位: parent makes the tree; duty_leaders are terminals to alert when nobody takes over",
    "point": "Rally points 集结点, each with a police lamp",
    "patrol": "Patrols 巡逻组 of three forces",
    "device": "Terminals 终端 (one to a patrol) and pillars 报警柱 (each at a rally point)",
    "talk_group": "Talk groups 通话组",
    "operator": "Operators 指挥员 and their roles",
    "schedule": "Scheduled broadcasts 定时广播",
}


def render(site: Site) -> str:
    """The file's text; `protocols.site.load` gives the same Site again."""
    raw: dict[str, Any] = msgspec.to_builtins(site)
    plain = [f"{name} = {_value(value)}" for name, value in raw.items() if name not in HEADINGS]
    tables = [_table(name, rows) for name, rows in raw.items() if name in HEADINGS]
    return "\n".join([HEAD, *plain, *tables]) + "\n"


def _table(name: str, rows: list[dict[str, Any]]) -> str:
    lines = [f"  {_value(row)}," for row in rows]
    return "\n".join(["", f"# {HEADINGS[name]}", f"{name} = [", *lines, "]"])


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_value(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)
