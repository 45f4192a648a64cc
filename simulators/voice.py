"""Simulated sound: a terminal that says packets made beforehand and counts what it hears, decoding nothing.

So a hundred radios fit in one process. All of a process share one `Figures`, where the talker's side notes when it said
what and the listener's side looks it up: both read the same clock, so `mouth_to_ear_ms` is exact. It counts from the
packet's leaving the encoder to its arrival at the jitter buffer, which is not simulated.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from devices.events import BurstHeard, PttPressed
from devices.hardware import Feed, Say
from devices.voice.radio_events import Heard
from protocols.opus import Encoder
from protocols.voice import CATCH_UP, CLOCK_HZ, FRAME_MS, PCM_FRAME_BYTES, RATE_HZ

TICKS: Final = CLOCK_HZ * FRAME_MS // 1000
MAX_NOTED: Final = 20_000
"""Packets whose time of saying is remembered; of older ones the delay is not counted."""
MAX_PACKETS: Final = 30_000
"""Of one word: ten minutes; more is cut off."""

Packets = Sequence[bytes]


@dataclass(slots=True)
class Figures:
    """Of all simulated radios of this process, since the start. Delays are histograms: ms → how often."""

    talkers: set[str] = field(default_factory=set)
    listeners: set[str] = field(default_factory=set)
    frames_sent: int = 0
    frames_heard: int = 0
    grant_ms: Counter[int] = field(default_factory=Counter)
    mouth_to_ear_ms: Counter[int] = field(default_factory=Counter)
    said_at: dict[tuple[int, int], float] = field(default_factory=dict)

    def said(self, burst: int, ts: int) -> None:
        self.frames_sent += 1
        self.said_at[burst, ts] = time.monotonic()
        if len(self.said_at) > MAX_NOTED:
            del self.said_at[next(iter(self.said_at))]

    def heard(self, device: str, heard: Heard) -> None:
        self.listeners.add(device)
        self.frames_heard += 1
        at = self.said_at.get((heard.frame.burst, heard.frame.ts))
        if at is not None and not heard.frame.flags & CATCH_UP:
            self.mouth_to_ear_ms[round((time.monotonic() - at) * 1000)] += 1


def percentile(histogram: Counter[int], part: float) -> int | None:
    """The smallest ms that at least `part` (0 to 1) of all do not exceed; None of nothing."""
    wanted, so_far = math.ceil(histogram.total() * part), 0
    for ms in sorted(histogram):
        so_far += histogram[ms]
        if so_far >= wanted:
            return ms
    return None


class SimVoice:
    """The VoiceHardware of one simulated terminal. `words` is what it says when it has the floor, once."""

    def __init__(self, device: str, figures: Figures) -> None:
        self.device = device
        self.figures = figures
        self.words: Packets = ()
        self.talking = False
        self.covered = True
        """Out of coverage nothing is heard and nothing that is said arrives; the datagrams' pings go on."""
        self.lines: dict[str, str] = {}
        self.frames: Counter[int] = Counter()
        """Burst → frames heard of it, of the last MAX_BURSTS bursts."""
        self._feed: Feed | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pressed_at = 0.0
        self._finishing = False

    async def run(self, feed: Feed) -> None:
        self._feed = feed
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._feed = None
            self.stop()

    def speak(self, packets: Packets) -> bool:
        """Press, say this, let go; False while the device is not running."""
        if self._feed is None:
            return False
        self.words = packets[:MAX_PACKETS]
        self._feed(PttPressed())
        return True

    # --- VoiceHardware

    def listen(self) -> None:
        self._pressed_at = time.monotonic()

    def talk(self, burst: int, say: Say) -> None:
        self.stop()
        self.figures.talkers.add(self.device)
        self.figures.grant_ms[round((time.monotonic() - self._pressed_at) * 1000)] += 1
        self.talking, self._finishing = True, False
        self._next(burst, say, 0, asyncio.get_running_loop().time())

    def _next(self, burst: int, say: Say, at: int, started_s: float) -> None:
        """Packet `at`, at its time; after the last one the key is let go."""
        over = at >= len(self.words) or self._finishing
        if self.covered:
            self.figures.said(burst, at * TICKS)
            say(b"" if over else self.words[at], at * TICKS, over)
        if over:
            self.stop()
            if self._feed is not None:
                self._feed(PttPressed(down=False))
            return
        due_s = started_s + (at + 1) * FRAME_MS / 1000
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(due_s, self._next, burst, say, at + 1, started_s)

    def finish(self) -> None:
        self._finishing = True

    def stop(self) -> None:
        self.talking = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def hear(self, heard: Heard) -> None:
        if not self.covered:
            return
        self.figures.heard(self.device, heard)
        self.frames[heard.frame.burst] += 1
        if len(self.frames) > MAX_BURSTS:
            del self.frames[next(iter(self.frames))]

    def over(self, group: str, burst: int) -> None:
        if self._feed is not None and self.frames[burst]:
            self._feed(BurstHeard(group, burst))

    def catching_up(self, burst: int) -> None:
        """Nothing is buffered here."""

    def tone(self, name: str) -> None:
        """Nobody listens."""

    def tell(self, what: str, text: str, text_en: str) -> None:
        self.lines[what] = text_en


MAX_BURSTS: Final = 64


def encoded(pcm: bytes) -> list[bytes]:
    """16 kHz mono PCM as one packet per 20 ms; silence sends packets too (no DTX), so the count tells the length."""
    encoder = Encoder(dtx=False)
    pcm += bytes(-len(pcm) % PCM_FRAME_BYTES)
    return [encoder.encode(pcm[at : at + PCM_FRAME_BYTES]) for at in range(0, len(pcm), PCM_FRAME_BYTES)]


def word(length_ms: int = 2_000, pitch_hz: float = 140.0) -> list[bytes]:
    """A synthetic voice that says la-la-la: for what needs frames and no meaning."""
    import numpy as np

    at_s = np.arange(RATE_HZ * length_ms // 1000) / RATE_HZ
    voiced = sum(np.sin(2 * np.pi * pitch_hz * n * at_s) / n for n in (1, 2, 3, 5, 8))
    syllables = np.clip(np.sin(2 * np.pi * 2.5 * at_s), 0, 1)
    return encoded((6_000 * voiced * syllables).astype("<i2").tobytes())


async def from_wav(path: Path) -> list[bytes]:
    """Any WAV file; devices.voice.sound.SoundFailed when it is none."""
    from devices.voice.files import WavMicrophone
    from devices.voice.pace import FastClock
    from devices.voice.sound import SoundEnded

    pieces: list[bytes] = []
    async with WavMicrophone(path, clock=FastClock()) as file:
        try:
            while len(pieces) < MAX_PACKETS:
                pieces.append(await file.read())
        except SoundEnded:
            pass
    return encoded(b"".join(pieces))
