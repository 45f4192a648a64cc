"""What one loudspeaker plays at once: the radio's voices, its signals, and what the agent has it play.

The agent's player gives one sound at a time, in the order of its ranks; here it is laid over the radio, and the less
urgent of the two steps back: the radio while an emergency or a call sounds, a prompt or a broadcast while an emergency
is talked. What must hold: for every 20 ms asked for at most one piece comes out, and the end of each sound is reported
with the piece that ends it.
"""

from collections import deque
from typing import Final

import numpy as np

from devices.player import EMERGENCY
from devices.voice.playout import Playout
from devices.voice.radio_events import Heard
from devices.voice.sound import FULL_SCALE, SILENCE, pcm_of, samples_of
from protocols.voice import PCM_FRAME_BYTES, RATE_HZ

DUCKED: Final = 0.25
"""Of its own loudness: -12 dB."""
MAX_GAINS: Final = 32
"""Bursts whose loudness is remembered, the oldest go."""
MAX_QUEUED: Final = 8
"""Sounds laid over at once or in turn: the one of the player, and signals; more are not taken."""

SIGNALS: Final[dict[str, tuple[tuple[float, int], ...]]] = {
    "granted": ((1_200, 60),),
    "denied": ((400, 160), (0, 60), (400, 160)),
    "revoked": ((800, 120), (0, 40), (600, 120), (0, 40), (400, 160)),
    "pre-empted": ((1_600, 80), (0, 40), (1_600, 80), (0, 40), (1_600, 80)),
    "lost": ((600, 80), (0, 40), (300, 240)),
    "call": ((1_000, 200), (1_400, 200), (1_000, 200)),
    "broadcast": ((880, 200), (660, 300)),
    "notice": ((880, 200),),
}
"""Name → (Hz, 0 = pause; ms). A name that is not here sounds like `notice`."""
SIGNAL_DBFS: Final = -14.0
EDGE_MS: Final = 5


def signal(name: str) -> bytes:
    """PCM of a signal, its edges soft."""
    return b"".join(_tone(hz, ms) for hz, ms in SIGNALS.get(name, SIGNALS["notice"]))


def _tone(hz: float, ms: int) -> bytes:
    count = RATE_HZ * ms // 1000
    edge = np.minimum(1.0, np.arange(count) / (RATE_HZ * EDGE_MS / 1000))
    wave = np.sin(2 * np.pi * hz * np.arange(count) / RATE_HZ) if hz else np.zeros(count)
    return pcm_of(FULL_SCALE * 10 ** (SIGNAL_DBFS / 20) * wave * edge * edge[::-1])


class _Laid:
    """One sound over the radio; `number` (negative, a burst never is) is reported at its end."""

    __slots__ = ("at", "brief", "gain", "number", "pcm", "rank")

    def __init__(self, number: int, pcm: bytes, gain: float, rank: int, *, brief: bool) -> None:
        self.number, self.pcm, self.gain, self.rank, self.brief = number, pcm, gain, rank, brief
        self.at = 0

    def next(self) -> bytes:
        piece = self.pcm[self.at : self.at + PCM_FRAME_BYTES]
        self.at += PCM_FRAME_BYTES
        return piece + SILENCE[len(piece) :]

    @property
    def over(self) -> bool:
        return self.at >= len(self.pcm)


class Overlay(Playout):
    """A playout that has more than the radio. `volume_pct` is that of the radio; sounds laid over bring their own."""

    def __init__(self) -> None:
        super().__init__()
        self.volume_pct = 100
        self.echoes = False
        """In the last piece was more than a brief signal: the microphone must not hear it."""
        self._laid: deque[_Laid] = deque()
        self._number = 0
        self._gains: dict[int, tuple[float, bool]] = {}
        """Burst → its own part of the volume, and whether it is an emergency."""

    @property
    def idle(self) -> bool:
        return super().idle and not self._laid

    def lay(self, pcm: bytes, volume_pct: int, rank: int = 0, *, brief: bool = False) -> int | None:
        """After what is laid already; its number, None when it was not taken. `brief`: a signal of the radio."""
        if len(self._laid) >= MAX_QUEUED:
            return None
        self._number -= 1
        self._laid.append(_Laid(self._number, pcm, volume_pct / 100, rank, brief=brief))
        return self._number

    def take_off(self, number: int) -> None:
        """Cut off; its end is not reported."""
        self._laid = deque(one for one in self._laid if one.number != number)

    def note(self, heard: Heard) -> None:
        """How loud this burst is to be."""
        self._gains[heard.frame.burst] = heard.volume_pct / 100, heard.priority == "emergency"
        if len(self._gains) > MAX_GAINS:
            del self._gains[next(iter(self._gains))]

    def read(self, now_ms: float) -> tuple[bytes, list[int]] | None:
        voice = super().read(now_ms) if not super().idle else None
        if voice is None and not self._laid:
            return None
        pcm, over = voice or (SILENCE, [])
        self.echoes = voice is not None
        gain, urgent = self._gains.get(self._burst or 0, (1.0, False))
        mixed = samples_of(pcm) * (gain * self.volume_pct / 100)
        if self._laid:
            laid = self._laid[0]
            self.echoes = self.echoes or not laid.brief
            if voice is not None and laid.rank >= EMERGENCY:
                mixed *= DUCKED
            back = DUCKED if voice is not None and urgent and laid.rank < EMERGENCY else 1.0
            mixed = mixed + samples_of(laid.next()) * (laid.gain * back)
            if laid.over:
                over = [*over, self._laid.popleft().number]
        return pcm_of(mixed), over
