"""Howling: a loudspeaker that its own microphone hears. Found by its sound, ended by silence. Pure.

A howl is one frequency that stands far above all others, has no octave above or below it as voices have, stays where it
is, and grows until something is overdriven. All of that for HOWL_MS is a howl; a voice, a siren that glides and a
steady tone each lack something. The way out is to be silent for a while, longer each time it comes back.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from devices.voice.sound import FLOOR_DBFS, FULL_SCALE, SILENCE, samples_of
from protocols.voice import FRAME_MS, RATE_HZ

WINDOW: Final = 1024
"""Samples looked at together, 64 ms; a band is 15.6 Hz."""
LEAST_HZ: Final = 150
"""Below it rooms hum and winds blow."""
PEAK_OVER_MEAN_DB: Final = 20.0
"""The peak over the average of all bands."""
PEAK_OVER_OCTAVE_DB: Final = 25.0
"""The peak over its octaves; a voice has them within 20 dB or so."""
STEADY_BANDS: Final = 1
"""From one look to the next the peak may move so far."""
HOWL_MS: Final = 300
"""All this for so long."""
GROWTH_DB: Final = 6.0
"""From the softest to the loudest in that time, or"""
OVERDRIVEN_DBFS: Final = -6.0
"""so loud that it cannot grow."""
SOFTEST_DBFS: Final = -50.0
"""What is softer hurts nobody."""
MUTE_MS: Final = 1_000
"""Silence after the first howl; twice as long after each that follows within CALM_MS."""
MOST_MUTE_MS: Final = 8_000
CALM_MS: Final = 10_000

_OCTAVES = (0.5, 2.0)
_HANN = np.hanning(WINDOW)
_FULL = FULL_SCALE * _HANN.sum() / 2


@dataclass(frozen=True)
class Howl:
    """Found: where, how loud, and how long it is silent for that."""

    tone_hz: float
    level_dbfs: float
    mute_ms: int


@dataclass(frozen=True)
class Peak:
    """The loudest band of one look, `alone` if nothing that belongs to a voice is beside it."""

    band: int
    level_dbfs: float
    alone: bool


def loudest(sound: NDArray[np.float64]) -> Peak:
    """Of WINDOW samples."""
    power = np.abs(np.fft.rfft(sound * _HANN)) ** 2
    least = LEAST_HZ * WINDOW // RATE_HZ
    band = least + int(np.argmax(power[least:-1]))
    near = float(power[band - 1 : band + 2].sum()) + 1e-9
    level_dbfs = max(FLOOR_DBFS, 20 * np.log10(np.sqrt(power[band] + 1e-9) / _FULL))
    mean_db = 10 * np.log10(near / (power.mean() + 1e-9))
    octaves = max(_around(power, round(band * octave)) for octave in _OCTAVES)
    alone = mean_db >= PEAK_OVER_MEAN_DB and 10 * np.log10(near / (octaves + 1e-9)) >= PEAK_OVER_OCTAVE_DB
    return Peak(band, float(level_dbfs), bool(alone))


def _around(power: NDArray[np.float64], band: int) -> float:
    """0 where there is no such band: too low or too high to hear."""
    return float(power[max(0, band - 2) : band + 3].sum()) if 3 <= band < power.size - 1 else 0.0


class HowlDetector:
    """Give it every 20 ms of one microphone; it says once that it howls."""

    def __init__(self) -> None:
        self._sound: NDArray[np.float64] = np.zeros(WINDOW)
        self._peaks: list[Peak] = []

    def push(self, pcm: bytes) -> tuple[float, float] | None:
        """(frequency in Hz, level in dBFS) of a howl that is certain now."""
        self._sound = np.concatenate([self._sound, samples_of(pcm).astype(np.float64)])[-WINDOW:]
        peak = loudest(self._sound)
        if not self._goes_on(peak):
            self._peaks.clear()
        if peak.alone and peak.level_dbfs >= SOFTEST_DBFS:
            self._peaks = [*self._peaks, peak][-(HOWL_MS // FRAME_MS) :]
        if not self._is_howl():
            return None
        self._peaks.clear()
        return peak.band * RATE_HZ / WINDOW, peak.level_dbfs

    def _goes_on(self, peak: Peak) -> bool:
        steady = not self._peaks or abs(peak.band - self._peaks[-1].band) <= STEADY_BANDS
        return steady and peak.alone and peak.level_dbfs >= SOFTEST_DBFS

    def _is_howl(self) -> bool:
        if len(self._peaks) < HOWL_MS // FRAME_MS:
            return False
        first, last = self._peaks[0].level_dbfs, self._peaks[-1].level_dbfs
        return last - first >= GROWTH_DB or first >= OVERDRIVEN_DBFS


class HowlGuard:
    """A microphone's sound goes through it; while it howls, silence comes out. `muted`: so it is now."""

    def __init__(self) -> None:
        self.howls = 0
        self._detector = HowlDetector()
        self._left_ms = 0
        self._mute_ms = MUTE_MS
        self._calm_ms = 0

    @property
    def muted(self) -> bool:
        return self._left_ms > 0

    def push(self, pcm: bytes) -> tuple[bytes, Howl | None]:
        """20 ms; the event once for each howl."""
        found = self._detector.push(pcm)
        self._left_ms = max(0, self._left_ms - FRAME_MS)
        self._calm_ms += FRAME_MS
        howl = None
        if found is not None and not self._left_ms:
            howl = self._mute(*found)
        return (SILENCE if self.muted else pcm), howl

    def _mute(self, tone_hz: float, level_dbfs: float) -> Howl:
        again = self.howls > 0 and self._calm_ms < CALM_MS
        self._mute_ms = min(MOST_MUTE_MS, self._mute_ms * 2) if again else MUTE_MS
        self._left_ms, self._calm_ms = self._mute_ms, -self._mute_ms
        self.howls += 1
        return Howl(tone_hz, level_dbfs, self._mute_ms)
