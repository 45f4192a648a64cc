"""The envelope of every down message but a voice frame: generation, number, life, body, signature.

`gen` only grows (a restored site starts a higher one). `n` grows per receiver (device or talk group) within a
generation; it need not be dense. The signature (ECDSA P-256) covers `signed_bytes`: the topic, the four
numbers and the body exactly as received. Version 1 carries an empty signature until identity is enforced.
"""

import struct
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from .errors import ProtocolError
from .types import Count, Ms, TimeMs

MAX_DOWN_BYTES: Final = 64 * 1024
"""A longer down message is refused unread."""


class Envelope(Struct, frozen=True):
    """What every down payload is. `ttl_ms` counts from `sent_at` in site time; 0 = never expires."""

    gen: Count
    n: Count
    ttl_ms: Ms
    sent_at: TimeMs
    body: bytes
    sig: Annotated[bytes, Meta(max_length=128)] = b""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Envelope)


def seal(gen: int, n: int, ttl_ms: int, sent_at: int, body: bytes) -> bytes:
    """The bytes to publish."""
    return _encoder.encode(Envelope(gen, n, ttl_ms, sent_at, body))


def unseal(data: bytes) -> Envelope:
    """ProtocolError `oversize` or `bad-envelope` if these bytes are none."""
    if len(data) > MAX_DOWN_BYTES:
        raise ProtocolError(
            "oversize", f"{len(data)} bytes are more than a down message has ({MAX_DOWN_BYTES})"
        )
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise ProtocolError("bad-envelope", f"no envelope: {error}") from None


def signed_bytes(topic: str, envelope: Envelope) -> bytes:
    """What a signature covers: length-prefixed topic, then gen, n, ttl_ms, sent_at as big-endian u64, then body."""
    name = topic.encode()
    numbers = struct.pack(">QQQQ", envelope.gen, envelope.n, envelope.ttl_ms, envelope.sent_at)
    return struct.pack(">H", len(name)) + name + numbers + envelope.body


def expired(envelope: Envelope, site_time_ms: int) -> bool:
    return envelope.ttl_ms > 0 and site_time_ms > envelope.sent_at + envelope.ttl_ms
