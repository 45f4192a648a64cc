"""What the citizen at a pillar may be told: one truth at a time, that never grows weaker for the same press. Pure.

    sending, not-delivered  <  delivered  <  accepted  <  police-accepted  <  coming

Only a new press starts again at `sending`; its receipt brings back what its incident had already reached. An
incident that the pillar has left (a newer press went into another one) cannot speak any more.
"""

from typing import Final

from msgspec import Struct, field

from protocols.types import Key

STRENGTH: Final = {
    "": -1,
    "sending": 0,
    "not-delivered": 0,
    "delivered": 1,
    "accepted": 2,
    "police-accepted": 3,
    "coming": 4,
}
MAX_PAST: Final = 16
"""Incidents left that are remembered, oldest out."""


class Truth(Struct):
    """`code` is a key of PROMPTS or "". `newest` is the last press while it has no receipt."""

    code: str = ""
    newest: Key | None = None
    last: Key | None = None
    pressed_at: int | None = None
    incident: str | None = None
    reached: str = "delivered"
    past: list[str] = field(default_factory=list)

    def press(self, key: Key, now_ms: int | None) -> None:
        """`now_ms` None: a press before a reboot, its time unknown."""
        self.code, self.newest, self.last, self.pressed_at = "sending", key, key, now_ms

    def not_delivered(self) -> bool:
        """True while the newest press has no receipt and nothing better is known; then that is the truth."""
        if self.newest is None or STRENGTH[self.code] > 0:
            return False
        self.code = "not-delivered"
        return True

    def receipt(self, key: Key, incident: str | None) -> bool:
        """True if the truth grew. Only the newest press decides which incident is meant."""
        if key != self.newest and not (self.incident is None and STRENGTH[self.code] == 0):
            return False
        if incident is not None and incident != self.incident:
            self._leave()
            self.incident = incident
        if key != self.newest:
            return False
        self.newest = None
        return self._grow(self.reached)

    def prompt(self, code: str, incident: str) -> bool:
        """Whether the daemon's prompt is news that may be told."""
        if incident in self.past:
            return False
        if self.incident is None:
            self.incident = incident
        if STRENGTH[code] > STRENGTH[self.reached]:
            self.reached = code
        return self._grow(code)

    def ended(self, incident: str) -> bool:
        """True if nothing is left to tell; a press that is still on its way goes on."""
        if incident in self.past or self.incident not in (None, incident):
            return False
        self._leave(incident)
        if self.newest is not None:
            return False
        self.code, self.pressed_at = "", None
        return True

    def _grow(self, code: str) -> bool:
        if STRENGTH[code] <= STRENGTH[self.code]:
            return False
        self.code = code
        return True

    def _leave(self, incident: str | None = None) -> None:
        left = incident or self.incident
        if left is not None:
            self.past = [*self.past, left][-MAX_PAST:]
        self.incident, self.reached = None, "delivered"
