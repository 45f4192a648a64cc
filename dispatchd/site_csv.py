"""Lists as a station really has them: CSV from a spreadsheet, UTF-8 with or without BOM or GB18030, Chinese
or English headers, comma, semicolon or tab. Pure: bytes in, entries or every fault out, each with its row
number."""

import csv
import io
import sys
from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin

import msgspec

from protocols.site import TABLES, Entry
from protocols.site_faults import allowed

MAX_CSV_BYTES: Final = 16 * 1024 * 1024
MAX_FAULTS: Final = 1_000  # shown; a list with more is wrong as a whole


class CsvError(ValueError):
    """Every fault of the list, one sentence each in `faults`; nothing of it is to be used.

    `good`: its rows without faults; `bad`: what could be read of the others. For checks against the whole site.
    """

    def __init__(self, faults: list[str], good: "Parsed | None" = None, bad: "Parsed | None" = None) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
        self.good, self.bad = good or Parsed([], [], ""), bad or Parsed([], [], "")


HEADERS: Final[dict[str, tuple[str, ...]]] = {
    "id": ("编号", "标识", "代码", "id号"),
    "name": ("名称", "中文名", "姓名", "地点"),
    "name_en": ("英文名", "english name", "name (en)"),
    "unit": ("单位", "所属单位", "责任单位"),
    "parent": ("上级", "上级单位"),
    "level": ("级别", "层级"),
    "duty_level": ("勤务等级", "duty level"),
    "duty_leaders": ("带班终端", "带班", "duty leaders"),
    "phone": ("电话", "联系电话", "telephone"),
    "number": ("序号", "点位号", "集结点编号", "no", "no.", "number"),
    "lat": ("纬度", "latitude"),
    "lon": ("经度", "longitude", "lng"),
    "force": ("警种", "力量", "力量类别"),
    "on_duty": ("上勤", "在勤", "on duty"),
    "standby": ("备勤", "stand-by", "stand by"),
    "kind": ("类型", "设备类型", "type"),
    "point": ("集结点", "点位", "rally point"),
    "patrol": ("巡逻组", "所属巡逻组"),
    "profile": ("规格", "设备规格"),
    "in_service": ("启用", "in service"),
    "display": ("显示屏", "screen"),
    "units": ("成员单位", "member units"),
    "devices": ("成员设备", "member devices"),
    "role": ("角色", "权限"),
    "police": ("民警", "is police"),
    "text": ("内容", "广播内容", "words"),
    "text_en": ("英文内容", "text (en)"),
    "lang": ("语言", "language"),
    "at": ("时间", "播出时间", "times"),
    "days": ("星期", "日子", "weekdays"),
    "from_day": ("开始日期", "from"),
    "until_day": ("结束日期", "until"),
    "pillars": ("报警柱播出", "to pillars"),
    "terminals": ("终端播出", "to terminals"),
    "repeat_every_min": ("重复间隔分钟", "every min"),
    "enabled": ("启用播出", "in force"),
}
"""Field → other names of its column; its own name and any spelling of case, space, '-' and '_' serve too."""
VALUES: Final[dict[str, dict[str, str]]] = {
    "force": {
        "民警": "police",
        "公安": "police",
        "辅警": "auxiliary",
        "志愿者": "volunteer",
        "群防": "volunteer",
        "义警": "volunteer",
    },
    "kind": {"报警柱": "pillar", "终端": "terminal", "对讲机": "terminal", "手台": "terminal"},
    "lang": {"中文": "zh", "汉语": "zh", "英文": "en", "英语": "en"},
    "role": {"查看": "viewer", "指挥员": "operator", "带班领导": "duty-leader", "管理员": "admin"},
}
_YES: Final = {"是", "有", "yes", "y", "true", "1", "√", "✓", "开"}
_NO: Final = {"否", "无", "no", "n", "false", "0", "×", "关"}


class Parsed(NamedTuple):
    """`rows` are as entries of the site file; `numbers[i]` is the row of the list (the header is row 1)."""

    rows: list[dict[str, Any]]
    numbers: list[int]
    encoding: str


def parse(table: str, raw: bytes) -> Parsed:
    """The entries of `table`. CsvError with every fault of every row."""
    if table not in TABLES:
        raise CsvError([f"there is no table {table!r}: use one of {', '.join(TABLES)}"])
    text, encoding = _text(raw)
    lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text)))
    if not lines:
        raise CsvError(["the list is empty: its first row must name the columns"])
    fields, faults = _columns(table, lines[0])
    parsed, bad = Parsed([], [], encoding), Parsed([], [], encoding)
    if not faults:
        _read_rows(table, fields, lines[1:], parsed, bad, faults)
    if not faults and not parsed.rows:
        faults = ["the list has a header but no rows"]
    if faults:
        raise CsvError(faults[:MAX_FAULTS], parsed, bad)
    return parsed


def _text(raw: bytes) -> tuple[str, str]:
    if len(raw) > MAX_CSV_BYTES:
        raise CsvError([f"the list is longer than {MAX_CSV_BYTES // 2**20} MiB"])
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return raw.decode(encoding), encoding.removesuffix("-sig")
        except UnicodeDecodeError:
            continue
    raise CsvError(["the list is neither UTF-8 nor GB18030: save it from the spreadsheet as 'CSV UTF-8'"])


def _delimiter(text: str) -> str:
    """Of the header: the one of comma, tab and semicolon that occurs most."""
    header = text.partition("\n")[0]
    return max(",\t;", key=header.count)


def _plain(header: str) -> str:
    return "".join(c for c in header.strip().lower() if c not in " _-\u3000")


def _columns(table: str, header: list[str]) -> tuple[list[str], list[str]]:
    """Field per column ("" for an empty header), and faults."""
    names = [field.name for field in msgspec.structs.fields(TABLES[table])]
    known = {_plain(alias): name for name in names for alias in (name, *HEADERS.get(name, ()))}
    fields, faults = [], []
    for number, title in enumerate(header, 1):
        field = known.get(_plain(title), "")
        if not field and title.strip():
            faults.append(
                f"column {number} {title.strip()!r}: {table} has no such field; it has {_titles(table)}"
            )
        elif field in fields and field:
            faults.append(f"column {number} {title.strip()!r}: {field} stands there already")
        fields.append(field)
    if "id" not in fields and not faults:
        faults.append("there is no column id (编号)")
    return fields, faults


def _fields(table: str) -> list[msgspec.structs.FieldInfo]:
    """A list can give them all but a token's hash."""
    return [field for field in msgspec.structs.fields(TABLES[table]) if field.name in HEADERS]


def _titles(table: str) -> str:
    """Every column, the Chinese header in brackets."""
    return ", ".join(f"{field.name} ({HEADERS[field.name][0]})" for field in _fields(table))


def _read_rows(
    table: str,
    fields: list[str],
    lines: list[list[str]],
    parsed: Parsed,
    bad: Parsed,
    faults: list[str],
) -> None:
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 2):
        cells = {
            field: cell.strip() for field, cell in zip(fields, line, strict=False) if field and cell.strip()
        }
        extra = [cell for cell in line[len(fields) :] if cell.strip()]
        if not cells and not extra:
            continue
        row, row_faults = _row(TABLES[table], cells)
        if extra:
            row_faults.append(f"has {len(line)} cells, the header {len(fields)}")
        id_ = cells.get("id", "")
        if id_ and id_ in seen:
            row_faults.append(f"id {id_} stands in row {seen[id_]} already")
        seen.setdefault(id_, number)
        faults += (f"row {number} {id_}: {fault}" for fault in row_faults)
        into = bad if row_faults else parsed
        into.rows.append(row)
        into.numbers.append(number)


def _row(type_: type[Entry], cells: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    row: dict[str, Any] = {}
    faults: list[str] = []
    for field in msgspec.structs.fields(type_):
        cell = cells.get(field.name, "")
        try:
            if cell:
                row[field.name] = msgspec.to_builtins(
                    msgspec.convert(_reader(field.name, field.type)(cell), field.type)
                )
            elif field.required:
                faults.append(f"{field.name} is missing")
        except ValueError:
            faults.append(f"{field.name} {cell!r}: {_allowed(field)}")
    return row, faults


def _allowed(field: msgspec.structs.FieldInfo) -> str:
    if field.type is bool:
        return "write 是 or 否 (yes or no)"
    words = _words(field)
    return f"use one of {words}" if words else allowed(field.type)


def _words(field: msgspec.structs.FieldInfo) -> str:
    """The words of the column, each with its Chinese ones in brackets; "" where it takes any."""
    chinese: dict[str, list[str]] = {}
    for zh, code in VALUES.get(field.name, {}).items():
        chinese.setdefault(code, []).append(zh)
    codes = get_args(field.type) if get_origin(field.type) is Literal else ()
    return ", ".join(f"{code} ({'、'.join(chinese[code])})" if code in chinese else code for code in codes)


def _reader(name: str, type_: Any) -> Callable[[str], Any]:
    text = str(type_)
    if type_ is bool:
        return _bool
    if "float" in text:
        return float
    if text.startswith("list["):
        return _numbers if "[int" in text else _list
    if text.startswith("int"):
        return int
    words = VALUES.get(name, {})
    return lambda cell: words.get(cell, cell)


def _bool(cell: str) -> bool:
    if cell.lower() in _YES:
        return True
    if cell.lower() in _NO:
        return False
    raise ValueError("neither yes nor no")


def _numbers(cell: str) -> list[int]:
    return [int(part) for part in _list(cell)]


def _list(cell: str) -> list[str]:
    for separator in ";、|/ ,,":
        cell = cell.replace(separator, ";")
    return [part.strip() for part in cell.split(";") if part.strip()]


# --- documents ---


def markdown() -> str:
    """The section of docs/operators.md that lists headers and words; a test compares."""
    lines = []
    for name in TABLES:
        lines += [f"**{name}**", "", "| column | headers | needed | words |", "|---|---|---|---|"]
        for field in _fields(name):
            headers = "、".join(HEADERS[field.name])
            needed = "yes" if field.required else ""
            words = "是, 否 (yes, no)" if field.type is bool else _words(field)
            lines.append(f"| `{field.name}` | {headers} | {needed} | {words} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(markdown())
