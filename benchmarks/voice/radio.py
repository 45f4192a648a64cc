"""One terminal of ours as a load client: true MQTT messages, true keys, true sealed frames; nothing it does by itself.

It says hello once, applies what it is told, joins the voice and answers a reset; talk key and frames are its owner's.
On the datagram carriage frames arrive at `socket`, which nobody reads here (ears.py); by MQTT they are kept in `heard`.
"""

import asyncio
import secrets
import time
from typing import Any, Final

import msgspec

from benchmarks.broker import BARE_ROOT, ROOT
from benchmarks.town import Somebody
from benchmarks.wire import Wire, packet, text
from devices.voice.keyring import Keyring
from protocols import codec, down, envelope, sframe, topics, up
from protocols.down import FloorDeny, FloorGranted, FloorIdle, FloorTaken
from protocols.sframe import Opener
from protocols.types import Key
from protocols.voice import LAST, Frame, Ping, decode, encode
from protocols.voice_keys import KeyPair, Keys

from .ears import Stamped, ear
from .packets import packet as opus_packet

PUBLISH_QOS0: Final = 0x30
GROUPS: Final = f"{ROOT}/g/"
SAMPLES: Final = 960


class Denied(Exception):
    """The floor was not granted."""


class Radio(Wire):
    """`group` is what it talks in and listens to. What is said to the whole group it reads only when it is `attentive`:
    on a site a hundred machines do that, here they would share the cores with what is measured."""

    def __init__(self, one: Somebody, group: str, carriage: str = "datagram") -> None:
        filters = [topics.device_filter(root, one.id) for root in (ROOT, BARE_ROOT)]
        filters.append(topics.group_filter(ROOT, group))
        if carriage == "mqtt":
            filters.append(topics.group_voice(ROOT, group))
        super().__init__(one.id, one.secret, filters)
        loop = asyncio.get_running_loop()
        self.group, self.carriage = group, carriage
        self.attentive = False
        self.socket = ear()
        self.heard: list[Stamped] = []
        self.here: asyncio.Future[None] = loop.create_future()
        self.keyed = asyncio.Event()
        self.taken: asyncio.Future[FloorTaken] = loop.create_future()
        self._floor: asyncio.Future[int] | None = None
        self._idle = asyncio.Event()
        self._echoed: asyncio.Future[None] | None = None
        self._keyring = Keyring(one.id)
        self._keys: Keys | None = None
        self._ref = self._answers = self._pings = 0
        self._voice = text(topics.up(ROOT, one.id, "voice").encode())

    # --- MQTT

    def say(self, message: up.Up) -> None:
        self.send(self._said(message))

    def _said(self, message: up.Up) -> bytes:
        topic = topics.up(ROOT, self.user, codec.UP_KIND[type(message)])
        return self.publish(topic.encode(), codec.encode(message))

    def hello(self) -> None:
        self.say(up.Hello(b"nonce-of-8", 1, "bench"))
        self.say(up.State(1))

    def received(self, topic: str, payload: bytes) -> bytes:
        kind = topic[topic.rindex("/") + 1 :]
        if kind == "voice":
            self.heard.append((time.time_ns(), payload))
            return b""
        if topic.startswith(BARE_ROOT):
            assert self._echoed is not None
            self._echoed.set_result(None)
            return b""
        if topic.startswith(GROUPS) and not self.attentive:
            return b""
        return self._told(kind, envelope.unseal(payload).body)

    def _told(self, kind: str, body: bytes) -> bytes:
        match codec.decode_down(kind, body):
            case down.Hello():
                if not self.here.done():
                    self.here.set_result(None)
            case down.Membership(version=version):
                self._answers += 1
                return self._said(up.Applied(Key("answer", self._answers), "membership", version))
            case down.VoiceKeys() as keys:
                self._use(keys)
            case down.VoiceReset():
                self.join()
            case FloorGranted() | FloorDeny() | FloorTaken() | FloorIdle() as floor:
                self._floor_said(floor)
            case _:
                pass
        return b""

    def close(self) -> None:
        self._transport.close()
        self.socket.close()

    # --- keys

    def join(self) -> None:
        pair, nonce = KeyPair.generate(), secrets.token_bytes(16)
        self._keyring.join(pair, nonce)
        self.keyed.clear()
        self.say(up.VoiceJoin(nonce, pair.public, self.carriage))

    def _use(self, message: down.VoiceKeys) -> None:
        self._keys = self._keyring.take(message, 0)
        if self.carriage == "datagram":
            host, _, port = self._keys.udp[0].rpartition(":")
            self.socket.connect((host, int(port)))
            self.ping()
        self.keyed.set()

    def ping(self) -> None:
        self._pings += 1
        self.socket.send(self._seal(Ping(self._pings)))

    def _seal(self, sound: Frame | Ping) -> bytes:
        sealed = self._keyring.seal(encode(sound))
        assert sealed is not None
        return sealed

    # --- the talk key

    async def press(self) -> int:
        """The burst, once it is granted. Denied."""
        self._ref += 1
        self._floor = asyncio.get_running_loop().create_future()
        self._idle.clear()
        self.say(up.FloorRequest(self.group, self._ref))
        return await self._floor

    async def release(self) -> None:
        """Until the group is told that nobody talks."""
        self.say(up.FloorRelease(self.group, self._ref))
        await self._idle.wait()

    def _floor_said(self, floor: FloorGranted | FloorDeny | FloorTaken | FloorIdle) -> None:
        waits = self._floor is not None and not self._floor.done()
        match floor:
            case FloorGranted(ref=ref, burst=burst) if waits and ref == self._ref:
                assert self._floor is not None
                self._floor.set_result(burst)
            case FloorDeny(ref=ref, cause=cause) if waits and ref == self._ref:
                assert self._floor is not None
                self._floor.set_exception(Denied(f"{self.user}: {cause} {floor.text_en}"))
            case FloorTaken() if not self.taken.done():
                self.taken.set_result(floor)
            case FloorIdle():
                self._idle.set()
            case _:
                pass

    def frame(self, burst: int, seq: int, *, last: bool = False) -> None:
        """Say one."""
        sound = Frame(burst, seq, seq * SAMPLES, opus_packet(), LAST if last else 0)
        if self.carriage == "mqtt":
            self.send(packet(PUBLISH_QOS0, self._voice + self._seal(sound)))
        else:
            self.socket.send(self._seal(sound))

    # --- what was heard

    def numbered(self, heard: list[Stamped], burst: int) -> list[tuple[int, int]]:
        """(stamp, seq) of the frames of a burst that open under the group's key; pongs are not among them."""
        assert self._keys is not None
        key = next(one for one in self._keys.groups if one.group == self.group)
        opener = Opener(key.kid, key.key)
        opened = (
            (stamp, decode(opener.open(data))) for stamp, data in heard if sframe.kid_of(data) == key.kid
        )
        return [(stamp, one.seq) for stamp, one in opened if isinstance(one, Frame) and one.burst == burst]

    # --- an echo client, as measure

    async def echo(self) -> None:
        """A message of a floor request's size goes to the echo client and comes back."""
        self._echoed = asyncio.get_running_loop().create_future()
        topic = topics.up(BARE_ROOT, self.user, "echo").encode()
        self.send(self.publish(topic, codec.encode(up.FloorRequest(self.group, 1))))
        await self._echoed


def everybody(said: Any) -> list[Somebody]:
    """Of an order's JSON."""
    return msgspec.convert(said, list[Somebody])
