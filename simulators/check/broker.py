"""A small broker of our own for a check: amqtt in this process, names and secrets from a file, nobody
else let in.

Good for one bench and a few devices on a trusted desk; the daemon's embedded broker is another one.
"""

import asyncio
import hmac
import json
import logging
import socket
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session

_qos: ContextVar[int | None] = ContextVar("qos", default=None)
"""Of the publish that the running task delivers."""
PLUGIN: Final = f"{__name__}.TokenAuth"


CLOSE_S: Final = 0.1
"""For closed connections to be really gone, which amqtt does not wait for."""


class TokenAuth(BaseAuthPlugin):  # type: ignore[misc]  # amqtt ships no types
    """Lets in whoever's user name has this password in the file, a JSON object."""

    @dataclass
    class Config:
        """`file`: its path."""

        file: str

    async def authenticate(self, *, session: Session) -> bool:
        tokens: dict[str, str] = json.loads(Path(self.config.file).read_text())  # noqa: ASYNC240 - tiny
        known = tokens.get(session.username or "")
        return known is not None and hmac.compare_digest(known.encode(), (session.password or "").encode())


class DeskBroker(Broker):  # type: ignore[misc]
    """amqtt, but a message keeps its QoS, and retained ones go only to who subscribed to them."""

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """One connection from beginning to end; at the end it is closed, whatever happened."""
        try:
            await super().stream_connected(reader, writer, listener_name)
        finally:
            writer.close()

    async def _handle_message_delivery(
        self, client_session: Session, handler: Any, wait_deliver: "asyncio.Future[Any]"
    ) -> bool:
        _qos.set(getattr(wait_deliver.result(), "qos", None))
        going_on: bool = await super()._handle_message_delivery(client_session, handler, wait_deliver)
        return going_on

    async def _broadcast_message(
        self, session: Session | None, topic: str | None, data: bytes | None, force_qos: int | None = None
    ) -> None:
        await super()._broadcast_message(session, topic, data, _qos.get() if force_qos is None else force_qos)

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        if any(holder is session for holder, _ in self._subscriptions.get(subscription[0], ())):
            await super()._publish_retained_messages_for_subscription(subscription, session)


class TokenBroker:
    """`async with TokenBroker(tokens, folder) as broker:` listens on 127.0.0.1:`broker.port`."""

    def __init__(self, tokens: Mapping[str, str], folder: Path) -> None:
        self._file = folder / "tokens.json"
        self._file.touch(mode=0o600)
        self._file.write_text(json.dumps(dict(tokens)))
        self.port = free_port()
        self._broker: Broker | None = None

    async def __aenter__(self) -> Self:
        for noisy in ("amqtt", "transitions"):
            logging.getLogger(noisy).setLevel(logging.CRITICAL)
        config = BrokerConfig(
            listeners={"default": ListenerConfig(bind=f"127.0.0.1:{self.port}")},
            plugins={PLUGIN: {"file": str(self._file)}},
        )
        self._broker = DeskBroker(config)
        await self._broker.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._broker is not None
        await self._broker.shutdown()
        await asyncio.sleep(CLOSE_S)
        self._file.unlink(missing_ok=True)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
