"""What a listener keeps: RTP packets put in order and decoded, laid on one line of time, mixed and written. Pure.

What must hold: sound lies where its sender's timestamps put it, so that pauses and the distance of groups are kept;
what was lost is filled (FEC, then concealment) and counted, and never makes the rest earlier; memory holds no more than
HOLD_PACKETS of each group and WINDOW_S of sound, whatever comes.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from protocols.errors import ProtocolError
from protocols.opus import Decoder, samples_48k
from protocols.voice import CLOCK_HZ, FRAME_MS, RATE_HZ

HOLD_PACKETS: Final = 10
"""A missing packet is waited for until so many later ones are here (200 ms), then it is lost."""
CONCEAL_MAX: Final = 5
"""Lost packets in a row that are filled; the rest of a longer gap is silence."""
WINDOW_S: Final = 5
"""Sound that another group may still be mixed into; older sound is written, and what comes later for it is dropped."""
DOWN: Final = CLOCK_HZ // RATE_HZ
JUMP_S: Final = 3600
"""A timestamp that leaps farther than this is another stream: it goes on where the sound is."""
_FRAME_TS: Final = CLOCK_HZ * FRAME_MS // 1000

Place = Callable[[int, bytes], None]
"""Sample (RATE_HZ, from the start of the recording) and sound to be laid there."""


class Ear:
    """One group's packets. `put` them as they come; sound goes to `place`."""

    def __init__(self, place: Place) -> None:
        self.frames = self.lost = self.unreadable = 0
        self._place = place
        self._decoder = Decoder()
        self._held: dict[int, tuple[int, bytes]] = {}
        self._next: int | None = None
        self._seq = self._ts = 0
        self._base = 0
        self._at = 0

    def put(self, seq: int, ts: int, opus: bytes, now: int) -> None:
        """16 and 32 bit numbers of RTP; `now`: the sample at which something that begins now is to lie."""
        if self._next is None:
            self._seq, self._ts, self._next = seq, ts, seq
            self._base = now * DOWN - ts
        self._seq += _nearest(seq - self._seq, 16)
        self._ts += self._step(ts, now)
        if self._seq < self._next or self._seq in self._held:
            return
        self._held[self._seq] = self._ts, opus
        self._play(HOLD_PACKETS)

    def _step(self, ts: int, now: int) -> int:
        step = _nearest(ts - self._ts, 32)
        if abs(step) > JUMP_S * CLOCK_HZ:
            self._base = now * DOWN - (self._ts + step)
        return step

    def end(self) -> None:
        """Nothing more comes: what is held is played."""
        self._play(0)

    def _play(self, hold: int) -> None:
        assert self._next is not None or not self._held
        while self._held and self._next is not None:
            if self._next in self._held:
                self._decode(*self._held.pop(self._next))
                self._next += 1
            elif len(self._held) > hold:
                self._gap(min(self._held))
            else:
                return

    def _decode(self, ts: int, opus: bytes) -> None:
        try:
            pcm = self._decoder.decode(opus)
        except ProtocolError:
            self.unreadable += 1
            return
        self.frames += 1
        self._at = ts + samples_48k(opus)
        self._place((self._base + ts) // DOWN, pcm)

    def _gap(self, first: int) -> None:
        """Packets up to `first` are lost; the last of them is in `first` once more (FEC)."""
        assert self._next is not None
        missing, self._next = first - self._next, first
        self.lost += missing
        ts, opus = self._held[first]
        fill = min(missing, CONCEAL_MAX, max(0, ts - self._at) // _FRAME_TS)
        for back in range(fill, 0, -1):
            pcm = self._recovered(opus) if back == 1 else self._decoder.conceal(FRAME_MS)
            self._place((self._base + ts - back * _FRAME_TS) // DOWN, pcm)

    def _recovered(self, opus: bytes) -> bytes:
        try:
            return self._decoder.recover(opus, FRAME_MS)
        except ProtocolError:
            return self._decoder.conceal(FRAME_MS)


def _nearest(difference: int, bits: int) -> int:
    """The smallest step with this remainder."""
    half = 1 << bits - 1
    return (difference + half) % (1 << bits) - half


class Mix:
    """One line of time; `write` gets it in order, 16 bit, from the first sound on."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self.samples = 0
        self.late = 0
        self._write = write
        self._start: int | None = None
        self._line: npt.NDArray[np.int32] = np.zeros(2 * WINDOW_S * RATE_HZ, np.int32)
        self._used = 0

    def place(self, at: int, pcm: bytes) -> None:
        sound = np.frombuffer(pcm, "<i2").astype(np.int32)
        if self._start is None:
            self._start = at
        offset = at - self._start
        if offset < 0:
            self.late += 1
            return
        while offset + len(sound) > len(self._line):
            self._flush(WINDOW_S * RATE_HZ)
            offset = at - self._start
        self._line[offset : offset + len(sound)] += sound
        self._used = max(self._used, offset + len(sound))

    def end(self) -> None:
        """The rest; the length of all is `samples`."""
        if self._start is not None:
            self._flush(self._used)

    def _flush(self, count: int) -> None:
        assert self._start is not None
        self._write(np.clip(self._line[:count], -32768, 32767).astype("<i2").tobytes())
        self._line = np.concatenate([self._line[count:], np.zeros(count, np.int32)])
        self._start += count
        self.samples += count
        self._used = max(0, self._used - count)
