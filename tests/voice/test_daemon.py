"""A whole daemon with a real broker: three terminals join, talk, hear, leave, and survive kill -9 of the daemon."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from protocols import codec, down, envelope, topics, up
from protocols.down import FloorGranted, VoiceKeys, VoiceReset
from protocols.voice import LAST
from tests.e2e.process import BOTH, Daemon, daemon
from tests.e2e.wire import Connection
from tests.voice.radio import PATIENCE_S, Radio, frame

ROOT = topics.DEFAULT_ROOT
TERMINALS = ("radio-1", "radio-2", "radio-3")
SITE: dict[str, Any] = {
    "name": "voice test",
    "unit": [{"id": "top"}],
    "patrol": [{"id": f"patrol-{n}", "unit": "top", "force": "police"} for n in (1, 2, 3)],
    "device": [
        {"id": f"radio-{n}", "kind": "terminal", "unit": "top", "patrol": f"patrol-{n}"} for n in (1, 2, 3)
    ],
    "talk_group": [{"id": "all", "unit": "top", "units": ["top"]}],
}


class Terminal:
    """A radio and its connection; what comes is read as it comes."""

    def __init__(self, device: str) -> None:
        self.device, self.radio = device, Radio(device)
        self.messages: asyncio.Queue[down.Down] = asyncio.Queue()
        self.frames: asyncio.Queue[bytes] = asyncio.Queue()
        self._line: Connection | None = None

    async def connect(self, at: Daemon) -> None:
        self._line = await Connection.open(at.port, self.device, at.secrets[self.device])
        await self._line.subscribe(topics.device_filter(ROOT, self.device))
        await self._line.subscribe(topics.group_filter(ROOT, "all"))
        await self.say(up.Hello(bytes(8), 1, "boot-1"))

    async def read(self) -> None:
        """Until the connection ends."""
        assert self._line is not None
        with contextlib.suppress(OSError):
            while True:
                topic, payload, _ = await self._line.received()
                _, kind, group = topics.parse_down(ROOT, topic)
                if kind == topics.VOICE:
                    self.frames.put_nowait(payload)
                else:
                    body = envelope.unseal(payload).body
                    self.messages.put_nowait(codec.decode_down(kind, body, group=group))

    async def say(self, message: Struct) -> None:
        assert self._line is not None
        kind = codec.UP_KIND[type(message)]
        await self._line.publish(topics.up(ROOT, self.device, kind), codec.encode(message))

    async def next_of(self, kind: type[Any]) -> Any:
        async with asyncio.timeout(PATIENCE_S):
            while not isinstance(message := await self.messages.get(), kind):
                pass
            return message

    async def join(self) -> None:
        await self.say(self.radio.join())
        self.radio.take(await self.next_of(VoiceKeys))
        await self.radio.ping()

    async def to_mqtt(self) -> None:
        assert self._line is not None
        await self._line.subscribe(topics.group_voice(ROOT, "all"))
        await self.say(up.VoiceCarriage("mqtt"))

    async def floor(self, ref: int) -> int:
        await self.say(up.FloorRequest("all", ref))
        granted: FloorGranted = await self.next_of(FloorGranted)
        return granted.burst

    async def talk(self, burst: int, frames: int) -> None:
        for seq in range(frames):
            self.radio.say(burst, seq, LAST if seq == frames - 1 else 0)
            await asyncio.sleep(0.005)

    async def published(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.frames.get()

    def close(self) -> None:
        if self._line is not None:
            self._line.abort()


@contextlib.asynccontextmanager
async def connected(at: Daemon, *terminals: Terminal) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        for terminal in terminals:
            await terminal.connect(at)
            tasks.create_task(terminal.read())
            await terminal.join()
        try:
            yield
        finally:
            for terminal in terminals:
                terminal.close()


@BOTH
async def test_all_hear_one_talker_and_he_who_left_hears_no_more(tmp_path: Path, broker: str) -> None:
    with contextlib.ExitStack() as stack:
        talker, hearer, fallen = terminals = [Terminal(device) for device in TERMINALS]
        for one in terminals:
            stack.callback(one.radio.close)
        async with daemon(tmp_path, broker, SITE) as at:
            async with connected(at, *terminals):
                assert talker.radio.keys.udp == [at.ready["voice"]]
                await fallen.to_mqtt()
                burst = await talker.floor(1)
                await talker.talk(burst, 40)
                said = [frame(burst, seq, LAST if seq == 39 else 0) for seq in range(40)]
                assert [await hearer.radio.heard() for _ in said] == said
                by_mqtt = [fallen.radio.open(await fallen.published())]
                while by_mqtt[-1] != said[-1]:
                    by_mqtt.append(fallen.radio.open(await fallen.published()))
                assert by_mqtt == said[-len(by_mqtt) :], "from the moment it had changed"
                await talker.say(up.FloorRelease("all", 1))

                await at.command("group-remove", group="all", target={"devices": ["radio-2"]})
                for one in terminals:
                    one.radio.take(await one.next_of(VoiceKeys))
                hearer.radio.waiting()
                burst = await talker.floor(2)
                await talker.talk(burst, 10)
                overheard = [await fallen.published() for _ in range(10)]
                assert [fallen.radio.open(one) for one in overheard][-1] == frame(burst, 9, LAST)
                assert [hearer.radio.open(one) for one in overheard] == [None] * 10
                assert hearer.radio.waiting() == []
            stale = talker.radio.seal(frame(burst + 1, 0))
            await at.kill()
            await at.start()
            metrics = await at.metrics()
            assert metrics['dispatchd_voice_total{what="heard"}'] == 0
            for one in (talker, fallen):
                one.messages = asyncio.Queue()
            async with connected(at, talker, fallen):
                assert talker.radio.keys.start == 2
                talker.radio.send(stale)
                burst = await talker.floor(3)
                await talker.talk(burst, 10)
                assert await fallen.radio.heard() == frame(burst, 0)
                assert (await at.metrics())['dispatchd_voice_total{what="stale-kid"}'] == 1


async def test_when_the_broker_is_back_everybody_is_asked_to_join(tmp_path: Path) -> None:
    terminal = Terminal("radio-1")
    with contextlib.closing(terminal.radio):
        async with daemon(tmp_path, "amqtt", SITE) as at:
            async with connected(at, terminal):
                assert at.kill_broker()
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    with contextlib.suppress(OSError):
                        await terminal.connect(at)
                        break
                    await asyncio.sleep(0.02)
            reading = asyncio.create_task(terminal.read(), name="reading")
            assert await terminal.next_of(VoiceReset) == VoiceReset(1)
            terminal.close()
            await reading
