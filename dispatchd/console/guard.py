"""The outermost wall: plain HTTP serves this machine only, also when a browser is tricked into asking for
another name.

A Host that is no loopback name (DNS rebinding) and an Origin of another site are refused before anything is
read."""

from typing import Final
from urllib.parse import urlsplit

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .errors import Problem

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_REFUSED: Final = Problem(
    "bad-host", "This daemon answers to 127.0.0.1 and localhost only. Use http://127.0.0.1 and its port."
)


def host_name(host: str) -> str:
    """Without the port; "" for what is no host."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    return host_name(host) in LOOPBACK


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not _local(Headers(scope=scope)):
            await _refuse(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _local(headers: Headers) -> bool:
    origin = headers.get("origin")
    own = origin is None or is_loopback(origin.partition("://")[2])
    return own and is_loopback(headers.get("host", ""))


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": _REFUSED.why[:120]})
        return
    response = Response(msgspec.json.encode(_REFUSED), 421, media_type="application/json")
    await response(scope, receive, send)
