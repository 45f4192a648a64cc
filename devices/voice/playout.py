"""From frames to the loudspeaker: jitter buffer, decoder, a faster voice where something is to be made up for.

What must hold: whatever comes, 20 ms of sound come out for every 20 ms asked for; a packet no decoder takes costs its
own 20 ms, nothing else; a burst counts as presented when its last sample has left the loudspeaker, not before.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from devices.voice.faster import Faster
from devices.voice.jitter import JitterBuffer
from devices.voice.pace import Clock, LoopClock
from devices.voice.slots import Conceal, Ended, Play, Recover, Silence
from devices.voice.sound import SILENCE, Speaker
from protocols.errors import ProtocolError
from protocols.opus import Decoder
from protocols.voice import FRAME_MS, PCM_FRAME_BYTES, Frame

UNDECODABLE_MS: Final = 20
"""Put in place of a packet that looked like one and is none."""


class Playout:
    """Of one loudspeaker. `counts` adds to those of the jitter buffer: undecodable. No I/O, time is an argument."""

    def __init__(self, jitter: JitterBuffer | None = None) -> None:
        self.jitter = jitter or JitterBuffer()
        self.counts = self.jitter.counts
        self._decoder = Decoder()
        self._burst: int | None = None
        self._faster = Faster()
        self._pcm = b""
        self._ends: list[tuple[int, int]] = []
        """(burst, bytes of `_pcm` until its sound is over)"""

    @property
    def idle(self) -> bool:
        """Nothing to play, nothing to report."""
        return self.jitter.idle and not self._pcm and not self._ends

    def hear(self, frame: Frame, now_ms: float) -> None:
        """A frame as it came."""
        self.jitter.put(frame, now_ms)

    def read(self, now_ms: float) -> tuple[bytes, list[int]] | None:
        """The next 20 ms, and the bursts whose sound is over with it; None: nothing to play. Call every 20 ms."""
        if self.idle:
            return None
        while len(self._pcm) < PCM_FRAME_BYTES and not self.jitter.idle:
            self._take(now_ms)
        pcm, self._pcm = self._pcm[:PCM_FRAME_BYTES], self._pcm[PCM_FRAME_BYTES:]
        over = [burst for burst, at in self._ends if at <= len(pcm)]
        self._ends = [(burst, at - len(pcm)) for burst, at in self._ends if at > len(pcm)]
        return pcm + SILENCE[len(pcm) :], over

    def _take(self, now_ms: float) -> None:
        slot = self.jitter.take(now_ms)
        if isinstance(slot, Ended):
            self._pcm += self._faster.rest()
            self._ends.append((slot.burst, len(self._pcm)))
        elif slot.burst is None:
            self._pcm += SILENCE
        else:
            self._pcm += self._faster.feed(self._sound(slot), self.jitter.speed(now_ms))

    def _sound(self, slot: Play | Recover | Conceal | Silence) -> bytes:
        """In a pause the decoder goes on with the talker's background, as loud as it was."""
        if slot.burst != self._burst:
            self._burst, self._decoder = slot.burst, Decoder()
        try:
            match slot:
                case Play(opus=opus):
                    return self._decoder.decode(opus)
                case Recover(next_opus=opus, ms=ms):
                    return self._decoder.recover(opus, ms)
                case Conceal(ms=ms) | Silence(ms=ms):
                    return self._decoder.conceal(ms)
        except ProtocolError:
            self.counts["undecodable"] += 1
            return self._decoder.conceal(UNDECODABLE_MS)


class VoicePlayer:
    """Moves the sound of a playout into an open speaker, and says which bursts were presented."""

    def __init__(
        self,
        speaker: Speaker,
        *,
        presented: Callable[[int], None] = lambda _burst: None,
        played: Callable[[bytes], None] = lambda _pcm: None,
        playout: Playout | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`presented(burst)` at the end of each; `played(pcm)` with all that goes to the speaker (see `duck`)."""
        self.playout = playout or Playout()
        self._speaker = speaker
        self._presented = presented
        self._played = played
        self._clock = clock or LoopClock()
        self._heard = asyncio.Event()
        self._ending: list[tuple[int, int]] = []
        """(burst, ms that must be written until its end is audible)"""

    def now_ms(self) -> float:
        """The time the playout lives in."""
        return self._clock.now_s() * 1000

    def hear(self, frame: Frame) -> None:
        """A frame as it came; call it in the loop."""
        self.playout.hear(frame, self.now_ms())
        self._heard.set()

    def wake(self) -> None:
        """After the playout was told something by others (`await_catch_up`)."""
        self._heard.set()

    async def run(self) -> None:
        """For ever; SoundFailed as the speaker raises it."""
        while True:
            self._heard.clear()
            piece = self.playout.read(self.now_ms())
            if piece is not None:
                await self._write(*piece)
                continue
            if self._ending:
                await self._speaker.drained()
                self._count_down(self._speaker.lead_ms)
            await self._heard.wait()

    async def _write(self, pcm: bytes, over: list[int]) -> None:
        self._played(pcm)
        await self._speaker.write(pcm)
        self._count_down(FRAME_MS)
        self._ending += [(burst, self._speaker.lead_ms) for burst in over]

    def _count_down(self, written_ms: int) -> None:
        """A speaker is at most its lead ahead: what was written that long ago is audible."""
        left = [(burst, ms - written_ms) for burst, ms in self._ending]
        self._ending = [(burst, ms) for burst, ms in left if ms > 0]
        for burst, ms in left:
            if ms <= 0:
                self._presented(burst)
