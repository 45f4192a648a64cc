"""Howling: a loudspeaker that its own microphone hears. Found by its sound, ended by silence. Pure.

A howl is one frequency that stands far above all others, has no octave above or below it as voices have, stays where it
is, and grows until something is overdriven. All of that for HOWL_MS is a howl; a voice, a siren that glides and a
steady tone each lack something. The way out is a moment of silence, which ends the howl, and a softer microphone
after it, which keeps it from coming back; that is given back slowly.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from devices.voice.sound import FLOOR_DBFS, FULL_SCALE, SILENCE, pcm_of, samples_of
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
GROWTH_MS: Final = 2_000
"""Growth is looked for so far back: over a network one round takes a quarter of a second."""
GROWTH_DB: Final = 6.0
"""From the softest then to now, or"""
OVERDRIVEN_DBFS: Final = -6.0
"""so loud that it cannot grow."""
HARMLESS_DBFS: Final = -50.0
"""What is softer hurts nobody."""
MUTE_MS: Final = 1_000
"""Silence after a howl: the loop must run dry."""
SOFTER_DB: Final = 12.0
"""After it the microphone is softer by so much, each time it howls again by so much more, at most by"""
MOST_SOFTER_DB: Final = 48.0
BACK_MS: Final = 10_000
"""So long without a howl, and half of SOFTER_DB is given back."""

_OCTAVES = (0.5, 2.0)
_HANN = np.hanning(WINDOW)
_FULL = FULL_SCALE * _HANN.sum() / 2


@dataclass(frozen=True)
class Howl:
    """Found: where and how loud; from now on it is silent for `mute_ms` and softer by `softer_db` after that."""

    tone_hz: float
    level_dbfs: float
    mute_ms: int
    softer_db: float


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
        if peak.alone and peak.level_dbfs >= HARMLESS_DBFS:
            self._peaks = [*self._peaks, peak][-(GROWTH_MS // FRAME_MS) :]
        if not self._is_howl():
            return None
        self._peaks.clear()
        return peak.band * RATE_HZ / WINDOW, peak.level_dbfs

    def _goes_on(self, peak: Peak) -> bool:
        steady = not self._peaks or abs(peak.band - self._peaks[-1].band) <= STEADY_BANDS
        return steady and peak.alone and peak.level_dbfs >= HARMLESS_DBFS

    def _is_howl(self) -> bool:
        if len(self._peaks) < HOWL_MS // FRAME_MS:
            return False
        levels_dbfs = [peak.level_dbfs for peak in self._peaks]
        least_dbfs = min(levels_dbfs[-(HOWL_MS // FRAME_MS) :])
        return least_dbfs - min(levels_dbfs) >= GROWTH_DB or least_dbfs >= OVERDRIVEN_DBFS


class HowlGuard:
    """A microphone's sound goes through it; what comes out does not howl for long."""

    def __init__(self) -> None:
        self.howls = 0
        self.softer_db = 0.0
        """By how much it is softer at present."""
        self._detector = HowlDetector()
        self._mute_left_ms = 0
        self._calm_ms = 0

    @property
    def muted(self) -> bool:
        """Silent just now."""
        return self._mute_left_ms > 0

    def push(self, pcm: bytes) -> tuple[bytes, Howl | None]:
        """20 ms; the event once for each howl."""
        found = self._detector.push(pcm)
        howl = self._mute(*found) if found is not None and not self.muted else None
        if self.muted:
            self._mute_left_ms -= FRAME_MS
            return SILENCE, howl
        self._give_back()
        return self._softer(pcm), None

    def _mute(self, tone_hz: float, level_dbfs: float) -> Howl:
        self.howls += 1
        self.softer_db = min(MOST_SOFTER_DB, self.softer_db + SOFTER_DB)
        self._mute_left_ms, self._calm_ms = MUTE_MS, 0
        return Howl(tone_hz, level_dbfs, MUTE_MS, self.softer_db)

    def _give_back(self) -> None:
        self._calm_ms += FRAME_MS
        if self._calm_ms >= BACK_MS:
            self.softer_db, self._calm_ms = max(0.0, self.softer_db - SOFTER_DB / 2), 0

    def _softer(self, pcm: bytes) -> bytes:
        if not self.softer_db:
            return pcm
        return pcm_of(samples_of(pcm) * 10 ** (-self.softer_db / 20))
