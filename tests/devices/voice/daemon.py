"""A daemon's side of voice, no more than a radio needs: real broker and UDP socket, true keys and seals, one floor."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any, cast

from protocols import codec, down, topics, up, voice
from protocols.errors import ProtocolError
from protocols.sframe import Opener, Sealer, kid_of
from protocols.voice import LAST, Frame, Ping, Pong
from protocols.voice_keys import GroupKey, Keys, OwnKey, context, encode, seal_to
from tests.devices.site import ROOT, Site, site

GROUP = "tg-1"


class Session:
    def __init__(self, device: str, join: up.VoiceJoin, kids: "Daemon") -> None:
        self.device, self.join = device, join
        self.up, self.down = kids.key(), kids.key()
        self.opener = Opener(self.up.kid, self.up.key)
        self.sealer = Sealer(self.down.kid, self.down.key)
        self.address: tuple[str, int] | None = None
        self.carriage = join.carriage


class Daemon(asyncio.DatagramProtocol):
    """`deaf`: datagrams are not answered and not taken."""

    def __init__(self, here: Site) -> None:
        self.here = here
        self.deaf = False
        self.sessions: dict[str, Session] = {}
        self.talker = ""
        self.ref = self.burst = 0
        self.frames: list[Frame] = []
        self.carriages: list[tuple[str, str]] = []
        self.changed = asyncio.Condition()
        self._counter = 0
        self._group = self.key()
        self._sealer = Sealer(self._group.kid, self._group.key)
        self._todo: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport | None = None

    def key(self) -> OwnKey:
        self._counter += 1
        return OwnKey(1 << 16 | self._counter, secrets.token_bytes(16))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    @property
    def port(self) -> int:
        assert self.transport is not None
        return int(self.transport.get_extra_info("sockname")[1])

    async def until(self, wanted: Any, within_s: float = 10) -> None:
        async with asyncio.timeout(within_s), self.changed:
            await self.changed.wait_for(wanted)

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    # ------------------------------------------------------------------------------------------- messages

    async def serve(self) -> None:
        """What the devices say, in order."""
        async for message in self.here._client.messages:
            assert isinstance(message.payload, bytes)
            topic = topics.parse_up(ROOT, message.topic.value)
            if topic.kind == "voice":
                await self._opened(topic.device, message.payload)
            elif topic.kind != "presence":
                heard = codec.decode_up(topic.kind, message.payload)
                await self.here._answer(topic.device, heard)
                await self._up(topic.device, heard)
            await self._notify()

    async def _up(self, device: str, message: Any) -> None:
        match message:
            case up.VoiceJoin():
                self.sessions[device] = Session(device, message, self)
                await self._tell_keys(device)
            case up.VoiceCarriage():
                self.sessions[device].carriage = message.carriage
                self.carriages.append((device, message.carriage))
            case up.FloorRequest() if self.talker in ("", device):
                await self._grant(device, message.ref)
            case up.FloorRequest():
                await self.here.say(device, down.FloorDeny(GROUP, message.ref, "another-talks"))
            case up.FloorRelease() if self.talker == device:
                await self._free("released")

    async def _tell_keys(self, device: str) -> None:
        session = self.sessions[device]
        groups = [GroupKey(GROUP, 1, self._group.kid, self._group.key)]
        keys = Keys(1, session.up, session.down, groups, [f"127.0.0.1:{self.port}"])
        public, sealed = seal_to(session.join.public, encode(keys), context(device, session.join.nonce))
        await self.here.say(device, down.VoiceKeys(session.join.nonce, public, sealed))

    async def _grant(self, device: str, ref: int) -> None:
        if self.talker != device:
            self.talker, self.ref, self.burst = device, ref, self.burst + 1
        await self.here.say("", down.FloorTaken(GROUP, self.burst, device, name=device), group=GROUP)
        await self.here.say(device, down.FloorGranted(GROUP, ref, self.burst, 30_000))

    async def _free(self, why: str) -> None:
        self.talker = ""
        await self.here.say("", down.FloorIdle(GROUP, self.burst, why), group=GROUP)

    # ------------------------------------------------------------------------------------------- sound

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self.deaf:
            return
        found = [one for one in self.sessions.values() if one.up.kid == kid_of(data)]
        if found:
            sound = self._sound(found[0], data)
            if isinstance(sound, Ping):
                found[0].address = addr
                assert self.transport is not None
                self.transport.sendto(found[0].sealer.seal(voice.encode(Pong(sound.n))), addr)
            elif isinstance(sound, Frame):
                self._todo.put_nowait((found[0].device, sound))

    @staticmethod
    def _sound(session: Session, data: bytes) -> voice.Sound | None:
        try:
            return voice.decode(session.opener.open(data))
        except ProtocolError:
            return None

    async def _opened(self, device: str, data: bytes) -> None:
        session = self.sessions.get(device)
        sound = None if session is None else self._sound(session, data)
        if isinstance(sound, Frame):
            self._todo.put_nowait((device, sound))

    async def relay(self) -> None:
        """Each frame to everybody else, by the carriage that each has said."""
        while True:
            device, frame = await self._todo.get()
            if device != self.talker or frame.burst != self.burst:
                continue
            self.frames.append(frame)
            sealed = self._sealer.seal(voice.encode(frame))
            others = [one for name, one in self.sessions.items() if name != device]
            for one in others:
                if one.carriage == "datagram" and one.address is not None and not self.deaf:
                    assert self.transport is not None
                    self.transport.sendto(sealed, one.address)
            if any(one.carriage == "mqtt" for one in others):
                await self.here._client.publish(topics.group_voice(ROOT, GROUP), sealed, qos=0)
            if frame.flags & LAST:
                await self._free("released")
            await self._notify()


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


@contextlib.asynccontextmanager
async def daemon(port: int) -> AsyncIterator[Daemon]:
    """On the broker at this port; its datagrams at a port of its own on loopback."""
    async with site(port, listens=False) as here:
        loop = asyncio.get_running_loop()
        transport, one = await loop.create_datagram_endpoint(
            lambda: Daemon(here), local_addr=("127.0.0.1", 0)
        )
        tasks = [asyncio.create_task(work(), name="daemon") for work in (one.serve, one.relay)]
        try:
            yield one
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            transport.close()
