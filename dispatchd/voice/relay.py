"""Who talks where and who hears it: every frame of sound goes through here, whatever carriage it came by. Pure.

What must hold: a frame is passed on if and only if its talker and burst are the present grant of a channel, or the one
that ended and whose grace is not over; an ended one falls silent when the next talker is heard. Every listener hears
each frame once, even where it listens to several channels that are patched together. Time comes in as `now_ms` (core
time); the core is told through `post`, never more often than limits.py says.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Protocol

from dispatchd.core.effects import SetFloor
from dispatchd.core.inputs import Input, MediaHeard, MediaRefused
from protocols.errors import ProtocolError
from protocols.opus import samples_48k
from protocols.voice import LAST, MAX_OPUS_BYTES, Frame

from . import limits
from .burst import Burst, Grant
from .limits import Bucket


class Listener(Protocol):
    """A carriage, or one session of it."""

    def hear(self, channel: str, talker: str, frame: Frame) -> None:
        """Must not block, and drops what it cannot take."""


class Tap(Protocol):
    """Hears everything: the recorder. `began` comes with the first frame, `ended` when no more can come."""

    def began(self, grant: Grant, now_ms: int) -> None: ...
    def hear(self, channel: str, talker: str, frame: Frame) -> None: ...
    def ended(self, grant: Grant, now_ms: int) -> None: ...


class _Talker:
    """What one talker did lately."""

    __slots__ = ("bad", "bucket", "told_ms")

    def __init__(self) -> None:
        self.bucket = Bucket(limits.FRAMES_PER_S, limits.FRAMES_AT_ONCE)
        self.bad = 0
        self.told_ms: int | None = None


class Relay:
    """`taps` is yours to change; `counts`: heard, sent, and drops by reason.

    `hushed`: streams whose own speaker sounds, until when (core time): no talk group hears them, taps and channels do.
    """

    def __init__(self, post: Callable[[Input], None]) -> None:
        self._post = post
        self._now_ms = 0
        self._present: dict[str, Burst] = {}  # by channel
        self._ending: dict[str, Burst] = {}
        self._live: dict[tuple[str, int], Burst] = {}  # all of these, by talker and number
        self._kept: dict[int, Burst] = {}
        self._listeners: dict[str, dict[int, tuple[Listener, str]]] = {}
        self._audiences: dict[Burst, list[tuple[str, Listener]]] = {}
        self._talkers: dict[str, _Talker] = {}
        self.taps: list[Tap] = []
        self.hushed: dict[str, int] = {}
        self.counts: Counter[str] = Counter()

    # --- who talks ----------------------------------------------------------------------------------------------

    def set_floor(self, effect: SetFloor, now_ms: int) -> None:
        """As the core says; the same again changes nothing."""
        self.tick(now_ms)
        present = self._present.get(effect.group)
        self._audiences.clear()
        if present is not None:
            if (effect.burst, effect.talker) == (present.grant.burst, present.grant.talker):
                present.grant = _grant(effect)
                return
            self._end(effect.group, now_ms + limits.LATE_MS)
        if effect.burst:
            self._begin(Burst(_grant(effect), floor=True))

    def open(self, channel: str, burst: int, talker: str, incident: str = "") -> None:
        """A channel without a floor (intercom)."""
        grant = Grant(channel, burst, talker, (channel,), incident)
        present = self._present.get(channel)
        self._audiences.clear()
        if present is not None:
            if (burst, talker) == (present.grant.burst, present.grant.talker):
                present.grant = grant
                return
            self.close(channel)
        self._begin(Burst(grant, floor=False))

    def close(self, channel: str) -> None:
        """At once."""
        if channel in self._present:
            self._end(channel, self._now_ms)
            self._finish(channel)

    def tick(self, now_ms: int) -> None:
        """Bursts whose grace is over are ended."""
        self._now_ms = now_ms
        for channel in [
            c for c, b in self._ending.items() if b.until_ms is not None and b.until_ms <= now_ms
        ]:
            self._finish(channel)

    def deadline(self) -> int | None:
        """When `tick` is due."""
        return min((b.until_ms for b in self._ending.values() if b.until_ms is not None), default=None)

    def grants(self) -> list[Grant]:
        """Who may be heard now; ended ones are not among them."""
        return [burst.grant for burst in self._present.values()]

    def _begin(self, burst: Burst) -> None:
        self._present[burst.grant.channel] = burst
        self._live[burst.grant.talker, burst.grant.burst] = burst

    def _end(self, channel: str, until_ms: int) -> None:
        if channel in self._ending:
            self._finish(channel)
        self._ending[channel] = burst = self._present.pop(channel)
        burst.until_ms = until_ms

    def _finish(self, channel: str) -> None:
        """Nothing of the ended burst is heard from here on."""
        burst = self._ending.pop(channel)
        self._audiences.pop(burst, None)
        if self._live.get((burst.grant.talker, burst.grant.burst)) is burst:
            del self._live[burst.grant.talker, burst.grant.burst]
        if burst.began:
            for tap in self.taps:
                tap.ended(burst.grant, self._now_ms)

    # --- who hears ----------------------------------------------------------------------------------------------

    def attach(self, channel: str, listener: Listener, device: str = "") -> None:
        """`device` (or "@" and an operator) is whose ears these are: not for itself, nor where it is in `not_for`."""
        self._listeners.setdefault(channel, {})[id(listener)] = (listener, device)
        self._audiences.clear()

    def detach(self, channel: str, listener: Listener) -> None:
        """Nothing happens if it does not listen there."""
        there = self._listeners.get(channel, {})
        there.pop(id(listener), None)
        if not there:
            self._listeners.pop(channel, None)
        self._audiences.clear()

    def _audience(self, burst: Burst) -> list[tuple[str, Listener]]:
        found = self._audiences.get(burst)
        if found is None:
            found = self._audiences[burst] = list(self._who_hears(burst))
        return found

    def _who_hears(self, burst: Burst) -> Iterator[tuple[str, Listener]]:
        grant, seen = burst.grant, set()
        deaf = {grant.talker, *grant.not_for}
        for channel in grant.groups:
            for key, (listener, device) in self._listeners.get(channel, {}).items():
                if key not in seen and device not in deaf:
                    seen.add(key)
                    yield channel, listener

    # --- what is said -------------------------------------------------------------------------------------------

    def said(self, talker: str, frame: Frame, now_ms: int) -> None:
        """A frame that its talker's own key opened."""
        who = self._talker(talker)
        if not who.bucket.take(now_ms):
            self._refuse(talker, who, frame.burst, "too-fast", now_ms)
            return
        burst = self._live.get((talker, frame.burst))
        if burst is None or (burst.until_ms is not None and burst.until_ms <= now_ms):
            self._refuse(talker, who, frame.burst, "no-floor", now_ms)
            return
        if self._is_readable(talker, who, burst, frame, now_ms):
            flags = frame.flags & LAST  # what else it says of itself is ours to say
            self._take(burst, frame if flags == frame.flags else Frame(*_fields(frame), flags), now_ms)

    def said_rtp(self, talker: str, seq: int, ts: int, opus: bytes, now_ms: int) -> None:
        """A packet of a stream that never ends: it belongs to every grant its talker holds, counted anew there."""
        bursts = [burst for (who, _), burst in self._live.items() if who == talker]
        if not bursts or not opus:
            self.counts["stream-idle"] += 1
            return
        who = self._talker(talker)
        if not who.bucket.take(now_ms):
            self._refuse(talker, who, bursts[0].grant.burst, "too-fast", now_ms)
            return
        if not self._is_readable(talker, who, bursts[0], Frame(0, 0, 0, opus), now_ms):
            return
        hushed = now_ms < self.hushed.get(talker, 0)
        for burst in bursts:
            if hushed and burst.floor:
                self.counts["hushed"] += 1
                continue
            frame = burst.relabel(seq, ts, opus)
            if frame is None or (burst.until_ms is not None and burst.until_ms <= now_ms):
                self.counts["late"] += 1
            else:
                self._take(burst, frame, now_ms)

    def _talker(self, talker: str) -> _Talker:
        who = self._talkers.get(talker)
        if who is None:
            if len(self._talkers) >= limits.MAX_TALKERS:
                del self._talkers[next(iter(self._talkers))]
            who = self._talkers[talker] = _Talker()
        return who

    def _is_readable(self, talker: str, who: _Talker, burst: Burst, frame: Frame, now_ms: int) -> bool:
        if _is_opus(frame):
            who.bad = 0
            return True
        who.bad += 1
        if who.bad >= limits.BAD_IN_A_ROW:
            self._refuse(talker, who, burst.grant.burst, "unreadable", now_ms)
        else:
            self.counts["unreadable"] += 1
        return False

    def _refuse(self, talker: str, who: _Talker, burst: int, why: str, now_ms: int) -> None:
        self.counts[why] += 1
        if who.told_ms is None or now_ms - who.told_ms >= limits.TELL_EVERY_MS:
            who.told_ms = now_ms
            self._post(MediaRefused(talker, burst, why))

    def _take(self, burst: Burst, frame: Frame, now_ms: int) -> None:
        why = burst.take(frame)
        if why:
            self.counts[why] += 1
            return
        if not burst.began:
            self._hear_first(burst, now_ms)
        self.counts["heard"] += 1
        self._tell_heard(burst, bool(frame.flags & LAST), now_ms)
        self._pass_on(burst, frame)

    def _hear_first(self, burst: Burst, now_ms: int) -> None:
        burst.began = True
        self._now_ms = now_ms
        for channel, ending in list(self._ending.items()):
            if burst.until_ms is None and not set(burst.grant.groups).isdisjoint(ending.grant.groups):
                self._finish(channel)  # one talker at a time
        if burst.floor:
            self._kept[burst.grant.burst] = burst
            if len(self._kept) > limits.KEEP_BURSTS:
                del self._kept[next(iter(self._kept))]
        for tap in self.taps:
            tap.began(burst.grant, now_ms)

    def _tell_heard(self, burst: Burst, last: bool, now_ms: int) -> None:
        due = burst.told_ms is None or now_ms - burst.told_ms >= limits.TELL_EVERY_MS
        if burst.floor and (due or last):
            burst.told_ms = now_ms
            self._post(MediaHeard(burst.grant.channel, burst.grant.burst, last))

    def _pass_on(self, burst: Burst, frame: Frame) -> None:
        grant, audience = burst.grant, self._audience(burst)
        for tap in self.taps:
            tap.hear(grant.channel, grant.talker, frame)
        for channel, listener in audience:
            listener.hear(channel, grant.talker, frame)
        self.counts["sent"] += len(audience)

    # --- catch-up -----------------------------------------------------------------------------------------------

    def kept(self, group: str, burst: int, seq: int) -> list[Frame]:
        """What `group` heard of this burst from frame `seq` on, in order; [] when nothing is left of it."""
        found = self._kept.get(burst)
        return found.kept(seq) if found is not None and group in found.grant.groups else []


def _grant(effect: SetFloor) -> Grant:
    groups = effect.groups if effect.group in effect.groups else (effect.group, *effect.groups)
    return Grant(
        effect.group, effect.burst, effect.talker, groups, effect.incident, effect.priority, effect.drill,
        effect.not_for,
    )  # fmt: skip


def _fields(frame: Frame) -> tuple[int, int, int, bytes]:
    return frame.burst, frame.seq, frame.ts, frame.opus


def _is_opus(frame: Frame) -> bool:
    if not frame.opus and frame.flags & LAST:
        return True
    if len(frame.opus) > MAX_OPUS_BYTES:
        return False
    if frame.opus and not frame.opus[0] & 3:
        return True  # code 0 of RFC 6716, 3.2.2: one frame of any length, at most 60 ms
    try:
        return samples_48k(frame.opus) <= limits.MAX_PACKET_48K
    except ProtocolError:
        return False
