"""Bytes to messages and back. Every decoder is total: any bytes give a message or a ProtocolError.

An alarm is special: whatever of it can be read counts. If the bytes begin as a MessagePack map at all, an
alarm comes out, if need be a one-key alarm whose key is the digest of its bytes.
"""

import hashlib
from typing import Any, Final, get_type_hints

import msgspec
from msgspec import Struct

from . import down, salvage, up
from .errors import ProtocolError
from .types import Key

MAX_UP_BYTES: Final = 16 * 1024
"""A longer up message is refused unread."""
MAX_DOWN_BODY_BYTES: Final = 48 * 1024
"""The same of a down message's body: the longest are parts of a clip."""

_encoder = msgspec.msgpack.Encoder()
_UP: Final = {kind: msgspec.msgpack.Decoder(type_) for kind, type_ in up.KINDS.items()}
_DOWN: Final = {kind: msgspec.msgpack.Decoder(type_) for kind, type_ in down.KINDS.items()}
_GROUP: Final = {kind: msgspec.msgpack.Decoder(type_) for kind, type_ in down.GROUP_KINDS.items()}
_PRESENCE: Final = msgspec.msgpack.Decoder(up.Presence)
UP_KIND: Final = {type_: kind for kind, type_ in up.KINDS.items()}
DOWN_KIND: Final = {type_: kind for kind, type_ in down.KINDS.items()}
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError, ValueError)


def encode(message: Struct) -> bytes:
    """Of any message of this package."""
    return _encoder.encode(message)


def decode_up(kind: str, data: bytes) -> up.Up:
    """A device's message; ProtocolError `unknown-kind`, `oversize` or `malformed`."""
    decoder = _UP.get(kind)
    if decoder is None:
        raise ProtocolError("unknown-kind", f"{kind[:40]!r} is no up kind of version 1")
    try:
        return _decode(decoder, kind, data)  # type: ignore[no-any-return]
    except ProtocolError as error:
        if kind != "alarm" or error.code == "oversize":
            raise
        return salvage_alarm(data, error)


def decode_presence(data: bytes) -> up.Presence:
    return _decode(_PRESENCE, "presence", data)  # type: ignore[no-any-return]


def decode_down(kind: str, body: bytes, *, group: bool = False) -> down.Down:
    """The body of an envelope; ProtocolError as for decode_up."""
    decoder = (_GROUP if group else _DOWN).get(kind)
    if decoder is None:
        raise ProtocolError("unknown-kind", f"{kind[:40]!r} is no down kind of version 1")
    return _decode(decoder, kind, body, MAX_DOWN_BODY_BYTES)  # type: ignore[no-any-return]


def _decode(decoder: Any, kind: str, data: bytes, limit: int = MAX_UP_BYTES) -> Any:
    if len(data) > limit:
        raise ProtocolError("oversize", f"{len(data)} bytes are more than a message has ({limit})")
    try:
        return decoder.decode(data)
    except _UNREADABLE as error:
        raise ProtocolError("malformed", f"no {kind}: {error}") from None


def salvage_alarm(data: bytes, why: ProtocolError) -> up.Alarm:
    """What can be read of a damaged alarm, cut off or not; `why` again when it begins with no map at all."""
    fields = salvage.fields(data)
    if fields is None:
        raise why
    read = {name: _part(fields, name) for name in _ALARM_PARTS}
    key = read.pop("key") or Key("raw-" + hashlib.sha256(data).hexdigest()[:24], 0)
    return up.Alarm(key=key, **{name: value for name, value in read.items() if value is not None})


_ALARM_PARTS: Final = {
    name: msgspec.msgpack.Decoder(type_)
    for name, type_ in get_type_hints(up.Alarm, include_extras=True).items()
}


def _part(fields: dict[bytes, bytes], name: str) -> Any:
    try:
        return _ALARM_PARTS[name].decode(fields[_encoder.encode(name)])
    except (KeyError, *_UNREADABLE):
        return None
