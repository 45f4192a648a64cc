"""One burst on its way through the relay: what of it was heard, and a stream's numbers made its own. Pure.

What must hold: a frame is taken once, whatever arrives twice or late, and nothing is taken behind its last.
"""

from typing import Final, NamedTuple

from protocols.voice import CLOCK_HZ, FRAME_MS, LAST, Frame

from .limits import KEEP_FRAMES, KEEP_S

FRAME_TS: Final = CLOCK_HZ * FRAME_MS // 1000
NEW_STREAM: Final = 1500
"""An RTP number farther than this (30 s) from the newest belongs to a stream that was begun anew."""


class Grant(NamedTuple):
    """Who talks where. `groups`: all channels that hear it, `channel` among them."""

    channel: str
    burst: int
    talker: str
    groups: tuple[str, ...]
    incident: str = ""
    priority: str = "normal"
    drill: bool = False
    not_for: tuple[str, ...] = ()


class Burst:
    """The frames of one grant. `until_ms`: when an ended one is over."""

    def __init__(self, grant: Grant, *, floor: bool) -> None:
        self.grant = grant
        self.floor = floor
        self.began = False
        self.until_ms: int | None = None
        self.told_ms: int | None = None
        self._frames: dict[int, Frame] = {}
        self._newest = -1
        self._end: int | None = None
        self._rtp = _Relabel()

    def take(self, frame: Frame) -> str:
        """Keep a frame; "" or why it is dropped: `after-last`, `double`, `late`."""
        if self._end is not None and frame.seq > self._end:
            return "after-last"
        if frame.seq in self._frames:
            return "double"
        if frame.seq <= self._newest - KEEP_FRAMES:
            return "late"
        self._newest = max(self._newest, frame.seq)
        self._frames[frame.seq] = frame
        if len(self._frames) > KEEP_FRAMES:
            del self._frames[next(iter(self._frames))]
        if frame.flags & LAST:
            self._end = frame.seq
        return ""

    def relabel(self, seq: int, ts: int, opus: bytes) -> Frame | None:
        """A packet of an endless RTP stream as a frame of this burst; None when it lies before its beginning."""
        place = self._rtp.place(seq & 0xFFFF, ts & 0xFFFFFFFF)
        return None if place is None else Frame(self.grant.burst, place[0], place[1], opus)

    def kept(self, seq: int) -> list[Frame]:
        """The frames from `seq` on, in order, of its last KEEP_S seconds."""
        if self._newest < 0:
            return []
        newest = self._frames[self._newest].ts
        recent = (f for f in self._frames.values() if f.seq >= seq and newest - f.ts <= KEEP_S * CLOCK_HZ)
        return sorted(recent, key=lambda frame: frame.seq)


class _Relabel:
    """RTP sequence numbers and timestamps, both of which wrap, counted from the first packet seen."""

    def __init__(self) -> None:
        self._rtp: tuple[int, int] | None = None  # of the newest packet, as it came
        self._own = (0, 0)  # and as it was told

    def place(self, seq: int, ts: int) -> tuple[int, int] | None:
        if self._rtp is None:
            self._rtp = (seq, ts)
            return self._own
        ahead = _signed(seq - self._rtp[0], 16)
        if abs(ahead) > NEW_STREAM:
            own = (self._own[0] + 1, self._own[1] + FRAME_TS)
        else:
            own = (self._own[0] + ahead, self._own[1] + _signed(ts - self._rtp[1], 32))
        if min(own) < 0 or max(own) >= 2**32:
            return None
        if own[0] > self._own[0]:
            self._rtp, self._own = (seq, ts), own
        return own


def _signed(difference: int, bits: int) -> int:
    half = 1 << bits - 1
    return (difference + half) % (1 << bits) - half
