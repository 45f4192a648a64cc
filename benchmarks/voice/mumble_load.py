"""Talkers and listeners of mumble in one process: `python -m benchmarks.voice.mumble_load`.

join   groups × (one talker and `listeners`), each group in a channel of its own, all on UDP
talk   one word of `frames` by every talker: ears.Heard
"""

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from typing import Any, Final, cast

from . import mumble
from .ears import HOST, Ears, Stamped, ear, judge, talk
from .ocb import BLOCK, Crypt, Forged
from .orders import serve
from .packets import packet

AT_ONCE: Final = 20
"""Connections made at the same time."""
JOIN_TIMEOUT_S: Final = 120.0
PING_EVERY_S: Final = 0.2


class Client(asyncio.Protocol):
    """One user: its control connection, its socket and its keys."""

    def __init__(self, name: str, password: str = "") -> None:
        loop = asyncio.get_running_loop()
        self.name, self._password = name, password
        self.synced: asyncio.Future[None] = loop.create_future()
        self.moved: asyncio.Future[None] = loop.create_future()
        self.channels: dict[str, int] = {}
        self.channel_made = asyncio.Event()
        self.session = 0
        self._rest = b""
        self.socket = ear()

    def say(self, kind: int, *fields: tuple[int, int | bytes]) -> None:
        self._transport.write(mumble.message(kind, *fields))

    def move(self, channel: int) -> None:
        self.say(mumble.USER_STATE, (1, self.session), (5, channel))

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self.say(mumble.VERSION, (1, mumble.OUR_VERSION), (2, b"load"))
        self.say(mumble.AUTHENTICATE, (1, self.name.encode()), (2, self._password.encode()), (5, 1))

    def connection_lost(self, exc: Exception | None) -> None:
        raise ConnectionError(f"{self.name}: mumble-server closed the connection: {exc}")

    def data_received(self, data: bytes) -> None:
        data, end = self._rest + data, 0
        for kind, body, end in mumble.messages(data):  # noqa: B007 - the last end is used below
            if kind in _HANDLERS:
                _HANDLERS[kind](self, mumble.fields(body))
        self._rest = data[end:]

    def _sync(self, said: dict[int, Any]) -> None:
        self.session = said[1]
        self.synced.set_result(None)

    def _crypt(self, said: dict[int, Any]) -> None:
        """The keys; or the server's nonce anew; or it asks for ours, having tried these keys on others' datagrams."""
        if 1 in said:
            self.crypt = Crypt(said[1], said[2], said[3])
        elif 3 in said:
            self.crypt.heard = int.from_bytes(said[3], "little")
        else:
            self.say(mumble.CRYPT_SETUP, (2, self.crypt.sent.to_bytes(BLOCK, "little")))

    def _channel(self, said: dict[int, Any]) -> None:
        if 3 in said:
            self.channels[said[3].decode()] = said[1]
            self.channel_made.set()

    def _user(self, said: dict[int, Any]) -> None:
        if self.session and said.get(1) == self.session and 5 in said and not self.moved.done():
            self.moved.set_result(None)

    def _refused(self, said: dict[int, Any]) -> None:
        raise ConnectionError(f"{self.name}: mumble-server refused: {said}")


_HANDLERS: Final = {
    mumble.SYNC: Client._sync,
    mumble.CRYPT_SETUP: Client._crypt,
    mumble.CHANNEL_STATE: Client._channel,
    mumble.USER_STATE: Client._user,
    mumble.REJECT: Client._refused,
    mumble.PERMISSION_DENIED: Client._refused,
}


class Load:
    """The orders."""

    def __init__(self) -> None:
        self.talkers: list[Client] = []
        self.listeners: list[Client] = []
        self._talker_of: list[int] = []
        self._seq: list[int] = []

    async def join(self, port: int, password: str, groups: int, listeners: int) -> dict[str, int]:
        self._port = port
        async with asyncio.timeout(JOIN_TIMEOUT_S):
            (admin,) = await self._connect([Client("SuperUser", password)])
            channels = [await _make_channel(admin, f"group-{n}") for n in range(groups)]
            self.talkers = await self._connect([Client(f"talker-{n}") for n in range(groups)])
            self._talker_of = [n % groups for n in range(groups * listeners)]
            self.listeners = await self._connect([Client(f"listener-{n}") for n in range(groups * listeners)])
            for client, group in zip(self.listeners, self._talker_of, strict=True):
                client.move(channels[group])
            for client, channel in zip(self.talkers, channels, strict=True):
                client.move(channel)
            await asyncio.gather(*(one.moved for one in self.listeners + self.talkers))
            for client in self.listeners + self.talkers:
                await _reach(client, port)
        self._seq = [0] * groups
        self._ears = Ears([one.socket for one in self.listeners])
        return {"listeners": len(self.listeners)}

    async def _connect(self, clients: Sequence[Client]) -> list[Client]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # a private server on loopback
        for first in range(0, len(clients), AT_ONCE):
            some = clients[first : first + AT_ONCE]
            await asyncio.gather(*(self._open(one, context) for one in some))
            await asyncio.gather(*(one.synced for one in some))
        return list(clients)

    async def _open(self, client: Client, context: ssl.SSLContext) -> None:
        await asyncio.get_running_loop().create_connection(lambda: client, HOST, self._port, ssl=context)

    async def talk(self, frames: int) -> dict[str, float]:
        opus = packet()
        before = list(self._seq)

        def sayer(number: int) -> Any:
            client, send = self.talkers[number], self.talkers[number].socket.send
            return lambda n: send(client.crypt.seal(mumble.voice(before[number] + n, opus)))

        sent = await talk([sayer(n) for n in range(len(self.talkers))], self._ears, frames)
        self._seq = [seq + frames for seq in self._seq]
        numbered = [
            _numbered(client, one, before[talker])
            for client, one, talker in zip(self.listeners, self._ears.taken(), self._talker_of, strict=True)
        ]
        return judge(sent, numbered, self._talker_of)._asdict()


async def _make_channel(admin: Client, name: str) -> int:
    admin.say(mumble.CHANNEL_STATE, (2, 0), (3, name.encode()))
    while name not in admin.channels:
        admin.channel_made.clear()
        await admin.channel_made.wait()
    return admin.channels[name]


async def _reach(client: Client, port: int) -> None:
    """Until the server answers by UDP: from then on it sends there. What strangers sent before is passed over."""
    client.socket.connect((HOST, port))
    while True:
        client.socket.send(client.crypt.seal(bytes([mumble.PING]) + mumble.varint(7)))
        with contextlib.suppress(TimeoutError, Forged):
            async with asyncio.timeout(PING_EVERY_S):
                data = await asyncio.get_running_loop().sock_recv(client.socket, 2048)
            if client.crypt.open(data)[0] == mumble.PING:
                return


def _numbered(client: Client, heard: list[Stamped], first_seq: int) -> list[tuple[int, int]]:
    """(stamp, frame) of what one listener heard; all of it is opened, afterwards."""
    return [(stamp, mumble.heard(client.crypt.open(data))[1] - first_seq) for stamp, data in heard]


if __name__ == "__main__":
    serve(Load)
