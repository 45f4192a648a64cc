"""Sound on the wire: one frame as a talker says it and a listener hears it, and the probes of the datagram carriage.

A frame is the same up and down, on every carriage that seals (datagram, MQTT): MessagePack array, sealed by
`protocols.sframe`. The key that opened it says whose it is (up: the device's own key, down: the talk group's); `burst`,
given with *floor granted* and repeated in *floor taken*, says what it belongs to.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from .errors import ProtocolError

CLOCK_HZ: Final = 48_000
"""Of `ts`, as in RTP (RFC 7587), whatever rate the sound was taken at."""
RATE_HZ: Final = 16_000
"""At which devices take and give sound; one channel, 16 bit little-endian."""
FRAME_MS: Final = 20
PCM_FRAME_BYTES: Final = RATE_HZ * FRAME_MS // 1000 * 2
MAX_OPUS_BYTES: Final = 640
"""One packet of at most 60 ms; a longer one is dropped and counted."""
MAX_SEALED_BYTES: Final = 720
"""A longer datagram or voice payload is dropped unread."""
LAST: Final = 1
"""Flag: the burst ends with this frame (its `opus` may be empty)."""
CATCH_UP: Final = 2
"""Flag: said before the listener came; it may be played faster."""

U32 = Annotated[int, Meta(ge=0, lt=2**32)]


class Frame(Struct, array_like=True, tag=0, frozen=True):
    """One Opus packet of a burst. `ts`: CLOCK_HZ samples since its first frame; silence may leave gaps (DTX)."""

    burst: U32
    seq: U32
    ts: U32
    opus: Annotated[bytes, Meta(max_length=MAX_OPUS_BYTES)]
    flags: Annotated[int, Meta(ge=0, lt=256)] = 0


class Ping(Struct, array_like=True, tag=1, frozen=True):
    """Device → daemon by datagram: I am here, at this address; keeps a NAT open. `n` grows."""

    n: U32


class Pong(Struct, array_like=True, tag=2, frozen=True):
    """Daemon → device, to where the ping came from, sealed with the device's own down key."""

    n: U32


Sound = Frame | Ping | Pong
_encoder = msgspec.msgpack.Encoder()
_decoder: Final[msgspec.msgpack.Decoder[Sound]] = msgspec.msgpack.Decoder(Sound)


def encode(sound: Sound) -> bytes:
    """What is sealed."""
    return _encoder.encode(sound)


def decode(plain: bytes) -> Sound:
    """Of opened bytes; ProtocolError `bad-frame`."""
    try:
        return _decoder.decode(plain)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise ProtocolError("bad-frame", f"no frame: {error}") from None
