"""How much of what one device may send: the bounds of the voice room, and the bucket that keeps them. Pure."""

from typing import Final

FRAMES_PER_S: Final = 60
"""Of one talker, sustained. Sound at 20 ms is 50; what comes beyond is dropped and the core is told."""
FRAMES_AT_ONCE: Final = 50
"""And at once: a second that a bad network held back."""
MAX_PACKET_48K: Final = 2880
"""60 ms in one Opus packet; a longer one counts as unreadable."""
BAD_IN_A_ROW: Final = 3
"""Packets without Opus in them until the core is told, which takes the floor away."""
TELL_EVERY_MS: Final = 1000
"""What a talker does wrong, and that sound still comes, is told to the core at most this often."""
LATE_MS: Final = 300
"""Frames under way when a burst ends are still heard for so long, unless somebody else is heard before."""
KEEP_S: Final = 15
KEEP_FRAMES: Final = KEEP_S * 50
"""Of each burst, for catch-up and to know doubles; the oldest go, and what is older is dropped as late."""
KEEP_BURSTS: Final = 64
"""Bursts kept for catch-up; the oldest go."""
MAX_TALKERS: Final = 20_000
"""Talkers whose rate is remembered; the one that came first is forgotten, and starts with a full bucket."""


class Bucket:
    """A token bucket: `rate` a second, `burst` at once."""

    __slots__ = ("_at_ms", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate / 1000
        self._burst = self._left = float(burst)
        self._at_ms: int | None = None

    def take(self, now_ms: int) -> bool:
        """Whether one more is allowed now."""
        if self._at_ms is not None and now_ms > self._at_ms:
            self._left = min(self._burst, self._left + (now_ms - self._at_ms) * self._rate)
        self._at_ms = now_ms
        if self._left < 1:
            return False
        self._left -= 1
        return True
