"""Hypothesis strategies: any message that a struct allows, any MessagePack value, any mutation of bytes.

Built from the structs' own bounds, so that a new field or a changed bound is fuzzed by itself.
"""

import math
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-"
TEXT = st.characters(codec="utf-8")


def of(type_: Any) -> st.SearchStrategy[Any]:
    """Values of a struct (or any annotated type) within all its bounds."""
    return _of(inspect.type_info(type_))


def _of(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.Metadata():
            return _of(info.type)
        case inspect.StructType():
            made = st.fixed_dictionaries({field.name: _of(field.type) for field in info.fields})
            return made.map(lambda values: info.cls(**values))
        case inspect.UnionType():
            return st.one_of([_of(part) for part in info.types])
        case inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
        case inspect.ListType():
            return st.lists(_of(info.item_type), min_size=info.min_length or 0, max_size=4)
        case inspect.DictType():
            return st.dictionaries(_of(info.key_type), _of(info.value_type), max_size=4)
    return _plain(info)


def _plain(info: inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case inspect.IntType():
            low = -(2**63) if info.ge is None else info.ge
            high = 2**63 if info.le is None else info.le
            return st.integers(low, high if info.lt is None else min(high, info.lt - 1))
        case inspect.FloatType():
            end, open_end = (info.lt, True) if info.lt is not None else (info.le, False)
            return st.floats(info.ge, end, exclude_max=open_end, allow_nan=False)
        case inspect.BytesType():
            return st.binary(min_size=info.min_length or 0, max_size=info.max_length or 300)
        case inspect.StrType() if info.pattern:
            return st.text(ID_ALPHABET, min_size=1, max_size=32)
        case inspect.StrType():
            return st.text(TEXT, min_size=info.min_length or 0, max_size=info.max_length)
    raise AssertionError(f"no strategy for {info}; write one")


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.just(math.nan)
    | st.text(TEXT, max_size=40)
    | st.binary(max_size=40)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(TEXT, max_size=8) | st.integers(0, 9), inner, max_size=5)
    ),
    max_leaves=20,
)


def maps_like(type_: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """Maps with the struct's field names and anything in them: they come past the first check."""
    names = st.sampled_from(type_.__struct_fields__)
    return st.dictionaries(names, VALUES, max_size=len(type_.__struct_fields__))


@st.composite
def mutated(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """One of the originals after a few cuts, changed bytes and insertions."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["cut", "change", "insert", "drop"])):
            case "cut":
                del data[at:]
            case "change" if at < len(data):
                data[at] = draw(st.integers(0, 255))
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=6))
            case _:
                del data[at : at + 3]
    return bytes(data)
