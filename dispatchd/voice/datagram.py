"""The datagram carriage: the UDP socket, what comes in by it, and where each device is.

What must hold: only what a device's own key opened counts, an address included; nobody learns from us that there is
anything here without a key (nothing is ever answered but a genuine ping). Everything else is dropped and counted:
`oversize`, `malformed`, `unknown-kid`, `stale-kid`, `unlooked` (too many of these two), `forged`, `replayed`.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from protocols.errors import ProtocolError
from protocols.sframe import read_header
from protocols.voice import MAX_SEALED_BYTES, Frame, Ping, Pong, decode, encode

from .fanout import Address, Fan, make_fan
from .keyring import Keyring, Session
from .limits import Bucket

DRAIN_MAX: Final = 64
"""Datagrams taken at one wake-up of the loop, so that a flood leaves room for everything else."""
CROWDED_MS: Final = 1
"""A wake-up so soon after the last empties the socket; else one datagram is taken, for to ask in vain for a second
costs as much."""
STRANGERS_PER_S: Final = 1000
"""Datagrams of unknown or stale key that are looked into, in all; the rest is dropped as `unlooked`."""
PINGS_PER_S: Final = 10
"""Of one device, and twice that at once; the rest is dropped as `pings`."""
SILENT_MS: Final = 30_000
"""Without anything genuine for so long (three pings) an address is forgotten."""
BUFFER_BYTES: Final = 4 * 1024 * 1024
"""Asked of the kernel for either way; it gives what it allows."""
_CODES: Final = {
    "sframe-forged": "forged", "sframe-replayed": "replayed", "sframe-kid": "unknown-kid",
    "sframe-short": "malformed", "bad-frame": "malformed", "oversize": "oversize",
}  # fmt: skip


class Place(NamedTuple):
    """Where a device is, and when it was last heard from there."""

    address: Address
    heard_ms: int


class Opened(NamedTuple):
    """A genuine frame or ping, and whose."""

    session: Session
    sound: Frame | Ping


class Door:
    """Opens what comes sealed, by whatever carriage; None and a count for what is not genuine."""

    def __init__(self, keyring: Keyring, counts: Counter[str]) -> None:
        self._keyring, self._counts = keyring, counts
        self._strangers = Bucket(STRANGERS_PER_S, STRANGERS_PER_S)

    def open(self, sealed: bytes, now_ms: int) -> Opened | None:
        """Never raises."""
        if len(sealed) > MAX_SEALED_BYTES:
            self._counts["oversize"] += 1
            return None
        try:
            kid, counter, start = read_header(sealed)
            session = self._keyring.opening(kid)
            if session is None:
                why = self._keyring.unknown_why(kid)
                self._counts[why if self._strangers.take(now_ms) else "unlooked"] += 1
                return None
            sound = decode(session.opener.open_read(sealed, counter, start))
        except ProtocolError as error:
            self._counts[_CODES.get(error.code, "malformed")] += 1
            return None
        if isinstance(sound, Pong):  # ours to say
            self._counts["malformed"] += 1
            return None
        return Opened(session, sound)


class Datagrams:
    """Start it in a running loop. `places`: where devices are; `moved` is told when that changes."""

    def __init__(
        self,
        sock: socket.socket,
        door: Door,
        counts: Counter[str],
        now_ms: Callable[[], int],
        said: Callable[[str, Frame, int], None],
        moved: Callable[[str], None],
    ) -> None:
        self._sock, self._door, self._counts = sock, door, counts
        self._now_ms, self._said, self._moved = now_ms, said, moved
        self._pings: dict[str, Bucket] = {}
        self._read_ms = 0
        self.places: dict[str, Place] = {}

    @property
    def port(self) -> int:
        port: int = self._sock.getsockname()[1]
        return port

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._readable)

    def stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._sock.fileno())

    def fan(self) -> Fan:
        """To send one datagram to many."""
        return make_fan(self._sock, self._counts)

    def send(self, device: str, sealed: bytes) -> None:
        """To one, if it is known where it is."""
        place = self.places.get(device)
        if place is not None:
            self._send(sealed, place.address)

    def forget(self, device: str) -> None:
        """It is not there any more."""
        self._pings.pop(device, None)
        if self.places.pop(device, None) is not None:
            self._moved(device)

    def tick(self, now_ms: int) -> None:
        """Forget those that have been silent for too long."""
        for device in [d for d, place in self.places.items() if now_ms - place.heard_ms > SILENT_MS]:
            self.forget(device)

    # --- in -----------------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        now_ms = self._now_ms()
        crowded, self._read_ms = now_ms - self._read_ms <= CROWDED_MS, now_ms
        for _ in range(DRAIN_MAX if crowded else 1):  # the loop calls again while there are more
            try:
                sealed, address = self._sock.recvfrom(MAX_SEALED_BYTES + 1)
            except BlockingIOError:
                return
            except OSError:
                self._counts["receive-failed"] += 1  # what an earlier datagram of ours met
                continue
            self._received(sealed, address, now_ms)

    def _received(self, sealed: bytes, address: Address, now_ms: int) -> None:
        opened = self._door.open(sealed, now_ms)
        if opened is None:
            return
        session, sound = opened
        if session.until_ms is None:  # by a former key nobody moves
            self._learn(session.device, address, now_ms)
        if isinstance(sound, Ping):
            self._pong(session, sound, address, now_ms)
        else:
            self._said(session.device, sound, now_ms)

    def _learn(self, device: str, address: Address, now_ms: int) -> None:
        before = self.places.get(device)
        self.places[device] = Place(address, now_ms)
        if before is None or before.address != address:
            self._moved(device)

    def _pong(self, session: Session, ping: Ping, address: Address, now_ms: int) -> None:
        bucket = self._pings.setdefault(session.device, Bucket(PINGS_PER_S, 2 * PINGS_PER_S))
        if not bucket.take(now_ms):
            self._counts["pings"] += 1
            return
        self._counts["pongs"] += 1
        self._send(session.sealer.seal(encode(Pong(ping.n))), address)

    def _send(self, sealed: bytes, address: Address) -> None:
        try:
            self._sock.sendto(sealed, address)
        except BlockingIOError:
            self._counts["send-full"] += 1
        except OSError:
            self._counts["send-failed"] += 1


def bind(host: str, port: int) -> socket.socket:
    """A non-blocking UDP socket; OSError when the address cannot be had."""
    family, kind, number, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, number)
    try:
        sock.setblocking(False)
        for which in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, which, BUFFER_BYTES)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock
