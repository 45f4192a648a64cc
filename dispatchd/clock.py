"""Core time: milliseconds that never step back.

It goes on from the last committed value plus the downtime as the wall clock tells it, at most a day of it, and then
runs by the monotonic clock. So a wall clock that is wrong or jumps can at worst make one start up to a day ahead.
The site's time zone lives here, too.
"""

import time
from collections.abc import Callable
from datetime import UTC, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DOWNTIME_MAX_MS: Final = 86_400_000


def wall_ms() -> int:
    """Milliseconds since 1970 UTC, as the machine believes."""
    return time.time_ns() // 1_000_000


def site_zone(name: str) -> tzinfo:
    """The site's zone; UTC+8 when the machine has no such zone (a bare system lacks tzdata)."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return timezone(timedelta(hours=8), "UTC+8") if name == "Asia/Shanghai" else UTC


class CoreClock:
    """`now_ms()`; `last_ms` is the last committed core time, 0 for a new site."""

    def __init__(
        self,
        last_ms: int,
        wall: Callable[[], int] = wall_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        wall_now = wall()
        downtime = min(max(0, wall_now - last_ms), DOWNTIME_MAX_MS)
        self._base = last_ms + downtime if last_ms else wall_now
        self._monotonic = monotonic
        self._start = monotonic()

    def now_ms(self) -> int:
        return self._base + int((self._monotonic() - self._start) * 1000)

    def seconds_until(self, core_ms: int) -> float:
        """How long to sleep until that core time; 0 if it has passed."""
        return max(0.0, (core_ms - self.now_ms()) / 1000)
