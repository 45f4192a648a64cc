"""The talk key and the emergency key of a terminal: which participant has them, and the burst that is said. Pure.

One microphone: at most one participant has the key, so at most one group is talked in. A key that goes down is for the
group that is selected at that moment, until it goes up. The emergency key talks by itself: for `hot_ms` from the grant,
at priority emergency, no longer than HOT_ASKING_MS from the press if nobody grants it; the talk key held beyond that
goes on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from devices.events import Action, Publish, StartTalking, StopTalking, TellRadio, Tone
from devices.voice import words
from devices.voice.participant import Participant, State
from protocols import codec, down, up
from protocols.voice import LAST, Frame

HOT_ASKING_MS: Final = 30_000
"""An emergency asks for the floor no longer than this."""


@dataclass(slots=True)
class _Saying:
    burst: int
    seq: int = 0
    ts: int = 0


class TalkKey:
    """`selected` names the group of a new press, "" = none; `seal` makes of a frame what is sent."""

    def __init__(
        self, device: str, selected: Callable[[], str], seal: Callable[[Frame], bytes | None]
    ) -> None:
        self._device = device
        self._selected = selected
        self._seal = seal
        self._out: list[Action] = []
        self._ref = 0
        self._down = False
        self._group: str | None = None
        self._hot_ms = 0
        self._hot_until: int | None = None
        self._saying: _Saying | None = None
        self.participants: dict[str, Participant] = {}

    @property
    def talking(self) -> bool:
        return self._saying is not None

    def deadline(self) -> int | None:
        dues = [*(one.deadline() for one in self.participants.values()), self._hot_until]
        return min((due for due in dues if due is not None), default=None)

    def take(self) -> list[Action]:
        out, self._out = self._out, []
        return out

    # ------------------------------------------------------------------------------------------- keys

    def key(self, now_ms: int, *, down_: bool) -> None:
        """Edges; what repeats itself is not one. While the microphone is hot the key changes nothing."""
        if down_ == self._down:
            return
        self._down = down_
        if self._hot_until is not None:
            return
        if down_:
            self._press("normal", now_ms)
        else:
            self._let_go(now_ms)

    def emergency(self, hot_ms: int, now_ms: int) -> None:
        """The emergency key was held; 0 = this site wants no hot microphone."""
        if hot_ms > 0:
            self._hot_ms, self._hot_until = hot_ms, now_ms + HOT_ASKING_MS
            self._press("emergency", now_ms)

    def _press(self, priority: str, now_ms: int) -> None:
        group = self._group or self._selected()
        if not group:
            self._out.append(Tone("denied"))
            self._out.append(TellRadio("floor", words.NO_GROUP.zh, words.NO_GROUP.en))
            return
        self._group = group
        one = self.participants.setdefault(group, Participant(group, self._device, self._next_ref))
        one.press(priority, now_ms)
        self._collect(one, now_ms)

    def _let_go(self, now_ms: int) -> None:
        group, self._group = self._group, None
        one = self.participants.get(group or "")
        if one is not None:
            one.let_go(now_ms)
            self._collect(one, now_ms)

    def _next_ref(self) -> int:
        """Grows with every press, over all groups."""
        self._ref += 1
        return self._ref

    # ------------------------------------------------------------------------------------------- what happens

    def tick(self, now_ms: int) -> None:
        if self._hot_until is not None and now_ms >= self._hot_until:
            self._hot_until, self._hot_ms = None, 0
            if not self._down:
                self._let_go(now_ms)
        for one in list(self.participants.values()):
            if one.talking and self._saying is None:
                one.said(now_ms)
            one.tick(now_ms)
            self._collect(one, now_ms)

    def told(self, message: down.Floor, now_ms: int) -> None:
        one = self.participants.get(message.group)
        if one is not None:
            one.told(message, now_ms)
            self._collect(one, now_ms)
        elif isinstance(message, down.FloorGranted):
            release = up.FloorRelease(message.group, message.ref)
            self._out.append(Publish("floor-release", codec.encode(release)))

    def linked(self, now_ms: int) -> None:
        self._each(lambda one: one.linked(now_ms), now_ms)

    def lost(self, now_ms: int) -> None:
        self._each(lambda one: one.lost(now_ms), now_ms)

    def only(self, groups: set[str], now_ms: int) -> None:
        """We are in these groups and no others."""
        self._each(lambda one: None if one.group in groups else one.gone(now_ms), now_ms)

    def _each(self, happens: Callable[[Participant], None], now_ms: int) -> None:
        for one in list(self.participants.values()):
            happens(one)
            self._collect(one, now_ms)

    def _collect(self, one: Participant, now_ms: int) -> None:
        """What the participant wants done; its microphone is ours."""
        for action in one.take():
            match action:
                case StartTalking():
                    self._start(action, now_ms)
                case StopTalking():
                    self._stop(action)
                case _:
                    self._out.append(action)
        if one.state is State.NONE and one.group != self._group:
            self.participants.pop(one.group, None)

    def _start(self, action: StartTalking, now_ms: int) -> None:
        self._saying = _Saying(action.burst)
        self._out.append(action)
        if self._hot_ms:
            self._hot_until, self._hot_ms = now_ms + self._hot_ms, 0

    def _stop(self, action: StopTalking) -> None:
        """The participant says whether the burst still wants a last frame; it is sealed here."""
        saying = self._saying
        last = None if action.last is None or saying is None else self.say(b"", saying.ts, last=True)
        self._saying = None
        self._out.append(StopTalking(action.burst, last))

    def say(self, opus: bytes, ts: int, *, last: bool = False) -> bytes | None:
        """The next frame of the burst, sealed; None without floor or key."""
        saying = self._saying
        if saying is None:
            return None
        frame = Frame(saying.burst, saying.seq, ts, opus, LAST if last else 0)
        saying.seq, saying.ts = saying.seq + 1, ts
        if last:
            self._saying = None
        return self._seal(frame)
