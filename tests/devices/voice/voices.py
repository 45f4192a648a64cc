"""Sound to test with: sentences of a synthetic voice, and what can be measured of what became of them.

The voice is made of glottal pulses through formants, syllables with gaps between them, a little breath; so it has
what codecs, stretchers and howl detectors look at: pitch, harmonics, onsets, pauses.
"""

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any, TypeVar

import async_solipsism
import numpy as np
from numpy.typing import NDArray

from devices.voice.sound import FRAME_SAMPLES, pcm_of
from protocols.voice import RATE_HZ

T = TypeVar("T")
Wave = NDArray[np.float64]
VOWELS = ((800, 1200, 2500), (350, 2000, 2800), (400, 800, 2600), (500, 1500, 2500), (300, 700, 2400))


def in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """Run on a loop whose waits take no time."""
    with asyncio.Runner(loop_factory=async_solipsism.EventLoop) as runner:
        return runner.run(main)


def tone(tone_hz: float, length_s: float, peak: float = 8000.0) -> Wave:
    return peak * np.sin(2 * np.pi * tone_hz * np.arange(int(length_s * RATE_HZ)) / RATE_HZ)


def _formant(sound: Wave, centre_hz: float, width_hz: float = 90.0) -> Wave:
    """One resonance, by FFT: exact enough and quick."""
    spectrum = np.fft.rfft(sound, 2 * sound.size)
    frequency = np.fft.rfftfreq(2 * sound.size, 1 / RATE_HZ)
    gain = 1 / (1 + ((frequency - centre_hz) / width_hz) ** 2)
    filtered: Wave = np.fft.irfft(spectrum * gain)[: sound.size]
    return filtered


def vowel(pitch_hz: float, length_s: float, formants: tuple[int, ...] = VOWELS[0], seed: int = 1) -> Wave:
    """A sung vowel: the pitch wavers by 2 % as a human's does."""
    rng = np.random.default_rng(seed)
    count = int(length_s * RATE_HZ)
    waver = 1 + 0.02 * np.sin(2 * np.pi * 5 * np.arange(count) / RATE_HZ + rng.uniform(0, 6))
    phase = np.cumsum(pitch_hz * waver / RATE_HZ)
    pulses = np.diff(np.floor(phase), prepend=0.0) + 0.01 * rng.standard_normal(count)
    voiced = np.sum([_formant(pulses, centre) / (n + 1) for n, centre in enumerate(formants)], axis=0)
    return np.asarray(voiced / np.max(np.abs(voiced)))


def sentence(syllables: int = 12, seed: int = 1, pitch_hz: float = 130.0, peak: float = 12000.0) -> Wave:
    """About 0.2 s a syllable, the last one followed by nothing."""
    rng = np.random.default_rng(seed)
    parts: list[Wave] = []
    for n in range(syllables):
        length_s = rng.uniform(0.12, 0.2)
        said = vowel(pitch_hz * rng.uniform(0.9, 1.15), length_s, VOWELS[n % len(VOWELS)], seed + n)
        ramp = np.minimum(1, np.minimum(np.arange(said.size), np.arange(said.size)[::-1]) / (0.015 * RATE_HZ))
        parts.append(said * ramp)
        if n < syllables - 1:
            parts.append(np.zeros(int(rng.uniform(0.03, 0.08) * RATE_HZ)))
    whole: Wave = np.concatenate(parts) * peak
    return whole


def frames_of(sound: Wave) -> list[bytes]:
    """In pieces of 20 ms, the last filled with silence."""
    padded = np.pad(sound, (0, -sound.size % FRAME_SAMPLES))
    return [pcm_of(piece) for piece in padded.reshape(-1, FRAME_SAMPLES)]


def peak_hz(sound: NDArray[Any]) -> float:
    """The strongest frequency, interpolated between the bins."""
    windowed = sound.astype(np.float64) * np.hanning(sound.size)
    spectrum = np.abs(np.fft.rfft(windowed))
    k = int(np.argmax(spectrum[1:-1])) + 1
    left, mid, right = np.log(spectrum[k - 1 : k + 2] + 1e-9)
    return float((k + 0.5 * (left - right) / (left - 2 * mid + right)) * RATE_HZ / sound.size)


def pitch_hz_of(sound: NDArray[Any], low_hz: float = 70.0, high_hz: float = 300.0) -> float:
    """Of a voice: the lag at which it resembles itself most."""
    x = sound.astype(np.float64) - np.mean(sound)
    spectrum = np.fft.rfft(x, 2 * x.size)
    resemblance = np.fft.irfft(spectrum * np.conj(spectrum))[: x.size]
    lags = np.arange(int(RATE_HZ / high_hz), int(RATE_HZ / low_hz))
    return float(RATE_HZ / lags[int(np.argmax(resemblance[lags]))])


def rms(sound: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(sound.astype(np.float64))))) if sound.size else 0.0


def spectrogram(sound: NDArray[Any], bands: int = 20) -> Wave:
    """Log energy in bands a listener tells apart, one row every 10 ms."""
    x = sound.astype(np.float64)
    size, hop = 512, 160
    rows = [
        np.abs(np.fft.rfft(x[at : at + size] * np.hanning(size))) ** 2 for at in range(0, x.size - size, hop)
    ]
    edges = np.unique(np.geomspace(3, size // 2, bands + 1).astype(int))
    return np.array([[np.log10(1e4 + row[a:b].sum()) for a, b in itertools.pairwise(edges)] for row in rows])


def likeness(one: NDArray[Any], other: NDArray[Any], slack_ms: int = 400) -> float:
    """Correlation of the two spectrograms at the best offset within the slack: 1 = the same sound."""
    a, b = spectrogram(one), spectrogram(other)
    best = -1.0
    for shift in range(-slack_ms // 10, slack_ms // 10 + 1):
        x, y = (a[shift:], b) if shift >= 0 else (a, b[-shift:])
        count = min(len(x), len(y))
        if count > min(len(a), len(b)) // 2:
            best = max(best, float(np.corrcoef(x[:count].ravel(), y[:count].ravel())[0, 1]))
    return best
