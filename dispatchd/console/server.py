"""Serves the console inside the daemon's own loop: uvicorn without signal handlers and without access log.

Plain HTTP on this machine only; any other address is refused until TLS comes.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

STOP_S: Final = 3  # open requests and feeds get so long to end when the daemon stops
PING_S: Final = 20.0  # WebSocket pings; a client that does not answer one for so long has gone
MAX_WS_MESSAGE_BYTES: Final = 64 * 1024  # from a client; a feed's client has nothing to say
BACKLOG: Final = 128
DATE_S: Final = 1.0  # between two settings of the date that answers carry
STOPS: Final = 1012  # close code of feeds when the daemon stops
STOPS_WHY: Final = "The daemon is stopping. Connect again when it is back."


class ListenError(Exception):
    """The address cannot be served; says why and what to do."""


def parse_address(text: str) -> tuple[str, int]:
    """HOST:PORT of this machine; ListenError for anything else. Port 0 takes a free one."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isdecimal() or int(port) > 65535:
        raise ListenError(f"http address {text!r} is not HOST:PORT. Write for example 127.0.0.1:8080.")
    if not _is_loopback(host):
        raise ListenError(
            f"Plain HTTP is served on this machine only, and {host} is not loopback. Use 127.0.0.1:{port}, "
            "and reach it from elsewhere through ssh -L until TLS is configured."
        )
    return host, int(port)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """A bound socket, so that the port is known before anything is served. ListenError when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise ListenError(
            f"{host}:{port} cannot be served: {error.strerror}. "
            "Stop what listens there (ss -ltnp), or use another port."
        ) from error
    found.set_inheritable(False)
    return found


def url(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Sockets(WebSocketsSansIOProtocol):
    """Says why it closes when the daemon stops; uvicorn's own gives no reason."""

    def shutdown(self) -> None:
        if self.handshake_complete and not self.close_sent:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": STOPS})
            self.conn.send_close(STOPS, STOPS_WHY)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
        super().shutdown()


class _Server(uvicorn.Server):
    """The daemon handles signals; the server only serves."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self._on_ready:
            self._on_ready()

    async def main_loop(self) -> None:
        """Keeps the date; it ends by being cancelled. The library's own wakes the daemon ten times as often."""
        while True:
            await self.on_tick(0)
            await asyncio.sleep(DATE_S)


async def serve(app: ASGIApp, bound: socket.socket, on_ready: Callable[[], None] | None = None) -> None:
    """Serve until cancelled; then open requests get STOP_S."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        ws=_Sockets,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        ws_max_size=MAX_WS_MESSAGE_BYTES,
        timeout_graceful_shutdown=STOP_S,
        backlog=BACKLOG,
    )
    server = _Server(config, on_ready)
    try:
        await server.serve(sockets=[bound])
    except asyncio.CancelledError:
        server.should_exit = True
        server.force_exit = True
        await server.shutdown(sockets=[bound])
        raise
