"""A clip: a piece of sound to be fetched and played, as Opus packets of 20 ms. How it is named, cut and summed. Pure.

Both ends compute `digest` alike: SHA-256 over every packet in order, each led by its length as two bytes, big-endian.
The id of a clip is the first 32 hex digits of that, so the same sound has the same id and cannot be changed.
"""

import hashlib
import struct
from collections.abc import Iterable, Sequence
from typing import Final

from .down import Clip
from .voice import FRAME_MS, MAX_OPUS_BYTES

MAX_PARTS: Final = 64
MAX_PART_FRAMES: Final = 400
MAX_PART_BYTES: Final = 15_000
"""Of the packets with their heads, so that a part stays below MAX_UP_BYTES as a message."""
MAX_CLIP_MS: Final = 300_000
FRAME_HEAD_BYTES: Final = 3
"""A packet's own head within a MessagePack list, at most."""


def digest(frames: Iterable[bytes]) -> bytes:
    """SHA-256 of a clip's packets."""
    found = hashlib.sha256()
    for frame in frames:
        found.update(struct.pack(">H", len(frame)))
        found.update(frame)
    return found.digest()


def parts_of(frames: Sequence[bytes]) -> list[list[bytes]]:
    """As few parts as the bounds of one allow, each full."""
    parts: list[list[bytes]] = []
    room = 0
    for frame in frames:
        size = len(frame) + FRAME_HEAD_BYTES
        if not parts or size > room or len(parts[-1]) >= MAX_PART_FRAMES:
            parts.append([])
            room = MAX_PART_BYTES
        parts[-1].append(frame)
        room -= size
    return parts


def describe(frames: Sequence[bytes]) -> Clip:
    """What is sent of it in a broadcast. ValueError in words for what is no clip."""
    if not frames:
        raise ValueError("there is no sound in it")
    if any(not 0 < len(frame) <= MAX_OPUS_BYTES for frame in frames):
        raise ValueError(f"a packet has no or more than {MAX_OPUS_BYTES} bytes")
    parts = len(parts_of(frames))
    if len(frames) * FRAME_MS > MAX_CLIP_MS or parts > MAX_PARTS:
        raise ValueError(f"it lasts {len(frames) * FRAME_MS / 1000:.0f} s; at most {MAX_CLIP_MS // 1000} s")
    sha256 = digest(frames)
    return Clip(sha256.hex()[:32], len(frames) * FRAME_MS, parts, sha256)
