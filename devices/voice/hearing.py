"""Who talks on which talk group, which frames are new, and what has been missed. Pure.

- A frame counts once, by (burst, seq), whatever roads it came by; one later than the window is too late for anybody.
- What says who talks (`floor-taken`, `floor-idle`) and what is said come by different roads: either may be first.
- A gap, or coming late, is asked for once. Sound of nobody lasts no longer than FORGOTTEN_MS, so that a lost
  `floor-idle` never shows a talker for ever.
"""

from collections import Counter
from typing import Final

from msgspec import Struct

from protocols import down
from protocols.voice import CATCH_UP, LAST, Frame

WINDOW_FRAMES: Final = 1_024
"""20 s of a burst: more than the daemon keeps for catching up."""
MAX_BURSTS: Final = 16
"""Bursts remembered, the oldest go; then its frames would count anew."""
FIRST_FRAME_MS: Final = 300
"""A burst was announced and nothing has come for so long: doubt the carriage."""
NEXT_FRAME_MS: Final = 500
"""Frames have stopped for so long: likewise (in silence DTX still sends some)."""
LATE_MS: Final = 300
"""Who hears of a burst that is older has missed its beginning."""
GAP_FRAMES: Final = 15
"""300 ms: fewer are concealed and not worth asking for."""
MAX_ASKS: Final = 4
"""Of one burst, for catching up."""
FORGOTTEN_MS: Final = 15_000
UNSURE_MS: Final = 2_000
"""After a new connection who talked before is forgotten so soon, unless a word of it, or about it, comes."""


class Talk(Struct):
    """Somebody has the floor of `group`. `mine`: it is this device; `barred`: it must not be played here."""

    group: str
    burst: int
    talker: str
    name: str
    priority: str
    since_ms: int
    told_ms: int
    alive_ms: int
    mine: bool = False
    barred: bool = False
    silent: bool = False
    last_frame_ms: int | None = None


class Burst(Struct):
    """The frames of one burst that came. `seen`: bit n = the frame n before the highest."""

    group: str
    highest: int = -1
    seen: int = 0
    frames: int = 0
    asks: int = 0
    barred: bool = False
    ended: bool = False


class Missed(Struct, frozen=True):
    group: str
    burst: int
    seq: int


class Hearing:
    def __init__(self, device: str) -> None:
        self._device = device
        self.talks: dict[str, Talk] = {}
        self.bursts: dict[int, Burst] = {}
        self.counts: Counter[str] = Counter()

    # ------------------------------------------------------------------------------------------- who talks

    def taken(self, message: down.FloorTaken, now_ms: int) -> tuple[Talk | None, Missed | None]:
        """The talk if it is new, and what of it was missed."""
        group = message.group
        old = self.talks.get(group)
        if old is not None and message.burst < old.burst:
            return None, None
        known = self.bursts.get(message.burst)
        if known is not None and known.ended:
            return None, None
        if old is not None and old.burst == message.burst:
            old.alive_ms = now_ms
            self._burst(group, message.burst).barred = old.mine or self._device in message.not_for
            return None, None
        mine = message.talker == self._device
        barred = self._device in message.not_for
        talk = Talk(
            group, message.burst, message.talker, message.name or message.talker, message.priority,
            now_ms - message.age_ms, now_ms, now_ms, mine, barred, message.silent,
        )  # fmt: skip
        self.talks[group] = talk
        burst = self._burst(group, message.burst)
        burst.barred = burst.barred or mine or barred
        late = message.age_ms >= LATE_MS and not burst.barred
        return talk, self._ask(burst, message.burst, burst.highest + 1) if late else None

    def mine(self, group: str, burst: int) -> None:
        """Granted to this device: his own frames may come back before it is told that he talks."""
        self._burst(group, burst).barred = True

    def idle(self, message: down.FloorIdle) -> Talk | None:
        """The talk that has ended."""
        talk = self.talks.get(message.group)
        if message.burst in self.bursts:
            self.bursts[message.burst].ended = True
        if talk is None or (message.burst and message.burst < talk.burst):
            return None
        self._end(talk)
        return self.talks.pop(message.group)

    def _end(self, talk: Talk) -> None:
        if talk.burst in self.bursts:
            self.bursts[talk.burst].ended = True

    def restarted(self) -> list[Talk]:
        """The daemon's voice began anew: nobody talks, and numbers may come again."""
        gone = list(self.talks.values())
        self.talks.clear()
        self.bursts.clear()
        return gone

    def linked(self, now_ms: int) -> None:
        """Nobody knows what was missed meanwhile; the daemon says again who talks."""
        for talk in self.talks.values():
            talk.alive_ms = min(talk.alive_ms, now_ms - FORGOTTEN_MS + UNSURE_MS)

    def new_start(self) -> None:
        """Keys of another start of the daemon: burst numbers may come again, so no frame is a double of before."""
        known = {talk.burst for talk in self.talks.values()}
        self.bursts = {
            number: Burst(old.group, barred=old.barred)
            for number, old in self.bursts.items()
            if number in known
        }

    def only(self, groups: set[str]) -> list[Talk]:
        """We are in these groups and no others; the talks that are not ours to hear any more."""
        return [self.talks.pop(group) for group in list(self.talks) if group not in groups]

    def forgotten(self, now_ms: int) -> list[Talk]:
        """Talks of which nothing was heard for FORGOTTEN_MS."""
        gone = [talk for talk in self.talks.values() if now_ms - talk.alive_ms >= FORGOTTEN_MS]
        for talk in gone:
            if not talk.mine:
                del self.talks[talk.group]
        return [talk for talk in gone if not talk.mine]

    # ------------------------------------------------------------------------------------------- frames

    def frame(self, group: str, frame: Frame, now_ms: int) -> tuple[bool, Missed | None]:
        """Whether it is new and to be played, and what was missed before it. Drops are counted by reason."""
        burst = self.bursts.get(frame.burst) or self._burst(group, frame.burst)
        talk = self.talks.get(group)
        if talk is not None and talk.burst == frame.burst:
            talk.last_frame_ms = talk.alive_ms = now_ms
        if burst.barred:
            self.counts["not-for-us"] += 1
            return False, None
        before = burst.highest
        if not self._is_new(burst, frame.seq):
            return False, None
        burst.frames += 1
        self.counts["heard"] += 1
        if frame.flags & LAST:
            burst.ended = True
        gap = before >= 0 and frame.seq - before > GAP_FRAMES and not frame.flags & CATCH_UP
        return True, self._ask(burst, frame.burst, before + 1) if gap else None

    def _is_new(self, burst: Burst, seq: int) -> bool:
        ahead = seq - burst.highest
        if ahead > 0:
            burst.seen = (
                (burst.seen << ahead | 1) & ((1 << WINDOW_FRAMES) - 1) if ahead < WINDOW_FRAMES else 1
            )
            burst.highest = seq
            return True
        if -ahead >= WINDOW_FRAMES:
            self.counts["too-late"] += 1
            return False
        if burst.seen >> -ahead & 1:
            self.counts["double"] += 1
            return False
        burst.seen |= 1 << -ahead
        return True

    def _burst(self, group: str, number: int) -> Burst:
        burst = self.bursts.get(number)
        if burst is None:
            burst = self.bursts[number] = Burst(group)
            if len(self.bursts) > MAX_BURSTS:
                del self.bursts[next(iter(self.bursts))]
        return burst

    @staticmethod
    def _ask(burst: Burst, number: int, seq: int) -> Missed | None:
        if burst.asks >= MAX_ASKS:
            return None
        burst.asks += 1
        return Missed(burst.group, number, seq)

    # ------------------------------------------------------------------------------------------- doubt

    def quiet_since(self, now_ms: int) -> int | None:
        """Since when sound has been missing long enough to doubt the carriage; None = nothing is missing."""
        quiet = [since for since, due in self._awaited() if due <= now_ms]
        return min(quiet, default=None)

    def deadline(self, now_ms: int) -> int | None:
        """When the next doubt comes up, or the next talk is forgotten. What is doubted already is the route's."""
        dues = [due for _, due in self._awaited() if due > now_ms]
        dues += [talk.alive_ms + FORGOTTEN_MS for talk in self.talks.values() if not talk.mine]
        return min(dues, default=None)

    def _awaited(self) -> list[tuple[int, int]]:
        """(since, due): sound is awaited since then; it is missing from `due` on."""
        awaited = []
        for talk in self.talks.values():
            burst = self.bursts.get(talk.burst)
            if talk.mine or talk.barred or (burst is not None and burst.ended):
                continue
            wait_ms = FIRST_FRAME_MS if talk.last_frame_ms is None else NEXT_FRAME_MS
            since = talk.told_ms if talk.last_frame_ms is None else talk.last_frame_ms
            awaited.append((since, since + wait_ms))
        return awaited
