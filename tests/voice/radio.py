"""A device as these tests want it: keys, a socket, and everything it ever learned, forgotten by nobody."""

import asyncio
import socket

from dispatchd.voice.datagram import bind
from protocols import up, voice_keys
from protocols.down import VoiceKeys
from protocols.errors import ProtocolError
from protocols.sframe import Opener, Sealer, kid_of
from protocols.voice import Frame, Ping, Pong, Sound, decode, encode
from protocols.voice_keys import GroupKey, KeyPair, Keys

OPUS = bytes([0x08, 1, 2, 3])
PATIENCE_S = 10.0


class Radio:
    """Keeps every key it was ever told, so that a test can see what it could open if it wanted."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.sock: socket.socket = bind("127.0.0.1", 0)
        self.pair = KeyPair.generate()
        self.nonce = b"nonce-" + device.encode()
        self.keys = Keys(0)
        self.sealer: Sealer | None = None
        self.openers: dict[int, Opener] = {}
        self.group_keys: list[GroupKey] = []
        self._pings = 0

    def close(self) -> None:
        self.sock.close()

    def join(self, carriage: str = "datagram") -> up.VoiceJoin:
        return up.VoiceJoin(self.nonce, self.pair.public, carriage)

    def take(self, message: VoiceKeys) -> Keys:
        """Open its keys."""
        assert message.nonce == self.nonce
        bound = voice_keys.context(self.device, self.nonce)
        self.keys = keys = voice_keys.decode(
            voice_keys.open_sealed(self.pair, message.public, message.sealed, bound)
        )
        assert keys.up is not None
        assert keys.down is not None
        if keys.up.kid not in self.openers:
            self.sealer = Sealer(keys.up.kid, keys.up.key)
            self.openers[keys.up.kid] = Opener(keys.up.kid, keys.up.key)  # marks it as known
        for kid, key in ((keys.down.kid, keys.down.key), *((one.kid, one.key) for one in keys.groups)):
            self.openers.setdefault(kid, Opener(kid, key))
        self.group_keys += keys.groups
        return keys

    def seal(self, sound: Sound) -> bytes:
        assert self.sealer is not None
        return self.sealer.seal(encode(sound))

    def send(self, sealed: bytes) -> None:
        host, _, port = self.keys.udp[0].rpartition(":")
        self.sock.sendto(sealed, (host, int(port)))

    def say(self, burst: int, seq: int, flags: int = 0) -> None:
        self.send(self.seal(frame(burst, seq, flags)))

    async def ping(self) -> None:
        """Until the pong is there; what came before is thrown away."""
        self.waiting()
        self._pings += 1
        self.send(self.seal(Ping(self._pings)))
        assert await self.heard() == Pong(self._pings)

    def open(self, sealed: bytes) -> Sound | None:
        """None: it has no key for that."""
        opener = self.openers.get(kid_of(sealed))
        try:
            return decode(opener.open(sealed)) if opener is not None else None
        except ProtocolError:
            return None

    async def received(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await asyncio.get_running_loop().sock_recv(self.sock, 2000)

    async def heard(self) -> Sound | None:
        """What the next datagram says to it."""
        return self.open(await self.received())

    def waiting(self) -> list[bytes]:
        """Datagrams that have come already."""
        found = []
        try:
            while True:
                found.append(self.sock.recv(2000))
        except BlockingIOError:
            return found


def frame(burst: int, seq: int, flags: int = 0) -> Frame:
    return Frame(burst, seq, seq * 960, OPUS, flags)
