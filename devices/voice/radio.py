"""The radio of a terminal: which group it talks in, who is heard, under which keys and by which carriage. Pure.

Events in, actions out, `now_ms` from one monotonic clock, `deadline()` says when a Tick is due. The rooms below it:
participant.py (the floor, one transition table), hearing.py (who talks, what is new, what was missed), keyring.py,
route.py (the carriage). This room ties them together. What must hold:

- One microphone: at most one participant has the key, so at most one group is talked in. The group is the first of the
  membership that allows it until the user chooses (`SelectGroup`); a choice made while talking is for the next press.
- After every connection whose hello was answered, and after `voice-reset` (0 to RESET_JITTER_MS later, at random), the
  radio joins with a fresh key pair, and repeats it until keys come. A frame under a key of another start, or never
  given to us, makes it join again, at most once in REJOIN_MS.
- A new carriage is announced when it works: `voice-carriage mqtt` after the broker took the subscriptions,
  `voice-carriage datagram` before they are given up. So there are moments with both, never with none.
- The emergency key talks by itself for `hot_ms` from the grant, at priority emergency, and no longer than
  HOT_ASKING_MS from the press if nobody grants it.
- A silent incident's group vibrates at its first word and sounds at EARPIECE_PCT only; a pillar has no radio.

Frames do not pass `handle`: `heard` and `say` are called for each, 50 times a second, and do no more than they must.
What they set off is in `pending` and comes out with the next `handle` (send a Tick).
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from devices import events as ev
from devices.events import Action
from devices.voice import words
from devices.voice.hearing import Hearing, Missed, Talk
from devices.voice.keyring import DOWN, Keyring
from devices.voice.participant import Participant, State
from devices.voice.route import Route
from devices.words import Both
from protocols import codec, down, up, voice
from protocols.errors import ProtocolError
from protocols.voice import LAST, Frame, Ping, Pong
from protocols.voice_keys import KeyPair

NONCE_BYTES: Final = 16
JOIN_FIRST_MS: Final = 1_000
JOIN_MAX_MS: Final = 15_000
"""A join without an answer is repeated, at a distance that doubles from the first to the last of these."""
REJOIN_MS: Final = 1_000
"""Between joins because of unknown keys."""
RESET_JITTER_MS: Final = 500
HOT_ASKING_MS: Final = 30_000
"""An emergency asks for the floor no longer than this."""
EARPIECE_PCT: Final = 30
"""Of the volume: how loud a silent incident's group is."""
VIBRATE_MS: Final = 200
OVERLAP_MS: Final = 1_000
"""The subscriptions of MQTT outlive the word that datagrams are wanted, until the daemon has taken it."""

Via = Literal["datagram", "mqtt"]


@dataclass(frozen=True, slots=True)
class Linked:
    """A connection stands and its hello was answered."""


@dataclass(frozen=True, slots=True)
class Unlinked:
    """There is no connection to the broker."""


@dataclass(frozen=True, slots=True)
class Told:
    """A floor or key message, checked for freshness; of one of our groups or for us alone."""

    message: down.Floor | down.Voice


@dataclass(frozen=True, slots=True)
class Joined:
    """The talk groups this device is in from now on."""

    groups: tuple[down.TalkGroup, ...]


@dataclass(frozen=True, slots=True)
class EmergencyHeld:
    """The emergency key was held long enough; the microphone is to be hot for so long."""

    hot_ms: int


RadioEvent = (
    Linked
    | Unlinked
    | Told
    | Joined
    | EmergencyHeld
    | ev.PttPressed
    | ev.SelectGroup
    | ev.VoiceSubscribed
    | ev.Tick
)


@dataclass(frozen=True, slots=True)
class Heard:
    """One frame to be played. `scan`: the higher is heard first; `volume_pct` of the set volume."""

    group: str
    frame: Frame
    talker: str
    priority: str
    scan: int
    volume_pct: int = 100


@dataclass(slots=True)
class _Saying:
    group: str
    burst: int
    seq: int = 0
    ts: int = 0


class Radio:
    """Of one device. `rng` makes nonces and the jitter of joins, `make_pair` the key pairs."""

    def __init__(
        self, device: str, rng: random.Random, make_pair: Callable[[], KeyPair] = KeyPair.generate
    ) -> None:
        self._device = device
        self._rng = rng
        self._make_pair = make_pair
        self._out: list[Action] = []
        self._now = 0
        self._ref = 0
        self._linked = False
        self._key_down = False
        self._pressed: str | None = None
        self._hot_ms = 0
        self._hot_until: int | None = None
        self._join_at: int | None = None
        self._join_wait_ms = JOIN_FIRST_MS
        self._joined_at: int | None = None
        self._subscribed: tuple[str, ...] | None = None
        self._saying: _Saying | None = None
        self._why = words.NO_PONG
        self._asked: list[Missed] = []
        self._leave_at: int | None = None
        self._chosen = ""
        self.groups: dict[str, down.TalkGroup] = {}
        self.participants: dict[str, Participant] = {}
        self.hearing = Hearing(device)
        self.keyring = Keyring(device)
        self.route = Route()
        self.pending = False
        """Something came by `heard` that `handle` has to act on."""

    # ------------------------------------------------------------------------------------------- asking

    @property
    def counts(self) -> Counter[str]:
        """Frames heard and said, and drops by reason, since the start."""
        return self.hearing.counts

    @property
    def selected(self) -> str:
        """The group a press would talk in; "" = none."""
        can = [one.group for one in self.groups.values() if one.talk]
        return self._chosen if self._chosen in can else next(iter(can), "")

    @property
    def talking(self) -> bool:
        return self._saying is not None

    @property
    def carriage(self) -> Via:
        return self.route.carriage

    def deadline(self) -> int | None:
        dues = [one.deadline() for one in self.participants.values()]
        dues += [self.hearing.deadline(self._now), self.route.deadline(), self._join_at, self._hot_until]
        dues.append(self._leave_at)
        return min((due for due in dues if due is not None), default=None)

    def handle(self, event: RadioEvent, now_ms: int) -> list[Action]:
        """What to do now, in this order."""
        self._now = max(self._now, now_ms)
        self.pending = False
        self._take(event)
        self._timers()
        out, self._out = self._out, []
        return out

    def _take(self, event: RadioEvent) -> None:
        match event:
            case Linked():
                self._on_linked()
            case Unlinked():
                self._on_unlinked()
            case Told():
                self._on_told(event.message)
            case Joined():
                self._on_groups(event.groups)
            case EmergencyHeld():
                self._on_emergency(event.hot_ms)
            case ev.PttPressed():
                self._on_key(down_=event.down)
            case ev.SelectGroup():
                self._on_select(event.group)
            case ev.VoiceSubscribed():
                self._on_subscribed(event.groups)
            case ev.Tick():
                pass  # the timers run after every event

    def _timers(self) -> None:
        now = self._now
        if self._hot_until is not None and now >= self._hot_until:
            self._cool()
        for one in list(self.participants.values()):
            if one.talking and self._saying is None:
                one.said(now)
            one.tick(now)
            self._collect(one)
        if self._join_at is not None and now >= self._join_at:
            self._join()
        for talk in self.hearing.forgotten(now):
            self._over(talk)
        self._catch_up()
        self._step_route()
        if self._leave_at is not None and now >= self._leave_at:
            self._leave_at = None
            self._out.append(ev.SubscribeVoice(()))

    # ------------------------------------------------------------------------------------------- link, keys

    def _on_linked(self) -> None:
        self._linked = True
        self._join_wait_ms = JOIN_FIRST_MS
        self._join_at = self._now
        self._subscribed = None
        if self.carriage == "mqtt":
            self._subscribe()
        for one in list(self.participants.values()):
            one.linked(self._now)
            self._collect(one)

    def _on_unlinked(self) -> None:
        self._linked = False
        self._join_at = None
        self._subscribed = None
        if self.talking and self.carriage == "mqtt":
            self._out.append(ev.Tone("lost"))
            self._tell("floor", words.LINK_LOST)

    def _join(self) -> None:
        """Asked again until keys come."""
        pair, nonce = self._make_pair(), self._rng.randbytes(NONCE_BYTES)
        self.keyring.join(pair, nonce)
        self._publish("voice-join", up.VoiceJoin(nonce, pair.public, self.carriage))
        self._joined_at = self._now
        self._join_at = self._now + self._join_wait_ms
        self._join_wait_ms = min(2 * self._join_wait_ms, JOIN_MAX_MS)

    def _join_for_keys(self) -> None:
        """Not sooner than REJOIN_MS after the last one; a join under way is left to its own repeating."""
        if self._linked and self._join_at is None:
            self._join_wait_ms = JOIN_FIRST_MS
            self._join_at = max(self._now, 0 if self._joined_at is None else self._joined_at + REJOIN_MS)

    def _join_at_random(self) -> None:
        """Everybody was asked to; who is about to join anyway has nothing to do."""
        if self._linked and self._join_at is None:
            self._join_wait_ms = JOIN_FIRST_MS
            self._join_at = self._now + self._rng.randrange(RESET_JITTER_MS + 1)

    def _on_keys(self, message: down.VoiceKeys) -> None:
        try:
            keys = self.keyring.take(message, self._now)
        except ProtocolError as error:
            self._log("voice-keys", dropped=error.code, why=error.why)
            return
        self._join_at = None
        self._log("voice-keys", start=keys.start, groups=len(keys.groups), addresses=list(keys.udp))
        self._out.append(ev.UseAddresses(tuple(keys.udp)))
        self.route.start(len(keys.udp), self._now)
        self._why = words.NO_PONG if keys.udp else words.NO_ADDRESS

    def _on_reset(self) -> None:
        """The daemon's voice began anew: no key is worth anything, nobody has a floor."""
        self.keyring.forget()
        self.route.stop()
        for talk in self.hearing.restarted():
            self._over(talk)
        for one in list(self.participants.values()):
            one.lost(self._now)
            self._collect(one)
        self._join_at = None
        self._join_at_random()

    # ------------------------------------------------------------------------------------------- groups

    def _on_groups(self, groups: tuple[down.TalkGroup, ...]) -> None:
        before = self.selected
        self.groups = {one.group: one for one in groups}
        for talk in self.hearing.only(set(self.groups)):
            self._over(talk)
        for one in [one for one in self.participants.values() if one.group not in self.groups]:
            one.gone(self._now)
            self._collect(one)
        if self.selected != before and self.selected:
            self._tell("group", words.selected(self._name(self.selected)))
        if self.carriage == "mqtt" and self._linked:
            self._subscribe()

    def _on_select(self, group: str) -> None:
        if group not in self.groups or not self.groups[group].talk:
            self._tell("group", words.not_selectable(group))
            return
        self._chosen = group
        self._tell("group", words.selected(self._name(group)))

    def _name(self, group: str) -> str:
        known = self.groups.get(group)
        return known.name or group if known is not None else group

    # ------------------------------------------------------------------------------------------- the key

    def _on_key(self, *, down_: bool) -> None:
        if down_ == self._key_down:
            return
        self._key_down = down_
        if self._hot_until is not None:
            return
        if down_:
            self._press("normal")
        else:
            self._let_go()

    def _press(self, priority: str) -> None:
        group = self._pressed or self.selected
        if not group:
            self._out.append(ev.Tone("denied"))
            self._tell("floor", words.NO_GROUP)
            return
        self._pressed = group
        one = self.participants.setdefault(group, Participant(group, self._device, self._next_ref))
        one.press(priority, self._now)
        self._collect(one)

    def _let_go(self) -> None:
        group, self._pressed = self._pressed, None
        one = self.participants.get(group or "")
        if one is not None:
            one.let_go(self._now)
            self._collect(one)

    def _on_emergency(self, hot_ms: int) -> None:
        if hot_ms <= 0:
            return
        self._hot_ms = hot_ms
        self._hot_until = self._now + HOT_ASKING_MS
        self._press("emergency")

    def _cool(self) -> None:
        """The hot microphone closes, unless the talk key is held."""
        self._hot_until, self._hot_ms = None, 0
        if not self._key_down:
            self._let_go()

    def _next_ref(self) -> int:
        """Grows with every press, over all groups."""
        self._ref += 1
        return self._ref

    def _collect(self, one: Participant) -> None:
        """What the participant wants done; its microphone becomes ours."""
        for action in one.take():
            match action:
                case ev.StartTalking():
                    self._start_talking(action)
                case ev.StopTalking():
                    self._stop_talking(action)
                case _:
                    self._out.append(action)
        if one.state is State.NONE and one.group != self._pressed:
            self.participants.pop(one.group, None)

    def _start_talking(self, action: ev.StartTalking) -> None:
        self._saying = _Saying(action.group, action.burst)
        self._out.append(action)
        self.route.doubted(self._now)
        if self._hot_ms:
            self._hot_until, self._hot_ms = self._now + self._hot_ms, 0

    def _stop_talking(self, action: ev.StopTalking) -> None:
        saying = self._saying
        last = None if action.last is None or saying is None else self.say(b"", saying.ts, last=True)
        self._saying = None
        self._out.append(ev.StopTalking(action.burst, last))

    # ------------------------------------------------------------------------------------------- told

    def _on_told(self, message: down.Floor | down.Voice) -> None:
        match message:
            case down.VoiceKeys():
                self._on_keys(message)
            case down.VoiceReset() if message.start != self.keyring.start:
                self._on_reset()
            case down.VoiceReset():
                self._join_at_random()
            case down.ClipPart() | down.WebrtcAnswer():
                pass  # the business of other rooms
            case _:
                self._on_floor(message)

    def _on_floor(self, message: down.Floor) -> None:
        one = self.participants.get(message.group)
        if one is not None:
            one.told(message, self._now)
            self._collect(one)
        elif isinstance(message, down.FloorGranted):
            self._publish("floor-release", up.FloorRelease(message.group, message.ref))
        if isinstance(message, down.FloorTaken):
            self._on_taken(message)
        elif isinstance(message, down.FloorIdle):
            talk = self.hearing.idle(message)
            if talk is not None:
                self._over(talk)

    def _on_taken(self, message: down.FloorTaken) -> None:
        if message.group not in self.groups:
            return
        before = self.hearing.talks.get(message.group)
        talk, missed = self.hearing.taken(message, self._now)
        if talk is None:
            return
        if before is not None and before.burst != talk.burst:
            self._out.append(ev.HeardOut(before.group, before.burst))
        if missed is not None:
            self._asked.append(missed)
        self._log("talks", group=talk.group, burst=talk.burst, talker=talk.talker, age_ms=message.age_ms)
        if not talk.mine:
            self._tell("talks", words.talks(talk.name, self._name(talk.group), talk.priority))
            if self._is_silent(talk.group):
                self._out.append(ev.Vibrate(VIBRATE_MS))

    def _over(self, talk: Talk) -> None:
        burst = self.hearing.bursts.get(talk.burst)
        self._out.append(ev.HeardOut(talk.group, talk.burst))
        frames = burst.frames if burst is not None else 0
        lost = max(0, burst.highest + 1 - frames) if burst is not None else 0
        self._log(
            "heard-out", group=talk.group, burst=talk.burst, talker=talk.talker, frames=frames, lost=lost,
            carriage=self.carriage,
        )  # fmt: skip
        if not talk.mine:
            self._tell("talks", words.idle(self._name(talk.group)))

    def _is_silent(self, group: str) -> bool:
        known, talk = self.groups.get(group), self.hearing.talks.get(group)
        return (known is not None and known.silent) or (talk is not None and talk.silent)

    def _catch_up(self) -> None:
        asked, self._asked = self._asked, []
        for missed in asked:
            self._publish("catch-up", up.CatchUp(missed.group, missed.burst, missed.seq))
            self._out.append(ev.CatchingUp(missed.burst))

    # ------------------------------------------------------------------------------------------- carriage

    def _step_route(self) -> None:
        if not self.keyring.ready:
            return
        quiet = self.hearing.quiet_since(self._now)
        if quiet is not None:
            self.route.doubted(self._now)
        for step in self.route.step(self._now, quiet, talking=self.talking):
            match step:
                case "ping":
                    sealed = self.keyring.seal(voice.encode(Ping(self.route.n)))
                    if sealed is not None:
                        self._out.append(ev.SendDatagram(sealed, self.route.to))
                case "to-mqtt":
                    self._leave_at = None
                    self._tell_carriage(self._why)
                    self._subscribe()
                case "to-datagram":
                    self._publish("voice-carriage", up.VoiceCarriage("datagram", words.PONGS.en))
                    self._tell_carriage(words.PONGS)
                    self._subscribed = None
                    self._leave_at = self._now + OVERLAP_MS

    def _tell_carriage(self, why: Both) -> None:
        self._log("carriage", carriage=self.carriage, why=why.en)
        self._tell("carriage", words.carriage(self.carriage, why))

    def _subscribe(self) -> None:
        """Again after every connection: subscriptions are forgotten with it."""
        if self._linked:
            self._out.append(ev.SubscribeVoice(tuple(sorted(self.groups))))

    def _on_subscribed(self, groups: tuple[str, ...]) -> None:
        """Said once for each set of subscriptions; a change of mind meanwhile is not announced."""
        if self.carriage == "mqtt" and groups == tuple(sorted(self.groups)) and groups != self._subscribed:
            self._subscribed = groups
            self._publish("voice-carriage", up.VoiceCarriage("mqtt", self._why.en))

    # ------------------------------------------------------------------------------------------- frames

    def heard(self, sealed: bytes, now_ms: int, *, by: int | None) -> Heard | None:
        """One datagram from address `by`, or one payload of MQTT (None): what is to be played, if anything."""
        try:
            group, plain = self.keyring.open(sealed, now_ms)
            sound = voice.decode(plain)
        except ProtocolError as error:
            self._dropped(error.code)
            return None
        if isinstance(sound, Frame) and group != DOWN:
            return self._frame(group, sound, now_ms)
        if isinstance(sound, Pong) and group == DOWN and by is not None:
            self.route.pong(sound.n, by, now_ms)
            self.pending = True
        else:
            self.counts["bad-frame"] += 1
        return None

    def _frame(self, group: str, frame: Frame, now_ms: int) -> Heard | None:
        new, missed = self.hearing.frame(group, frame, now_ms)
        if missed is not None:
            self._asked.append(missed)
            self.pending = True
        if not new or group not in self.groups:
            return None
        talk, known = self.hearing.talks.get(group), self.groups[group]
        same = talk is not None and talk.burst == frame.burst
        return Heard(
            group,
            frame,
            talk.talker if same and talk is not None else "",
            talk.priority if same and talk is not None else "normal",
            known.scan,
            EARPIECE_PCT if self._is_silent(group) else 100,
        )

    def _dropped(self, code: str) -> None:
        self.counts[code] += 1
        if code in ("unknown-kid", "unknown-start") and self._join_at is None and self._linked:
            self._join_for_keys()
            self.pending = True

    def say(self, opus: bytes, ts: int, *, last: bool = False) -> bytes | None:
        """The next frame of the burst we talk in, sealed; None without floor or key (counted). `ts` at CLOCK_HZ.

        After the last one send a Tick: the floor is released then.
        """
        saying = self._saying
        if saying is None:
            self.counts["no-floor"] += 1
            return None
        frame = Frame(saying.burst, saying.seq, ts, opus, LAST if last else 0)
        saying.seq, saying.ts = saying.seq + 1, ts
        if last:
            self._saying = None
        sealed = self.keyring.seal(voice.encode(frame))
        self.counts["said" if sealed is not None else "no-key"] += 1
        return sealed

    # ------------------------------------------------------------------------------------------- tools

    def _publish(self, kind: str, message: up.Floor | up.Voice) -> None:
        self._out.append(ev.Publish(kind, codec.encode(message)))

    def _tell(self, what: str, text: Both) -> None:
        self._out.append(ev.TellRadio(what, text.zh, text.en))

    def _log(self, name: str, **fields: object) -> None:
        self._out.append(ev.Log({"ev": name, "t_ms": self._now, **fields}))
