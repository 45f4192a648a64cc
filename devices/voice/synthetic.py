"""Sound that nobody says and nobody hears: tones, silence, a sink without a loudspeaker, one that hears itself."""

from collections import deque
from typing import Final

import numpy as np

from devices.voice.pace import Clock, Pace, PlayedOut
from devices.voice.sound import FRAME_SAMPLES, FULL_SCALE, SILENCE, Microphone, Speaker, pcm_of
from protocols.voice import PCM_FRAME_BYTES, RATE_HZ

TONE_DBFS: Final = -12.0
"""At its loudest."""
WAVER_HZ: Final = 5.0
"""It gets softer by half so often: what does not change at all is background to Opus, and not sent (DTX)."""
LOOP_FRAMES: Final = 100
"""Of 20 ms that a loop keeps for its microphone; beyond it the oldest goes."""


class ToneMicrophone(Microphone):
    """A sine without end, its phase unbroken, its loudness wavering as a voice's does."""

    def __init__(self, tone_hz: float = 440.0, *, clock: Clock | None = None) -> None:
        self._step = 2 * np.pi * tone_hz / RATE_HZ
        self._at = 0
        self._peak = FULL_SCALE * 10 ** (TONE_DBFS / 20)
        self._pace = Pace(clock)

    async def open(self) -> None:
        self._at = 0

    async def read(self) -> bytes:
        await self._pace.tick()
        at = np.arange(FRAME_SAMPLES) + self._at
        self._at += FRAME_SAMPLES
        waver = 0.75 + 0.25 * np.cos(2 * np.pi * WAVER_HZ * at / RATE_HZ)
        return pcm_of(self._peak * waver * np.sin(at * self._step))

    async def close(self) -> None:
        """Nothing to give back."""


class SilentMicrophone(Microphone):
    """Digital silence without end."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._pace = Pace(clock)

    async def open(self) -> None:
        """Nothing to have."""

    async def read(self) -> bytes:
        await self._pace.tick()
        return SILENCE

    async def close(self) -> None:
        """Nothing to give back."""


class NullSpeaker(Speaker):
    """Takes sound in real time and forgets it."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._played = PlayedOut(clock)

    async def open(self) -> None:
        """Nothing to have."""

    async def write(self, pcm: bytes) -> None:
        await self._played.room_for(pcm)

    async def drained(self) -> None:
        await self._played.drained()

    async def close(self) -> None:
        """Nothing to give back."""


class LoopSpeaker(NullSpeaker):
    """What is played here is what its `microphone` hears, silence in between."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        super().__init__(clock=clock)
        self._frames: deque[bytes] = deque(maxlen=LOOP_FRAMES)
        self._part = b""
        self.microphone: Microphone = _LoopMicrophone(self._frames, clock)

    async def write(self, pcm: bytes) -> None:
        self._part += pcm
        while len(self._part) >= PCM_FRAME_BYTES:
            self._frames.append(self._part[:PCM_FRAME_BYTES])
            self._part = self._part[PCM_FRAME_BYTES:]
        await super().write(pcm)


class _LoopMicrophone(SilentMicrophone):
    def __init__(self, frames: deque[bytes], clock: Clock | None) -> None:
        super().__init__(clock=clock)
        self._frames = frames

    async def read(self) -> bytes:
        silence = await super().read()
        return self._frames.popleft() if self._frames else silence
