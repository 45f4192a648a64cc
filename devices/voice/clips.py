"""The clips a device fetches: which parts it has, what it asks for next and when, and the sound when it is whole. Pure.

What must hold:
- a clip is given out only when all its parts are here and together have its SHA-256; one that has another is thrown
  away whole and asked for anew, RETRY_MAX times;
- at most MAX_BYTES are held in all; beyond that a clip waits for its turn, and whoever wants it for nothing gets none;
- requests are repeated for what is missing, at doubling distances, at once after a new connection.
"""

from typing import Final

from msgspec import Struct, field

from protocols import down, up
from protocols.clip import FRAME_HEAD_BYTES, MAX_CLIP_MS, MAX_PART_BYTES, MAX_PARTS, digest
from protocols.voice import FRAME_MS, MAX_OPUS_BYTES
from protocols.voice_limits import CLIP_ASK_FIRST_MS, CLIP_ASK_MAX_MS

ASK_FIRST_MS: Final = CLIP_ASK_FIRST_MS
ASK_MAX_MS: Final = CLIP_ASK_MAX_MS
"""Nothing came since the last request: it is repeated after the first of these, doubling up to the second."""
MAX_BYTES: Final = 2_000_000
"""Of all clips on this device; the longest clip has less than half of it."""
MAX_CLIPS: Final = 8
RETRY_MAX: Final = 2
"""Clips that came together wrong are fetched anew so often."""

Frames = tuple[bytes, ...]


class Fetch(Struct):
    """One clip on its way. `due_ms`: when its next request is made; `wait_ms`: the distance to the one after."""

    clip: down.Clip
    due_ms: int
    wait_ms: int = ASK_FIRST_MS
    parts: dict[int, list[bytes]] = field(default_factory=dict)
    bytes: int = 0
    wrong: int = 0

    @property
    def missing(self) -> list[int]:
        return [part for part in range(self.clip.parts) if part not in self.parts]


class Clips:
    """`want` one, `received` its parts, publish what `requests` gives, take it by `frames`, `drop` it in the end."""

    def __init__(self) -> None:
        self._fetches: dict[str, Fetch] = {}
        self._whole: dict[str, Frames] = {}

    @property
    def held_bytes(self) -> int:
        """Of everything that is here."""
        whole = sum(len(frame) for frames in self._whole.values() for frame in frames)
        return whole + sum(fetch.bytes for fetch in self._fetches.values())

    def want(self, clip: down.Clip, now_ms: int) -> bool:
        """Fetch it; False if this device cannot hold it (then let it be shown or said otherwise)."""
        if clip.clip in self._whole or clip.clip in self._fetches:
            return True
        if (
            clip.ms > MAX_CLIP_MS
            or clip.parts > MAX_PARTS
            or len(self._fetches) + len(self._whole) >= MAX_CLIPS
        ):
            return False
        if self._reserved() + clip.parts * MAX_PART_BYTES > MAX_BYTES:
            return False
        self._fetches[clip.clip] = Fetch(clip, now_ms)
        return True

    def _reserved(self) -> int:
        whole = sum(len(frame) for frames in self._whole.values() for frame in frames)
        return whole + sum(fetch.clip.parts * MAX_PART_BYTES for fetch in self._fetches.values())

    def connected(self, now_ms: int) -> None:
        """What was asked for may be lost: ask at once."""
        for fetch in self._fetches.values():
            fetch.due_ms, fetch.wait_ms = now_ms, ASK_FIRST_MS

    def requests(self, now_ms: int) -> list[up.ClipRequest]:
        """Those that are due; each is then due again after its wait, which doubles."""
        due = [fetch for fetch in self._fetches.values() if fetch.due_ms <= now_ms]
        for fetch in due:
            fetch.due_ms = now_ms + fetch.wait_ms
            fetch.wait_ms = min(fetch.wait_ms * 2, ASK_MAX_MS)
        return [up.ClipRequest(fetch.clip.clip, fetch.missing) for fetch in due]

    def deadline(self) -> int | None:
        """When the next request is due."""
        return min((fetch.due_ms for fetch in self._fetches.values()), default=None)

    def received(self, message: down.ClipPart, now_ms: int) -> str | None:
        """The clip that is whole now, if this made it so. What nobody asked for, or is no such part, is passed over."""
        fetch = self._fetches.get(message.clip)
        if fetch is None or message.part in fetch.parts or not _is_part(fetch.clip, message):
            return None
        fetch.parts[message.part] = message.frames
        fetch.bytes += sum(map(len, message.frames))
        fetch.due_ms, fetch.wait_ms = now_ms + ASK_FIRST_MS, ASK_FIRST_MS
        return None if fetch.missing else self._put_together(fetch, now_ms)

    def _put_together(self, fetch: Fetch, now_ms: int) -> str | None:
        frames = tuple(frame for part in range(fetch.clip.parts) for frame in fetch.parts[part])
        if digest(frames) == fetch.clip.sha256:
            del self._fetches[fetch.clip.clip]
            self._whole[fetch.clip.clip] = frames
            return fetch.clip.clip
        fetch.parts, fetch.bytes, fetch.wrong = {}, 0, fetch.wrong + 1
        fetch.due_ms = now_ms + ASK_FIRST_MS
        if fetch.wrong > RETRY_MAX:
            self.drop(fetch.clip.clip)
        return None

    def frames(self, clip: str) -> Frames | None:
        """All its packets, if it is here and whole."""
        return self._whole.get(clip)

    def drop(self, clip: str) -> None:
        """Nobody needs it any more."""
        self._fetches.pop(clip, None)
        self._whole.pop(clip, None)


def _is_part(clip: down.Clip, message: down.ClipPart) -> bool:
    """Of this clip, and of a size that a part may have."""
    size = sum(len(frame) + FRAME_HEAD_BYTES for frame in message.frames)
    return (
        message.part < clip.parts
        and 0 < len(message.frames) <= clip.ms // FRAME_MS
        and size <= MAX_PART_BYTES
        and all(0 < len(frame) <= MAX_OPUS_BYTES for frame in message.frames)
    )
