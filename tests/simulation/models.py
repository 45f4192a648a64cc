"""Model devices, true to the wire: durable outbox with retry until receipted, items acted on once, expiry by site time.

They are simpler and faster than the agents of `devices`, and they keep what really happened (`Truth`), against which
the daemon's facts are checked.
"""

from collections import defaultdict
from typing import Any, Final

import msgspec

from protocols import down, up
from protocols.types import Key

from . import city
from .network import Network
from .talk import Talker
from .world import World

RETRY_FIRST_MS: Final = up.RETRY_FIRST_S * 1000
RETRY_MAX_MS: Final = up.RETRY_MAX_S * 1000
STATE_EVERY_MS: Final = up.STATE_EVERY_S * 1000
RUNGS: Final = {"delivered": 1, "presented": 2, "acknowledged": 3}


class Truth:
    """What devices really did: what they pressed, the rungs they reported, the answers they gave, their receipts."""

    def __init__(self) -> None:
        self.pressed: dict[tuple[str, Key], up.Alarm] = {}
        self.pressed_at: dict[tuple[str, Key], int] = {}
        self.rungs: dict[tuple[str, str], int] = defaultdict(int)
        self.failed: set[tuple[str, str]] = set()
        self.answers: dict[tuple[str, Key], up.Answer] = {}
        self.receipted: dict[tuple[str, Key], str | None] = {}


class Entry:
    """One durable message; `clock` tells whether its age is still known after a reboot."""

    __slots__ = ("born", "clock", "message", "wait_ms")

    def __init__(self, message: Any, born: int, clock: int) -> None:
        self.message = message
        self.born = born
        self.clock = clock
        self.wait_ms = RETRY_FIRST_MS


class Device:
    """What pillar and terminal share. `life` ends with every crash, `conn` with every connection."""

    role = "terminal"

    def __init__(self, world: World, network: Network, truth: Truth, id_: str) -> None:
        self.world, self.network, self.truth, self.id = world, network, truth, id_
        self.alive = self.connected = False
        self.conn = self.life = self.seq = 0
        self.outbox: dict[Key, Entry] = {}
        self.items: dict[str, str] = {}
        self.groups: list[str] = []
        self.on_duty = True
        self.config = 0
        self.site_offset_ms: int | None = None
        self.where = city.position(world.rng)
        self.volume_pct = 80
        self.last_alarm = Key("b0", 0)
        network.devices[id_] = self

    # life

    def start(self) -> None:
        self.alive = True
        self.life += 1
        self.items.clear()
        self.site_offset_ms = None
        self.connect()

    def crash(self) -> None:
        """Power off: only the outbox and the counters stay."""
        self.drop()
        self.alive = False
        self.life += 1

    def drop(self) -> None:
        """The network is gone; the broker sees it after a while and publishes the will."""
        if self.connected:
            self.connected = False
            self.world.at(self.world.rng.choice([0, 8_000, 15_000]), self._will, self.conn)

    def _will(self, conn: int) -> None:
        if conn == self.conn:
            self.network.presence(self.id, up.Presence(False, conn))

    def connect(self) -> None:
        if not self.alive or self.connected:
            return
        self.connected = True
        self.conn += 1
        self.network.presence(self.id, up.Presence(True, self.conn))
        self._hello(self.conn)
        self._beat(self.conn)
        for key, entry in list(self.outbox.items()):
            entry.wait_ms = RETRY_FIRST_MS
            self._publish(key, self.life, self.conn)

    def _hello(self, conn: int) -> None:
        if conn != self.conn or not self.connected or self.site_offset_ms is not None:
            return
        nonce = conn.to_bytes(8, "big")
        boot = f"b{self.life}"
        hello = up.Hello(nonce, conn, boot, role=self.role, outbox=len(self.outbox), config=self.config)
        self.network.said(self.id, hello)
        self.world.at(5_000, self._hello, conn)

    def _beat(self, conn: int) -> None:
        if conn != self.conn or not self.connected:
            return
        place = self.where if self.on_duty else None
        self.network.said(self.id, up.State(conn, position=place, battery_pct=70, volume_pct=self.volume_pct))
        self.world.at(STATE_EVERY_MS, self._beat, conn)

    # durable messages

    def key(self) -> Key:
        self.seq += 1
        return Key(f"b{self.life}", self.seq)

    def keep(self, message: Any) -> None:
        """Into the outbox, which is durable, and out."""
        self.outbox[message.key] = Entry(message, self.world.now, self.life)
        if self.connected:
            self._publish(message.key, self.life, self.conn)

    def _publish(self, key: Key, life: int, conn: int) -> None:
        entry = self.outbox.get(key)
        if entry is None or life != self.life or conn != self.conn or not self.connected:
            return
        self.network.said(self.id, self._aged(entry))
        self.world.at(entry.wait_ms, self._publish, key, life, conn)
        entry.wait_ms = min(entry.wait_ms * 2, RETRY_MAX_MS)

    def _aged(self, entry: Entry) -> Any:
        message = entry.message
        if not hasattr(message, "age_ms"):
            return message
        age = self.world.now - entry.born if entry.clock == self.life else None
        return message if age == message.age_ms else msgspec.structs.replace(message, age_ms=age)

    # hearing

    def hear(self, message: down.Down, ttl_ms: int, sent_at: int) -> None:
        if isinstance(message, down.Hello):
            if message.nonce == self.conn.to_bytes(8, "big"):
                self.site_offset_ms = message.site_time - self.world.now
        elif isinstance(message, down.Receipt):
            for item in message.items:
                self._receipted(item)
        elif isinstance(message, down.Config):
            self.config = message.version
            self._applied("config", message.version)
        elif isinstance(message, down.Membership):
            self.groups, self.on_duty = message.groups, message.on_duty
            self._applied("membership", message.version)
        elif isinstance(message, down.Floor):
            self.floor_said(message)
        else:
            self._item(message, ttl_ms, sent_at)

    def floor_said(self, message: down.Floor) -> None:
        """Who talks and who may: a pillar does not care."""

    def _receipted(self, item: down.Receipted) -> None:
        self.truth.receipted.setdefault((self.id, item.key), item.incident)
        self.outbox.pop(item.key, None)

    def _applied(self, what: str, version: int) -> None:
        self.keep(up.Applied(self.key(), what, version, ok=self.world.likely(0.97)))

    def _item(self, message: Any, ttl_ms: int, sent_at: int) -> None:
        """Once each: a double is only reported again."""
        item = message.item
        if item in self.items:
            self.update(message)
            self.report(item, self.items[item])
        elif self._expired(ttl_ms, sent_at):
            self.report(item, "failed", "expired")
        else:
            self.report(item, "delivered")
            self.act(message)

    def _expired(self, ttl_ms: int, sent_at: int) -> bool:
        return bool(ttl_ms and self.site_offset_ms is not None) and (
            self.world.now + (self.site_offset_ms or 0) > sent_at + ttl_ms
        )

    def report(self, item: str, rung: str, reason: str | None = None) -> None:
        """Up the ladder; the same report that is still in the outbox is only sent again by its own retry."""
        if rung == "failed":
            self.truth.failed.add((self.id, item))
        else:
            self.items[item] = rung
            self.truth.rungs[self.id, item] = max(self.truth.rungs[self.id, item], RUNGS[rung])
        for entry in self.outbox.values():
            waiting = entry.message
            if isinstance(waiting, up.Rung) and waiting.item == item and waiting.rung == rung:
                return
        volume = self.volume_pct if rung == "presented" else None
        self.keep(up.Rung(self.key(), item, rung, reason=reason, volume_pct=volume))

    def update(self, message: Any) -> None:
        """A newer form of an item that is on the screen."""

    def act(self, message: Any) -> None:
        raise NotImplementedError

    def later(self, low_ms: int, high_ms: int, action: Any, *args: Any) -> None:
        """A human or a player does it after a while, unless the device has died by then."""
        self.world.at(self.world.rng.uniform(low_ms, high_ms), self._if_alive, self.life, action, args)

    def _if_alive(self, life: int, action: Any, args: tuple[Any, ...]) -> None:
        if life == self.life and self.alive:
            action(*args)

    def alarm(self, kind: str, *, drill: bool = False) -> Key:
        """Somebody presses."""
        place = self.where if self.role == "terminal" and self.world.likely(0.8) else None
        alarm = up.Alarm(self.key(), kind=kind, age_ms=0, position=place, drill=drill)
        self.last_alarm = alarm.key
        self.truth.pressed[self.id, alarm.key] = alarm
        self.truth.pressed_at[self.id, alarm.key] = self.world.now
        self.world.says("press", self.id, kind, alarm.key.boot, alarm.key.seq)
        self.keep(alarm)
        return alarm.key


class Pillar(Device):
    """The citizen's side: prompts, lamp, questions."""

    role = "pillar"

    def act(self, message: Any) -> None:
        self.later(50, 2_000, self.report, message.item, "presented")
        if isinstance(message, down.Prompt) and message.question and self.world.likely(0.7):
            self.later(1_500, 20_000, self._reply, message.question)

    def _reply(self, question: str) -> None:
        self.keep(up.Reply(self.key(), question, self.world.likely(0.5)))

    def cancel(self) -> None:
        self.keep(up.Cancel(self.key(), self.last_alarm))


class Terminal(Device):
    """The patrol's side: calls, orders, broadcasts; a human who comes, or does not; his talk key, if he has one."""

    talker: "Talker | None" = None

    def connect(self) -> None:
        fresh = self.alive and not self.connected
        super().connect()
        if fresh and self.talker is not None:
            self.world.at(100, self.talker.joined)

    def floor_said(self, message: down.Floor) -> None:
        if self.talker is not None:
            self.talker.hear(message)

    def act(self, message: Any) -> None:
        if self.world.chaos and self.world.likely(0.06):
            reason = self.world.rng.choice(["muted", "player-failed"])
            self.later(100, 1_000, self.report, message.item, "failed", reason)
            return
        if self.world.chaos and self.world.likely(0.05):
            return  # a deaf one: delivered and never played
        self.later(200, 3_000, self._presented, message)

    def _presented(self, message: Any) -> None:
        self.report(message.item, "presented")
        if isinstance(message, down.Call):
            self._decide(message)
        elif isinstance(message, down.Broadcast) and message.ack and self.world.likely(0.8):
            self.later(500, 8_000, self.report, message.item, "acknowledged")

    def _decide(self, call: down.Call) -> None:
        chance = self.world.rng.random()
        if chance < 0.55:
            self.later(500, 9_000, self._accept, call)
        elif chance < 0.75:
            self.later(500, 9_000, self.answer, call, "decline")

    def _accept(self, call: down.Call) -> None:
        self.answer(call, "accept")
        rng = self.world.rng
        for word, low, high in (
            ("en-route", 500, 9_000),
            ("on-scene", 9_000, 60_000),
            ("done", 20_000, 120_000),
        ):
            if rng.random() < 0.75:
                self.later(low, high, self.answer, call, word)

    def answer(self, call: down.Call, word: str) -> None:
        """An answer is a human's acknowledgement, too."""
        answer = up.Answer(self.key(), call.call, call.patrol, word)
        self.truth.answers[self.id, answer.key] = answer
        self.truth.rungs[self.id, call.item] = RUNGS["acknowledged"]
        self.keep(answer)

    def duty(self, on: bool) -> None:
        self.keep(up.Duty(self.key(), on))
