"""What can still be read of a damaged MessagePack map: its top-level fields, each as undecoded bytes.

Walks the bytes once, without recursion and without trusting a declared length: nothing is allocated for a
value before its bytes were seen. Stops at the first field that is cut off and gives what stood before it.
"""

import struct
from typing import Final

_FIXED: Final = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_FIXED_EXT: Final = {0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17}
_SIZED: Final = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}
_SIZED_EXT: Final = {0xC7: ">B", 0xC8: ">H", 0xC9: ">I"}
_ARRAY: Final = {0xDC: ">H", 0xDD: ">I"}
_MAP: Final = {0xDE: ">H", 0xDF: ">I"}
_PLAIN: Final = {0xC0, 0xC2, 0xC3}


def fields(data: bytes) -> dict[bytes, bytes] | None:
    """Encoded key → encoded value of the map that `data` begins with; None when it begins with no map."""
    try:
        at, items = _head(data, 0)
    except ValueError:
        return None
    if not _is_map(data[0]):
        return None
    found: dict[bytes, bytes] = {}
    for _ in range(items // 2):
        try:
            key_end = _end(data, at)
            value_end = _end(data, key_end)
        except ValueError:
            break
        found[data[at:key_end]] = data[key_end:value_end]
        at = value_end
    return found


def _is_map(tag: int) -> bool:
    return 0x80 <= tag <= 0x8F or tag in _MAP


def _end(data: bytes, at: int) -> int:
    """Where the value at `at` ends; ValueError if it is cut off or no MessagePack. Every step eats a byte."""
    open_values = 1
    while open_values:
        at, items = _head(data, at)
        open_values += items - 1
    return at


def _head(data: bytes, at: int) -> tuple[int, int]:
    """Where the value at `at` ends, or its first inner value begins, and how many inner values it has."""
    if at >= len(data):
        raise ValueError("cut off")
    tag, at = data[at], at + 1
    size, items = 0, 0
    if tag <= 0x7F or tag >= 0xE0 or tag in _PLAIN:
        pass
    elif tag <= 0x8F:
        items = 2 * (tag & 0x0F)
    elif tag <= 0x9F:
        items = tag & 0x0F
    elif tag <= 0xBF:
        size = tag & 0x1F
    else:
        at, size, items = _long_head(data, tag, at)
    if at + size > len(data):
        raise ValueError("cut off")
    return at + size, items


def _long_head(data: bytes, tag: int, at: int) -> tuple[int, int, int]:
    """Content's place, its size in bytes and its number of values, of a tag from 0xC1 to 0xDF."""
    if tag in _FIXED:
        return at, _FIXED[tag], 0
    if tag in _FIXED_EXT:
        return at, _FIXED_EXT[tag], 0
    for table, step, per_item in ((_SIZED, 0, 0), (_SIZED_EXT, 1, 0), (_ARRAY, 0, 1), (_MAP, 0, 2)):
        if tag in table:
            at, number = _number(data, at, table[tag])
            return (at, 0, number * per_item) if per_item else (at, number + step, 0)
    raise ValueError("0xc1 is no MessagePack")


def _number(data: bytes, at: int, form: str) -> tuple[int, int]:
    try:
        (number,) = struct.unpack_from(form, data, at)
    except struct.error:
        raise ValueError("cut off") from None
    return at + struct.calcsize(form), number
