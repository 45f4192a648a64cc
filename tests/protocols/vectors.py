"""Golden vectors: read and written as one readable file, frames/vectors.txt, which makers of devices use too.

A vector is `name`, `to` (which decoder: `up KIND`, `down KIND`, `group KIND`, `presence`, `envelope`), `hex`
and what must come of it: `gives` (JSON, bytes as "hex:…") or `error` (the code of a ProtocolError).
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from protocols import codec, envelope
from protocols.errors import ProtocolError

FILE = Path(__file__).parent / "frames" / "vectors.txt"
HEAD = """\
# Golden vectors of wire version 1: bytes, and what a decoder must make of them. One block per vector:
#   name   what it shows
#   to     which decoder: up KIND, down KIND (the body inside an envelope), group KIND, presence, envelope
#   hex    the payload
#   gives  the message with every field, defaults included, as JSON; bin as "hex:…"   - or -
#   error  the code under which it is refused
# Written by REWRITE_VECTORS=1 python -m pytest tests/protocols/test_vectors.py from tests/protocols/frames/;
# review the difference: a changed line is a changed wire.
"""
WRAP = 96


class Vector(NamedTuple):
    name: str
    to: str
    data: bytes
    gives: Any = None
    error: str = ""


def decode(to: str, data: bytes) -> msgspec.Struct:
    """By the decoder named `to`; ProtocolError as that one raises."""
    way, _, kind = to.partition(" ")
    if way == "up":
        return codec.decode_up(kind, data)
    if way in ("down", "group"):
        return codec.decode_down(kind, data, group=way == "group")
    return {"presence": codec.decode_presence, "envelope": envelope.unseal}[way](data)


def plain(message: msgspec.Struct) -> Any:
    """Every field as JSON can hold it."""
    return _plain({name: getattr(message, name) for name in message.__struct_fields__})


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return plain(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return "hex:" + value.hex() if isinstance(value, bytes) else value


def answered(name: str, to: str, data: bytes) -> Vector:
    """The vector as our decoder sees it today."""
    try:
        return Vector(name, to, data, gives=plain(decode(to, data)))
    except ProtocolError as error:
        return Vector(name, to, data, error=error.code)


def write(vectors: list[Vector]) -> None:
    FILE.write_text(HEAD + "".join("\n" + _block(vector) for vector in vectors), encoding="utf-8")


def _block(vector: Vector) -> str:
    text = vector.data.hex()
    lines = [text[at : at + WRAP] for at in range(0, len(text), WRAP)] or ["-"]
    result = (
        f"error {vector.error}" if vector.error else f"gives {json.dumps(vector.gives, ensure_ascii=False)}"
    )
    return (
        f"name  {vector.name}\nto    {vector.to}\n"
        + "".join(f"hex   {line}\n" for line in lines)
        + result
        + "\n"
    )


def read() -> list[Vector]:
    blocks = FILE.read_text(encoding="utf-8").split("\n\n")
    return [_read(block) for block in blocks[1:]]


def _read(block: str) -> Vector:
    parts: dict[str, str] = {}
    for line in block.strip().splitlines():
        word, _, rest = line.partition(" ")
        parts[word] = parts.get(word, "") + rest.strip()
    data = bytes.fromhex(parts["hex"].replace("-", ""))
    if "error" in parts:
        return Vector(parts["name"], parts["to"], data, error=parts["error"])
    return Vector(parts["name"], parts["to"], data, gives=json.loads(parts["gives"]))
