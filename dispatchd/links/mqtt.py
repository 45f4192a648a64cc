"""MQTT in and out. Bytes become inputs, effects become bytes; nothing is decided here.

Up: a message is acknowledged to the broker after its outcome is on disk (or is known to have failed: then the device
repeats it, because only a receipt ends its retries). States are volatile and never waited for. What cannot be read is
acknowledged, counted and kept for a while.

Down: everything goes in an envelope whose number only grows: `start` (counted by the store) above, a counter below.
While there is no connection effects are dropped: what matters is an obligation of the core, which sends it again.

Voice takes a way of its own: sealed frames (`up/voice`) and the messages of up.Voice go to `on_voice_payload` and
`on_voice`, never to the engine, and nobody waits for them; frames go out at QoS 0, and only as fast as the connection
takes them.

The connection is clean every time and made anew by our own loop, with a fresh client, so nothing of an older one comes
back. Reconnecting waits between RECONNECT_MIN_S and RECONNECT_MAX_S, doubled and jittered.
"""

import asyncio
import contextlib
import random
import ssl
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, NamedTuple, cast, get_args
from urllib.parse import urlsplit

import gmqtt
import structlog

from dispatchd.core.effects import Effect, Send, SendGroup
from dispatchd.core.inputs import DeviceSaid, Input, LinkUp, PresenceSeen
from dispatchd.store.base import StoreError
from protocols import codec, envelope, topics, up
from protocols.down import Down, Receipt
from protocols.errors import ProtocolError

from .mqtt_voice import Heard, Packets

RECONNECT_MIN_S: Final = 0.2
RECONNECT_MAX_S: Final = 5.0
CONNECT_TIMEOUT_S: Final = 10.0
KEEPALIVE_S: Final = 10
OUTSTANDING_MAX: Final = 20_000
"""Publishes the broker has not acknowledged; above it more are dropped and counted, and sent again when due."""
VOICE_BUFFER_BYTES: Final = 64 * 1024
"""Not taken by the connection yet; above it voice is dropped and counted, for sound that comes late is worthless."""
RECEIPTS_MAX: Final = 200
"""Keys in one receipt; more make a second one."""
MQTT_311: Final = 4
REFUSED: Final = 0x80
"""A SUBACK's code from here on: not granted."""
NEVER: Final = -2
"""gmqtt reconnects while failures <= this; -1 would be for ever."""

_VOICE: Final = frozenset(get_args(up.Voice))
_DURABLE: Final = frozenset(kind for kind, type_ in up.KINDS.items() if "key" in type_.__struct_fields__)
"""Taken also when the broker had kept them: their keys remove doubles. A state, a press of the talk key, or a frame
that was kept says what is no longer so."""
log = structlog.get_logger("link")


class BrokerAddress(NamedTuple):
    """Where and as whom; the password never shows in logs."""

    url: str
    username: str
    password: str

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or "127.0.0.1"

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or (8883 if self.tls else 1883)

    @property
    def tls(self) -> bool:
        return urlsplit(self.url).scheme in ("mqtts", "ssl")

    def __repr__(self) -> str:
        return f"BrokerAddress({self.url!r}, {self.username!r})"


class Numbers(NamedTuple):
    """What envelopes carry besides their body."""

    gen: int
    start: int


class MqttLink:
    """Give it where to tell inputs; run `run`; hand effects to `perform`."""

    def __init__(
        self,
        address: BrokerAddress,
        root: str,
        numbers: Numbers,
        tell: Callable[[Input], Awaitable[Any]],
        tell_state: Callable[[str, up.State], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._address = address
        self._root = root
        self._gen = numbers.gen
        self._n = numbers.start << 32
        self._tell = tell
        self._tell_state = tell_state
        self._now_ms = now_ms
        self._client: gmqtt.Client | None = None
        self.counts: Counter[str] = Counter()
        self.connected = asyncio.Event()
        self.on_change: Callable[[bool], None] = lambda _up: None
        self.on_malformed: Callable[[str, bytes, ProtocolError], None] = lambda _topic, _payload, _error: None
        self.on_voice: Callable[[str, up.Voice], None] = lambda _device, _message: None
        self.on_voice_payload: Callable[[str, bytes], None] = lambda _device, _sealed: None
        self._frames = Heard(root, self._heard, self._unreadable, self.counts)
        self._packets = Packets()

    # --- down ---------------------------------------------------------------------------------------------------

    def perform(self, effects: Iterable[Effect]) -> None:
        """Publish what is for this link; receipts of one batch to one device go together."""
        receipts: dict[str, list[Any]] = defaultdict(list)
        for effect in effects:
            if isinstance(effect, Send):
                if type(effect.message) is Receipt:
                    receipts[effect.device].extend(effect.message.items)
                else:
                    self._down(topics.down, effect.device, effect.message, effect.ttl_ms)
            elif isinstance(effect, SendGroup):
                self._down(topics.group_down, effect.group, effect.message, effect.ttl_ms)
        for device, items in receipts.items():
            for first in range(0, len(items), RECEIPTS_MAX):
                self._down(topics.down, device, Receipt(items[first : first + RECEIPTS_MAX]), 0)

    def _down(self, topic: Callable[[str, str, str], str], to: str, message: Down, ttl_ms: int) -> None:
        kind = codec.DOWN_KIND[type(message)]
        client = self._client
        if client is None or len(client._persistent_storage._messages) >= OUTSTANDING_MAX:
            self.counts["down_dropped"] += 1
            return
        self._n += 1
        sealed = envelope.seal(self._gen, self._n, ttl_ms, self._now_ms(), codec.encode(message))
        client.publish(topic(self._root, to, kind), sealed, qos=1)
        self.counts["down"] += 1

    def publish_voice(self, group: str, sealed: bytes) -> None:
        """A frame to those of a talk group who hear it by MQTT."""
        self._voice(topics.group_voice(self._root, group), sealed)

    def publish_voice_to(self, device: str, sealed: bytes) -> None:
        """A frame to one device alone (catch-up)."""
        self._voice(topics.down(self._root, device, topics.VOICE), sealed)

    def _voice(self, topic: str, sealed: bytes) -> None:
        client = self._client
        if client is None or client._connection._transport.get_write_buffer_size() > VOICE_BUFFER_BYTES:
            self.counts["voice_dropped"] += 1
            return
        client._connection._protocol.write_data(self._packets.publish(topic, sealed))
        self.counts["voice"] += 1

    # --- up -----------------------------------------------------------------------------------------------------

    async def _received(self, _client: Any, topic: str, payload: bytes, _qos: int, properties: Any) -> int:
        """0 = acknowledge to the broker."""
        self.counts["up"] += 1
        try:
            where = topics.parse_up(self._root, topic)
            if where.kind == "presence":
                await self._tell(PresenceSeen(where.device, codec.decode_presence(payload)))
                return 0
            if properties.get("retain") and where.kind not in _DURABLE:
                self.counts["up_retained"] += 1  # said before this connection, and nothing that is still owed
                return 0
            if where.kind == topics.VOICE:
                self.counts["up_voice"] += 1
                self.on_voice_payload(where.device, payload)
                return 0
            message = codec.decode_up(where.kind, payload)
        except ProtocolError as error:
            self._unreadable(topic, payload, error)
            return 0
        except StoreError:
            return 0
        if type(message) is up.State:
            self._tell_state(where.device, message)
            return 0
        if type(message) in _VOICE:
            self.on_voice(where.device, cast("up.Voice", message))
            return 0
        try:
            await self._tell(DeviceSaid(where.device, message))
        except StoreError:
            self.counts["up_not_stored"] += 1
        return 0

    def _heard(self, device: str, sealed: bytes) -> None:
        self.on_voice_payload(device, sealed)

    def _unreadable(self, topic: str, payload: bytes, error: ProtocolError) -> None:
        if not payload and topic.endswith("/presence"):
            return  # somebody cleared a retained message
        self.counts[f"malformed_{error.code}"] += 1
        self.on_malformed(topic, payload, error)

    # --- the connection -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, serve, and connect again, until cancelled."""
        wait_s = RECONNECT_MIN_S
        while True:
            try:
                await self._serve()
                wait_s = RECONNECT_MIN_S
            except (OSError, TimeoutError, gmqtt.mqtt.handler.MQTTConnectError) as error:
                log.warning(
                    "broker cannot be reached", broker=self._address.url,
                    error=str(error) or "it hung up, or did not answer in time",
                    do="look whether it runs and whether its log shows a refused user", again_in_s=round(wait_s, 1),
                )  # fmt: skip
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311
            wait_s = min(RECONNECT_MAX_S, wait_s * 2)

    async def _serve(self) -> None:
        """One connection, from CONNECT to its loss."""
        lost, ready = asyncio.Event(), asyncio.Event()
        client = self._new_client(ready)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S) as patience:
                client.on_disconnect = lambda *_: _hurry(client, lost, patience)
                await client.connect(
                    self._address.host, self._address.port, ssl=_tls(self._address), keepalive=KEEPALIVE_S,
                    version=MQTT_311,
                )  # fmt: skip
                for one in topics.daemon_filters(self._root):
                    client.subscribe(one, qos=1)
                await ready.wait()
            client.on_disconnect = lambda *_: lost.set()
            self._client = client
            self.connected.set()
            self.on_change(True)
            log.info("broker connected", broker=self._address.url)
            await self._tell_up()
            await lost.wait()
        finally:
            was_up, self._client = self._client is not None, None
            self.connected.clear()
            if was_up:
                self.on_change(False)
                log.warning("broker lost", broker=self._address.url)
            if not lost.is_set():
                await client.disconnect()

    async def _tell_up(self) -> None:
        try:
            await self._tell(LinkUp())
        except StoreError:
            self.counts["up_not_stored"] += 1

    def _new_client(self, ready: asyncio.Event) -> gmqtt.Client:
        client = gmqtt.Client(self._address.username, clean_session=True, optimistic_acknowledgement=False)
        client.set_config({"reconnect_retries": NEVER})
        client.set_auth_credentials(self._address.username, self._address.password)
        granted = 0

        def subscribed(_client: Any, _mid: int, codes: tuple[int, ...], _properties: Any) -> None:
            nonlocal granted
            if any(code >= REFUSED for code in codes):
                log.error("the broker does not let us hear devices", do=f"let us read {self._root}/# there")
                return
            granted += 1
            if granted == len(topics.daemon_filters(self._root)):
                ready.set()

        client.on_message = self._received
        self._frames.tap(client)
        client.on_subscribe = subscribed
        return client


def _hurry(client: gmqtt.Client, lost: asyncio.Event, patience: asyncio.Timeout) -> None:
    """The connection ended before it was made: no use waiting for the rest of the time."""
    lost.set()
    if client._package_handler.has_error:
        return  # refused: `connect` says so itself
    with contextlib.suppress(RuntimeError):  # nobody waits any more
        patience.reschedule(asyncio.get_running_loop().time())


def _tls(address: BrokerAddress) -> ssl.SSLContext | bool:
    return ssl.create_default_context() if address.tls else False
