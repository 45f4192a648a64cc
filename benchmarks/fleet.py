"""Many light clients in one process: `python -m benchmarks.fleet`. They log in as devices, say hello once, report every
item as delivered at once, and press when told to. One JSON line in, one out.

    start    log in all; answers when every hello is answered
    arm      answers at once; and again `at` which time `receipts` answers to broadcasts were receipted
    burst    `each` presses at every pillar at once: ms from press to receipt of each
    sustain  `window` unreceipted presses at every pillar for `seconds`: how many were receipted meanwhile

A press has a key of boot "press" and its number from 1, so that the journal can be searched for every one.
"""

import asyncio
import os
import sys
from time import monotonic
from typing import Any, Final

import msgspec
import uvloop
from msgspec import Struct

from protocols import codec, down, envelope, topics, up
from protocols.types import Key, Position

from .broker import BARE_ROOT, HOST, ROOT
from .town import Somebody
from .wire import Wire

LOGINS_AT_ONCE: Final = 50
RECEIPTS_TIMEOUT_S: Final = 60.0
"""For the last receipts of presses; what is missing then shows in the journal."""
SETTLE_S: Final = 0.5
"""After the last hello, for memberships and their receipts."""
PRESS, ANSWER = "press", "answer"
"""Boot ids of the keys: presses are counted from 1, answers too."""


class _Item(Struct):
    item: str


class Device(Wire):
    """One client. `fleet` is told what was receipted."""

    def __init__(self, one: Somebody, fleet: "Fleet") -> None:
        super().__init__(one.id, one.secret, [topics.device_filter(r, one.id) for r in (ROOT, BARE_ROOT)])
        self.one, self._fleet = one, fleet
        self.pressed_at: dict[int, float] = {}
        self.presses = 0
        self._answers = 0
        self._rung = {r: topics.up(r, one.id, "rung").encode() for r in (ROOT, BARE_ROOT)}
        self._alarm = topics.up(ROOT, one.id, "alarm").encode()

    def say(self, message: up.Up) -> bytes:
        topic = topics.up(ROOT, self.user, codec.UP_KIND[type(message)])
        return self.publish(topic.encode(), codec.encode(message))

    def hello(self) -> bytes:
        position = Position(self.one.lat, self.one.lon) if self.one.role == "terminal" else None
        return self.say(up.Hello(b"nonce-of-8", 1, "bench", self.one.role)) + self.say(up.State(1, position))

    def press(self) -> bytes:
        self.presses += 1
        return self.publish(self._alarm, codec.encode(up.Alarm(Key(PRESS, self.presses), age_ms=0)))

    def received(self, topic: str, payload: bytes) -> bytes:
        kind = topic[topic.rindex("/") + 1 :]
        body = envelope.unseal(payload).body
        if kind == "receipt":
            return self._receipted(body)
        if kind == "membership":
            version = codec.decode_down(kind, body).version  # type: ignore[union-attr]
            return self.say(up.Applied(self._key(), "membership", version))
        if kind == "hello":
            self._fleet.one_here(self.user)
        return b"" if kind in ("hello", "config") else self._delivered(topic, kind, body)

    def _key(self) -> Key:
        self._answers += 1
        return Key(ANSWER, self._answers)

    def _delivered(self, topic: str, kind: str, body: bytes) -> bytes:
        key, item = self._key(), _item.decode(body).item
        if kind == "broadcast":
            self._fleet.answers.add((self.user, key.seq))
        root = BARE_ROOT if topic.startswith(BARE_ROOT) else ROOT
        return self.publish(self._rung[root], codec.encode(up.Rung(key, item, "delivered", age_ms=0)))

    def _receipted(self, body: bytes) -> bytes:
        return b"".join(self._one_receipted(one.key) for one in _receipt.decode(body).items)

    def _one_receipted(self, key: Key) -> bytes:
        if key.boot == PRESS:
            return self._fleet.press_receipted(self, self.pressed_at.pop(key.seq, None))
        self._fleet.answer_receipted(self.user, key.seq)
        return b""


_item = msgspec.msgpack.Decoder(_Item)
_receipt = msgspec.msgpack.Decoder(down.Receipt)


class Fleet:
    """All clients of this process, and what is being counted."""

    def __init__(self) -> None:
        self.devices: list[Device] = []
        self.answers: set[tuple[str, int]] = set()
        self._here = asyncio.Event()
        self._absent: set[str] = set()
        self._missing = 0
        self._took_ms: list[float] = []
        self._quiet = asyncio.Event()
        self._pressing = False

    # --- told by devices

    def one_here(self, user: str) -> None:
        self._absent.discard(user)
        if not self._absent:
            self._here.set()

    def answer_receipted(self, user: str, seq: int) -> None:
        if (user, seq) in self.answers:
            self.answers.remove((user, seq))
            self._missing -= 1
            if not self._missing:
                say(at=monotonic())

    def press_receipted(self, device: Device, pressed_at: float | None) -> bytes:
        """Keep the time; the next press at once while pressing lasts."""
        if pressed_at is None:
            return b""
        now = monotonic()
        self._took_ms.append((now - pressed_at) * 1000)
        if self._pressing:
            device.pressed_at[device.presses + 1] = now
            return device.press()
        if not any(one.pressed_at for one in self.devices):
            self._quiet.set()
        return b""

    # --- orders

    async def start(self, port: int, devices: list[Somebody]) -> None:
        loop = asyncio.get_running_loop()
        self.devices = [Device(one, self) for one in devices]
        self._absent = {one.id for one in devices}
        for first in range(0, len(self.devices), LOGINS_AT_ONCE):
            some = self.devices[first : first + LOGINS_AT_ONCE]
            for device in some:
                await loop.create_connection(lambda device=device: device, HOST, port)  # type: ignore[misc]
            await asyncio.gather(*(device.subscribed for device in some))
            for device in some:
                device.send(device.hello())
        await self._here.wait()
        await asyncio.sleep(SETTLE_S)
        say(online=len(self.devices))

    async def arm(self, receipts: int) -> None:
        self.answers.clear()
        self._missing = receipts
        say(armed=True)

    async def burst(self, each: int) -> None:
        self._begin(pressing=False)
        for device in self._pillars():
            device.pressed_at = {device.presses + n: monotonic() for n in range(1, each + 1)}
            device.send(b"".join(device.press() for _ in range(each)))
        await self._until_quiet()
        say(ms=self._took_ms, pressed=self._pressed())

    async def sustain(self, window: int, seconds: float) -> None:
        self._begin(pressing=True)
        for device in self._pillars():
            device.pressed_at = {device.presses + n: monotonic() for n in range(1, window + 1)}
            device.send(b"".join(device.press() for _ in range(window)))
        begin = monotonic()
        await asyncio.sleep(seconds)
        receipted, took_s = len(self._took_ms), monotonic() - begin
        self._pressing = False
        await self._until_quiet()
        say(receipted=receipted, seconds=took_s, ms=self._took_ms, pressed=self._pressed())

    def _begin(self, *, pressing: bool) -> None:
        self._took_ms, self._pressing = [], pressing
        self._quiet.clear()

    async def _until_quiet(self) -> None:
        """Every press has its receipt, or the time is up: what is missing shows in the journal."""
        try:
            async with asyncio.timeout(RECEIPTS_TIMEOUT_S):
                await self._quiet.wait()
        except TimeoutError:
            sys.stderr.write("presses without a receipt are left\n")

    def _pillars(self) -> list[Device]:
        return [device for device in self.devices if device.one.role == "pillar"]

    def _pressed(self) -> dict[str, int]:
        return {device.user: device.presses for device in self._pillars()}


def say(**words: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(words) + b"\n")
    sys.stdout.buffer.flush()


async def main() -> None:
    """Orders from stdin until it ends."""
    fleet, loop = Fleet(), asyncio.get_running_loop()
    loop.set_exception_handler(_end)
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        order: dict[str, Any] = msgspec.json.decode(line)
        if "devices" in order:
            order["devices"] = msgspec.convert(order["devices"], list[Somebody])
        await getattr(fleet, order.pop("do"))(**order)


def _end(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A client that fails makes no figure: say why and end."""
    loop.default_exception_handler(context)
    os._exit(1)


if __name__ == "__main__":
    uvloop.run(main())
