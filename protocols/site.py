"""The site file: one readable TOML with everything a site has. Structs, their checks, and a reader.

`load` gives a Site in which every reference is known, the units are one tree, and every id is one; or a
SiteError that names every fault at once, each with its place in the file.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from . import schedule
from .rules import Override, Rules
from .site_faults import plain, row_faults
from .topics import is_root
from .types import ID_PATTERN, Id, Latitude, Longitude, ShortText, Text

MAX_SITE_BYTES: Final = 16 * 1024 * 1024


class SiteError(ValueError):
    """All faults of a site file, one sentence each in `faults`."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class _Entry(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    id: Id
    name: ShortText = ""
    name_en: ShortText = ""


class Unit(_Entry, frozen=True, kw_only=True):
    """单位: sub-bureau, station, community police room … one tree; `parent` is None for the top only."""

    parent: Id | None = None
    level: ShortText = ""
    duty_level: ShortText = ""
    duty_leaders: list[Id] = []
    phone: ShortText = ""


class Point(_Entry, frozen=True, kw_only=True):
    """集结点: a numbered rally point with a police lamp."""

    unit: Id
    number: ShortText
    lat: Latitude
    lon: Longitude


class Patrol(_Entry, frozen=True, kw_only=True):
    """巡逻组: people on duty together, with any number of terminals. `standby`: at home, slower."""

    unit: Id
    force: Literal["police", "auxiliary", "volunteer"]
    on_duty: bool = True
    standby: bool = False


class Device(_Entry, frozen=True, kw_only=True):
    """终端 or 报警柱. A pillar stands at a rally point or has its own position; a terminal serves a patrol."""

    kind: Literal["pillar", "terminal"]
    unit: Id
    point: Id | None = None
    patrol: Id | None = None
    lat: Latitude | None = None
    lon: Longitude | None = None
    profile: Literal["A", "B", "C"] = "A"
    in_service: bool = True
    display: bool = False


class TalkGroup(_Entry, frozen=True, kw_only=True):
    """通话组: members are devices of `units` (with all below) and `devices`."""

    unit: Id
    units: list[Id] = []
    devices: list[Id] = []


class Operator(_Entry, frozen=True, kw_only=True):
    """指挥员: sees and commands the subtree of `unit`, as `role` allows. `police`: says 民警 to the citizen."""

    unit: Id
    role: Literal["viewer", "operator", "duty-leader", "admin"]
    police: bool = False
    token_hash: Annotated[
        str, Meta(max_length=64, description="SHA-256 hex of the token; none = cannot sign in")
    ] = ""


class Schedule(_Entry, frozen=True, kw_only=True):
    """定时广播: `text` is broadcast at these times of day (HH:MM, site time) to pillars or terminals of `units`.

    `days` 1 (Monday) to 7, none = every day; `from_day`, `until_day` YYYY-MM-DD. With `repeat_every_min` it runs from
    the first to the second time of `at`. `units`: within `unit`, none = all of it. `text_en` is said after `text`.
    """

    unit: Id
    text: Annotated[Text, Meta(min_length=1)]
    text_en: Text = ""
    lang: Literal["zh", "en"] = "zh"
    at: list[ShortText]
    days: list[int] = []
    from_day: ShortText = ""
    until_day: ShortText = ""
    units: list[Id] = []
    pillars: bool = True
    terminals: bool = False
    repeat_every_min: int | None = None
    enabled: bool = True


class Site(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Everything a site has. Lists are in file order."""

    name: ShortText = ""
    timezone: ShortText = "Asia/Shanghai"
    root: ShortText = "dispatch/v1"
    rules: Rules = Rules()
    override: list[Override] = []
    unit: list[Unit] = []
    point: list[Point] = []
    patrol: list[Patrol] = []
    device: list[Device] = []
    talk_group: list[TalkGroup] = []
    operator: list[Operator] = []
    schedule: list[Schedule] = []


Entry = Unit | Point | Patrol | Device | TalkGroup | Operator | Schedule
TABLES: Final[dict[str, type[Entry]]] = {
    "unit": Unit,
    "point": Point,
    "patrol": Patrol,
    "device": Device,
    "talk_group": TalkGroup,
    "operator": Operator,
    "schedule": Schedule,
}
REFERENCES: Final = {
    "unit": (("parent", "unit"), ("duty_leaders", "device")),
    "point": (("unit", "unit"),),
    "patrol": (("unit", "unit"),),
    "device": (("unit", "unit"), ("point", "point"), ("patrol", "patrol")),
    "talk_group": (("unit", "unit"), ("units", "unit"), ("devices", "device")),
    "operator": (("unit", "unit"),),
    "schedule": (("unit", "unit"), ("units", "unit")),
}
"""Table → (field, table it points to); a field is an id, a list of ids or None."""


def load(text: str) -> Site:
    """Of the TOML text; SiteError with every fault found."""
    if len(text.encode(errors="replace")) > MAX_SITE_BYTES:
        raise SiteError([f"the site file is longer than {MAX_SITE_BYTES // 2**20} MiB"])
    try:
        raw = msgspec.toml.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise SiteError([f"not readable as TOML: {error}"]) from None
    site, faults = convert(raw)
    if faults or site is None:
        raise SiteError(faults)
    return site


def convert(
    raw: dict[str, Any], unread: Mapping[str, list[dict[str, Any]]] = MappingProxyType({})
) -> tuple[Site | None, list[str]]:
    """A Site of the readable rows of plain values, and every fault: of each row, then across rows.

    `unread`: further rows, by table, whose own faults are known already. Nobody who names them is told that they do
    not exist, and whom they name is checked.
    """
    good: dict[str, Any] = {k: v for k, v in raw.items() if k not in TABLES}
    bad = {table: list(unread.get(table, ())) for table in TABLES}
    faults: list[str] = []
    for table, type_ in TABLES.items():
        rows = raw.get(table, [])
        good[table] = list(
            _rows(table, type_, rows if isinstance(rows, list) else [rows], faults, bad[table])
        )
    try:
        site = msgspec.convert(good, Site)
    except msgspec.ValidationError as error:
        return None, [*faults, plain(error)]
    return site, [*faults, *check(site, bad)]


def _rows(
    table: str, type_: type[Entry], rows: list[Any], faults: list[str], bad: list[dict[str, Any]]
) -> Iterator[Entry]:
    """The readable ones; faults of the others are added to `faults`, and they themselves to `bad`."""
    for number, row in enumerate(rows, 1):
        try:
            yield msgspec.convert(row, type_)
        except msgspec.ValidationError as error:
            name = row.get("id", "") if isinstance(row, dict) else ""
            faults += (
                f"{table} row {number} {name}: {why}" for why in row_faults(type_, row) or [plain(error)]
            )
            bad += [row] if isinstance(row, dict) else []


def check(site: Site, bad: Mapping[str, list[dict[str, Any]]] = MappingProxyType({})) -> list[str]:
    """Faults across rows: doubles, unknown references, trees that are none, numbers that do not fit.

    `bad`: rows by table that could not be read as a whole. What they say counts as far as it can be read; a tree of
    units is not judged while one of its rows is unreadable.
    """
    found = [
        *_root(site.root),
        *_doubles(site),
        *_unknown(site, bad),
        *([] if bad.get("unit") else _tree(site.unit)),
        *_devices(site.device),
        *(f"schedule {entry.id}: {fault}" for entry in site.schedule for fault in schedule.faults(entry)),
        *_override_faults(site.rules, site.override, _known_ids(site, bad)["unit"]),
    ]
    return list(dict.fromkeys(found))


def _known_ids(site: Site, bad: Mapping[str, list[dict[str, Any]]]) -> dict[str, set[Any]]:
    return {
        name: {entry.id for entry in table(site, name)}
        | {row["id"] for row in bad.get(name, ()) if isinstance(row.get("id"), str)}
        for name in TABLES
    }


def table(site: Site, name: str) -> list[Entry]:
    entries: list[Entry] = getattr(site, name)
    return entries


def _root(root: str) -> Iterator[str]:
    if not is_root(root):
        yield f"root {root!r}: use words of a-z, 0-9 and '-' with single '/' between them"


def _doubles(site: Site) -> Iterator[str]:
    for name in TABLES:
        for id_, count in Counter(entry.id for entry in table(site, name)).items():
            if count > 1:
                yield f"{name} {id_}: stands {count} times; ids are given once"


def _unknown(site: Site, bad: Mapping[str, list[dict[str, Any]]]) -> Iterator[str]:
    ids = _known_ids(site, bad)
    for name in TABLES:
        for entry in table(site, name):
            yield from _dangling(name, entry.id, ids, {f: getattr(entry, f) for f, _ in REFERENCES[name]})
        for row in bad.get(name, ()):
            yield from _dangling(name, row.get("id", ""), ids, row)


def _dangling(name: str, id_: Any, ids: dict[str, set[Any]], values: dict[str, Any]) -> Iterator[str]:
    for field, target in REFERENCES[name]:
        for named in _ids(values.get(field)):
            if is_id(named) and named not in ids[target]:
                yield f"{name} {id_}: {field} {named!r} is no {target} of this site"


def is_id(value: Any) -> bool:
    return isinstance(value, str) and re.match(ID_PATTERN, value) is not None


def _ids(value: Any) -> Iterable[Any]:
    """Of a reference: none, one or several; nothing for what is neither text nor a list."""
    if isinstance(value, str):
        return (value,)
    return value if isinstance(value, list) else ()


def _tree(units: list[Unit]) -> Iterator[str]:
    tops = [unit.id for unit in units if unit.parent is None]
    if units and len(tops) != 1:
        yield f"units need exactly one top (without parent); found {len(tops)}: {', '.join(tops[:5])}"
    parents = {unit.id: unit.parent for unit in units}
    for unit in units:
        seen: set[str] = set()
        at: str | None = unit.id
        while at is not None and at not in seen:
            seen.add(at)
            at = parents.get(at)
        if at is not None:
            yield f"unit {unit.id}: is its own superior (circle through {at})"


def _devices(devices: list[Device]) -> Iterator[str]:
    for device in devices:
        if device.kind == "pillar" and device.patrol:
            yield f"device {device.id}: a pillar serves no patrol"
        if (device.lat is None) != (device.lon is None):
            yield f"device {device.id}: give both lat and lon, or neither"


def _override_faults(rules: Rules, overrides: list[Override], units: set[str]) -> Iterator[str]:
    for number, override in enumerate(overrides, 1):
        if override.unit is not None and override.unit not in units:
            yield f"override {number}: {override.unit!r} is no unit of this site"
        try:
            overridden(rules, [override])
        except msgspec.ValidationError as error:
            yield f"override {number}: {plain(error)}"


def overridden(rules: Rules, overrides: Iterable[Override]) -> Rules:
    """`rules` with the overrides laid over it in order; ValidationError for a number out of bounds."""
    values = msgspec.structs.asdict(rules)
    for override in overrides:
        values.update(override.values)
    return msgspec.convert(values, Rules)
