"""A pillar or terminal that does what docs/wire.md asks of one, and writes down what happened to it.

Everything durable stays in its outbox, and is said again, until a receipt names its key. It never crashes itself:
these tests kill the other side.
"""

import asyncio
import itertools
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from protocols import codec, down, envelope, topics, up
from protocols.types import Key, Position
from tests.e2e.wire import Connection

ROOT = topics.DEFAULT_ROOT
RETRY_S = 0.4
STATE_S = 1.0
RECONNECT_S = 0.1


@dataclass
class Press:
    """One press: when its first message left (monotonic seconds, 0 = not yet), when the first receipt came."""

    key: Key
    made_s: float
    sent_s: float = 0.0
    receipted_s: float = 0.0
    incidents: set[str | None] = field(default_factory=set)
    outcomes: set[str] = field(default_factory=set)


class Device:
    """Run `run` as a task."""

    def __init__(self, id_: str, port: int, secret: str, *, pillar: bool, chance: random.Random) -> None:
        self.id, self.pillar = id_, pillar
        self._port, self._secret, self._chance = port, secret, chance
        self._conn, self._seq = 0, itertools.count(1)
        self._boot = f"boot-{chance.getrandbits(40):x}"
        self._outbox: dict[Key, tuple[str, bytes]] = {}
        self._link: Connection | None = None
        self.presses: dict[Key, Press] = {}
        self.items: dict[str, down.Item] = {}
        self.presented: Counter[str] = Counter()
        self.numbers: dict[int, list[int]] = {}
        self.greeted = asyncio.Event()
        self.faults: list[str] = []

    @property
    def settled(self) -> bool:
        """Nothing of it waits for a receipt."""
        return not self._outbox

    @property
    def unreceipted(self) -> list[Press]:
        return [press for press in self.presses.values() if press.sent_s and not press.receipted_s]

    # --- what it does

    async def press(self) -> Press:
        """Into the outbox, and out if there is a connection."""
        key = Key(self._boot, next(self._seq))
        made = self.presses[key] = Press(key, time.monotonic())
        await self._say(key, up.Alarm(key, age_ms=0))
        return made

    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""
        while True:
            try:
                await self._connected()
            except (OSError, ExceptionGroup) as error:
                self._note_unless_lost(error)
            finally:
                self._close()
            await asyncio.sleep(RECONNECT_S * self._chance.uniform(0.5, 1.5))

    def _note_unless_lost(self, error: Exception) -> None:
        if isinstance(error, ExceptionGroup) and error.split(OSError)[1] is not None:
            raise error

    def _close(self) -> None:
        self.greeted.clear()
        if self._link is not None:
            self._link.abort()
            self._link = None

    async def _connected(self) -> None:
        self._conn += 1
        self._link = link = await Connection.open(self._port, self.id, self._secret)
        await link.subscribe(topics.device_filter(ROOT, self.id))
        await self._publish("presence", codec.encode(up.Presence(True, self._conn)))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hear(link))
            tasks.create_task(self._repeat())
            tasks.create_task(self._tell_state())

    async def _repeat(self) -> None:
        """Hello until it is answered, then whatever has no receipt."""
        while True:
            if not self.greeted.is_set():
                hello = up.Hello(
                    self._chance.randbytes(8), self._conn, self._boot, "pillar" if self.pillar else "terminal"
                )
                await self._publish("hello", codec.encode(hello))
            for key, (kind, payload) in list(self._outbox.items()):
                await self._send(key, kind, payload)
            await asyncio.sleep(RETRY_S * self._chance.uniform(0.7, 1.3))

    async def _tell_state(self) -> None:
        while True:
            position = None if self.pillar else Position(26.9001, 112.6001, 5.0)
            await self._publish("state", codec.encode(up.State(self._conn, position, 80)), qos=0)
            await asyncio.sleep(STATE_S)

    async def _say(self, key: Key, message: up.Up) -> None:
        kind, payload = codec.UP_KIND[type(message)], codec.encode(message)
        self._outbox[key] = kind, payload
        if self._link is not None:
            try:
                await self._send(key, kind, payload)
            except OSError:
                self._close()  # `run` notices and connects again

    async def _send(self, key: Key, kind: str, payload: bytes) -> None:
        if key not in self._outbox:
            return
        await self._publish(kind, payload)
        press = self.presses.get(key)
        if press is not None and not press.sent_s:
            press.sent_s = time.monotonic()

    async def _publish(self, kind: str, payload: bytes, qos: int = 1) -> None:
        if self._link is None:
            raise ConnectionError("not connected")
        presence = kind == "presence"
        topic = topics.presence(ROOT, self.id) if presence else topics.up(ROOT, self.id, kind)
        await self._link.publish(topic, payload, qos, retain=presence)

    # --- what it hears

    async def _hear(self, link: Connection) -> None:
        while True:
            message = await link.received()
            where = topics.parse_down(ROOT, message.topic)
            sealed = envelope.unseal(message.payload)
            self._number(sealed.gen, sealed.n)
            await self._take(codec.decode_down(where.kind, sealed.body))

    def _number(self, gen: int, n: int) -> None:
        """Envelope numbers of a generation only grow."""
        before = self.numbers.setdefault(gen, [])
        if before and n <= before[-1]:
            self.faults.append(f"{self.id}: number {n} came after {before[-1]}")
        before.append(n)

    async def _take(self, message: down.Down) -> None:
        if isinstance(message, down.Receipt):
            for item in message.items:
                self._receipted(item)
        elif isinstance(message, down.Hello):
            self.greeted.set()
        elif isinstance(message, down.Membership | down.Config):
            what = "membership" if isinstance(message, down.Membership) else "config"
            key = Key(self._boot, next(self._seq))
            await self._say(key, up.Applied(key, what, message.version))
        elif isinstance(message, down.Item):
            await self._item(message)

    def _receipted(self, item: down.Receipted) -> None:
        self._outbox.pop(item.key, None)
        press = self.presses.get(item.key)
        if press is not None:
            press.receipted_s = press.receipted_s or time.monotonic()
            press.incidents.add(item.incident)
            press.outcomes.add(item.outcome)

    async def _item(self, message: down.Item) -> None:
        """Show it once, however often it comes, and say how far it came each time."""
        rungs = ["delivered"]
        if message.item not in self.items:
            self.items[message.item] = message
            self.presented[message.item] += 1
            rungs = ["delivered", "presented", "acknowledged"]
        for rung in rungs:
            key = Key(self._boot, next(self._seq))
            await self._say(key, up.Rung(key, message.item, rung, age_ms=0, volume_pct=70))
