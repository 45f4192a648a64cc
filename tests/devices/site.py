"""A little site on a real broker: answers hellos, receipts what is durable, says what a test wants said."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiomqtt

from protocols import codec, down, topics, up
from protocols.envelope import seal

ROOT = "dispatch/v1"


class Site:
    """`heard` holds (device, kind, message) in order; `receipts` switches the receipts."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self._changed = asyncio.Condition()
        self._n = 0
        self.receipts = True
        self.answers = True
        self.heard: list[tuple[str, str, Any]] = []

    def of(self, kind: str, device: str | None = None) -> list[Any]:
        return [m for who, what, m in self.heard if what == kind and device in (None, who)]

    async def until(self, wanted: Callable[[], Any], within_s: float = 10) -> Any:
        """Waits until `wanted()` is true, looking at every message."""
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(wanted)
        return wanted()

    async def say(self, device: str, message: Any, *, group: str | None = None) -> None:
        self._n += 1
        kind = codec.DOWN_KIND[type(message)]
        topic = topics.group_down(ROOT, group, kind) if group else topics.down(ROOT, device, kind)
        now = int(time.time() * 1000)
        await self._client.publish(topic, seal(1, self._n, 0, now, codec.encode(message)), qos=1)

    async def listen(self) -> None:
        async for message in self._client.messages:
            assert isinstance(message.payload, bytes)
            topic = topics.parse_up(ROOT, message.topic.value)
            if topic.kind == "presence":
                heard: Any = codec.decode_presence(message.payload)
            else:
                heard = codec.decode_up(topic.kind, message.payload)
                await self._answer(topic.device, heard)
            async with self._changed:
                self.heard.append((topic.device, topic.kind, heard))
                self._changed.notify_all()

    async def _answer(self, device: str, message: Any) -> None:
        if isinstance(message, up.Hello) and self.answers:
            await self.say(device, down.Hello(message.nonce, int(time.time() * 1000)))
        elif self.receipts and hasattr(message, "key"):
            await self.say(device, down.Receipt([down.Receipted(message.key, incident="i-1")]))


@contextlib.asynccontextmanager
async def site(port: int, *, listens: bool = True) -> AsyncIterator[Site]:
    """`listens` false: somebody else reads the messages."""
    async with aiomqtt.Client("127.0.0.1", port, identifier=f"site-{port}") as client:
        for each in topics.daemon_filters(ROOT):
            await client.subscribe(each, qos=1)
        here = Site(client)
        if not listens:
            yield here
            return
        listening = asyncio.create_task(here.listen(), name="site")
        try:
            yield here
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
