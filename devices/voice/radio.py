"""The radio of a terminal: which group it talks in, who is heard, under which keys and by which carriage. Pure.

Events in, actions out, `now_ms` from one monotonic clock, `deadline()` says when a Tick is due. The rooms below it:
participant.py (the floor, one transition table) and talk_key.py, hearing.py (who talks, what is new, what was missed),
keyring.py and joining.py (the keys), route.py and switch.py (the carriage). This room ties them together. What holds:

- A press talks in the first group of the membership that allows it, until the user chooses another (`SelectGroup`); a
  choice made while talking is for the next press.
- After every connection whose hello was answered, after `voice-reset`, and when frames come under a key that was
  never given to us, the radio joins.
- A silent incident's group vibrates at its first word and sounds at EARPIECE_PCT only; a pillar has no radio.

Frames do not pass `handle`: `heard` and `say` are called for each, 50 times a second, and do no more than they must.
What they set off is in `pending` and comes out with the next `handle` (send a Tick).
"""

import random
from collections import Counter
from collections.abc import Callable
from typing import Final, Literal

from devices import events as ev
from devices.events import Action
from devices.voice import words
from devices.voice.hearing import Hearing, Missed, Talk
from devices.voice.joining import Joining
from devices.voice.keyring import DOWN, Keyring
from devices.voice.participant import Participant
from devices.voice.radio_events import EmergencyHeld, Heard, Joined, Linked, RadioEvent, Told, Unlinked
from devices.voice.route import Route
from devices.voice.switch import Switch
from devices.voice.talk_key import TalkKey
from devices.words import Both
from protocols import codec, down, up, voice
from protocols.errors import ProtocolError
from protocols.voice import Frame, Ping, Pong
from protocols.voice_keys import KeyPair

EARPIECE_PCT: Final = 30
"""Of the volume: how loud a silent incident's group is."""
VIBRATE_MS: Final = 200

Via = Literal["datagram", "mqtt"]


class Radio:
    """Of one device. `rng` makes nonces and the jitter of joins, `make_pair` the key pairs."""

    def __init__(
        self, device: str, rng: random.Random, make_pair: Callable[[], KeyPair] = KeyPair.generate
    ) -> None:
        self._device = device
        self._out: list[Action] = []
        self._now = 0
        self._why = words.NO_PONG
        self._asked: list[Missed] = []
        self._chosen = ""
        self.groups: dict[str, down.TalkGroup] = {}
        self.hearing = Hearing(device)
        self.keyring = Keyring(device)
        self.route = Route()
        self._joining = Joining(self.keyring, rng, make_pair)
        self._switch = Switch()
        self._key = TalkKey(device, lambda: self.selected, self._seal)
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
        return self._key.talking

    @property
    def participants(self) -> dict[str, Participant]:
        """Group → its floor participant, of the groups where it is not simply without permission."""
        return self._key.participants

    @property
    def carriage(self) -> Via:
        return self.route.carriage

    def deadline(self) -> int | None:
        dues = [self._key.deadline(), self.hearing.deadline(self._now), self.route.deadline()]
        dues += [self._joining.due, self._switch.due]
        return min((due for due in dues if due is not None), default=None)

    def handle(self, event: RadioEvent, now_ms: int) -> list[Action]:
        """What to do now, in this order."""
        self._now = max(self._now, now_ms)
        self.pending = False
        talking = self.talking
        self._take(event)
        self._key.tick(self._now)
        if self.talking and not talking:
            self.route.doubted(self._now)
        self._collect()
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
                self._key.emergency(event.hot_ms, self._now)
            case ev.PttPressed():
                self._key.key(self._now, down_=event.down)
            case ev.SelectGroup():
                self._on_select(event.group)
            case ev.VoiceSubscribed():
                self._switch.subscribed(event.groups)
            case ev.Tick():
                pass  # the timers run after every event

    def _timers(self) -> None:
        now = self._now
        join = self._joining.make(now, self.carriage)
        if join is not None:
            self._publish("voice-join", join)
        for talk in self.hearing.forgotten(now):
            self._over(talk)
        self._catch_up()
        self._step_route()
        self._switch.tick(now)
        self._out += self._switch.take()

    def _collect(self) -> None:
        self._out += self._key.take()

    # ------------------------------------------------------------------------------------------- link, keys

    def _on_linked(self) -> None:
        self._joining.linked(self._now)
        self.hearing.linked(self._now)
        self._switch.linked(yes=True)
        self._key.linked(self._now)

    def _on_unlinked(self) -> None:
        self._joining.unlinked()
        self._switch.linked(yes=False)
        if self.talking and self.carriage == "mqtt":
            self._out.append(ev.Tone("lost"))
            self._tell("floor", words.LINK_LOST)

    def _on_keys(self, message: down.VoiceKeys) -> None:
        before = self.keyring.start
        try:
            keys = self.keyring.take(message, self._now)
        except ProtocolError as error:
            self._log("voice-keys", dropped=error.code, why=error.why)
            return
        if keys.start != before:
            self.hearing.new_start()
        self._joining.answered()
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
        self._key.lost(self._now)
        self._joining.answered()
        self._joining.asked_to(self._now)

    # ------------------------------------------------------------------------------------------- groups

    def _on_groups(self, groups: tuple[down.TalkGroup, ...]) -> None:
        before = self.selected
        self.groups = {one.group: one for one in groups}
        for talk in self.hearing.only(set(self.groups)):
            self._over(talk)
        self._key.only(set(self.groups), self._now)
        if self.selected != before and self.selected:
            self._tell("group", words.selected(self._name(self.selected)))
        self._switch.groups(tuple(self.groups))

    def _on_select(self, group: str) -> None:
        if group not in self.groups or not self.groups[group].talk:
            self._tell("group", words.not_selectable(group))
            return
        self._chosen = group
        self._tell("group", words.selected(self._name(group)))

    def _name(self, group: str) -> str:
        known = self.groups.get(group)
        return known.name or group if known is not None else group

    # ------------------------------------------------------------------------------------------- told

    def _on_told(self, message: down.Floor | down.Voice) -> None:
        match message:
            case down.VoiceKeys():
                self._on_keys(message)
            case down.VoiceReset() if message.start != self.keyring.start:
                self._on_reset()
            case down.VoiceReset():
                self._joining.asked_to(self._now)
            case down.ClipPart() | down.WebrtcAnswer():
                pass  # the business of other rooms
            case _:
                self._on_floor(message)

    def _on_floor(self, message: down.Floor) -> None:
        self._key.told(message, self._now)
        self._collect()
        if isinstance(message, down.FloorGranted):
            self.hearing.mine(message.group, message.burst)
        elif isinstance(message, down.FloorTaken):
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
                    self._tell_carriage(self._why)
                    self._switch.to_mqtt(self._why)
                case "to-datagram":
                    self._tell_carriage(words.PONGS)
                    self._switch.to_datagram(self._now)

    def _tell_carriage(self, why: Both) -> None:
        self._log("carriage", carriage=self.carriage, why=why.en)
        self._tell("carriage", words.carriage(self.carriage, why))

    # ------------------------------------------------------------------------------------------- frames

    def heard(self, sealed: bytes, now_ms: int, *, by: int | None) -> Heard | None:
        """One datagram from address `by`, or one payload of MQTT (None): what is to be played, if anything."""
        try:
            group, plain = self.keyring.open(sealed, now_ms)
            sound = voice.decode(plain)
        except ProtocolError as error:
            self._dropped(error.code, now_ms)
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

    def _dropped(self, code: str, now_ms: int) -> None:
        self.counts[code] += 1
        if code in ("unknown-kid", "unknown-start") and self._joining.unknown_key(now_ms):
            self.pending = True

    def say(self, opus: bytes, ts: int, *, last: bool = False) -> bytes | None:
        """The next frame of the burst we talk in, sealed; None without floor or key (counted). `ts` at CLOCK_HZ.

        After the last one send a Tick: the floor is released then.
        """
        if not self.talking:
            self.counts["no-floor"] += 1
            return None
        return self._key.say(opus, ts, last=last)

    def _seal(self, frame: Frame) -> bytes | None:
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
