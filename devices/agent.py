"""What every device does: hello, durable messages until receipted, items once each, expiry by site time, sounds.

Invariants, whatever the order of events:
- a durable message is in a Persist before it is in a Publish;
- an item is acted on once and reported as often as it comes; its rung never falls;
- nothing whose life is over by site time is presented; before the site's time is known nothing is judged, and
  items are left for the daemon to repeat;
- every timer of the agent is in `deadline()`.
"""

import random
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final, Self

import msgspec

from devices import settings
from devices.events import (
    Action,
    Connected,
    Disconnected,
    Event,
    HardwareState,
    Log,
    Play,
    Played,
    PlayerFailed,
    Publish,
    Received,
    StopPlaying,
    StorageFailed,
    Subscribe,
    Tick,
    TryNextPath,
)
from devices.inbox import RANKS, Inbox, Seen
from devices.outbox import Boot, Record
from devices.player import NORMAL, PLAY_LIMIT_MS, PLAY_SLACK_MS, Player, Sound
from devices.sender import Pending, Sender
from protocols import codec, down, up
from protocols.envelope import Envelope, expired, unseal
from protocols.errors import ProtocolError
from protocols.types import Key, Position
from protocols.voice import FRAME_MS

FIRMWARE: Final = "dispatchd-0.1.0"
NONCE_BYTES: Final = 16
MAX_NONCES: Final = 8
"""Hellos of one connection whose answers still count."""
PATH_AFTER_MS: Final = 5_000
"""Without an answer (to a hello, or an alarm's receipt) for so long the next path is tried."""


class Agent:
    """A state machine without I/O. `now_ms` comes from one monotonic clock; a step back is taken as standing still."""

    role: ClassVar[str] = "terminal"
    profile = "A"
    """Of the wire (docs/wire.md); a device with sound has another."""
    handlers: ClassVar[dict[type, str]] = {
        Connected: "_on_connected",
        Disconnected: "_on_disconnected",
        Received: "_on_received",
        Tick: "_on_tick",
        StorageFailed: "_on_storage_failed",
        HardwareState: "_on_hardware",
        Played: "_on_played",
        PlayerFailed: "_on_player_failed",
    }
    """Event → method; what a device has no key for is ignored."""

    def __init__(
        self, records: Iterable[Record], boot: Boot, rng: random.Random, language: str = "zh"
    ) -> None:
        self._out: list[Action] = []
        self._now = 0
        self._boot = boot
        self._rng = rng
        self._timers: dict[str, tuple[int, Callable[[], None]]] = {}
        self._site_offset: int | None = None
        self._nonces: dict[bytes, int] = {}
        self._conn: int | None = None
        self._answered = False
        self._hello_wait_ms = 0
        self._state_every_ms = up.STATE_EVERY_S * 1000
        self._hardware = HardwareState()
        self._hardware_at = 0
        self._storage_fault = False
        self._player = Player()
        self._sender = Sender(records, boot, self._do, self._log)
        self._inbox = Inbox(int(boot.notes.get("gen", b"0") or b"0"))
        self._told_gen = self._inbox.gen
        self._hello_at = 0
        self._newest = (0, 0)
        self.settings = settings.restored(boot.notes.get("config", b""), language)
        self.membership = _membership(boot.notes.get("membership", b""))
        self._at("start", 0, self._start)

    @classmethod
    def restore(
        cls, records: Iterable[Record], boot: Boot, *, rng: random.Random, language: str = "zh"
    ) -> Self:
        """The agent as it wakes: what its outbox holds is sent again. `rng` only makes nonces."""
        return cls(records, boot, rng, language)

    def handle(self, event: Event, now_ms: int) -> list[Action]:
        """What to do now, in this order."""
        self._now = max(self._now, now_ms)
        self._fire_due()
        name = self.handlers.get(type(event))
        if name is not None:
            getattr(self, name)(event)
        self._sender.pump(self._now, self.site_now())
        out, self._out = self._out, []
        return out

    def deadline(self) -> int | None:
        """When (ms, monotonic) the next Tick is due."""
        dues = [due for due, _ in self._timers.values()]
        retry = self._sender.deadline()
        if retry is not None:
            dues.append(retry)
        return min(dues, default=None)

    def site_now(self) -> int | None:
        """Site time, ms UTC; None until a hello was answered."""
        return None if self._site_offset is None else self._now + self._site_offset

    @property
    def outstanding(self) -> list[Record]:
        """Messages without a receipt, oldest first."""
        return [pending.record for pending in self._sender.pending.values()]

    # ------------------------------------------------------------------------------------------- tools

    def _do(self, action: Action) -> None:
        self._out.append(action)

    def _log(self, ev: str, **fields: Any) -> None:
        line: dict[str, Any] = {"ev": ev, "t_ms": self._now}
        site = self.site_now()
        if site is not None:
            line["site_ms"] = site
        for name, value in fields.items():
            line[name] = f"{value.boot}/{value.seq}" if isinstance(value, Key) else value
        self._do(Log(line))

    def _at(self, name: str, due_ms: int, callback: Callable[[], None]) -> None:
        """One timer per name; setting it again moves it."""
        self._timers[name] = (due_ms, callback)

    def _cancel(self, *names: str) -> None:
        for name in names:
            self._timers.pop(name, None)

    def _fire_due(self) -> None:
        while due := [(at, name) for name, (at, _) in self._timers.items() if at <= self._now]:
            self._timers.pop(min(due)[1])[1]()

    def _send(self, kind: str, make: Callable[[Key], Any]) -> Key:
        """A durable message: stamped, persisted, sent until receipted."""
        key = self._sender.stamp()
        return self._sender.add(kind, make(key), self._now, self.site_now())

    def _alarm(
        self, kind: str, *, key: Key | None = None, position: Position | None = None, detail: str = ""
    ) -> Key:
        """`key` if it was stamped before."""
        key = key or self._sender.stamp()
        alarm = up.Alarm(key, kind, None, position, drill=self.settings.drill, detail=detail[:1000])
        self._sender.add("alarm", alarm, self._now, self.site_now())
        self._log("alarm", key=key, kind=kind)
        if self._conn is not None and "path" not in self._timers:
            self._at("path", self._now + PATH_AFTER_MS, self._path_silent)
        return key

    # --------------------------------------------------------------------------------------- connection

    def _start(self) -> None:
        self._log("started", boot=self._boot.id, role=self.role, pending=len(self._sender.pending))

    def _on_tick(self, _: Tick) -> None:
        """The timers have run already."""

    def _on_connected(self, event: Connected) -> None:
        self._conn = event.conn
        self._answered = False
        self._nonces.clear()
        self._hello_wait_ms = up.RETRY_FIRST_S * 1000
        self._log("connected", conn=event.conn)
        self._do(Subscribe(tuple(self.membership.groups)))
        self._hello()
        self._sender.connected()
        self._at("path", self._now + PATH_AFTER_MS, self._path_silent)
        self._at("state", self._now, self._state)

    def _on_disconnected(self, event: Disconnected) -> None:
        self._conn = None
        self._sender.disconnected()
        self._cancel("hello", "path", "state")
        self._log("disconnected", why=event.why)

    def _hello(self) -> None:
        self._hello_at = self._now
        nonce = self._rng.randbytes(NONCE_BYTES)
        self._nonces[nonce] = self._now
        if len(self._nonces) > MAX_NONCES:
            del self._nonces[next(iter(self._nonces))]
        self._do(Publish("hello", codec.encode(self._hello_message(nonce))))
        self._at("hello", self._now + self._hello_wait_ms, self._hello)
        self._hello_wait_ms = min(self._hello_wait_ms * 2, up.RETRY_MAX_S * 1000)

    def _hello_again(self) -> None:
        """The site has gone on without us (restored, or its numbers fell back): ask it anew, but not too often."""
        if (
            self._conn is not None
            and "hello" not in self._timers
            and self._now - self._hello_at >= PATH_AFTER_MS
        ):
            self._hello_wait_ms = up.RETRY_FIRST_S * 1000
            self._hello()

    def _hello_message(self, nonce: bytes) -> up.Hello:
        return up.Hello(
            nonce,
            self._conn or 0,
            self._boot.id,
            self.role,
            self.profile,
            firmware=FIRMWARE,
            outbox=len(self._sender.pending),
            gen=self._told_gen,
            config=self.settings.version,
        )

    def _path_silent(self) -> None:
        """5 s without a word on this connection: say so, and again every 5 s while it lasts."""
        if self._answered and not self._sender.waits_for_alarm():
            return
        self._do(TryNextPath("no receipt" if self._answered else "no answer to hello"))
        self._at("path", self._now + PATH_AFTER_MS, self._path_silent)

    def _state(self) -> None:
        self._at("state", self._now + self._state_every_ms, self._state)
        hardware = self._hardware
        state = up.State(
            self._conn or 0,
            self._position() if self._tells_position() else None,
            hardware.battery_pct,
            hardware.signal_pct,
            hardware.volume_pct,
            hardware.muted,
            FIRMWARE,
        )
        self._do(Publish("state", codec.encode(state), qos=0))

    def _tells_position(self) -> bool:
        return True

    def _position(self) -> Position | None:
        """With its age as of now."""
        position = self._hardware.position
        if position is None:
            return None
        return msgspec.structs.replace(position, age_ms=position.age_ms + self._now - self._hardware_at)

    def _on_hardware(self, event: HardwareState) -> None:
        self._hardware, self._hardware_at = event, self._now

    def _on_storage_failed(self, event: StorageFailed) -> None:
        """Sent from memory; one fault tells the maintenance list."""
        self._log("storage-failed", why=event.why)
        if not self._storage_fault:
            self._storage_fault = True
            self._alarm("fault", detail=f"outbox cannot be written: {event.why}")

    # ----------------------------------------------------------------------------------------- received

    def _on_received(self, event: Received) -> None:
        try:
            envelope = unseal(event.envelope)
            message = codec.decode_down(event.kind, envelope.body, group=event.group is not None)
        except ProtocolError as error:
            self._log("malformed", kind=event.kind, code=error.code, why=error.why)
            return
        if isinstance(message, down.Hello):
            self._on_hello(message, envelope)
            return
        why = self._refusal(event, message, envelope)
        if why is not None:
            self._log("dropped", kind=event.kind, why=why, gen=envelope.gen, n=envelope.n)
            return
        self._take(message, envelope)

    def _refusal(self, event: Received, message: down.Down, envelope: Envelope) -> str | None:
        why = self._inbox.check(event.group or "", envelope)
        if why in ("generation-not-announced", "stale-number"):
            self._hello_again()
        if isinstance(message, down.Receipt):
            return why if why == "stale-generation" else None
        if why is None and self._site_offset is None:
            return "site time not known yet"
        return why

    def _take(self, message: down.Down, envelope: Envelope) -> None:
        self._newest = (envelope.gen, envelope.n)
        match message:
            case down.Receipt():
                for receipted in message.items:
                    self._on_receipted(receipted)
                self._at("path", self._now + PATH_AFTER_MS, self._path_silent)
                self._settle_generation()
            case down.Config():
                self._on_config(message, envelope)
            case down.Membership():
                self._on_membership(message, envelope)
            case down.ClipPart():
                self._on_clip_part(message)
            case _ if isinstance(message, down.Item):
                self._on_item(message, envelope)
            case _ if isinstance(message, down.Floor | down.Voice) and not self._too_late(envelope):
                self._on_voice(message)

    def _on_voice(self, message: down.Floor | down.Voice) -> None:
        """For the kind of device; what has no sound needs none of it."""

    def _on_hello(self, message: down.Hello, envelope: Envelope) -> None:
        sent_ms = self._nonces.pop(message.nonce, None)
        if sent_ms is None or envelope.gen < self._inbox.gen:
            self._log("dropped", kind="hello", why="stale-generation" if sent_ms is not None else "nonce")
            return
        if envelope.gen > self._inbox.gen:
            self.settings = msgspec.structs.replace(self.settings, version=0)
            self.membership = msgspec.structs.replace(self.membership, version=0)
        self._inbox.rebase(envelope)
        self._site_offset = message.site_time + (self._now - sent_ms) // 2 - self._now
        self._state_every_ms = message.state_every_s * 1000
        self._answered = True
        self._cancel("hello")
        self._log("hello", rtt_ms=self._now - sent_ms, pending=message.pending, conn=self._conn)
        self._sender.prune(message.site_time)
        self._hello_answered()
        if message.alarms_since is not None:
            self._log("alarms-again", count=self._sender.send_again(message.alarms_since))
        self._settle_generation()

    def _hello_answered(self) -> None:
        """For the kind of device: the site knows us on this connection (again)."""

    def _settle_generation(self) -> None:
        """A new generation is ours once it has every alarm it asked for; until then a reboot asks again."""
        gen = self._inbox.gen
        if self._told_gen < gen and not self._sender.sends_again():
            self._told_gen = gen
            self._sender.note("gen", str(gen).encode())

    def _on_receipted(self, receipted: down.Receipted) -> None:
        committed = receipted.outcome != "refused"
        pending = self._sender.receipted(receipted.key, committed=committed, site_ms=self.site_now())
        if pending is None:
            return
        self._log(
            "receipted",
            key=receipted.key,
            kind=pending.record.kind,
            outcome=receipted.outcome,
            incident=receipted.incident,
            reason=receipted.reason,
        )
        self._receipt_came(pending, receipted)

    def _receipt_came(self, pending: Pending, receipted: down.Receipted) -> None:
        """For the kind of device: what its person is told."""

    def _on_config(self, message: down.Config, envelope: Envelope) -> None:
        if self._too_late(envelope):
            return
        error = ""
        if message.version > self.settings.version:
            self.settings, error = settings.applied(self.settings, message)
            if not error:
                self._sender.note("config", codec.encode(message))
                self._log("config", version=message.version)
        version = message.version if error else self.settings.version
        self._applied("config", version, error)

    def _on_membership(self, message: down.Membership, envelope: Envelope) -> None:
        if self._too_late(envelope):
            return
        if message.version > self.membership.version:
            self.membership = message
            self._sender.note("membership", codec.encode(message))
            self._do(Subscribe(tuple(message.groups)))
            self._log("membership", version=message.version, patrol=message.patrol, on_duty=message.on_duty)
            self._membership_came(message)
        self._applied("membership", self.membership.version, "")

    def _membership_came(self, message: down.Membership) -> None:
        """For the kind of device."""

    def _too_late(self, envelope: Envelope) -> bool:
        site = self.site_now()
        return site is not None and expired(envelope, site)

    def _applied(self, what: str, version: int, error: str) -> None:
        for key, pending in self._sender.pending.items():
            message = pending.message
            if isinstance(message, up.Applied) and (message.what, message.version) == (what, version):
                self._sender.hurry(key, self._now, self.site_now())
                return
        self._send("applied", lambda key: up.Applied(key, what, version, not error, error[:1000]))

    # -------------------------------------------------------------------------------------------- items

    def _on_item(self, message: down.Item, envelope: Envelope) -> None:
        rev = message.rev if isinstance(message, down.Call) else 0
        seen = self._inbox.get(message.item)
        if seen is None:
            self._inbox.remember(message.item, envelope, rev)
            self._new_item(message, envelope)
        elif rev > seen.rev:
            seen.rev = rev
            self._changed_item(message, envelope)
        else:
            self._report_again(message.item, seen)

    def _new_item(self, message: down.Item, envelope: Envelope) -> None:
        self._log("delivered", item=message.item, **_what(message))
        self._rung(message.item, "delivered")
        if self._too_late(envelope) or self._is_over(getattr(message, "expires_at", 0)):
            self._failed(message.item, "expired")
        else:
            self._present(message, envelope)

    def _present(self, message: down.Item, envelope: Envelope) -> None:
        """A new item, alive: act on it."""
        self._failed(message.item, "refused")

    def _changed_item(self, message: down.Item, envelope: Envelope) -> None:
        """A known item with a higher `rev`."""

    def _is_over(self, until_ms: int) -> bool:
        site = self.site_now()
        return until_ms > 0 and site is not None and site > until_ms

    def _report_again(self, item: str, seen: Seen) -> None:
        waiting = [k for k, p in self._sender.pending.items() if getattr(p.message, "item", "") == item]
        for key in waiting:
            self._sender.hurry(key, self._now, self.site_now())
        if not waiting:
            if seen.reason:
                self._send("rung", lambda key: up.Rung(key, item, "delivered"))
            self._send_rung(item, seen)

    def _rung(self, item: str, rung: str, volume_pct: int | None = None) -> None:
        """`item` reached this rung; lower ones than it has are not told."""
        seen = self._inbox.get(item)
        if seen is None or (rung != "delivered" and RANKS[rung] <= RANKS[seen.rung]):
            return
        seen.rung, seen.reason, seen.volume_pct = rung, None, volume_pct
        self._send_rung(item, seen)
        if rung != "delivered":
            self._log(rung, item=item, volume_pct=volume_pct)

    def _failed(self, item: str, reason: str) -> None:
        """It stays below `presented`, and why."""
        seen = self._inbox.get(item)
        if seen is None or seen.rung != "delivered" or seen.reason == reason:
            return
        seen.reason = reason
        self._send_rung(item, seen)
        self._log("failed", item=item, reason=reason)

    def _send_rung(self, item: str, seen: Seen) -> None:
        rung = "failed" if seen.reason else seen.rung
        self._send("rung", lambda key: up.Rung(key, item, rung, seen.reason, None, seen.volume_pct))

    # ------------------------------------------------------------------------------------------- sounds

    def _sound(self, sound: Sound) -> None:
        """Play it when its turn comes; urgent ones interrupt."""
        if self._player.interrupts(sound) and self._player.playing is not None:
            self._do(StopPlaying(self._player.playing.item))
            self._player.put_back()
        refused = self._player.push(sound)
        if refused is not None:
            self._failed(refused.item, "refused")
        self._play_next()

    def _play_next(self) -> None:
        while (sound := self._player.take(self._least_rank())) is not None:
            why = self._may_not_play(sound)
            if why is None:
                frames = self._frames(sound)
                self._do(
                    Play(sound.item, sound.text, sound.lang, sound.volume_pct, sound.tone, sound.rank, frames)
                )
                limit_ms = max(PLAY_LIMIT_MS, len(frames) * FRAME_MS + PLAY_SLACK_MS)
                self._at("player", self._now + limit_ms, self._player_stuck)
                return
            self._player.playing = None
            self._not_played(sound, why)

    def _frames(self, sound: Sound) -> tuple[bytes, ...]:
        """The packets to play for it; none: its text is to be said."""
        return ()

    def _on_clip_part(self, message: down.ClipPart) -> None:
        """A part of a sound that this device may have asked for."""

    def _least_rank(self) -> int:
        return NORMAL

    def _may_not_play(self, sound: Sound) -> str | None:
        """The reason of its rung `failed`, or None."""
        if self._is_over(sound.expires_at):
            return "expired"
        return "muted" if self._hardware.muted else None

    def _not_played(self, sound: Sound, reason: str) -> None:
        self._failed(sound.item, reason)

    def _silence(self, item: str) -> None:
        """Take it out of the line, and stop it if it plays."""
        if self._player.remove(item):
            self._cancel("player")
            self._do(StopPlaying(item))
            self._play_next()

    def _on_played(self, event: Played) -> None:
        sound = self._player.finish(event.item)
        if sound is not None:
            self._cancel("player")
            self._rung(sound.item, "presented", sound.volume_pct)
            self._play_next()

    def _on_player_failed(self, event: PlayerFailed) -> None:
        sound = self._player.finish(event.item)
        if sound is not None:
            self._cancel("player")
            self._log("player-failed", item=event.item, why=event.why)
            self._not_played(sound, "player-failed")
            self._play_next()

    def _player_stuck(self) -> None:
        if self._player.playing is not None:
            item = self._player.playing.item
            self._do(StopPlaying(item))
            self._on_player_failed(PlayerFailed(item, "no word from the player"))


def _membership(body: bytes) -> down.Membership:
    try:
        message = codec.decode_down("membership", body)
    except ProtocolError:
        return down.Membership(0)
    assert isinstance(message, down.Membership)
    return message


def _what(message: down.Item) -> dict[str, Any]:
    """The names in an item that the log keeps."""
    names = ("call", "incident", "broadcast", "code", "order", "drill")
    fields = {name: getattr(message, name) for name in names if getattr(message, name, None)}
    return {"kind": codec.DOWN_KIND[type(message)], **fields}
