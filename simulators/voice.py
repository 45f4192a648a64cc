"""Simulated sound: a terminal that says packets made beforehand and counts what it hears, decoding nothing.

So a hundred radios fit in one process: each opens every sealed frame that it gets, under its own keys, and only the
decoder and the loudspeaker are missing. What was said and heard goes to the `Figures` that all of a process share, and
into the device's own log, one line a word: `said` (when each frame was captured) and `sound-heard` (which frames came,
and when), both by the clock of the event loop, in ms.
"""

import asyncio
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from devices.events import BurstHeard, PttPressed, SelectGroup
from devices.hardware import Feed, Say
from devices.shell import monotonic_ms
from devices.voice.radio_events import Heard
from protocols.opus import Encoder
from protocols.voice import CLOCK_HZ, FRAME_MS, PCM_FRAME_BYTES, RATE_HZ

from .figures import MAX_NOTED, Figures

TICKS: Final = CLOCK_HZ * FRAME_MS // 1000
MAX_PACKETS: Final = 30_000
"""Of one word: ten minutes; more is cut off."""
MAX_BURSTS: Final = 64
"""Of which frames are counted and not yet in the log; the oldest go into the log."""

Packets = Sequence[bytes]


@dataclass(slots=True)
class _Notes:
    """Of one burst, for the log: frame numbers as they came, and when; at most MAX_NOTED."""

    group: str = ""
    frames: int = 0
    seq: list[int] = field(default_factory=list)
    at_ms: list[int] = field(default_factory=list)

    def note(self, seq: int, at_ms: int) -> None:
        self.frames += 1
        if len(self.seq) < MAX_NOTED:
            self.seq.append(seq)
            self.at_ms.append(at_ms)


class SimVoice:
    """The VoiceHardware of one simulated terminal. `words` is what it says when it has the floor, once."""

    def __init__(self, device: str, figures: Figures) -> None:
        self.device = device
        self.figures = figures
        self.log: Callable[[dict[str, Any]], None] = lambda _: None
        self.words: Packets = ()
        self.talking = False
        self.covered = True
        """Out of coverage nothing is heard and nothing that is said arrives; the datagrams' pings go on."""
        self.lines: dict[str, str] = {}
        self._heard: dict[int, _Notes] = {}
        self._said: tuple[int, _Notes] | None = None
        self._feed: Feed | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._finishing = False

    async def run(self, feed: Feed) -> None:
        self._feed = feed
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._feed = None
            self.stop()
            for burst in list(self._heard):
                self._write_heard(burst)

    def speak(self, packets: Packets, group: str = "") -> bool:
        """Press, say this (in `group`, else where it talks), let go; False while the device is not running."""
        if self._feed is None:
            return False
        self.words = packets[:MAX_PACKETS]
        if group:
            self._feed(SelectGroup(group))
        self._feed(PttPressed())
        return True

    # --- VoiceHardware

    def listen(self) -> None:
        """What is said is there already."""

    def talk(self, burst: int, say: Say) -> None:
        self.stop()
        self.talking, self._finishing = True, False
        self._said = burst, _Notes()
        self._next(burst, say, 0, asyncio.get_running_loop().time())

    def _next(self, burst: int, say: Say, at: int, started_s: float) -> None:
        """Packet `at`, at its time; after the last one the key is let go."""
        over = at >= len(self.words) or self._finishing
        due_s = started_s + at * FRAME_MS / 1000
        if self.covered:
            self._note_said(burst, at, round(due_s * 1000))
            say(b"" if over else self.words[at], at * TICKS, over)
        if over:
            self.stop()
            if self._feed is not None:
                self._feed(PttPressed(down=False))
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(due_s + FRAME_MS / 1000, self._next, burst, say, at + 1, started_s)

    def _note_said(self, burst: int, seq: int, at_ms: int) -> None:
        self.figures.said(self.device, burst, seq * TICKS, at_ms)
        if self._said is not None:
            self._said[1].note(seq, at_ms)

    def finish(self) -> None:
        self._finishing = True

    def stop(self) -> None:
        self.talking = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._said is not None:
            (burst, notes), self._said = self._said, None
            self._write("said", burst, notes)

    def hear(self, heard: Heard) -> None:
        if not self.covered:
            return
        at_ms = round(asyncio.get_running_loop().time() * 1000)
        self.figures.heard(self.device, heard, at_ms)
        burst = heard.frame.burst
        notes = self._heard.get(burst)
        if notes is None:
            if len(self._heard) >= MAX_BURSTS:
                self._write_heard(next(iter(self._heard)))
            notes = self._heard[burst] = _Notes(heard.group)
        notes.note(heard.frame.seq, at_ms)

    def over(self, group: str, burst: int) -> None:
        if burst in self._heard:
            self._write_heard(burst)
            self.figures.over(self.device, burst)
            if self._feed is not None:
                self._feed(BurstHeard(group, burst))

    def _write_heard(self, burst: int) -> None:
        self._write("sound-heard", burst, self._heard.pop(burst))

    def _write(self, ev: str, burst: int, notes: _Notes) -> None:
        fields: dict[str, Any] = {"group": notes.group} if notes.group else {}
        fields |= {"frames": notes.frames, "seq": notes.seq, "at_ms": notes.at_ms}
        self.log({"ev": ev, "t_ms": monotonic_ms(), "burst": burst, **fields})

    def catching_up(self, burst: int) -> None:
        """Nothing is buffered here."""

    def tone(self, name: str) -> None:
        """Nobody listens."""

    def tell(self, what: str, text: str, text_en: str) -> None:
        self.lines[what] = text_en


def encoded(pcm: bytes) -> list[bytes]:
    """16 kHz mono PCM as one packet per 20 ms; silence sends packets too (no DTX), so the count tells the length."""
    encoder = Encoder(dtx=False)
    pcm += bytes(-len(pcm) % PCM_FRAME_BYTES)
    return [encoder.encode(pcm[at : at + PCM_FRAME_BYTES]) for at in range(0, len(pcm), PCM_FRAME_BYTES)]


def word(length_ms: int = 2_000, pitch_hz: float = 140.0) -> list[bytes]:
    """A synthetic voice that says la-la-la: for what needs frames and no meaning."""
    return encoded(la_la_la(length_ms, pitch_hz))


def la_la_la(length_ms: int = 2_000, pitch_hz: float = 140.0) -> bytes:
    """The same as 16 kHz mono PCM."""
    import numpy as np

    at_s = np.arange(RATE_HZ * length_ms // 1000) / RATE_HZ
    voiced = sum(np.sin(2 * np.pi * pitch_hz * n * at_s) / n for n in (1, 2, 3, 5, 8))
    syllables = np.clip(np.sin(2 * np.pi * 2.5 * at_s), 0, 1)
    pcm: bytes = (6_000 * voiced * syllables).astype("<i2").tobytes()
    return pcm


def write_wav(path: Path, pcm: bytes) -> None:
    """16 kHz mono PCM as a file that everything plays."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(pcm)


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
