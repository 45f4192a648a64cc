"""ICE as this daemon wants it: one UDP socket of a fixed port range for each session, host candidates of one address
only, no STUN or TURN server, and a peer that is gone noticed within seconds.

The only file that touches aioice's private names (pinned: aioice comes with aiortc 1.16). What must hold: nothing is
ever sent to an address that a stranger's SDP names, only to one that has shown by its own check that it wants it.
"""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from aioice.candidate import Candidate, candidate_foundation, candidate_priority
from aioice.ice import Connection, StunProtocol
from aioice.stun import Message, TransactionError
from aiortc import RTCIceTransport

QUIET_S: Final = 5.0
"""A peer that has asked us nothing for so long is asked whether it is there; browsers ask every 2 to 5 s."""
QUIET_PILLAR_S: Final = 1.5
"""Of a pillar, which asks twice a second: a citizen whose link broke should not be thought to be heard for long."""
CONSENT_EVERY_S: Final = 20.0
"""Whatever it asks itself: leave to send is its own answer only, and that holds for 30 s (RFC 7675)."""
LOST_AFTER_S: Final = 4.0
"""Asked again and again for so long without an answer a peer is gone, and its session ends."""
RECEIVE_BYTES: Final = 256 * 1024
"""Of a session's socket in the kernel; what comes beyond is lost there."""


class NoPort(Exception):
    """Every port of the range is in use, or the address is not this machine's."""


class Ports(NamedTuple):
    """UDP ports from `low` to `high`, both included."""

    low: int
    high: int


def parse_ports(text: str) -> Ports:
    """Of "LOW-HIGH"; ValueError with a sentence for anything else."""
    low, _, high = text.partition("-")
    if not (low.isdecimal() and high.isdecimal() and 1024 <= int(low) <= int(high) <= 65535):
        raise ValueError(
            f"{text!r} is no range of UDP ports. Write two numbers from 1024 to 65535 as LOW-HIGH."
        )
    return Ports(int(low), int(high))


class PortRange:
    """Hands out bound sockets, in turn, so that a port just left rests longest.

    `announced`: the IP address that peers are told, where it is not the one that is bound (0.0.0.0, behind a NAT).
    """

    def __init__(self, host: str, ports: Ports, announced: str = "") -> None:
        self.host = host
        self.announced = announced
        self.ports = ports
        self._next = ports.low

    def bind(self) -> socket.socket:
        """Not blocking; NoPort with what to do when there is none."""
        error: OSError | None = None
        for _ in range(self.ports.high - self.ports.low + 1):
            port, self._next = self._next, self._next + 1 if self._next < self.ports.high else self.ports.low
            try:
                return _bound(self.host, port)
            except OSError as why:
                error = why
        raise NoPort(
            f"No UDP port of {self.host}, {self.ports.low} to {self.ports.high}, can be had "
            f"({error.strerror if error else ''}). Widen voice.webrtc_ports or check the address."
        )


def _bound(host: str, port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        found.setblocking(False)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        found.bind((host, port))
    except OSError:
        found.close()
        raise
    return found


class Path:
    """Where datagrams of a session go: its own socket, without a buffer in between."""

    def __init__(self, transport: RTCIceTransport) -> None:
        self._connection = transport._connection
        self._socket: socket.socket | None = None
        self.heard_s = 0.0
        """When the peer last showed by its password that it is there, by the loop's clock."""

    def bound_to(self, found: socket.socket) -> None:
        self._socket = found

    def send(self, data: bytes) -> bool:
        """At once or not at all: False when there is no peer yet or any more, or no room in the kernel."""
        pair = self._connection._nominated.get(1)
        if pair is None or self._socket is None:
            return False
        try:
            self._socket.sendto(data, pair.remote_addr)
        except OSError:  # full, unreachable for the moment, or closed: sound that is late is of no use
            return False
        return True


def confine(transport: RTCIceTransport, ports: PortRange, quiet_s: float = QUIET_S) -> Path:
    """Make this transport use a port of the range and no other address. Before it gathers candidates.

    `quiet_s`: the peer is asked when it was silent for so long.
    """
    connection, path = transport._connection, Path(transport)
    gather: Callable[[], object] = partial(_gather, connection, ports, path)
    connection.gather_candidates = gather  # type: ignore[method-assign, assignment]
    consent: Callable[[], object] = partial(_watch, connection, path, quiet_s)
    connection.query_consent = consent  # type: ignore[method-assign, assignment]
    return path


async def _gather(connection: Connection, ports: PortRange, path: Path) -> None:
    if connection._local_candidates_start:
        return
    connection._local_candidates_start = True
    found = ports.bind()
    _, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: StunProtocol(connection), sock=found
    )
    bound, port = found.getsockname()[:2]
    host = ports.announced or bound
    protocol.local_candidate = Candidate(
        foundation=candidate_foundation("host", "udp", host),
        component=1,
        transport="udp",
        priority=candidate_priority(1, "host"),
        host=host,
        port=port,
        type="host",
    )
    path.bound_to(found)
    connection._protocols.append(protocol)
    connection._local_candidates.append(protocol.local_candidate)
    connection._local_candidates_end = True


async def _watch(connection: Connection, path: Path, quiet_s: float) -> None:
    """Ask the peer when it is silent, and now and then anyhow, whether it still wants what we send; without its word it
    ends.
    """
    loop = asyncio.get_running_loop()
    _note_questions(connection, path)
    answered_s = loop.time()
    while True:
        due_s = min(max(path.heard_s, answered_s) + quiet_s, answered_s + CONSENT_EVERY_S)
        if due_s > loop.time():
            await asyncio.sleep(due_s - loop.time())
        elif await _answers(connection):
            answered_s = loop.time()
        else:
            break
    connection._query_consent_task = None  # this one; close would cancel it
    await connection.close()


def _note_questions(connection: Connection, path: Path) -> None:
    """Those that the peer's password opens; the library has looked."""
    loop, check = asyncio.get_running_loop(), connection.check_incoming

    def noted(message: Message, address: tuple[str, int], protocol: StunProtocol) -> None:
        path.heard_s = loop.time()
        check(message, address, protocol)

    connection.check_incoming = noted  # type: ignore[method-assign, assignment]


async def _answers(connection: Connection) -> bool:
    """Within LOST_AFTER_S. An unanswered question takes 0.5 s."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + LOST_AFTER_S
    while connection._nominated and loop.time() < until_s:
        if await _consents(connection):
            return True
    return False


async def _consents(connection: Connection) -> bool:
    pair = connection._nominated[1]
    try:
        await pair.protocol.request(
            connection.build_request(pair, nominate=False),
            pair.remote_addr,
            integrity_key=(connection.remote_password or "").encode(),
            retransmissions=0,
        )
    except TransactionError:
        return False
    return True
