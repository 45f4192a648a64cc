"""Golden vectors: our codec against the file, and against the msgpack package in both directions."""

import os

import msgpack
import msgspec
import pytest

from protocols import codec, kinds, schemas
from tests.protocols import frames, vectors
from tests.protocols.vectors import Vector

if os.environ.get("REWRITE_VECTORS"):
    vectors.write([vectors.answered(*frame) for frame in frames.frames()])
VECTORS = vectors.read()
GOOD = [vector for vector in VECTORS if not vector.error and "salvaged" not in vector.name]


def _id(vector: Vector) -> str:
    return f"{vector.to}: {vector.name}"


@pytest.mark.parametrize("vector", VECTORS, ids=_id)
def test_decoder_makes_of_the_bytes_what_the_file_says(vector: Vector) -> None:
    assert vectors.answered(vector.name, vector.to, vector.data) == vector


@pytest.mark.parametrize("vector", GOOD, ids=_id)
def test_msgpack_reads_what_we_write(vector: Vector) -> None:
    """What msgpack reads of our bytes lies within the message, and what we leave out are defaults."""
    message = vectors.decode(vector.to, vector.data)
    read = msgpack.unpackb(codec.encode(message))
    ours = msgspec.to_builtins(message, builtin_types=(bytes,))
    assert read == ours
    assert vectors.decode(vector.to, msgpack.packb(read)) == message


def test_every_frame_of_the_source_is_in_the_file_and_nothing_else() -> None:
    assert [(v.name, v.to, v.data) for v in VECTORS] == list(frames.frames())


def test_bad_vectors_are_refused_and_good_and_salvaged_ones_are_not() -> None:
    assert {vector.name for vector in VECTORS if vector.error} == {
        vector.name for vector in VECTORS if vector.name.startswith("bad: ")
    }
    assert {v.error for v in VECTORS if v.error} == {"malformed", "oversize", "unknown-kind", "bad-envelope"}


def test_every_kind_has_a_good_and_a_bad_vector() -> None:
    wanted = {"presence" if kind.way == "presence" else f"{kind.way} {kind.name}" for kind in kinds.ALL} | {
        "envelope"
    }
    assert {vector.to for vector in GOOD} == wanted
    assert wanted <= {vector.to for vector in VECTORS if vector.error}


def test_every_field_of_every_message_is_in_a_good_vector() -> None:
    """Nothing was left at its default everywhere: each field of each struct is set once."""
    seen: set[tuple[str, str]] = set()
    for vector in GOOD:
        _fields(vectors.decode(vector.to, vector.data), seen)
    every = {(type_.__name__, name) for type_ in schemas.structs() for name in type_.__struct_fields__}
    assert every - seen == set()


def _fields(message: msgspec.Struct, seen: set[tuple[str, str]]) -> None:
    for field in msgspec.structs.fields(message):
        value = getattr(message, field.name)
        if value != field.default:
            seen.add((type(message).__name__, field.name))
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, msgspec.Struct):
                _fields(inner, seen)
