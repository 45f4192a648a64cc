"""JSON schemas of every struct of the wire, with the meaning, unit and known values of each field.

msgspec makes them; here they get their words, and bytes are octets instead of the base64 of JSON.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct, inspect

from . import kinds
from .down import Clip, Receipted, TalkGroup
from .envelope import Envelope
from .fields import meaning
from .types import Key, Position

REF: Final = "#/components/schemas/"
_UNIT_OF_DESCRIPTION: Final = {
    "milliseconds": "ms",
    "milliseconds since 1970 UTC": "ms since 1970 UTC",
    "percent": "%",
    "metres": "m",
    "WGS-84 degrees north": "degrees north, WGS-84",
    "WGS-84 degrees east": "degrees east, WGS-84",
    "degrees clockwise from north": "degrees clockwise from north",
}


def schema_name(type_: type[Struct]) -> str:
    """Unique in the document: the two hellos differ by their direction."""
    if type_.__name__ != "Hello":
        return type_.__name__
    return "HelloUp" if type_.__module__.endswith(".up") else "HelloDown"


def structs() -> list[type[Struct]]:
    """Every struct of the wire, once, in the order of the document."""
    return list(
        dict.fromkeys(
            [Envelope, Key, Position, Receipted, Clip, TalkGroup, *(kind.type for kind in kinds.ALL)]
        )
    )


def schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    _, made = msgspec.json.schema_components(structs(), ref_template="{name}")
    names = {key: schema_name(type_) for type_ in structs() for key in _keys(type_, made)}
    for type_ in structs():
        (key,) = _keys(type_, made)
        yield schema_name(type_), _described(type_, _renamed(made[key], names))


def _keys(type_: type[Struct], made: dict[str, Any]) -> list[str]:
    full = f"{type_.__module__}.{type_.__name__}"
    return [key for key in (full, type_.__name__) if key in made][:1]


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """References made to point into the document."""
    if isinstance(value, dict):
        return {
            key: REF + names[inner] if key == "$ref" else _renamed(inner, names)
            for key, inner in value.items()
        }
    return [_renamed(inner, names) for inner in value] if isinstance(value, list) else value


def _described(type_: type[Struct], schema: dict[str, Any]) -> dict[str, Any]:
    info = inspect.type_info(type_)
    assert isinstance(info, inspect.StructType)
    types = {field.name: field.type for field in info.fields}
    properties = {
        name: _property(name, meaning(type_.__name__, name), types[name], inner)
        for name, inner in schema["properties"].items()
    }
    description = " ".join(schema["description"].split())
    head = {"title": schema_name(type_), "description": description, "type": "object"}
    return {**head, "properties": properties, "required": schema.get("required", [])}


def _property(name: str, text: str, type_: inspect.Type, schema: dict[str, Any]) -> dict[str, Any]:
    """One field: its meaning and unit first, then its form; bytes as octets, not as msgspec's base64."""
    unit = _unit(name, schema)
    form = _binary(type_) or _bare(schema)
    if "$ref" in form:  # its neighbours would not be read
        form = {"allOf": [form]}
    return {"description": text, **({"x-unit": unit} if unit else {}), **form}


def _unit(name: str, schema: dict[str, Any]) -> str:
    found = (_UNIT_OF_DESCRIPTION[word] for word in _words(schema) if word in _UNIT_OF_DESCRIPTION)
    return next(found, "s" if name.endswith("_s") else "%" if name.endswith("_pct") else "")


def _words(schema: Any) -> Iterator[str]:
    """The descriptions of a field's type and of its alternatives."""
    if isinstance(schema, dict):
        if isinstance(schema.get("description"), str):
            yield schema["description"]
        for part in schema.get("anyOf", []):
            yield from _words(part)


def _bare(schema: Any) -> Any:
    """Without the descriptions that belong to a field's type."""
    if isinstance(schema, dict):
        return {key: _bare(value) for key, value in schema.items() if key != "description"}
    return [_bare(value) for value in schema] if isinstance(schema, list) else schema


def _binary(type_: inspect.Type) -> dict[str, Any] | None:
    inner = type_.type if isinstance(type_, inspect.Metadata) else type_
    if not isinstance(inner, inspect.BytesType):
        return None
    bounds = {"x-min-bytes": inner.min_length, "x-max-bytes": inner.max_length}
    return {"type": "string", "format": "binary", **{k: v for k, v in bounds.items() if v is not None}}
