"""`dispatchd site`: what would change is shown first, then asked, then applied through the running daemon."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from dispatchd.site_csv import CsvError, Parsed, parse
from protocols.site import MAX_SITE_BYTES, TABLES, Site, SiteError, convert, load

from .errors import BAD_FILE, OK, CliError
from .shell import Shell

SHOWN: Final = 200  # lines of a difference; the rest is counted
_VALUES: Final = ("name", "timezone", "root", "rules", "override")


def read_site(path: Path) -> Site:
    """CliError with every fault of the file."""
    try:
        raw = path.read_bytes()[: MAX_SITE_BYTES + 1]
        return load(raw.decode("utf-8-sig"))
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}. Check the path.", BAD_FILE) from None
    except UnicodeDecodeError:
        raise CliError(f"{path} is not UTF-8. Save it as UTF-8 text.", BAD_FILE) from None
    except SiteError as error:
        raise CliError(faults_text(str(path), error.faults), BAD_FILE) from None


def faults_text(what: str, faults: list[str]) -> str:
    lines = [f"{what} has {len(faults)} fault(s); nothing was applied:", *(f"  {fault}" for fault in faults)]
    return "\n".join(lines)


def entries(site: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(table, entry["id"]): entry for table in TABLES for entry in site.get(table, [])}


class Difference(msgspec.Struct):
    """What applying would do. A missing token_hash is no change: the daemon keeps what it has."""

    added: list[str]
    changed: list[str]
    removed: list[str]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def lines(self) -> list[str]:
        signed = (("+", self.added), ("~", self.changed), ("-", self.removed))
        found = [f"{sign} {text}" for sign, texts in signed for text in texts]
        rest = [f"… and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        return found[:SHOWN] + rest


def difference(old: dict[str, Any], new: dict[str, Any], me: str = "") -> Difference:
    """Of two sites as plain values; `me` is kept by the daemon, so it is not shown as removed."""
    before, after = entries(old), entries(new)
    added = [f"{table} {id_}" for table, id_ in after if (table, id_) not in before]
    removed = [
        f"{table} {id_}"
        for table, id_ in before
        if (table, id_) not in after and (table, id_) != ("operator", me)
    ]
    changed = [
        f"{table} {id_}: {', '.join(parts)}"
        for (table, id_), entry in after.items()
        if (parts := list(_parts(before.get((table, id_)), entry)))
    ]
    values = [f"{name}" for name in _VALUES if old.get(name) != new.get(name)]
    return Difference(added, [*values, *changed], removed)


def _parts(old: dict[str, Any] | None, new: dict[str, Any]) -> Iterator[str]:
    for field in sorted({*(old or {}), *new}) if old is not None else ():
        before, after = (old or {}).get(field), new.get(field)
        if before != after and not (field == "token_hash" and after is None):
            yield f"{field} {_short(before)} → {_short(after)}"


def _short(value: Any) -> str:
    return "–" if value is None else str(value)[:60]


def apply(shell: Shell) -> int:
    """`site apply FILE`."""
    return _apply(shell, msgspec.to_builtins(read_site(Path(shell.args.file))))


def _apply(shell: Shell, new: dict[str, Any]) -> int:
    old = shell.client.get("/site")
    me = shell.client.get("/operators/me")["id"]
    found = difference(old, new, me)
    shell.lines(found.lines())
    if not found:
        shell.say(shell.t("没有变化。", "Nothing to change."))
        shell.give({"difference": found, "answer": {}})
        return OK
    if not shell.args.yes:
        shell.confirm(shell.t("应用以上变化?", "Apply these changes?"))
    answer = shell.client.command("site", {"site": new})
    shell.say(shell.t("已应用。", "Applied."))
    shell.give({"difference": found, "answer": answer})
    return OK


def show(shell: Shell) -> int:
    """`site show`: TOML that `site apply` takes, or JSON."""
    site = shell.client.get("/site")
    shell.give(site)
    shell.lines(to_toml(site).splitlines())
    return OK


def import_csv(shell: Shell) -> int:
    """`site import TABLE FILE.csv`: add or replace the rows; nothing else of the site changes."""
    table, path = shell.args.table, Path(shell.args.file)
    faults: list[str] = []
    bad: list[dict[str, Any]] = []
    try:
        good = parse(table, path.read_bytes())
        numbers = _numbers(good)
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}. Check the path.", BAD_FILE) from None
    except CsvError as error:
        faults, good, bad = error.faults, error.good, error.bad.rows
        numbers = {**_numbers(good), **_numbers(error.bad)}
    if not good.rows and not bad:
        raise CliError(faults_text(str(path), faults), BAD_FILE)
    new = _merged(shell.client.get("/site"), table, good.rows)
    _, across = convert(new, {table: bad})
    if faults or across:
        found = sorted([*faults, *_with_rows(table, across, numbers)], key=_row_number)
        raise CliError(faults_text(str(path), found), BAD_FILE)
    return _apply(shell, new)


def _merged(site: dict[str, Any], table: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    merged = {entry["id"]: entry for entry in site.get(table, [])}
    for row in rows:
        merged[row["id"]] = {**merged.get(row["id"], {}), **row}
    return {**site, table: list(merged.values())}


def _numbers(parsed: Parsed) -> dict[str, int]:
    return {row.get("id", ""): number for row, number in zip(parsed.rows, parsed.numbers, strict=True)}


def _with_rows(table: str, faults: list[str], numbers: dict[str, int]) -> list[str]:
    """Faults across entries name an id; a row number helps who edits the list."""
    return [
        next((f"row {n} {fault}" for id_, n in numbers.items() if fault.startswith(f"{table} {id_}:")), fault)
        for fault in faults
    ]


def _row_number(fault: str) -> int:
    found = re.match(r"row (\d+) ", fault)
    return int(found[1]) if found else 0


# --- TOML ---


def to_toml(site: dict[str, Any]) -> str:
    """A site of plain values as TOML, tables in file order."""
    lines = [f"{name} = {_value(value)}" for name, value in site.items() if not _is_table(value)]
    if rules := site.get("rules"):
        lines += ["", "[rules]", *(f"{name} = {_value(value)}" for name, value in rules.items())]
    for name in ("override", *TABLES):
        for entry in site.get(name, []):
            lines += ["", f"[[{name}]]"]
            lines += [f"{key} = {_value(value)}" for key, value in entry.items() if value is not None]
    return "\n".join(lines).lstrip("\n") + "\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, dict | list)


def _value(value: Any) -> str:
    """TOML's basic strings are JSON's, DEL apart."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
