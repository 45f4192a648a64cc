"""amqtt's broker with its flaws cured: its listener, codec and filter matching, our sessions and delivery.

What must hold: nobody touches a session before he has proved to be its owner; an identity has at most one
session, and a second log-in ends the first completely before it begins; retained and live messages go only
to filters the client itself holds, checked against the access list at delivery; a will obeys the rules of a
publish.

Sessions are always clean (no promise rests on the broker's memory), QoS is 0 or 1, delivery is at the lower
of the two, and a client with overlapping filters hears a message once.
"""

# amqtt ships no type information.
# mypy: disable-error-code="import-untyped, misc"
# mypy: disallow-subclassing-any=False

import asyncio
import logging
from collections.abc import Iterator

from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig
from amqtt.errors import NoDataError
from amqtt.mqtt import packet_class
from amqtt.mqtt.connack import (
    CONNECTION_ACCEPTED,
    IDENTIFIER_REJECTED,
    NOT_AUTHORIZED,
    SERVER_UNAVAILABLE,
    ConnackPacket,
)
from amqtt.mqtt.disconnect import DisconnectPacket
from amqtt.mqtt.packet import MQTTFixedHeader
from amqtt.mqtt.pingreq import PingReqPacket
from amqtt.mqtt.pingresp import PingRespPacket
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.suback import SubackPacket
from amqtt.mqtt.subscribe import SubscribePacket
from amqtt.mqtt.unsuback import UnsubackPacket
from amqtt.mqtt.unsubscribe import UnsubscribePacket
from amqtt.session import Session

from dispatchd.links.broker import limits
from dispatchd.links.broker.access import DAEMON_USER, Access, allowed, may_retain
from dispatchd.links.broker.amqtt_link import Frame, Outbox, PacketStream
from protocols.secret import verify_secret

log = logging.getLogger("dispatchd.broker")

SUBSCRIPTION_REFUSED = 0x80


class Refused(Exception):
    """A log-in that is turned away; carries the CONNACK code and the reason for the log."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class ClientLeft(Exception):
    """The client broke the protocol or its time ran out: its connection ends and its will fires."""


class Client:
    """One logged-in connection: identity, will, filters held, and what is on its way to it."""

    def __init__(self, user: str, session: Session, stream: PacketStream) -> None:
        self.user = user
        self.session = session
        self.stream = stream
        self.outbox = Outbox(stream)
        self.filters: dict[str, int] = {}
        self.ended = asyncio.Event()

    def cut(self, reason: str) -> None:
        """End the connection at once."""
        log.info("%s is cut: %s", self.user, reason)
        self.stream.abort()

    async def next_packet(self) -> object:
        """The next packet. Raises ClientLeft when it does not come in time or is not MQTT."""
        silence_s = self.session.keep_alive * limits.KEEP_ALIVE_FACTOR or None
        try:
            async with asyncio.timeout(silence_s):
                await self.stream.next_packet()
            header = await MQTTFixedHeader.from_stream(self.stream)
            return await packet_class(header).from_stream(self.stream, fixed_header=header)
        except TimeoutError as error:
            raise ClientLeft(f"silent for {silence_s} s") from error
        except NoDataError as error:
            raise ClientLeft(str(error)) from error
        except Exception as error:  # amqtt's codec lets struct, index and Unicode errors through
            raise ClientLeft(f"malformed packet ({type(error).__name__})") from error


class GuardedBroker(Broker):
    """The embedded child's broker. `host:port` is bound by `start()`; `access` is replaced by `reload()`."""

    def __init__(self, host: str, port: int, access: Access) -> None:
        listener = ListenerConfig(bind=f"{host}:{port}")
        super().__init__(BrokerConfig(listeners={"default": listener}, plugins={}))
        self._access = access
        self._clients: dict[str, Client] = {}
        self._pending: dict[PacketStream, None] = {}  # in the order they came
        self._retained: dict[str, tuple[bytes, int]] = {}
        self._routes: dict[str, list[tuple[Client, int]]] = {}

    # --- access

    def reload(self, access: Access) -> None:
        """Take a new list: identities gone or with a new secret are cut, all others judged by it from now."""
        old, self._access = self._access, access
        self._routes.clear()
        for client in list(self._clients.values()):
            grant, before = access.grant(client.user), old.grant(client.user)
            if grant is None or before is None or grant.secret_hash != before.secret_hash:
                client.cut("its access was withdrawn")

    def _check_login(self, session: Session) -> str:
        user = session.username or ""
        grant = self._access.grant(user)
        if grant is None or not verify_secret(session.password or "", grant.secret_hash):
            raise Refused(NOT_AUTHORIZED, "unknown user or wrong password")
        if session.client_id != user:
            raise Refused(IDENTIFIER_REJECTED, f"client id is not the user name {user}")
        if session.will_flag and not allowed(self._access, user, session.will_topic, "publish"):
            raise Refused(NOT_AUTHORIZED, f"{user} may not leave a will on {session.will_topic!r}")
        if len(self._clients) >= limits.MAX_SESSIONS and user not in self._clients:
            raise Refused(
                SERVER_UNAVAILABLE, f"{limits.MAX_SESSIONS} sessions are live; mosquitto takes more"
            )
        return user

    # --- a connection's life

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """One TCP connection from accept to end; errors stay inside it."""
        stream = PacketStream(reader, writer)
        try:
            client = await self._admit(stream)
            if client is not None:
                await self._serve(client)
        except (ClientLeft, OSError) as error:
            log.info("a connection ended before log-in: %s", error)
        except Exception:
            log.exception("a connection failed unexpectedly; it is closed, the others go on")
        finally:
            await stream.close()

    async def _admit(self, stream: PacketStream) -> Client | None:
        """Log in, take over an older session of the same identity, answer CONNACK. None when refused."""
        session = await self._read_connect(stream)
        try:
            user = self._check_login(session)
            await self._end_older_session(user)
        except Refused as refusal:
            log.log(logging.WARNING if session.username else logging.INFO, "log-in refused: %s", refusal)
            stream.write(ConnackPacket.build(0, refusal.code).to_bytes())
            return None
        client = Client(user, session, stream)
        self._clients[user] = client
        stream.max_packet_bytes = limits.MAX_PACKET_BYTES
        stream.write(ConnackPacket.build(0, CONNECTION_ACCEPTED).to_bytes())
        return client

    async def _read_connect(self, stream: PacketStream) -> Session:
        """The CONNECT, in time. When too many wait, the oldest gives way: idle strangers shut nobody out."""
        if len(self._pending) >= limits.MAX_PENDING_LOGINS:
            oldest = next(iter(self._pending))
            del self._pending[oldest]
            oldest.abort()
        self._pending[stream] = None
        try:
            async with asyncio.timeout(limits.LOGIN_TIMEOUT_S):
                await stream.next_packet()
                login = await BrokerProtocolHandler.init_from_connect(stream, stream, self.plugins_manager)
                return login[1]
        except TimeoutError as error:
            raise ClientLeft(f"no CONNECT within {limits.LOGIN_TIMEOUT_S} s") from error
        except Exception as error:  # as in next_packet; its text could quote the packet, so it is not told
            raise ClientLeft(f"no CONNECT: {type(error).__name__}") from error
        finally:
            self._pending.pop(stream, None)

    async def _end_older_session(self, user: str) -> None:
        try:
            async with asyncio.timeout(limits.TAKEOVER_TIMEOUT_S):
                while (older := self._clients.get(user)) is not None:
                    older.cut("the same identity logged in again")
                    await older.ended.wait()
        except TimeoutError as error:
            raise Refused(SERVER_UNAVAILABLE, f"the older session of {user} does not end") from error

    async def _serve(self, client: Client) -> None:
        """Until the client says goodbye, or is lost: then its will is published."""
        try:
            while not isinstance(packet := await client.next_packet(), DisconnectPacket):
                await self._handle(client, packet)
            client.session.will_flag = False
        except (ClientLeft, OSError) as error:
            log.info("%s is gone: %s", client.user, error)
        finally:
            self._publish_will(client)
            self._forget(client)

    def _forget(self, client: Client) -> None:
        client.stream.abort()
        del self._clients[client.user]
        self._routes.clear()
        client.outbox.room.set()
        client.ended.set()
        if client.outbox.dropped_qos0:
            log.warning("%s was too slow for %d QoS 0 messages", client.user, client.outbox.dropped_qos0)

    async def _handle(self, client: Client, packet: object) -> None:
        match packet:
            case PublishPacket():
                await self._handle_publish(client, packet)
            case PubackPacket():
                client.outbox.acknowledged(packet.variable_header.packet_id)
            case PingReqPacket():
                client.stream.write(PingRespPacket.build().to_bytes())
            case SubscribePacket():
                self._handle_subscribe(client, packet)
            case UnsubscribePacket():
                self._handle_unsubscribe(client, packet)
            case _:
                raise ClientLeft(f"unexpected {type(packet).__name__}")

    async def shutdown(self) -> None:
        """Cut everybody, then close the listener. No wills: the broker is what went away."""
        for client in self._clients.values():
            client.session.will_flag = False
            client.cut("the broker stops")
        for stream in self._pending:
            stream.abort()
        await super().shutdown()

    # --- subscriptions

    def _handle_subscribe(self, client: Client, packet: SubscribePacket) -> None:
        wanted = packet.payload.topics
        if not wanted:
            raise ClientLeft("SUBSCRIBE without a filter")
        granted = [self._subscribe(client, topic_filter, qos) for topic_filter, qos in wanted]
        client.stream.write(SubackPacket.build(packet.variable_header.packet_id, granted).to_bytes())
        for (topic_filter, _), qos in zip(wanted, granted, strict=True):
            if qos != SUBSCRIPTION_REFUSED:
                self._send_retained(client, topic_filter, qos)

    def _subscribe(self, client: Client, topic_filter: str, qos: int) -> int:
        if not _is_filter(topic_filter) or not allowed(self._access, client.user, topic_filter, "subscribe"):
            log.info("%s may not subscribe to %r", client.user, topic_filter)
            return SUBSCRIPTION_REFUSED
        if topic_filter not in client.filters and len(client.filters) >= limits.MAX_FILTERS:
            log.warning("%s holds %d filters already", client.user, limits.MAX_FILTERS)
            return SUBSCRIPTION_REFUSED
        client.filters[topic_filter] = min(qos, 1)
        self._routes.clear()
        return min(qos, 1)

    def _handle_unsubscribe(self, client: Client, packet: UnsubscribePacket) -> None:
        for topic_filter in packet.payload.topics:
            client.filters.pop(topic_filter, None)
        self._routes.clear()
        client.stream.write(UnsubackPacket.build(packet.variable_header.packet_id).to_bytes())

    def _send_retained(self, client: Client, topic_filter: str, qos: int) -> None:
        for topic, (data, kept_qos) in self._retained.items():
            if self._matches(topic, topic_filter) and allowed(self._access, client.user, topic, "receive"):
                frame = Frame(topic, data, retain=True)
                self._offer(client, frame, min(qos, kept_qos), frame.encode(None))

    # --- messages

    async def _handle_publish(self, client: Client, packet: PublishPacket) -> None:
        topic, qos = packet.topic_name, packet.qos
        if qos > 1:
            raise ClientLeft("QoS 2 is not served")
        if not topic or "+" in topic or "#" in topic or "\0" in topic:
            raise ClientLeft(f"publish to the invalid topic {topic!r}")
        if client.user != DAEMON_USER:
            await self._wait_for_daemon()
        self._publish(client.user, topic, packet.data or b"", qos, packet.retain_flag)
        if qos == 1:
            client.stream.write(PubackPacket.build(packet.packet_id).to_bytes())

    async def _wait_for_daemon(self) -> None:
        """Hold devices back while the daemon is behind, so that nothing of theirs is dropped or piles up."""
        daemon = self._clients.get(DAEMON_USER)
        if daemon is not None and daemon.outbox.is_behind():
            await daemon.outbox.wait_for_room()

    def _publish(self, user: str, topic: str, data: bytes, qos: int, retain: bool) -> None:
        if not allowed(self._access, user, topic, "publish"):
            log.info("%s may not publish to %r", user, topic)
            return
        if retain and may_retain(self._access, user, topic):
            self._retain(topic, data, qos)
        frame = Frame(topic, data)
        shared = frame.encode(None)
        for client, max_qos in self._targets(topic):
            self._offer(client, frame, min(qos, max_qos), shared)

    def _publish_will(self, client: Client) -> None:
        will = client.session
        if will.will_flag:
            data, qos = bytes(will.will_message or b""), min(will.will_qos or 0, 1)
            self._publish(client.user, will.will_topic, data, qos, will.will_retain)

    def _offer(self, client: Client, frame: Frame, qos: int, shared: bytes) -> None:
        if not client.outbox.offer(frame, qos, shared):
            client.cut(f"it has not acknowledged {limits.MAX_QUEUED_MESSAGES} messages")

    def _retain(self, topic: str, data: bytes, qos: int) -> None:
        if not data:
            self._retained.pop(topic, None)
        elif topic in self._retained or len(self._retained) < limits.MAX_RETAINED:
            self._retained[topic] = (data, qos)
        else:
            log.warning("%d messages are retained already; %r is not", limits.MAX_RETAINED, topic)

    def _targets(self, topic: str) -> list[tuple[Client, int]]:
        """Who hears `topic`, at most at which QoS; cached until a filter, a session or the list changes."""
        targets = self._routes.get(topic)
        if targets is None:
            if len(self._routes) >= limits.MAX_ROUTES:
                self._routes.clear()
            targets = self._routes[topic] = list(self._find_targets(topic))
        return targets

    def _find_targets(self, topic: str) -> Iterator[tuple[Client, int]]:
        for client in self._clients.values():
            matching = [qos for held, qos in client.filters.items() if self._matches(topic, held)]
            if matching and allowed(self._access, client.user, topic, "receive"):
                yield client, max(matching)


def _is_filter(topic_filter: str) -> bool:
    """Whether it is a well-formed filter: `#` alone on the last level, `+` alone on its level."""
    if not topic_filter or "\0" in topic_filter:
        return False
    levels = topic_filter.split("/")
    if levels[-1] == "#":
        levels.pop()
    return all(level == "+" or ("+" not in level and "#" not in level) for level in levels)
