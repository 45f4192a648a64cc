"""The daemon's side of a check: hears one device, keeps what it said, answers by the point's orders.

Every message is kept with its arrival time. Hellos are answered and durable messages receipted by
itself, unless a
point withholds that. A point waits with `expect`, which is bounded and says what was missing.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import aiomqtt
import msgspec

from protocols import codec, down, topics, up
from protocols.envelope import seal
from protocols.errors import ProtocolError
from protocols.types import Key
from simulators.radio import Radio

GEN: Final = 5
"""The site generation of the bench; lower ones are stale."""
TTL_MS: Final = 600_000
MAX_HEARD: Final = 20_000
"""Messages of one check; a device that says more is failed by the point at hand."""


class MissedError(Exception):
    """The device did not do what the point expects; the text says what was seen instead."""


class Heard(msgspec.Struct, frozen=True):
    """One message. `message` is None when it could not be read (`error` says why). `at_s`: monotonic."""

    kind: str
    message: Any
    at_s: float
    qos: int
    retain: bool
    error: str = ""

    @property
    def key(self) -> Key | None:
        found: Key | None = getattr(self.message, "key", None)
        return found


class Bench:
    """`await run(client)` listens; the rest is for the points."""

    def __init__(self, device: str, root: str, radio: Radio | None) -> None:
        self.device = device
        self.root = root
        self.radio = radio
        self.heard: list[Heard] = []
        self.answers_hello = True
        self.receipts: set[str] = set(up.KINDS)
        """Kinds of durable messages that are receipted at once."""
        self.state_every_s = 1
        self._news = asyncio.Event()
        self._client: aiomqtt.Client | None = None
        self._n = 0
        self._items = 0

    # -------------------------------------------------------------------------------------------------
    # hearing

    async def run(self, client: aiomqtt.Client) -> None:
        """Listens on a connected client until cancelled."""
        self._client = client
        for pattern in (f"{self.root}/d/{self.device}/up/+", f"{self.root}/d/{self.device}/presence"):
            await client.subscribe(pattern, qos=1)
        async for message in client.messages:
            await self._take(message)

    async def retained_presence(self) -> Heard:
        """What the broker keeps of its presence; MissedError when that is nothing."""
        assert self._client is not None
        mark = self.mark()
        await self._client.subscribe(f"{self.root}/d/{self.device}/presence", qos=1)
        return await self.expect(
            "retained presence", lambda heard: heard.kind == "presence" and heard.retain, 5.0, mark=mark
        )

    async def _take(self, message: aiomqtt.Message) -> None:
        try:
            device, kind = topics.parse_up(self.root, message.topic.value)
        except ProtocolError:
            return
        if device != self.device or len(self.heard) >= MAX_HEARD:
            return
        assert isinstance(message.payload, bytes)
        heard = _read(kind, message.payload, message.qos, retain=message.retain)
        self.heard.append(heard)
        self._news.set()
        await self._react(heard)

    async def _react(self, heard: Heard) -> None:
        if isinstance(heard.message, up.Hello) and self.answers_hello:
            await self.hello(heard.message.nonce)
        elif heard.key is not None and heard.kind in self.receipts:
            await self.receipt(heard.key)

    def mark(self) -> int:
        """From here on; hand it to `expect` and `since`."""
        return len(self.heard)

    def since(self, mark: int, kind: str = "") -> list[Heard]:
        return [heard for heard in self.heard[mark:] if not kind or heard.kind == kind]

    async def expect(
        self, what: str, match: Callable[[Heard], bool], within_s: float, *, mark: int = 0
    ) -> Heard:
        """The first message from `mark` on that matches; MissedError with what came instead."""
        deadline = time.monotonic() + within_s
        at = mark
        while True:
            self._news.clear()
            while at < len(self.heard):
                if match(self.heard[at]):
                    return self.heard[at]
                at += 1
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise MissedError(f"no {what} within {within_s:g} s; came: {summary(self.since(mark))}")
            try:
                await asyncio.wait_for(self._news.wait(), left_s)
            except TimeoutError:
                continue

    # -------------------------------------------------------------------------------------------------
    # speaking

    def item(self) -> str:
        """A new item id."""
        self._items += 1
        return f"check-{self._items}"

    async def say(
        self, kind: str, body: bytes, *, gen: int = GEN, ttl_ms: int = TTL_MS, sent_at: int | None = None
    ) -> None:
        self._n += 1
        sent_ms = now_ms() if sent_at is None else sent_at
        await self.raw(kind, seal(gen, self._n, ttl_ms, sent_ms, body))

    async def send(self, message: down.Down, **envelope: Any) -> None:
        await self.say(codec.DOWN_KIND[type(message)], codec.encode(message), **envelope)

    async def raw(self, kind: str, payload: bytes) -> None:
        """These bytes, whatever they are."""
        assert self._client is not None, "the bench listens first"
        await self._client.publish(f"{self.root}/d/{self.device}/down/{kind}", payload, qos=1)

    async def hello(self, nonce: bytes) -> None:
        await self.send(down.Hello(nonce, now_ms(), state_every_s=self.state_every_s))

    async def receipt(self, *keys: Key) -> None:
        await self.send(down.Receipt([down.Receipted(key, incident="check-incident") for key in keys]))

    # -------------------------------------------------------------------------------------------------
    # network

    async def cut(self, for_s: float) -> None:
        """The device's network is gone for a while: its connection breaks, new ones do not come through."""
        if self.radio is None:
            raise MissedError("not tried: without --listen the check cannot cut the device's network")
        self.radio.lose(self.device)
        self.radio.drop(self.device)
        await asyncio.sleep(for_s)
        self.radio.find(self.device)


def _read(kind: str, payload: bytes, qos: int, *, retain: bool) -> Heard:
    at_s = time.monotonic()
    try:
        if kind == "presence":
            return Heard(kind, codec.decode_presence(payload), at_s, qos, retain)
        return Heard(kind, codec.decode_up(kind, payload), at_s, qos, retain)
    except ProtocolError as error:
        return Heard(kind, None, at_s, qos, retain, f"{error.code}: {error.why}")


def summary(heard: list[Heard]) -> str:
    """What came, by kind, in few words."""
    counts: dict[str, int] = {}
    for one in heard:
        name = f"unreadable {one.kind}" if one.error else one.kind
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing"


def now_ms() -> int:
    return time.time_ns() // 1_000_000
