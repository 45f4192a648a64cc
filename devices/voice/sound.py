"""Where sound comes from and where it goes: the two small interfaces every source and sink of a device has.

Sound is PCM everywhere: 16 kHz, one channel, signed 16 bit little-endian, in pieces of 20 ms (640 bytes). A source
paces itself: whoever reads it in a loop gets real time. A sink takes at most LEAD_MS more than has been heard, so
that what is written last is heard soon, and nobody waits longer than that for the end.
"""

import math
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from protocols.voice import FRAME_MS, PCM_FRAME_BYTES, RATE_HZ

LEAD_MS: Final = 40
"""How far a sink may be ahead of what is audible; `write` waits beyond it."""
FRAME_SAMPLES: Final = RATE_HZ * FRAME_MS // 1000
SILENCE: Final = bytes(PCM_FRAME_BYTES)
"""20 ms of it."""
FULL_SCALE: Final = 32768.0
FLOOR_DBFS: Final = -96.0
"""The level of digital silence: one step of 16 bit."""

Samples = NDArray[np.int16]


class SoundEnded(Exception):
    """A source that has an end has come to it."""


class SoundFailed(Exception):
    """A source or sink cannot go on; says why and what to do, in a sentence."""


class _Device(ABC):
    """Opened before the first use, closed after the last one, also when it failed between."""

    @abstractmethod
    async def open(self) -> None:
        """SoundFailed when it cannot be had."""

    @abstractmethod
    async def close(self) -> None:
        """What is still to be heard may be lost; harmless when it is closed already."""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Microphone(_Device):
    """A source of sound."""

    @abstractmethod
    async def read(self) -> bytes:
        """The next 20 ms, when they have been said. SoundEnded at the end of a file, SoundFailed when it breaks."""


class Speaker(_Device):
    """A sink of sound. `lead_ms`: how far what was written last may be ahead of what is audible."""

    lead_ms: int = LEAD_MS

    @abstractmethod
    async def write(self, pcm: bytes) -> None:
        """Takes whole samples; returns when there is room, at most LEAD_MS ahead of what is audible. SoundFailed."""

    @abstractmethod
    async def drained(self) -> None:
        """Returns when the last sample written has really left. SoundFailed."""


def samples_of(pcm: bytes) -> Samples:
    """The same sound as a read-only array; an odd byte at the end is left out."""
    return np.frombuffer(pcm, dtype="<i2", count=len(pcm) // 2)


def pcm_of(sound: NDArray[np.floating] | Samples) -> bytes:
    """Back to bytes, clipped at full scale."""
    return np.clip(np.rint(sound), -32768, 32767).astype("<i2").tobytes()


def level_dbfs(pcm: bytes) -> float:
    """Of the root mean square; 0 = a square wave at full scale, FLOOR_DBFS = silence or nothing at all."""
    sound = samples_of(pcm).astype(np.float64)
    rms = math.sqrt(float(np.mean(sound * sound))) if sound.size else 0.0
    return max(FLOOR_DBFS, 20 * math.log10(rms / FULL_SCALE)) if rms else FLOOR_DBFS
