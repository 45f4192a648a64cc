"""The floor participant of one talk group (3GPP TS 24.380, 6.2): what a talk key and the floor server make of it. Pure.

A terminal may talk while it has *permission*, and it has one only from `floor-granted` to whatever ends it first. The
key starts and ends everything, so the states follow the key:

    no-permission ── press ──▶ pending-request ── granted ──▶ permission ── let go ──▶ tail ──▶ pending-release ──▶ …
                                   │      ▲                       │
                                   ▼      │                       ▼
                                   queued ┘                  revoke-grace ──▶ pending-release

Why the table says what it says:

- *Every press has an end*: let go, denied, revoked, taken, idle, no answer, the group left, or the limit that came with
  the grant. In each state but no-permission a timer of our own runs, so no lost message leaves a microphone open.
- *A press of 300 ms*: request, then release, on one ordered connection. A grant that arrives after the release (or that
  nobody waits for any more) is answered by a release of its own ref, as often as it comes: the daemon repeats it.
- *T101*: a request is sent REQUESTS times, then the user is told and has to press again. *T100*: a release likewise,
  silently: the daemon's inactivity ends a burst whose release was lost. *T104*: the queue is asked.
- *A floor that was lost is asked for again* while the key is held: after a restart of the daemon, after `voice-reset`,
  and after every new connection, since nobody knows what happened meanwhile. It is the same press, so the same ref: who
  still has the floor is only told so again. On a new connection sound goes on; it stops where its burst is dead.
- *An emergency raises a press* by a new ref: the daemon ends the former burst, and its end must not end the new one.
- *Revoked*: the user is told at once and may end his word within the grace; then he must let go and press again. So a
  held key of ten minutes is one burst of the talk time and silence after it.
- *The tail*: what was said when the key goes up is still sent to its end, and the release follows the last frame. What
  is said while the floor is asked for is kept by the microphone (`Listen`) and sent first.
- Two topics overtake each other: what is said of another burst than ours does not concern us (`_happened`).
"""

import math
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from devices.events import (
    Action,
    FinishTalking,
    Listen,
    Log,
    Publish,
    StartTalking,
    StopTalking,
    TellRadio,
    Tone,
)
from devices.voice import words
from devices.words import Both
from protocols import codec, down, up

T100_MS: Final = 1_000
"""A release is repeated after that, RELEASES times in all."""
T101_MS: Final = 1_000
"""A request is repeated after that."""
T104_MS: Final = 10_000
"""Who is queued asks for his place after that; POSITIONS unanswered times in a row, and he requests anew."""
REQUESTS: Final = 3
RELEASES: Final = 3
POSITIONS: Final = 3
TAIL_MS: Final = 500
"""The last frame has left by then, or is sent without waiting for the rest."""
AGAIN_MS: Final = 15_000
"""After a new connection, or a new start of the daemon, everybody is expected back within that time."""
NOT_YET: Final = frozenset(("only-one-participant", "retry-after"))
"""Causes of a deny that mean nothing within AGAIN_MS."""
LIMIT_SLACK_MS: Final = 5_000
"""The daemon revokes after `talk_ms`; that much later the terminal stops by itself."""
PRIORITIES: Final = {"normal": 0, "imminent-peril": 1, "emergency": 2}


class State(StrEnum):
    NONE = "no-permission"
    REQUESTED = "pending-request"
    QUEUED = "queued"
    PERMITTED = "permission"
    TAIL = "tail"
    REVOKED = "revoke-grace"
    RELEASING = "pending-release"


N, R, Q, P, T, V, L = State
_ASK = ("ask", "arm_t101")
_PRESS = ("new_ref", "listen", *_ASK)
_END = ("stop", "release", "arm_t100")
_LEAVE = ("release", "arm_t100")

TABLE: Final[dict[tuple[State, str], tuple[State, tuple[str, ...]]]] = {
    (N, "press"): (R, (*_PRESS, "tell_asking")),
    (N, "granted"): (N, ("release",)),
    # pending request
    (R, "raised"): (R, _PRESS),
    (R, "let-go"): (L, _LEAVE),
    (R, "granted"): (P, ("start", "arm_limit", "tell_granted")),
    (R, "denied-yet"): (R, ("arm_t101",)),
    (R, "denied"): (N, ("tell_denied",)),
    (R, "queued"): (Q, ("tell_position", "arm_t104")),
    (R, "unqueued"): (N, ("tell_unqueued",)),
    (R, "t101"): (R, ("ask", "arm_t101_again")),
    (R, "t101-last"): (N, ("release", "tell_no_answer")),
    (R, "linked"): (R, _ASK),
    (R, "lost"): (R, _ASK),
    (R, "gone"): (N, ("tell_gone",)),
    # queued
    (Q, "raised"): (R, _PRESS),
    (Q, "let-go"): (L, _LEAVE),
    (Q, "granted"): (P, ("start", "arm_limit", "tell_granted")),
    (Q, "denied"): (N, ("tell_denied",)),
    (Q, "queued"): (Q, ("tell_position", "arm_t104")),
    (Q, "unqueued"): (N, ("tell_unqueued",)),
    (Q, "t104"): (Q, ("ask_position", "arm_t104_again")),
    (Q, "t104-last"): (R, _ASK),
    (Q, "linked"): (R, _ASK),
    (Q, "lost"): (R, _ASK),
    (Q, "gone"): (N, ("tell_gone",)),
    # permission
    (P, "let-go"): (T, ("finish", "arm_tail")),
    (P, "raised"): (R, ("stop", *_PRESS)),
    (P, "granted"): (P, ("go_on",)),
    (P, "t101"): (P, ("ask", "arm_t101_again")),
    (P, "t101-last"): (P, ()),
    (P, "linked"): (P, _ASK),
    (P, "queued"): (Q, ("cut", "listen", "tell_position", "arm_t104")),
    (P, "denied-yet"): (R, ("cut", "listen", "arm_t101", "tell_again")),
    (P, "denied"): (L, (*_END, "tell_denied")),
    (P, "revoked"): (V, ("tell_revoked", "arm_grace")),
    (P, "taken"): (N, ("cut", "tell_taken")),
    (P, "idle"): (N, ("cut", "tell_ended")),
    (P, "lost"): (R, ("cut", "listen", *_ASK, "tell_again")),
    (P, "said"): (L, ("cut", *_LEAVE, "tell_over")),
    (P, "limit"): (L, (*_END, "tell_too_long")),
    (P, "gone"): (N, ("cut", "tell_gone")),
    # tail
    (T, "press"): (R, ("stop", "release", *_PRESS)),
    (T, "said"): (L, ("cut", *_LEAVE, "tell_over")),
    (T, "tail"): (L, (*_END, "tell_over")),
    (T, "revoked"): (L, (*_END, "tell_over")),
    (T, "denied"): (L, _END),
    (T, "queued"): (L, _END),
    (T, "taken"): (N, ("cut",)),
    (T, "idle"): (N, ("cut", "tell_over")),
    (T, "lost"): (N, ("cut", "tell_over")),
    (T, "gone"): (N, ("cut", "tell_gone")),
    # revoke grace
    (V, "let-go"): (L, _END),
    (V, "grace"): (L, _END),
    (V, "said"): (L, ("cut", *_LEAVE)),
    (V, "taken"): (N, ("cut",)),
    (V, "idle"): (N, ("cut",)),
    (V, "lost"): (N, ("cut",)),
    (V, "gone"): (N, ("cut",)),
    # pending release
    (L, "press"): (R, (*_PRESS, "tell_asking")),
    (L, "granted"): (L, _LEAVE),
    (L, "queued"): (L, _LEAVE),
    (L, "t100"): (L, ("release", "arm_t100_again")),
    (L, "t100-last"): (N, ()),
    (L, "linked"): (L, _LEAVE),
    (L, "taken"): (N, ()),
    (L, "idle"): (N, ()),
    (L, "denied"): (N, ()),
    (L, "unqueued"): (N, ()),
    (L, "lost"): (N, ()),
    (L, "gone"): (N, ()),
}
"""(state, what happened) → (next state, steps in order); a pair that is not here changes nothing."""

OWN_TIMERS: Final = {
    R: ("t101",), Q: ("t104",), P: ("limit", "t101"), T: ("tail",), V: ("grace",), L: ("t100",), N: (),
}  # fmt: skip
"""Which timers may run in a state; the others are stopped when it is entered."""


class Participant:
    """Of one group. `device` is who we are; `next_ref` gives numbers that grow over all groups of this boot."""

    def __init__(self, group: str, device: str, next_ref: Callable[[], int]) -> None:
        self.group = group
        self.state = State.NONE
        self.ref = 0
        self.burst = 0
        self.priority = "normal"
        self.ends_at = 0
        self._device = device
        self._timers: dict[str, int] = {}
        self._tries = 0
        self._now = self._told_at = self._again_until = 0
        self._next_ref = next_ref
        self._said: object = None
        self._out: list[Action] = []

    @property
    def talking(self) -> bool:
        """Its microphone is open."""
        return self.burst != 0

    def deadline(self) -> int | None:
        return min(self._timers.values(), default=None)

    def take(self) -> list[Action]:
        out, self._out = self._out, []
        return out

    # ------------------------------------------------------------------------------------------- events

    def press(self, priority: str, now_ms: int) -> None:
        """The key went down, or an emergency raises a press."""
        raised = PRIORITIES[priority] > PRIORITIES[self.priority]
        if self.state not in (R, Q, P):
            self.priority = priority
            self._happen("press", now_ms)
        elif raised:
            self.priority = priority
            self._happen("raised", now_ms)

    def let_go(self, now_ms: int) -> None:
        self._happen("let-go", now_ms)

    def said(self, now_ms: int) -> None:
        """The last frame of our burst is sealed and on its way."""
        self._happen("said", now_ms)

    def linked(self, now_ms: int) -> None:
        """A new connection whose hello was answered."""
        self._again_until = now_ms + AGAIN_MS
        self._happen("linked", now_ms)

    def lost(self, now_ms: int) -> None:
        """The daemon's voice was started anew: no burst of before lives."""
        self._again_until = now_ms + AGAIN_MS
        self._happen("lost", now_ms)

    def gone(self, now_ms: int) -> None:
        """We are no longer in this group."""
        self._happen("gone", now_ms)

    def told(self, message: down.Floor, now_ms: int) -> None:
        """A floor message of this group (or of one patched to it)."""
        self._said, self._told_at = message, now_ms
        if isinstance(message, down.FloorGranted) and message.ref != self.ref:
            self._publish("floor-release", up.FloorRelease(message.group, message.ref))
            return
        what = self._happened(message)
        if what:
            self._happen(what, now_ms)

    def tick(self, now_ms: int) -> None:
        while due := [(at, name) for name, at in self._timers.items() if at <= now_ms]:
            name = min(due)[1]
            del self._timers[name]
            self._happen(name + "-last" if self._tries >= self._tries_of(name) else name, now_ms)

    def _tries_of(self, timer: str) -> float:
        """An emergency asks as long as its microphone is hot, which the radio bounds."""
        if timer == "t101" and self.priority == "emergency":
            return math.inf
        return {"t100": RELEASES, "t101": REQUESTS, "t104": POSITIONS + 1}.get(timer, math.inf)

    def _happened(self, message: down.Floor) -> str:
        """Its name in the table, "" when it is about another request or burst than ours."""
        match message:
            case down.FloorGranted():
                return "granted"
            case down.FloorDeny():
                return self._denied(message) if message.ref == self.ref else ""
            case down.FloorQueuePositionInfo() if message.ref == self.ref:
                return "queued" if message.position else "unqueued"
            case down.FloorRevoke():
                return "revoked" if message.burst == self.burst else ""
            case down.FloorTaken() if message.talker != self._device:
                return "taken" if message.burst > self.burst or self.state is L else ""
            case down.FloorIdle() if self.state is L or message.burst in (0, self.burst):
                return "lost" if message.why in ("restart", "left") else "idle"
        return ""

    def _denied(self, message: down.FloorDeny) -> str:
        asks_again = self.state in (R, P) and self._told_at < self._again_until
        return "denied-yet" if asks_again and message.cause in NOT_YET else "denied"

    # ------------------------------------------------------------------------------------------- the machine

    def _happen(self, what: str, now_ms: int) -> None:
        row = TABLE.get((self.state, what))
        if row is None:
            return
        self._now = now_ms
        before, (self.state, steps) = self.state, row
        for step in steps:
            getattr(self, "_" + step)()
        if before in (R, Q) and self.state in (N, L):
            self._out.append(StopTalking(0))
        if self.state is N:
            self.priority = "normal"
        for name in [name for name in self._timers if name not in OWN_TIMERS[self.state]]:
            del self._timers[name]
        if self.state is not before:
            self._log(what)

    def _log(self, what: str) -> None:
        fields = {"ev": "floor", "t_ms": self._now, "group": self.group, "state": str(self.state)}
        self._out.append(Log({**fields, "why": what, "ref": self.ref, "burst": self.burst}))

    def _publish(self, kind: str, message: up.Floor) -> None:
        self._out.append(Publish(kind, codec.encode(message)))

    def _new_ref(self) -> None:
        self.ref = self._next_ref()

    def _ask(self) -> None:
        self._publish("floor-request", up.FloorRequest(self.group, self.ref, self.priority))

    def _ask_position(self) -> None:
        self._publish("floor-queue-position-request", up.FloorQueuePositionRequest(self.group, self.ref))

    def _release(self) -> None:
        self._publish("floor-release", up.FloorRelease(self.group, self.ref))

    def _start(self) -> None:
        assert isinstance(self._said, down.FloorGranted)
        self._timers.pop("t101", None)
        self.burst = self._said.burst
        self.ends_at = self._now + self._said.talk_ms + LIMIT_SLACK_MS
        self._out.append(StartTalking(self.group, self.burst))

    def _go_on(self) -> None:
        """The grant once more, or of another burst after a new connection or a raised priority."""
        assert isinstance(self._said, down.FloorGranted)
        asked = self._timers.pop("t101", None) is not None
        if self._said.burst != self.burst:
            self._cut()
            self._listen()
            self._start()
            self._arm_limit()
        if asked:
            self._tell_granted()

    def _listen(self) -> None:
        self._out.append(Listen())

    def _finish(self) -> None:
        self._out.append(FinishTalking(self.burst))

    def _stop(self) -> None:
        """With a last frame, which the radio seals."""
        self._out.append(StopTalking(self.burst, b""))
        self.burst = 0

    def _cut(self) -> None:
        """The burst is dead already: nothing more is said."""
        self._out.append(StopTalking(self.burst))
        self.burst = 0

    # ------------------------------------------------------------------------------------------- timers

    def _arm(self, name: str, after_ms: int, *, again: bool = False) -> None:
        self._tries = self._tries + 1 if again else 1
        self._timers[name] = self._now + after_ms

    def _arm_t100(self) -> None:
        self._arm("t100", T100_MS)

    def _arm_t100_again(self) -> None:
        self._arm("t100", T100_MS, again=True)

    def _arm_t101(self) -> None:
        self._arm("t101", T101_MS)

    def _arm_t101_again(self) -> None:
        self._arm("t101", T101_MS, again=True)

    def _arm_t104(self) -> None:
        self._arm("t104", T104_MS)

    def _arm_t104_again(self) -> None:
        self._arm("t104", T104_MS, again=True)

    def _arm_tail(self) -> None:
        self._timers["tail"] = self._now + TAIL_MS

    def _arm_grace(self) -> None:
        assert isinstance(self._said, down.FloorRevoke)
        self._timers["grace"] = self._now + self._said.grace_ms

    def _arm_limit(self) -> None:
        self._timers["limit"] = self.ends_at

    # ------------------------------------------------------------------------------------------- to the user

    def _tell(self, text: Both, tone: str = "") -> None:
        if tone:
            self._out.append(Tone(tone))
        self._out.append(TellRadio("floor", text.zh, text.en))

    def _tell_asking(self) -> None:
        self._tell(words.ASKING)

    def _tell_again(self) -> None:
        self._tell(words.AGAIN, "lost")

    def _tell_granted(self) -> None:
        self._tell(words.GRANTED, "granted")

    def _tell_denied(self) -> None:
        assert isinstance(self._said, down.FloorDeny)
        self._tell(words.denied(self._said), "denied")

    def _tell_position(self) -> None:
        assert isinstance(self._said, down.FloorQueuePositionInfo)
        self._tell(words.position(self._said))

    def _tell_unqueued(self) -> None:
        self._tell(words.NOT_QUEUED, "denied")

    def _tell_no_answer(self) -> None:
        self._tell(words.NO_ANSWER, "denied")

    def _tell_revoked(self) -> None:
        assert isinstance(self._said, down.FloorRevoke)
        tone = "pre-empted" if self._said.cause == "pre-empted" else "revoked"
        self._tell(words.revoked(self._said.cause), tone)

    def _tell_taken(self) -> None:
        self._tell(words.TAKEN, "pre-empted")

    def _tell_ended(self) -> None:
        assert isinstance(self._said, down.FloorIdle)
        self._tell(words.ended(self._said.why), "revoked")

    def _tell_too_long(self) -> None:
        self._tell(words.TOO_LONG, "revoked")

    def _tell_over(self) -> None:
        self._tell(words.OVER)

    def _tell_gone(self) -> None:
        self._tell(words.GONE, "revoked")
