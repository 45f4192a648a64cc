"""One finger on one key: bounces, a long hold, and presses that answer a question. Pure.

A press is the first closing of the contact after it was open for DEBOUNCE_MS; closings sooner belong to the
same press (contacts bounce for up to 20 ms, nobody presses twice within 50). A second press later is a second
press, however soon.
"""

from typing import Final

from msgspec import Struct

DEBOUNCE_MS: Final = 50
STUCK_AFTER_MS: Final = 30_000
"""A key held so long is one press plus a fault."""
SECOND_PRESS_MS: Final = 2_000
"""In an open question: two presses within this are yes, one alone is no."""
QUESTION_OPEN_MS: Final = 30_000
"""A question without an end of its own is open so long."""


class Contact(Struct):
    """Of one key. Edges only; a down edge while down is ignored, but not for ever (a lost up edge)."""

    down: bool = False
    changed_at: int = -DEBOUNCE_MS
    held_since: int = 0

    def closed(self, now_ms: int) -> bool:
        """True if this edge is a press."""
        if self.down and now_ms - self.held_since < STUCK_AFTER_MS:
            return False
        press = self.down or now_ms - self.changed_at >= DEBOUNCE_MS
        self.down = True
        if press:
            self.held_since = now_ms
        return press

    def opened(self, now_ms: int) -> None:
        if self.down:
            self.down, self.changed_at = False, now_ms

    def stuck(self, now_ms: int) -> bool:
        """Held since the press, contact bounces apart."""
        return self.down or now_ms - self.changed_at < DEBOUNCE_MS


class Question(Struct):
    """An open yes/no question of the owner."""

    id: str
    item: str
    first_press_at: int | None = None

    def pressed(self, now_ms: int) -> bool | None:
        """True (yes) at the second press, None while the answer is open."""
        if self.first_press_at is not None and now_ms - self.first_press_at <= SECOND_PRESS_MS:
            return True
        self.first_press_at = now_ms
        return None
