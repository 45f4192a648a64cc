"""The datagram carriage: one UDP socket for each address of the daemon. Bytes only; sealing is the radio's.

What must hold: sending never waits (a full socket drops, which is counted), a socket that can send no more (the
network has changed) is replaced, and nothing comes in but from the addresses themselves: the sockets are connected.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

OPEN_AGAIN_S: Final = 2.0
"""After an address could not be resolved or a socket not opened; its pings have no answer meanwhile."""
MAX_WAITING: Final = 8
"""Datagrams kept while the sockets are being opened, the oldest go: pings and the first sound of a burst."""
Take = Callable[[bytes, int], None]
"""A datagram and the index of the address it came from."""


class Datagrams:
    """`run` until cancelled; `use` and `send` at any time. `counts`: sent, received, refused, unsent."""

    def __init__(self, take: Take, log: Callable[[dict[str, Any]], None]) -> None:
        self.counts: Counter[str] = Counter()
        self._take = take
        self._log = log
        self._wanted: tuple[str, ...] = ()
        self._open: tuple[str, ...] = ()
        self._sockets: list[asyncio.DatagramTransport] = []
        self._changed = asyncio.Event()
        self._broken = False
        self._full = False
        self._waiting: deque[tuple[bytes, int | None]] = deque(maxlen=MAX_WAITING)

    def use(self, addresses: tuple[str, ...]) -> None:
        """The same ones again change nothing, unless a socket has failed since."""
        if addresses != self._wanted or self._broken:
            self._wanted = addresses
            self._changed.set()

    def send(self, sealed: bytes, to: int | None) -> None:
        """To one address, or to all."""
        if self._wanted != self._open or self._changed.is_set():
            self._waiting.append((sealed, to))
            return
        for index, socket in enumerate(self._sockets):
            if to is None or to == index:
                self._send(socket, sealed)

    def _send(self, socket: asyncio.DatagramTransport, sealed: bytes) -> None:
        if self._full or socket.is_closing():
            self.counts["unsent"] += 1
        else:
            socket.sendto(sealed)
            self.counts["sent"] += 1

    async def run(self) -> None:
        try:
            while True:
                await self._changed.wait()
                if not await self._reopen():
                    await asyncio.sleep(OPEN_AGAIN_S)
        finally:
            self._close()

    async def _reopen(self) -> bool:
        """All addresses, or none: False."""
        wanted = self._wanted
        self._close()
        try:
            for index, address in enumerate(wanted):
                self._sockets.append(await self._connected(address, index))
        except OSError as error:
            self._log({"ev": "datagram", "why": f"{', '.join(wanted)}: {error}"})
            self._close()
            return False
        if wanted == self._wanted:
            self._open, self._broken = wanted, False
            self._changed.clear()
            self._flush()
        return True

    async def _connected(self, address: str, index: int) -> asyncio.DatagramTransport:
        host, _, port = address.rpartition(":")
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Socket(self, index), remote_addr=(host.strip("[]"), int(port))
        )
        return transport

    def _flush(self) -> None:
        while self._waiting:
            self.send(*self._waiting.popleft())

    def _close(self) -> None:
        for socket in self._sockets:
            socket.close()
        self._sockets.clear()
        self._open, self._full = (), False

    # --- of the sockets

    def full(self, *, yes: bool) -> None:
        """The kernel takes no more, by the loop's own high and low water."""
        self._full = yes

    def received(self, data: bytes, index: int) -> None:
        self.counts["received"] += 1
        self._take(data, index)

    def failed(self, error: Exception) -> None:
        """Refused by the other end is a matter of time; anything else is our socket."""
        refused = isinstance(error, ConnectionRefusedError)
        self.counts["refused" if refused else "unsent"] += 1
        self._broken = self._broken or not refused


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, owner: Datagrams, index: int) -> None:
        self._owner = owner
        self._index = index

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._owner.received(data, self._index)

    def pause_writing(self) -> None:
        self._owner.full(yes=True)

    def resume_writing(self) -> None:
        self._owner.full(yes=False)

    def error_received(self, exc: Exception) -> None:
        self._owner.failed(exc)
