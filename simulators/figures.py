"""What all simulated radios of one process said and heard: who, how many frames, and how long each took.

The talker's side notes for what moment it captured a frame, the listener's side looks it up: both read the clock of one
event loop, so `mouth_to_ear_ms` is exact. It counts from the moment at which the microphone would have given the frame
(a late talker counts) to its arrival, opened, at the listener's sound; there is no jitter buffer. What is heard of
somebody who talks elsewhere (the control room) is counted without a delay.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from devices.voice.radio_events import Heard
from protocols.voice import CATCH_UP

MAX_WORDS: Final = 64
"""Words that are remembered; the oldest go, and their frames with them."""
MAX_NOTED: Final = 3_000
"""Frames of one word whose time is noted: a minute; of later ones the delay is not counted."""


@dataclass(slots=True)
class Word:
    """One burst. `said_ms`: timestamp of a frame → when it was captured; `heard`: device → frames it opened."""

    group: str = ""
    talker: str = ""
    sent: int = 0
    said_ms: dict[int, int] = field(default_factory=dict)
    heard: Counter[str] = field(default_factory=Counter)
    over: set[str] = field(default_factory=set)
    """Who heard something of it and was told that it is over."""


@dataclass(slots=True)
class Figures:
    """Of the last MAX_WORDS words. Delays are histograms of all: ms → how often."""

    words: dict[int, Word] = field(default_factory=dict)
    grant_ms: Counter[int] = field(default_factory=Counter)
    mouth_to_ear_ms: Counter[int] = field(default_factory=Counter)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever a word was over for somebody; whoever waits for it clears it."""

    @property
    def talkers(self) -> set[str]:
        return {word.talker for word in self.words.values() if word.talker}

    @property
    def listeners(self) -> set[str]:
        return {device for word in self.words.values() for device in word.heard}

    @property
    def frames_sent(self) -> int:
        """By the radios of this process."""
        return sum(word.sent for word in self.words.values())

    @property
    def frames_heard(self) -> int:
        return sum(word.heard.total() for word in self.words.values())

    def said(self, talker: str, burst: int, ts: int, at_ms: int) -> None:
        word = self._word(burst)
        word.talker = talker
        word.sent += 1
        if len(word.said_ms) < MAX_NOTED:
            word.said_ms[ts] = at_ms

    def heard(self, device: str, heard: Heard, at_ms: int) -> None:
        word = self._word(heard.frame.burst)
        word.group = word.group or heard.group
        word.talker = word.talker or heard.talker
        word.heard[device] += 1
        said_ms = word.said_ms.get(heard.frame.ts)
        if said_ms is not None and not heard.frame.flags & CATCH_UP:
            self.mouth_to_ear_ms[at_ms - said_ms] += 1

    def over(self, device: str, burst: int) -> None:
        self._word(burst).over.add(device)
        self.changed.set()

    def _word(self, burst: int) -> Word:
        word = self.words.get(burst)
        if word is None:
            word = self.words[burst] = Word()
            if len(self.words) > MAX_WORDS:
                del self.words[next(iter(self.words))]
        return word

    async def until(self, true: Callable[[], bool], within_s: float) -> bool:
        """Looks whenever a word was over for somebody; False when the time is over first."""
        try:
            async with asyncio.timeout(within_s):
                while not true():
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            return False
        return True


def percentile(histogram: Counter[int], part: float) -> int | None:
    """The smallest ms that at least `part` (0 to 1) of all do not exceed; None of nothing."""
    wanted, so_far = math.ceil(histogram.total() * part), 0
    for ms in sorted(histogram):
        so_far += histogram[ms]
        if so_far >= wanted:
            return ms
    return None
