"""A test bench for pure radios: virtual time, a network that can lose, and a site with one floor and true keys.

The site is what a daemon does for a radio, no more: it joins, pongs, grants one at a time with a queue, passes frames
on to the others by the carriage each has said. Radios, frames, seals and keys are the real ones.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from devices import events as ev
from devices.voice.radio import Radio
from devices.voice.radio_events import Heard, Joined, Linked, Told, Unlinked
from protocols import codec, down, up, voice
from protocols.errors import ProtocolError
from protocols.sframe import Opener, Sealer, kid_of
from protocols.voice import LAST, Frame, Ping, Pong
from protocols.voice_keys import GroupKey, Keys, OwnKey, context, encode, seal_to

GROUP = "tg-1"
TALK_MS = 30_000
NET_MS = 5


@dataclass
class Handheld:
    """One radio with its person and its sound: `says` gives a frame every 20 ms while it talks."""

    device: str
    radio: Radio
    done: list[tuple[int, ev.Action]] = field(default_factory=list)
    heard: list[tuple[int, Heard]] = field(default_factory=list)
    talking: bool = False
    finishing: bool = False
    ts: int = 0
    udp_up: bool = True
    udp_down: bool = True
    subscribed: tuple[str, ...] = ()

    def told(self, kind: type[ev.Action]) -> list[ev.Action]:
        return [action for _, action in self.done if isinstance(action, kind)]

    def lines(self, what: str) -> list[str]:
        return [a.text_en for _, a in self.done if isinstance(a, ev.TellRadio) and a.what == what]

    def tones(self) -> list[str]:
        return [a.name for _, a in self.done if isinstance(a, ev.Tone)]

    def published(self, kind: str) -> list[up.Up]:
        found = [a for _, a in self.done if isinstance(a, ev.Publish) and a.kind == kind]
        return [codec.decode_up(kind, one.payload) for one in found]

    def seqs(self, burst: int) -> list[int]:
        return [heard.frame.seq for _, heard in self.heard if heard.frame.burst == burst]


@dataclass
class Join:
    nonce: bytes
    public: bytes
    up: OwnKey
    down: OwnKey
    opener: Opener
    sealer: Sealer


class Air:
    """Everything in one heap of (time, step); `run(ms)` moves on."""

    def __init__(self, *names: str, seed: int = 7) -> None:
        self.now = 1_000
        self.rng = random.Random(seed)
        self._order = itertools.count()
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._kids = itertools.count(1)
        self.start = 1
        self.addresses = ["site:5004"]
        self.linked: set[str] = set()
        self.joins: dict[str, Join] = {}
        self.carriage: dict[str, str] = {}
        self.pinged: set[str] = set()
        self.epoch = 1
        self.group_key = self._key()
        self.group_sealer = Sealer(*self.group_key)
        self.members = set(names)
        self.talker: str | None = None
        self.ref = 0
        self.burst = 0
        self.queue: list[tuple[str, int]] = []
        self.released: dict[str, int] = {}
        self.answers = True
        self.denies = ""
        self.dropped: list[str] = []
        self.passed: list[tuple[str, int, int]] = []
        self.kept: list[Frame] = []
        self.handhelds = {name: self._handheld(name) for name in names}

    def _handheld(self, name: str) -> Handheld:
        return Handheld(name, Radio(name, random.Random(f"{name}")))

    def _key(self) -> tuple[int, bytes]:
        return (self.start & 0xFFFF) << 16 | next(self._kids), self.rng.randbytes(16)

    # ---------------------------------------------------------------------------------------- driving

    def after(self, ms: int, step: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (self.now + ms, next(self._order), step))

    def run(self, for_ms: int) -> None:
        end = self.now + for_ms
        for _ in range(200_000):
            due = [self._heap[0][0]] if self._heap else []
            dues = [(at, one) for one in self.handhelds.values() if (at := one.radio.deadline()) is not None]
            due += [at for at, _ in dues]
            if not due or min(due) > end:
                self.now = end
                return
            if self._heap and self._heap[0][0] <= min(due):
                at, _, step = heapq.heappop(self._heap)
                self.now = max(self.now, at)
                step()
            else:
                at, one = min(dues, key=lambda pair: pair[0])
                self.now = max(self.now, at)
                self.do(one, ev.Tick())
                later = one.radio.deadline()
                assert later is None or later > self.now - 1, "a timer that does not move"
        raise AssertionError("no end")

    def do(self, one: Handheld, event: object) -> None:
        for action in one.radio.handle(event, self.now):  # type: ignore[arg-type]
            one.done.append((self.now, action))
            self._perform(one, action)

    def link(self, *names: str) -> None:
        for name in names or tuple(self.handhelds):
            self.linked.add(name)
            one = self.handhelds[name]
            self.do(one, Joined((down.TalkGroup(GROUP, "All"),)))
            self.do(one, Linked())

    def unlink(self, name: str) -> None:
        self.linked.discard(name)
        self.handhelds[name].subscribed = ()
        self.do(self.handhelds[name], Unlinked())

    def key(self, name: str, *, down: bool) -> None:
        self.do(self.handhelds[name], ev.PttPressed(down))

    # ---------------------------------------------------------------------------------------- a device

    def _perform(self, one: Handheld, action: ev.Action) -> None:
        match action:
            case ev.Publish() if one.device in self.linked:
                message = codec.decode_up(action.kind, action.payload)
                self.after(NET_MS, lambda: self._up(one.device, message))
            case ev.StartTalking():
                one.talking, one.finishing, one.ts = True, False, 0
                self.after(20, lambda: self._speak(one, action.burst))
            case ev.FinishTalking():
                one.finishing = True
            case ev.StopTalking():
                one.talking = False
                self._carry(one, action.last)
            case ev.SendDatagram():
                self._datagram_up(one, action.sealed)
            case ev.SubscribeVoice() if one.device in self.linked:
                one.subscribed = action.groups
                self.after(NET_MS, lambda: self.do(one, ev.VoiceSubscribed(action.groups)))

    def _speak(self, one: Handheld, burst: int) -> None:
        """20 ms of sound, as long as the same burst is talked."""
        if not one.talking or one.radio.participants[GROUP].burst != burst:
            return
        last = one.finishing
        sealed = one.radio.say(b"" if last else b"\x48sound", one.ts, last=last)
        one.ts += 960
        self._carry(one, sealed)
        if last:
            self.do(one, ev.Tick())
        else:
            self.after(20, lambda: self._speak(one, burst))

    def _carry(self, one: Handheld, sealed: bytes | None) -> None:
        if sealed is None:
            return
        if one.radio.carriage == "datagram":
            self._datagram_up(one, sealed)
        elif one.device in self.linked:
            self.after(NET_MS, lambda: self._open(one.device, sealed))

    def _datagram_up(self, one: Handheld, sealed: bytes) -> None:
        if one.udp_up:
            self.after(NET_MS, lambda: self._open(one.device, sealed))

    # ---------------------------------------------------------------------------------------- the site

    def tell(self, name: str, message: down.Floor | down.Voice) -> None:
        def arrive() -> None:
            if name in self.linked:
                self.do(self.handhelds[name], Told(message))

        self.after(NET_MS, arrive)

    def tell_all(self, message: down.Floor | down.Voice) -> None:
        for name in self.handhelds:
            if name in self.members:
                self.tell(name, message)

    def _up(self, name: str, message: up.Up) -> None:
        match message:
            case up.VoiceJoin():
                self.carriage[name] = message.carriage
                self.joins[name] = self._join(message)
                self._tell_keys(name)
                if self.talker not in (None, name):
                    self.tell(name, self._taken(age_ms=1))
            case up.VoiceCarriage():
                self.carriage[name] = message.carriage
            case up.FloorRequest() if self.answers:
                self._asked(name, message)
            case up.FloorRelease():
                self._released(name, message)
            case up.CatchUp():
                for frame in self.kept:
                    if frame.burst == message.burst and frame.seq >= message.seq:
                        self._deliver(
                            name, Frame(frame.burst, frame.seq, frame.ts, frame.opus, frame.flags | 2)
                        )

    def _join(self, message: up.VoiceJoin) -> Join:
        ours, theirs = OwnKey(*self._key()), OwnKey(*self._key())
        return Join(
            message.nonce,
            message.public,
            ours,
            theirs,
            Opener(ours.kid, ours.key),
            Sealer(theirs.kid, theirs.key),
        )

    def _tell_keys(self, name: str) -> None:
        join = self.joins[name]
        groups = [GroupKey(GROUP, self.epoch, *self.group_key)] if name in self.members else []
        keys = Keys(self.start, join.up, join.down, groups, self.addresses)
        public, sealed = seal_to(join.public, encode(keys), context(name, join.nonce))
        self.tell(name, down.VoiceKeys(join.nonce, public, sealed))

    def rekey(self) -> None:
        """A new epoch for those who are still members."""
        self.epoch += 1
        self.group_key = self._key()
        self.group_sealer = Sealer(*self.group_key)
        for name in self.joins:
            self._tell_keys(name)

    def restart(self) -> None:
        """The daemon dies and comes back: no keys, no floor, no queue."""
        self.start += 1
        self.joins.clear()
        self.carriage.clear()
        self.pinged.clear()
        self.talker, self.queue, self.kept = None, [], []
        self.group_key = self._key()
        self.group_sealer = Sealer(*self.group_key)
        self.tell_all(down.VoiceReset(self.start))

    def _open(self, name: str, sealed: bytes) -> None:
        join = self.joins.get(name)
        if join is None or kid_of(sealed) != join.up.kid:
            self.dropped.append("key")
            return
        try:
            sound = voice.decode(join.opener.open(sealed))
        except ProtocolError as error:
            self.dropped.append(error.code)
            return
        if isinstance(sound, Ping):
            self._ponged(name, join, sound.n)
        elif isinstance(sound, Frame):
            self._said(name, sound)

    def _ponged(self, name: str, join: Join, n: int) -> None:
        self.pinged.add(name)
        sealed = join.sealer.seal(voice.encode(Pong(n)))
        self._datagram_down(name, sealed)

    def _datagram_down(self, name: str, sealed: bytes) -> None:
        one = self.handhelds[name]
        if one.udp_down:
            self.after(NET_MS, lambda: self._hear(one, sealed, 0))

    def _hear(self, one: Handheld, sealed: bytes, by: int | None) -> None:
        heard = one.radio.heard(sealed, self.now, by=by)
        if heard is not None:
            one.heard.append((self.now, heard))
        if one.radio.pending:
            self.do(one, ev.Tick())

    def _said(self, name: str, frame: Frame) -> None:
        if name != self.talker or frame.burst != self.burst:
            self.dropped.append("no-floor")
            return
        self.passed.append((name, frame.burst, frame.seq))
        self.kept.append(frame)
        for other in self.joins:
            if other != name and other in self.members:
                self._deliver(other, frame)
        if frame.flags & LAST:
            self._free("released")

    def _deliver(self, name: str, frame: Frame) -> None:
        sealed = self.group_sealer.seal(voice.encode(frame))
        one = self.handhelds[name]
        if self.carriage.get(name) == "datagram" and name in self.pinged:
            self._datagram_down(name, sealed)
        elif GROUP in one.subscribed and name in self.linked:
            self.after(NET_MS, lambda: self._hear(one, sealed, None))

    # ---------------------------------------------------------------------------------------- its floor

    def _asked(self, name: str, request: up.FloorRequest) -> None:
        if request.ref <= self.released.get(name, -1):
            return
        if self.denies:
            self.tell(name, down.FloorDeny(GROUP, request.ref, self.denies))
            return
        if self.talker == name:
            if request.ref == self.ref:
                self._grant_again()
                return
            self._free("released")
        if self.talker is None:
            self._grant(name, request.ref)
        elif request.priority == "emergency":
            self.tell(self.talker, down.FloorRevoke(GROUP, self.burst, "pre-empted"))
            self.talker = None
            self._grant(name, request.ref)
        else:
            self.queue = [(who, ref) for who, ref in self.queue if who != name] + [(name, request.ref)]
            self.tell(name, down.FloorQueuePositionInfo(GROUP, request.ref, len(self.queue), len(self.queue)))

    def _grant(self, name: str, ref: int) -> None:
        self.queue = [(who, at) for who, at in self.queue if who != name]
        self.talker, self.ref = name, ref
        self.burst += 1
        self.tell_all(self._taken())
        self._grant_again()
        burst = self.burst
        self.after(TALK_MS, lambda: self._too_long(burst))

    def _grant_again(self) -> None:
        assert self.talker is not None
        self.tell(self.talker, down.FloorGranted(GROUP, self.ref, self.burst, TALK_MS))

    def _taken(self, age_ms: int = 0) -> down.FloorTaken:
        return down.FloorTaken(
            GROUP, self.burst, self.talker or "", name=(self.talker or "").upper(), age_ms=age_ms
        )

    def _too_long(self, burst: int) -> None:
        if self.talker is not None and burst == self.burst:
            self.tell(self.talker, down.FloorRevoke(GROUP, burst, "too-long", 1_000))
            self.after(1_000, lambda: self._free("revoked") if burst == self.burst else None)

    def _free(self, why: str) -> None:
        if self.talker is None:
            return
        self.talker = None
        if self.queue:
            self._grant(*self.queue.pop(0))
        else:
            self.tell_all(down.FloorIdle(GROUP, self.burst, why))

    def _released(self, name: str, message: up.FloorRelease) -> None:
        self.released[name] = max(self.released.get(name, -1), message.ref)
        if self.talker == name and self.ref <= message.ref:
            self._free("released")
        self.queue = [(who, ref) for who, ref in self.queue if who != name or ref > message.ref]
