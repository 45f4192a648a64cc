"""Which channel each slot of a session hears: what was asked, and what is put in by itself (a pillar's sound). Pure.

What must hold: what is put in stands in exactly one slot as long as it is wanted and does not move; it takes the last
free slot, and where none is free the last one, whose channel comes back when the slot is free again.
"""

from collections.abc import Iterable

NOTHING = ""
"""The channel of a slot that hears nothing."""


class Tuner:
    """Of one session. `size` slots; 0 before its offer is answered."""

    def __init__(self, size: int = 0) -> None:
        self.asked: list[str] = []
        self._size = size
        self._wanted: list[str] = []
        self._put: dict[str, int] = {}

    def resize(self, size: int) -> None:
        """Another session carries it on."""
        self._size, self._put = size, {}
        self._place()

    def ask(self, channels: Iterable[str]) -> None:
        """By slot, in order; those left out hear nothing."""
        self.asked = list(channels)
        self._place()

    def put_in(self, channels: Iterable[str]) -> None:
        """Exactly these, beside what was asked."""
        self._wanted = sorted(set(channels))
        self._place()

    @property
    def channels(self) -> list[str]:
        """By slot."""
        found = [self.asked[n] if n < len(self.asked) else NOTHING for n in range(self._size)]
        for channel, slot in self._put.items():
            found[slot] = channel
        return found

    def slot_of(self, channel: str) -> int:
        """Where it is heard, -1 if nowhere."""
        return self.channels.index(channel) if channel in self.channels else -1

    def _place(self) -> None:
        asked = self.asked[: self._size]
        self._put = {c: n for c, n in self._put.items() if c in self._wanted and c not in asked}
        for channel in self._wanted:
            if channel not in self._put and channel not in asked:
                slot = self._place_for()
                if slot >= 0:
                    self._put[channel] = slot

    def _place_for(self) -> int:
        taken = set(self._put.values())
        left = [n for n in range(self._size - 1, -1, -1) if n not in taken]
        free = [n for n in left if self.channels[n] == NOTHING]
        return (free or left or [-1])[0]
