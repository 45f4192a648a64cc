"""What one loudspeaker plays, in which order: one sound at a time, urgent ones interrupt. Pure.

A sound that is interrupted starts again later. A player that says nothing for PLAY_LIMIT_MS has failed.
"""

from typing import Final

from msgspec import Struct

MAX_QUEUED: Final = 32
"""Sounds waiting; beyond it the least urgent, newest one is refused."""
PLAY_LIMIT_MS: Final = 180_000
"""Longer than a text of 1000 signs takes to read."""
PLAY_SLACK_MS: Final = 10_000
"""A clip may take so much longer than it lasts."""

NORMAL: Final = 0
PERIL: Final = 1
EMERGENCY: Final = 2
CALL: Final = 3
RANK_OF: Final = {"normal": NORMAL, "imminent-peril": PERIL, "emergency": EMERGENCY}


class Sound(Struct):
    """`expires_at` in site time, 0 = never; `code` names a pillar's prompt; `clip` the sound that is played for it."""

    item: str
    text: str
    lang: str
    volume_pct: int
    rank: int = NORMAL
    tone: str = ""
    expires_at: int = 0
    code: str = ""
    clip: str = ""


class Player:
    """The waiting line; the agent starts and stops what it names."""

    def __init__(self) -> None:
        self.playing: Sound | None = None
        self._queue: list[Sound] = []

    def push(self, sound: Sound) -> Sound | None:
        """Into the line behind its equals; the sound that had to be refused, if any."""
        self._insert(sound, behind=True)
        return self._queue.pop() if len(self._queue) > MAX_QUEUED else None

    def _insert(self, sound: Sound, *, behind: bool) -> None:
        at = 0
        for other in self._queue:
            if other.rank < sound.rank or (other.rank == sound.rank and not behind):
                break
            at += 1
        self._queue.insert(at, sound)

    def interrupts(self, sound: Sound) -> bool:
        playing = self.playing
        return playing is not None and sound.rank >= EMERGENCY and sound.rank > playing.rank

    def put_back(self) -> None:
        """What was playing goes to the head of its equals (an interrupted reminder's tone does not return)."""
        sound, self.playing = self.playing, None
        if sound is not None and sound.text:
            self._insert(sound, behind=False)

    def take(self, least_rank: int) -> Sound | None:
        """The next sound, now playing, unless it is less urgent than that."""
        if self.playing is None and self._queue and self._queue[0].rank >= least_rank:
            self.playing = self._queue.pop(0)
            return self.playing
        return None

    def holds(self, item: str) -> bool:
        return (self.playing is not None and self.playing.item == item) or any(
            sound.item == item for sound in self._queue
        )

    def remove(self, item: str) -> bool:
        """Out of the line; True if it is the one playing (which the agent must stop)."""
        self._queue = [sound for sound in self._queue if sound.item != item]
        if self.playing is not None and self.playing.item == item:
            self.playing = None
            return True
        return False

    def remove_prompts(self) -> list[Sound]:
        """A pillar's prompts out of the line (not the one playing)."""
        removed = [sound for sound in self._queue if sound.code]
        self._queue = [sound for sound in self._queue if not sound.code]
        return removed

    def finish(self, item: str) -> Sound | None:
        """The sound that came to its end, None if that was not playing (any more)."""
        sound = self.playing
        if sound is None or sound.item != item:
            return None
        self.playing = None
        return sound
