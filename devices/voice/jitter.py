"""The jitter buffer: frames go in as the network brings them, come out in order and in time. Pure: time is an argument.

Bursts queue behind each other (`stream.Stream` keeps one); this room decides which is played, when one has ended, and
whether to play faster. What must hold: nothing is played twice or out of order; whatever comes in, memory is bounded
and every burst ends.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final

from devices.voice.lateness import Lateness, Transits
from devices.voice.slots import Ended, Silence, Slot
from devices.voice.stream import Stream, unwrap
from protocols.errors import ProtocolError
from protocols.opus import samples_48k
from protocols.voice import FRAME_MS, Frame

MAX_BURSTS: Final = 4
"""Waiting at once; beyond it the oldest goes, its frames counted as dropped."""
MAX_ENDED: Final = 32
"""Ended bursts that are remembered, so that a straggler opens none of them again; the oldest goes."""
END_MS: Final = 1_000
"""Without a frame, and without LAST, a burst has ended; in a pause (DTX) a frame comes every 400 ms. When it goes
on all the same (its talker was in a tunnel), it is played on, and ends once more."""
CUT_MS: Final = 100
"""The same, once it is known to be over: the floor is idle, or another burst waits."""
CATCH_UP_WAIT_MS: Final = 400
"""How long a burst's start waits for the frames said before, which were asked for."""

FASTER: Final = 1.25
FASTEST: Final = 1.5
FASTER_OVER_MS: Final = 50
"""More than that behind what the network needs: play faster; back to normal at NORMAL_UNDER_MS."""
FASTEST_OVER_MS: Final = 400
NORMAL_UNDER_MS: Final = 10


class JitterBuffer:
    """`put` what arrives, `take` one slot whenever more sound is needed: every 20 ms at normal speed.

    `counts`: late, duplicate, dropped (bounds), garbage (no Opus packet), lost (never came in time), recovered,
    concealed (of these, by FEC or without), starved (20 ms each with nothing there: late frames or a pause).
    """

    def __init__(self, samples_of: Callable[[bytes], int] = samples_48k) -> None:
        self.counts: Counter[str] = Counter()
        self._samples_of = samples_of
        self._lateness = Lateness()
        self._streams: list[Stream] = []
        self._ended: dict[int, int | None] = {}
        """Burst → the frame it would go on with; None: it is over for good."""
        self._speed = 1.0

    def put(self, frame: Frame, now_ms: float) -> None:
        """A frame as it came; what cannot be played is counted and forgotten."""
        if self._is_over_for(frame):
            self.counts["late"] += 1
            return
        stream = self._stream(frame.burst) or self._open(frame.burst, now_ms)
        stream.put(frame, self._samples(frame), now_ms)

    def _is_over_for(self, frame: Frame) -> bool:
        """It belongs to what has ended, or to the part of it that was played."""
        resume_at = self._ended.get(frame.burst, 0)
        return resume_at is None or (frame.burst in self._ended and unwrap(frame.seq, resume_at) < resume_at)

    def _samples(self, frame: Frame) -> int | None:
        """None: garbage. An empty frame says something by its flags only."""
        try:
            return self._samples_of(frame.opus) if frame.opus else 0
        except ProtocolError:
            self.counts["garbage"] += 1
            return None

    def _stream(self, burst: int) -> Stream | None:
        return next((stream for stream in self._streams if stream.burst == burst), None)

    def _open(self, burst: int, now_ms: float) -> Stream:
        if len(self._streams) == MAX_BURSTS:
            self.flush(self._streams[0].burst)
        resume_at = self._ended.pop(burst, None)
        stream = Stream(burst, Transits(self._lateness), self.counts, now_ms, resume_at)
        self._streams.append(stream)
        return stream

    def _end(self, stream: Stream) -> None:
        over = stream.complete or stream.closed
        self._streams.remove(stream)
        self._ended[stream.burst] = None if over else stream.resume_at
        while len(self._ended) > MAX_ENDED:
            self._ended.pop(next(iter(self._ended)))
        self._speed = 1.0

    def take(self, now_ms: float) -> Slot:
        """What comes next. `Ended` takes no time: take again."""
        if not self._streams:
            self._speed = 1.0
            return Silence(None, FRAME_MS)
        stream = self._streams[0]
        slot = stream.take(now_ms)
        if slot is not None:
            return slot
        if self._is_over(stream, now_ms):
            self._end(stream)
            return Ended(stream.burst)
        return stream.starve()

    def _is_over(self, stream: Stream, now_ms: float) -> bool:
        known = stream.closed or len(self._streams) > 1
        return stream.complete or now_ms - stream.heard_ms >= (CUT_MS if known else END_MS)

    def close(self, burst: int) -> None:
        """The floor is idle: what is here is still played, what is missing is not waited for."""
        stream = self._stream(burst)
        if stream is not None:
            stream.closed = True

    def flush(self, burst: int) -> None:
        """What waits of it is dropped. Frames that come after this are played again: do not put them."""
        stream = self._stream(burst)
        if stream is not None:
            self.counts["dropped"] += stream.waiting
            self._end(stream)

    def await_catch_up(self, burst: int, now_ms: float) -> None:
        """What was said before has been asked for: the start waits for it, at most CATCH_UP_WAIT_MS."""
        stream = self._stream(burst) or self._open(burst, now_ms)
        stream.hold_until_ms = now_ms + CATCH_UP_WAIT_MS

    @property
    def idle(self) -> bool:
        """Nothing is there and nothing is waited for."""
        return not self._streams

    @property
    def playing(self) -> int | None:
        """The burst whose turn it is."""
        return self._streams[0].burst if self._streams else None

    @property
    def unfinished(self) -> int | None:
        """The burst whose turn it is, if its last frame has not come."""
        return None if not self._streams or self._streams[0].ends else self._streams[0].burst

    @property
    def target_ms(self) -> float:
        """How long a frame waits at present."""
        return self._lateness.target_ms

    def speed(self, now_ms: float) -> float:
        """How fast to play: faster while more is waiting than the network's unevenness needs."""
        behind_ms = self._streams[0].behind_ms(now_ms) if self._streams else 0.0
        if behind_ms > FASTEST_OVER_MS:
            self._speed = FASTEST
        elif behind_ms > FASTER_OVER_MS:
            self._speed = max(FASTER, self._speed)
        elif behind_ms < NORMAL_UNDER_MS:
            self._speed = 1.0
        return self._speed
