"""From the microphone to frames: what a talker says, numbered and stamped, from the first syllable to the last.

Who presses the key speaks at once, and the floor is granted a moment later. So what is said while the floor is asked
for is kept, the newest PRE_ROLL_MS of it, and sent first, at most at twice real time: the listeners' jitter buffers
take that up. What was said before the key went down is never sent. In a pause the encoder gives nothing to send
(DTX): the timestamps go on, the numbers do not, so that a listener can tell a pause from a loss.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from devices.voice.pace import Clock, Pace
from devices.voice.sound import FLOOR_DBFS, SILENCE, Microphone, SoundEnded, level_dbfs
from protocols.opus import DTX_BYTES, Encoder
from protocols.voice import CLOCK_HZ, FRAME_MS, LAST, Frame

PRE_ROLL_MS: Final = 300
"""Kept while the floor is asked for; beyond it the oldest goes."""
AT_ONCE: Final = 2
"""Frames sent in 20 ms while there is something to make up for."""
GATE_HOLD_MS: Final = 300
"""A noise gate stays open so long after the last loud frame: the ends of words are soft."""
TICKS: Final = CLOCK_HZ * FRAME_MS // 1000


class NoiseGate:
    """Silence in place of what is softer than `open_dbfs`, but for the ends of words."""

    def __init__(self, open_dbfs: float) -> None:
        self._open_dbfs = open_dbfs
        self._open_for_ms = 0

    def __call__(self, pcm: bytes) -> bytes:
        if level_dbfs(pcm) >= self._open_dbfs:
            self._open_for_ms = GATE_HOLD_MS + FRAME_MS
        self._open_for_ms = max(0, self._open_for_ms - FRAME_MS)
        return pcm if self._open_for_ms else SILENCE


class Capture:
    """`press`, `grant`, `release` as the key and the floor have it; `push` every 20 ms of the microphone."""

    def __init__(
        self,
        *,
        pre_roll_ms: int = PRE_ROLL_MS,
        gate: NoiseGate | None = None,
        encoder: Callable[[], Encoder] = Encoder,
    ) -> None:
        self.level_dbfs = FLOOR_DBFS
        """Of the last 20 ms, for a display; also while nothing is sent."""
        self._kept = max(1, pre_roll_ms // FRAME_MS)
        self._gate = gate
        self._new_encoder = encoder
        self._encoder: Encoder | None = None
        self._waiting: deque[bytes] = deque()
        self._listens = False
        self._burst = self._seq = self._ts = 0

    @property
    def idle(self) -> bool:
        """Nothing is said or waits to be sent."""
        return not self._listens and not self._waiting and self._encoder is None

    @property
    def talking(self) -> bool:
        """The floor is ours and its last frame has not been sent."""
        return self._encoder is not None

    def press(self) -> None:
        """From now on what is said is kept."""
        self.stop()
        self._listens = True

    def grant(self, burst: int, *, hot: bool = False) -> None:
        """Send what was kept, then what is said. `hot`: no key is held (emergency), what is said from now on."""
        if self._encoder is None:
            self._listens = self._listens or hot
            self._encoder, self._burst, self._seq, self._ts = self._new_encoder(), burst, 0, 0

    def release(self) -> None:
        """Nothing more is said; what was said is sent to its end, also when the floor is granted only now."""
        self._listens = False

    def stop(self) -> None:
        """Nothing more is sent: denied, or revoked."""
        self._listens, self._encoder = False, None
        self._waiting.clear()

    def push(self, pcm: bytes) -> list[Frame]:
        """20 ms of the microphone; what to send now."""
        self.level_dbfs = level_dbfs(pcm)
        if self._listens:
            self._waiting.append(self._gate(pcm) if self._gate else pcm)
            if self._encoder is None and len(self._waiting) > self._kept:
                self._waiting.popleft()
        return self.tick()

    def tick(self) -> list[Frame]:
        """What to send now, every 20 ms; by itself only when there is no microphone to push."""
        frames: list[Frame] = []
        for _ in range(AT_ONCE):
            if self._encoder is not None and (self._waiting or not self._listens):
                frames += self._next(self._encoder)
        return frames

    def _next(self, encoder: Encoder) -> list[Frame]:
        opus = encoder.encode(self._waiting.popleft()) if self._waiting else b""
        last = not self._listens and not self._waiting
        if last:
            self._encoder = None
        frame = Frame(self._burst, self._seq, self._ts, opus, LAST if last else 0)
        self._ts = (self._ts + TICKS) % 2**32
        if len(opus) <= DTX_BYTES and not last:
            return []
        self._seq += 1
        return [frame]


async def talk(
    microphone: Microphone,
    capture: Capture,
    send: Callable[[Frame], None],
    *,
    cleaned: Callable[[bytes], bytes] = bytes,
    clock: Clock | None = None,
) -> None:
    """Moves an open microphone's sound into `capture` and its frames into `send`, `cleaned` on the way.

    Returns when the microphone has ended and its last frame is sent; SoundFailed as the microphone raises it.
    """
    try:
        while True:
            for frame in capture.push(cleaned(await microphone.read())):
                send(frame)
    except SoundEnded:
        capture.release()
    pace = Pace(clock)
    while capture.talking:
        for frame in capture.tick():
            send(frame)
        await pace.tick()
