"""What is wrong with one row of a site, in sentences that say what is allowed. Pure; knows nothing of other rows."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct, inspect

SHOWN_CHARS = 60
"""Of a wrong value."""


def row_faults(type_: type[Struct], row: Any) -> list[str]:
    """Every field of the row that is missing, unknown or not allowed; empty for a good row."""
    if not isinstance(row, dict):
        return ["is no table of fields"]
    return [*_fields(type_, row), *_unknown(type_, row)]


def _fields(type_: type[Struct], row: dict[str, Any]) -> Iterator[str]:
    for field in msgspec.structs.fields(type_):
        if field.name not in row:
            if field.required:
                yield f"{field.name} is missing"
            continue
        try:
            msgspec.convert(row[field.name], field.type)
        except msgspec.ValidationError:
            yield f"{field.name} {shown(row[field.name])}: {allowed(field.type)}"


def _unknown(type_: type[Struct], row: dict[str, Any]) -> Iterator[str]:
    names = [field.name for field in msgspec.structs.fields(type_)]
    for name in row:
        if name not in names:
            yield f"there is no field {name!s}; there are {', '.join(names)}"


def shown(value: Any) -> str:
    return repr(value)[:SHOWN_CHARS]


def allowed(type_: Any) -> str:
    """What a field of this type takes, as a sentence to the one who writes it."""
    return _allowed(inspect.type_info(type_))


def _allowed(info: inspect.Type) -> str:
    match info:
        case inspect.UnionType(types=types):
            return _allowed(next(t for t in types if not isinstance(t, inspect.NoneType)))
        case inspect.Metadata(type=inner):
            return _allowed(inner)
        case inspect.LiteralType(values=values):
            return f"use one of {', '.join(map(str, values))}"
        case inspect.ListType(item_type=item):
            return f"use a list; of each: {_allowed(item)}"
        case inspect.StrType():
            return _text(info)
        case inspect.IntType():
            return "use a whole number"
        case inspect.FloatType(ge=low, le=high) if low is not None:
            return f"use a number of degrees from {low:g} to {high:g}"
    return "use true or false" if isinstance(info, inspect.BoolType) else "is not what this field takes"


def _text(info: inspect.StrType) -> str:
    if info.pattern:
        return "use 1 to 32 of a-z, 0-9 and '-'"
    if info.min_length:
        return f"use text of {info.min_length} to {info.max_length} characters"
    return f"use text of at most {info.max_length} characters" if info.max_length else "use text"


_BOUND = re.compile(r"Expected `(?:int|float)` (>=|<=|>|<) (\S+)")
_BOUNDS = {">=": "of at least", "<=": "of at most", ">": "above", "<": "below"}
_KIND = re.compile(r"Expected `(\w+)[^`]*`, got `(\w+)`")
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "object": "a table",
}
_FIELD = re.compile(r"Object contains unknown field `(.*)`")


def plain(error: msgspec.ValidationError) -> str:
    """What a validator says of settings that stand in no row (rules, overrides), with the name of the field."""
    why, _, path = str(error).partition(" - at ")
    why = _BOUND.sub(lambda m: f"use a number {_BOUNDS[m[1]]} {m[2].removesuffix('.0')}", why)
    why = _KIND.sub(lambda m: f"use {_KINDS.get(m[1], m[1])}, not {_KINDS.get(m[2], m[2])}", why)
    why = _FIELD.sub(r"there is no field \1", why)
    name = path.strip("`").removeprefix("$").removeprefix(".")
    return f"{name}: {why}" if name else why
