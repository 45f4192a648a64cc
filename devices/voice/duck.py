"""Half duplex: while a device plays, its microphone hears the loudspeaker; that is taken away or made softer. Pure.

What is written to a loudspeaker sounds a little later, and in a room for a little longer; the microphone stays closed
for that time. It opens and closes by a short fade, so that nothing clicks.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from devices.voice.sound import LEAD_MS, level_dbfs, pcm_of, samples_of
from protocols.voice import FRAME_MS, RATE_HZ

FADE_SAMPLES: Final = RATE_HZ // 200
"""5 ms."""
GATED_DB: Final = -96.0
"""As much as not at all."""


@dataclass(frozen=True)
class DuckSettings:
    """`gain_db` of the microphone while the loudspeaker is louder than `playing_dbfs`, and `tail_ms` after that.

    `tail_ms` covers the speaker's lead, what the hardware holds back and the room's echo. `gain_db` 0: not at all,
    for a device that removes its own echo (a headset, a hands-free module).
    """

    gain_db: float = GATED_DB
    playing_dbfs: float = -50.0
    tail_ms: int = LEAD_MS + 200


class Duck:
    """Tell it what is `played`; what the microphone heard goes through `hear`."""

    def __init__(self, settings: DuckSettings | None = None) -> None:
        self._settings = settings or DuckSettings()
        self._ducked = 0.0 if self._settings.gain_db <= GATED_DB else 10 ** (self._settings.gain_db / 20)
        self._left_ms = self._open_ms = 0
        self._gain = 1.0

    @property
    def ducked(self) -> bool:
        """The loudspeaker has the room."""
        return self._left_ms > 0

    def played(self, pcm: bytes) -> None:
        """What goes to the loudspeaker now."""
        if not self._open_ms and level_dbfs(pcm) >= self._settings.playing_dbfs:
            self._left_ms = self._settings.tail_ms + FRAME_MS

    def open(self, for_ms: int) -> None:
        """At once: neither what sounds now counts, nor what is played in the next `for_ms`."""
        self._left_ms, self._open_ms = 0, for_ms

    def hear(self, pcm: bytes) -> bytes:
        """20 ms of the microphone."""
        self._open_ms = max(0, self._open_ms - FRAME_MS)
        gain = self._ducked if self.ducked else 1.0
        self._left_ms = max(0, self._left_ms - FRAME_MS)
        before, self._gain = self._gain, gain
        if before == gain == 1.0:
            return pcm
        sound = samples_of(pcm).astype(np.float64)
        fade = np.full(sound.size, gain)
        fade[:FADE_SAMPLES] = np.linspace(before, gain, FADE_SAMPLES)[: sound.size]
        return pcm_of(sound * fade)
