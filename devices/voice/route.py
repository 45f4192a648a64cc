"""Which carriage the sound of a device takes: datagram where it answers, MQTT where it does not. Pure.

The device chooses (docs/voice.md). Pings ask whether the datagram carriage lives: one every IDLE_MS keeps a NAT open,
one every SUSPICIOUS_MS while there is a reason to doubt it (the caller's reason, or a ping without an answer). Without
a pong for DARK_MS it is dark, and MQTT takes over. There pings go on every AWAY_MS, and after BACK_AFTER answered ones
in a row it is good again. What must hold: at most one ping every SUSPICIOUS_MS, and never a ping without a next time.
"""

from typing import Final, Literal

IDLE_MS: Final = 10_000
SUSPICIOUS_MS: Final = 250
DARK_MS: Final = 1_500
LEAST_ASKED_MS: Final = 750
"""Before that much time with unanswered pings nothing is called dark, however long it was quiet before."""
UNANSWERED_MS: Final = 500
"""A ping without an answer for so long is a reason to doubt."""
AWAY_MS: Final = 2_000
BACK_AFTER: Final = 3

Step = Literal["ping", "to-mqtt", "to-datagram"]


class Route:
    """`carriage` is in force; `to` the address that has answered, None while none has."""

    def __init__(self) -> None:
        self.carriage: Literal["datagram", "mqtt"] = "datagram"
        self.has_address = False
        self.to: int | None = None
        self.n = 0
        self._due: int | None = None
        self._asked_at: int | None = None
        self._last_pong = -DARK_MS
        self._row = 0
        self._answered = True
        self._doubt = False

    def start(self, addresses: int, now_ms: int) -> None:
        """New keys: the addresses may have changed, so they are asked at once."""
        self.has_address = addresses > 0
        self.to = None
        self._due = now_ms if addresses else None
        self._asked_at, self._row, self._answered = None, 0, True

    def stop(self) -> None:
        """No keys, no pings."""
        self._due = None

    def pong(self, n: int, source: int | None, now_ms: int) -> None:
        """Only what answers one of our pings counts, once."""
        if n > self.n:
            return
        if self.to is None:
            self.to = source
        self._last_pong, self._asked_at = now_ms, None
        if self.carriage == "datagram" and self._due is not None:
            self._due = max(self._due, now_ms) if self._doubt else now_ms + IDLE_MS
        if n == self.n and not self._answered:
            self._answered = True
            self._row += 1

    def deadline(self) -> int | None:
        return self._due

    def doubted(self, now_ms: int) -> None:
        """A reason has come up: ask sooner."""
        if self._due is not None and self.carriage == "datagram":
            self._due = min(self._due, now_ms + SUSPICIOUS_MS if self._asked_at is not None else now_ms)

    def step(self, now_ms: int, quiet_since: int | None, *, talking: bool) -> list[Step]:
        """What to do now. `quiet_since`: sound has been missing since then, None = none is missing."""
        if not self.has_address:
            return self._switch("mqtt")
        if self.carriage == "mqtt" and self._row >= BACK_AFTER:
            self._due = now_ms + IDLE_MS
            return self._switch("datagram")
        if self.carriage == "datagram" and self._dark(now_ms, quiet_since):
            self._row, self._due = 0, now_ms + AWAY_MS
            return self._switch("mqtt")
        if self._due is None or now_ms < self._due:
            return []
        return self._ping(now_ms, doubt=talking or quiet_since is not None)

    def _switch(self, carriage: Literal["datagram", "mqtt"]) -> list[Step]:
        if carriage == self.carriage:
            return []
        self.carriage = carriage
        return ["to-mqtt" if carriage == "mqtt" else "to-datagram"]

    def _dark(self, now_ms: int, quiet_since: int | None) -> bool:
        if self._asked_at is None or now_ms - self._asked_at < LEAST_ASKED_MS:
            return False
        since = self._asked_at if quiet_since is None else min(self._asked_at, quiet_since)
        return now_ms - max(since, self._last_pong) >= DARK_MS

    def _ping(self, now_ms: int, *, doubt: bool) -> list[Step]:
        if not self._answered:
            self._row = 0
        self.n += 1
        self._answered = False
        if self._asked_at is None:
            self._asked_at = now_ms
        unanswered = now_ms - self._asked_at >= UNANSWERED_MS
        self._doubt = doubt
        if self.carriage == "mqtt":
            self._due = now_ms + AWAY_MS
        else:
            self._due = now_ms + (SUSPICIOUS_MS if doubt or unanswered else UNANSWERED_MS)
        return ["ping"]
