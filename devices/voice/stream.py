"""One burst in the jitter buffer: its frames by number, and how far it has been played. Pure: time is an argument.

A frame that is missing when its turn comes, while later ones are here, is lost: the next one may hold a copy of it.
When nothing is here it may be late, or the talker pauses: something is put in its place without moving on, and when
the next frame comes its timestamp says which of the two it was. So a late word is played late, never thrown away; the
way back is a faster voice and shorter pauses.
"""

from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

from devices.voice.lateness import JUMP_MS, PER_MS, Transits
from devices.voice.slots import Conceal, Play, Recover, Silence, Slot
from protocols.voice import CATCH_UP, FRAME_MS, LAST, Frame

MOST_SAMPLES: Final = 2_000 * PER_MS
"""Of sound waiting; beyond it the oldest frame is dropped and counted."""
MOST_CAUGHT_UP_SAMPLES: Final = MOST_SAMPLES + 15_000 * PER_MS
"""The same in a burst that is caught up with."""
MOST_FRAMES: Final = 850
"""Of whatever length: 17 s of 20 ms."""
MOST_JUMP: Final = 30_000
"""Frame numbers: 10 minutes of speech; one further ahead is dropped and counted."""
MOST_SILENCE: Final = 2_000 * PER_MS
"""A pause that is longer by its timestamps, and has not passed, is a jump of the talker's clock: not waited for."""
CONCEAL_MS: Final = 100
"""Made up in one go; then it is silence."""
REMEMBERED: Final = 512
"""Numbers given up, to tell a late frame from a double."""
FRAME: Final = FRAME_MS * PER_MS
STEP: Final = 5 * PER_MS
"""Opus conceals in steps of 5 ms."""


@dataclass(frozen=True, slots=True)
class Held:
    """A frame that waits; `ts` and its number in the burst are unwrapped."""

    opus: bytes
    ts: int
    samples: int


def unwrap(number: int, near: int) -> int:
    """The integer nearest to `near` whose last 32 bits are `number`."""
    return near + ((number - near + 2**31) % 2**32) - 2**31


class Stream:
    """Numbers below `resume_at` were played before (the burst was taken for ended, and goes on)."""

    def __init__(
        self,
        burst: int,
        transits: Transits,
        counts: Counter[str],
        now_ms: float,
        resume_at: int | None = None,
    ) -> None:
        self.burst = burst
        self.heard_ms = now_ms
        """When the last frame came."""
        self.closed = False
        self.hold_until_ms = now_ms
        """The start waits for a frame of the catch-up until then."""
        self._transits = transits
        self._counts = counts
        self._frames: dict[int, Held] = {}
        self._samples = 0
        self._first_ms: float | None = None
        self._high = (0, 0)
        self._last_seq: int | None = None
        self._catching_up = False
        self._least_seq = resume_at
        self._next_seq: int | None = None
        self._ts = 0
        self._length = FRAME
        self._given_up: deque[int] = deque(maxlen=REMEMBERED)
        self._starved = 0
        self._made_up_ms = 0

    @property
    def waiting(self) -> int:
        """Frames that are here and have not had their turn."""
        return len(self._frames)

    @property
    def ends(self) -> bool:
        """Its last frame is here, or was."""
        return self._last_seq is not None

    @property
    def complete(self) -> bool:
        """Its last frame has had its turn."""
        return self._last_seq is not None and self._next_seq is not None and self._next_seq > self._last_seq

    @property
    def resume_at(self) -> int | None:
        """The first number that has not had its turn."""
        return self._least_seq if self._next_seq is None else self._next_seq

    # ------------------------------------------------------------------------------------------------- in

    def put(self, frame: Frame, samples: int | None, now_ms: float) -> None:
        """A frame as it came; `samples` None: its sound is garbage, its flags may still say that this is the end."""
        if self._first_ms is None:
            self._first_ms = now_ms
            self._high = (frame.seq if self._least_seq is None else self._least_seq), frame.ts
        seq, ts = unwrap(frame.seq, self._high[0]), unwrap(frame.ts, self._high[1])
        reason = self._refused(seq)
        if reason:
            self._counts[reason] += 1
            return
        self._note(frame.flags, seq, ts, now_ms)
        if samples is not None or frame.flags & LAST:
            self._frames[seq] = Held(frame.opus if samples else b"", ts, samples or 0)
            self._samples += samples or 0
            self._bound()

    def _refused(self, seq: int) -> str:
        """Why not, as counted; "" = welcome."""
        if seq in self._frames:
            return "duplicate"
        if (
            self._next_seq is not None
            and self._least_seq is not None
            and self._least_seq <= seq < self._next_seq
        ):
            return "late" if seq in self._given_up else "duplicate"
        if self._least_seq is not None and seq < self._least_seq:
            return "late"
        if self._last_seq is not None and seq > self._last_seq:
            return "late"
        return "dropped" if seq - self._high[0] > MOST_JUMP else ""

    def _note(self, flags: int, seq: int, ts: int, now_ms: float) -> None:
        if flags & CATCH_UP:
            self._catching_up = True
            self.hold_until_ms = now_ms
        else:
            self._transits.arrived(ts, now_ms)
        if flags & LAST:
            self._last_seq = seq
        self._high = max(self._high, (seq, ts))
        self.heard_ms = now_ms

    def _bound(self) -> None:
        most = MOST_CAUGHT_UP_SAMPLES if self._catching_up else MOST_SAMPLES
        while self._samples > most or len(self._frames) > MOST_FRAMES:
            self._pop(min(self._frames))
            self._counts["dropped"] += 1
            if self._next_seq is not None:
                self._skip_to(min(self._frames))

    def _pop(self, seq: int) -> Held:
        held = self._frames.pop(seq)
        self._samples -= held.samples
        return held

    def _skip_to(self, seq: int) -> None:
        """Whatever lies between is given up."""
        assert self._next_seq is not None
        self._given_up.extend(range(max(self._next_seq, seq - REMEMBERED), seq))
        self._next_seq, self._ts = seq, self._frames[seq].ts

    # ------------------------------------------------------------------------------------------------ out

    def take(self, now_ms: float) -> Slot | None:
        """What comes next; None when nothing is here. Before the start: silence of no burst."""
        if self._next_seq is None and not self._start(now_ms):
            return Silence(None, FRAME_MS) if self._frames else None
        while self._frames and not self.complete:
            slot = self._next(now_ms)
            if slot is not None:
                return slot
        return None

    def _start(self, now_ms: float) -> bool:
        """Plays from the first frame that is here, once that has waited long enough."""
        if not self._frames or now_ms < self.hold_until_ms or self._first_ms is None:
            return False
        seq = min(self._frames)
        delay_ms = self._delay_ms(now_ms, self._frames[seq].ts)
        waited_ms = max(now_ms - self._first_ms, self._samples / PER_MS if delay_ms is None else delay_ms)
        if waited_ms < self._transits.lateness.target_ms:
            return False
        self._least_seq = self._next_seq = seq
        self._ts = self._frames[seq].ts
        return True

    def _next(self, now_ms: float) -> Slot | None:
        """None: something was passed over, look again."""
        assert self._next_seq is not None
        seq = self._next_seq if self._next_seq in self._frames else min(self._frames)
        held, missing = self._frames[seq], seq - self._next_seq
        passed = min(
            max(held.ts - self._ts, 0), self._starved
        )  # it was a pause, or a hole, as far as that goes
        self._ts, self._starved = self._ts + passed, 0
        gap = held.ts - self._ts
        pause = gap - missing * self._length
        if pause >= STEP:
            return self._pause(pause, now_ms)
        return self._lost(held, seq, gap) if missing else self._play(seq)

    def _play(self, seq: int) -> Play | None:
        held = self._pop(seq)
        self._next_seq, self._ts = seq + 1, held.ts + held.samples
        if not held.samples:
            return None
        self._length, self._made_up_ms = held.samples, 0
        return Play(self.burst, seq, held.opus, held.samples / PER_MS)

    def _pause(self, pause: int, now_ms: float) -> Silence | None:
        """A pause is shortened when this is played too late, lengthened when it is played too early."""
        step = min(FRAME, pause // STEP * STEP)
        if pause > MOST_SILENCE:
            self._ts += pause
            return None
        if self.behind_ms(now_ms) >= FRAME_MS:
            self._ts += step
            return None
        if not self._is_early(now_ms):
            self._ts += step
        return Silence(self.burst, step // PER_MS)

    def _lost(self, held: Held, seq: int, gap: int) -> Slot | None:
        """One missing frame: the copy in the next one, else made up; too many at once: what remains is a pause."""
        assert self._next_seq is not None
        missing = seq - self._next_seq
        share = gap // missing // STEP * STEP
        if share <= 0:
            self._counts["lost"] += missing
            self._skip_to(seq)
            return None
        if missing > 1 and self._made_up_ms >= CONCEAL_MS:
            self._counts["lost"] += missing - 1
            self._given_up.extend(range(max(self._next_seq, seq - REMEMBERED), seq - 1))
            self._next_seq = seq - 1
            return None
        self._counts["lost"] += 1
        self._given_up.append(self._next_seq)
        self._next_seq, self._ts = self._next_seq + 1, self._ts + share
        return self._instead(held.opus if missing == 1 else b"", share // PER_MS)

    def _instead(self, next_opus: bytes, ms: int) -> Recover | Conceal:
        if next_opus:
            self._counts["recovered"] += 1
            return Recover(self.burst, next_opus, ms)
        self._counts["concealed"] += 1
        self._made_up_ms += ms
        return Conceal(self.burst, ms)

    def starve(self) -> Slot:
        """Nothing is here: in its place, without moving on."""
        if self._next_seq is None:
            return Silence(None, FRAME_MS)
        self._counts["starved"] += 1
        self._starved += FRAME
        if self._made_up_ms >= CONCEAL_MS:
            return Silence(self.burst, FRAME_MS)
        self._made_up_ms += FRAME_MS
        return Conceal(self.burst, FRAME_MS)

    # ---------------------------------------------------------------------------------------------- timing

    def _delay_ms(self, now_ms: float, ts: int) -> float | None:
        """How long after the quickest frame could have been played this is; None while all is catch-up."""
        quickest_ms = self._transits.quickest_ms
        return None if quickest_ms is None else now_ms - ts / PER_MS - quickest_ms

    def _is_early(self, now_ms: float) -> bool:
        """Further ahead than JUMP_MS is no delay but a jump of the talker's clock."""
        delay_ms = self._delay_ms(now_ms, self._ts)
        return delay_ms is not None and -JUMP_MS < delay_ms <= self._transits.lateness.target_ms - FRAME_MS

    def behind_ms(self, now_ms: float) -> float:
        """How much later than the network makes necessary this is played, as far as there is sound to make it up."""
        if self._next_seq is None:
            return 0.0
        delay_ms, waiting_ms = self._delay_ms(now_ms, self._ts), self._samples / PER_MS
        least = waiting_ms if delay_ms is None else min(delay_ms, waiting_ms + FRAME_MS)
        return least - self._transits.lateness.target_ms
