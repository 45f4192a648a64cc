"""A voice made faster without making it higher: single periods are taken out and the cut is cross-faded. Pure.

Two neighbouring periods of a voice are nearly the same, so one in place of two is heard as the same voice, quicker; in
noise and silence any piece does. At speed 1 the sound passes through untouched, and the speed may change at any
moment without a click.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from devices.voice.sound import Samples, pcm_of, samples_of
from protocols.voice import RATE_HZ

SHORTEST: Final = RATE_HZ // 400
LONGEST: Final = RATE_HZ // 60
"""Periods of a voice, in samples: 400 Hz to 60 Hz."""
NEEDED: Final = 2 * LONGEST
"""Samples that are looked at together; so many wait while it is fast."""
HOP: Final = RATE_HZ // 100
"""Passed on untouched at a time, 10 ms, so that cuts lie apart from each other where the speed allows it."""
MAX_SPEED: Final = 1.8
"""Every second period at most is taken out, and some sound is needed in between."""


class Faster:
    """A stream of sound; give it every piece with the speed of that moment."""

    def __init__(self) -> None:
        self._held: Samples = np.zeros(0, np.int16)
        self._owed = 0.0
        """Samples still to be taken out."""

    def feed(self, pcm: bytes, speed: float) -> bytes:
        """What can be passed on. Over 1 it holds back some ms, which come with the next piece, or by `rest`."""
        sound = samples_of(pcm)
        if speed <= 1.0:
            self._owed = 0.0
            return self.rest() + pcm
        self._owed += sound.size * (1 - 1 / min(speed, MAX_SPEED))
        self._held = np.concatenate([self._held, sound])
        return b"".join(self._passed())

    def rest(self) -> bytes:
        """What was held back."""
        held, self._held = self._held, np.zeros(0, np.int16)
        return pcm_of(held)

    def _passed(self) -> list[bytes]:
        passed = []
        while self._held.size >= NEEDED:
            if self._owed >= SHORTEST:
                passed.append(self._without_a_period())
            else:
                passed.append(pcm_of(self._held[:HOP]))
                self._held = self._held[HOP:]
        return passed

    def _without_a_period(self) -> bytes:
        period = best_period(self._held[:NEEDED])
        fade = (np.arange(period) + 0.5) / period
        one, two = self._held[:period], self._held[period : 2 * period]
        self._held = self._held[2 * period :]
        self._owed -= period
        return pcm_of(one * (1 - fade) + two * fade)


def best_period(sound: Samples) -> int:
    """By how many samples `sound`, NEEDED of them, must be shifted to resemble itself most."""
    x: NDArray[np.float64] = sound.astype(np.float64)
    head = x[:LONGEST]
    products = np.correlate(x, head, mode="valid")[SHORTEST : LONGEST + 1]
    squares = np.concatenate([[0.0], np.cumsum(x * x)])
    energy = squares[SHORTEST + LONGEST : 2 * LONGEST + 1] - squares[SHORTEST : LONGEST + 1]
    likeness = products / np.sqrt(energy + 1.0)
    return SHORTEST + int(np.argmax(likeness))
