"""The MQTT link against real brokers, and against a bare socket that does what no decent broker does."""

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from dispatchd.core.effects import Effect, Send, SendGroup
from dispatchd.core.inputs import DeviceSaid, Input, LinkUp, PresenceSeen
from dispatchd.links import mqtt
from dispatchd.links.broker.access import DAEMON_USER
from dispatchd.links.mqtt import BrokerAddress, MqttLink, Numbers
from dispatchd.store.base import StoreFull
from protocols import codec, down, envelope, topics, up
from protocols.codec import MAX_UP_BYTES
from protocols.errors import ProtocolError
from protocols.types import Key
from tests.e2e.wire import Connection, Published
from tests.links.broker.harness import BOTH, PATIENCE_S, ROOT, SECRETS, Kind, packet, running

CONNACK, SUBACK_HEAD = b"\x20\x02\x00\x00", 0x90
PUBACK, SUBSCRIBE = 0x40, 0x80


class Told:
    """Stands for the engine: notes what the link tells, and commits when the gate is open."""

    def __init__(self) -> None:
        self.inputs: asyncio.Queue[Input] = asyncio.Queue()
        self.states: asyncio.Queue[tuple[str, up.State]] = asyncio.Queue()
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.changes: list[bool] = []
        self.malformed: list[tuple[str, bytes, str]] = []

    async def tell(self, one: Input) -> None:
        self.inputs.put_nowait(one)
        await self.gate.wait()
        if self.error is not None and not isinstance(one, LinkUp):
            raise self.error

    async def next(self) -> Input:
        """The next input but LinkUp."""
        async with asyncio.timeout(PATIENCE_S):
            while isinstance(one := await self.inputs.get(), LinkUp):
                pass
            return one

    async def next_of(self, kind: type[Input]) -> Input:
        async with asyncio.timeout(PATIENCE_S):
            while not isinstance(one := await self.inputs.get(), kind):
                pass
            return one

    def note(self, topic: str, payload: bytes, error: ProtocolError) -> None:
        self.malformed.append((topic, payload, error.code))


@contextlib.asynccontextmanager
async def linked(port: int, told: Told, start: int = 1, secret: str | None = None) -> AsyncIterator[MqttLink]:
    """A link that runs; connected already unless the secret is a wrong one."""
    address = BrokerAddress(f"mqtt://127.0.0.1:{port}", DAEMON_USER, secret or SECRETS[DAEMON_USER])
    link = MqttLink(
        address, ROOT, Numbers(7, start), told.tell, lambda *said: told.states.put_nowait(said), lambda: 12345
    )
    link.on_change, link.on_malformed = told.changes.append, told.note
    task = asyncio.create_task(link.run(), name="link")
    try:
        if secret is None:
            await soon(link.connected.wait())
        yield link
    finally:
        task.cancel()
        await asyncio.wait([task])


async def soon(what: Any) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        return await what


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not what():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def device(port: int, user: str) -> AsyncIterator[Connection]:
    """Connected and subscribed to what is its own."""
    made = await Connection.open(port, user, SECRETS[user])
    try:
        await made.subscribe(topics.device_filter(ROOT, user))
        yield made
    finally:
        made.abort()


def alarm(seq: int) -> bytes:
    return codec.encode(up.Alarm(Key("boot-1", seq)))


def opened(message: Published) -> tuple[envelope.Envelope, down.Down]:
    sealed = envelope.unseal(message.payload)
    return sealed, codec.decode_down(topics.parse_down(ROOT, message.topic).kind, sealed.body)


def receipt(to: str, seq: int) -> Effect:
    return Send(to, down.Receipt([down.Receipted(Key("boot-1", seq))]), 60_000)


def lamp(to: str, number: int) -> Effect:
    return Send(to, down.Lamp(f"x1-{number}", "flash"), 1000)


class Tap:
    """Lies between link and broker and counts what the link sends, by packet type."""

    def __init__(self, port: int) -> None:
        self.sent: Counter[int] = Counter()
        self._to = port
        self._writers: list[asyncio.StreamWriter] = []

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for writer in self._writers:
                writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, out = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers += [writer, out]
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await asyncio.gather(self._up(reader, out), self._down(there, writer))

    async def _up(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        while True:
            kind, body = await read_packet(reader)
            self.sent[kind & 0xF0] += 1
            out.write(packet(kind, body))

    async def _down(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await there.read(65536):
            writer.write(data)
        writer.close()


async def read_packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    kind, length, shift = (await reader.readexactly(1))[0], 0, 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length, shift = length | (byte & 0x7F) << shift, shift + 7
        if not byte & 0x80:
            return kind, await reader.readexactly(length)


# --- up ---------------------------------------------------------------------------------------------------------


@BOTH
async def test_a_message_is_acknowledged_only_after_its_commit(kind: Kind, tmp_path: Path) -> None:
    told = Told()
    async with running(kind, tmp_path) as broker:
        tap = Tap(broker.port)
        async with tap.listening() as port, linked(port, told), device(broker.port, "pillar-1") as pillar:
            told.gate.clear()
            for seq in (1, 2, 3):
                await pillar.publish(topics.up(ROOT, "pillar-1", "alarm"), alarm(seq))
            said = [await told.next() for _ in range(3)]
            assert said == [DeviceSaid("pillar-1", up.Alarm(Key("boot-1", seq))) for seq in (1, 2, 3)]
            await asyncio.sleep(0.2)  # nothing may happen, so there is nothing to wait for
            assert tap.sent[PUBACK] == 0
            told.gate.set()
            await until(lambda: tap.sent[PUBACK] == 3)


@BOTH
async def test_what_cannot_be_stored_is_acknowledged_and_counted(kind: Kind, tmp_path: Path) -> None:
    """The device repeats it: only a receipt ends that. Unacknowledged it would fill the broker's window."""
    told = Told()
    told.error = StoreFull("No space left.", "Free some.")
    async with running(kind, tmp_path) as broker:
        tap = Tap(broker.port)
        async with (
            tap.listening() as port,
            linked(port, told) as link,
            device(broker.port, "pillar-1") as pillar,
        ):
            await pillar.publish(topics.up(ROOT, "pillar-1", "alarm"), alarm(1))
            await until(lambda: tap.sent[PUBACK] == 1)
            assert link.counts["up_not_stored"] == 1


@BOTH
async def test_states_are_handed_on_without_waiting_for_anything(kind: Kind, tmp_path: Path) -> None:
    told = Told()
    async with running(kind, tmp_path) as broker:
        tap = Tap(broker.port)
        async with tap.listening() as port, linked(port, told), device(broker.port, "terminal-1") as radio:
            told.gate.clear()
            for qos in (0, 1):
                await radio.publish(topics.up(ROOT, "terminal-1", "state"), codec.encode(up.State(qos)), qos)
                assert await soon(told.states.get()) == ("terminal-1", up.State(qos))
            await until(lambda: tap.sent[PUBACK] == 1)
            assert told.inputs.qsize() == 1, "LinkUp only"


@BOTH
async def test_what_cannot_be_read_is_counted_kept_and_acknowledged(kind: Kind, tmp_path: Path) -> None:
    told = Told()
    sent = [
        ("alarm", b"\xc1", "malformed"),
        ("alarm", bytes(MAX_UP_BYTES + 1), "oversize"),
        ("answer", b"\x81" * 10_000, "malformed"),
        ("rung", b"", "malformed"),
        ("state", msgspec.msgpack.encode({"conn": -1}), "malformed"),
        ("nonsense", alarm(1), "unknown-kind"),
    ]
    async with running(kind, tmp_path) as broker:
        tap = Tap(broker.port)
        async with (
            tap.listening() as port,
            linked(port, told) as link,
            device(broker.port, "pillar-1") as pillar,
        ):
            for name, payload, _ in sent:
                await pillar.publish(f"{ROOT}/d/pillar-1/up/{name}", payload)
            await pillar.publish(topics.up(ROOT, "pillar-1", "alarm"), alarm(9))
            assert await told.next() == DeviceSaid("pillar-1", up.Alarm(Key("boot-1", 9)))
            assert told.malformed == [
                (f"{ROOT}/d/pillar-1/up/{name}", payload, code) for name, payload, code in sent
            ]
            assert Counter(code for _, _, code in sent) == {
                name.removeprefix("malformed_"): n
                for name, n in link.counts.items()
                if name.startswith("malformed_")
            }
            await until(lambda: tap.sent[PUBACK] == len(sent) + 1)


@BOTH
async def test_presence_is_told_also_when_it_was_retained_before(kind: Kind, tmp_path: Path) -> None:
    told = Told()
    topic = topics.presence(ROOT, "pillar-1")
    async with running(kind, tmp_path) as broker, device(broker.port, "pillar-1") as pillar:
        await pillar.publish(topic, codec.encode(up.Presence(True, 4)), retain=True)
        async with linked(broker.port, told):
            assert await told.next() == PresenceSeen("pillar-1", up.Presence(True, 4))
            await pillar.publish(topic, codec.encode(up.Presence(False, 4)), retain=True)
            assert await told.next() == PresenceSeen("pillar-1", up.Presence(False, 4))
            await pillar.publish(topic, b"", retain=True)
            await pillar.publish(topic, b"\xc1", retain=True)
            await until(lambda: told.malformed)
            assert told.malformed == [(topic, b"\xc1", "malformed")], "a cleared presence is no fault"


@pytest.mark.mosquitto
async def test_what_a_broker_kept_counts_only_if_it_is_still_owed(tmp_path: Path) -> None:
    """mosquitto: its ACL cannot forbid a device to have messages kept."""
    told, said = Told(), list[object]()
    async with running("mosquitto", tmp_path) as broker, device(broker.port, "terminal-1") as radio:
        for kind, payload in (
            ("floor-request", codec.encode(up.FloorRequest("all", 1))),
            ("state", codec.encode(up.State(1))),
            (topics.VOICE, b"sealed"),
            ("alarm", alarm(1)),
        ):
            await radio.publish(topics.up(ROOT, "terminal-1", kind), payload, retain=True)
        async with linked(broker.port, told) as link:
            link.on_voice_payload = lambda *one: said.append(one)
            assert await told.next() == DeviceSaid("terminal-1", up.Alarm(Key("boot-1", 1)))
            await until(lambda: link.counts["up_retained"] == 3)
            await radio.publish(topics.up(ROOT, "terminal-1", topics.VOICE), b"live")
            await until(lambda: said)
        assert said == [("terminal-1", b"live")]
        assert told.states.empty()


# --- down -------------------------------------------------------------------------------------------------------


@BOTH
async def test_receipts_of_one_batch_go_together_and_in_order(kind: Kind, tmp_path: Path) -> None:
    count = 2 * mqtt.RECEIPTS_MAX + 50
    async with (
        running(kind, tmp_path) as broker,
        linked(broker.port, Told()) as link,
        device(broker.port, "pillar-1") as pillar,
        device(broker.port, "terminal-1") as radio,
    ):
        await greeted(link, pillar, "pillar-1")
        await greeted(link, radio, "terminal-1")
        link.perform([*(receipt("pillar-1", n) for n in range(count)), receipt("terminal-1", 5)])
        got = [opened(await soon(pillar.received()))[1] for _ in range(3)]
        assert [len(r.items) for r in got if isinstance(r, down.Receipt)] == [200, 200, 50]
        keys = [item.key.seq for r in got if isinstance(r, down.Receipt) for item in r.items]
        assert keys == list(range(count))
        assert opened(await soon(radio.received()))[1] == down.Receipt([down.Receipted(Key("boot-1", 5))])


async def greeted(link: MqttLink, listener: Connection, user: str) -> None:
    """The subscription stands: something sent after it has come."""
    while True:
        link.perform([lamp(user, 0)])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await listener.received()
                return


@BOTH
async def test_numbers_of_the_envelope_grow_also_over_restarts(kind: Kind, tmp_path: Path) -> None:
    async with running(kind, tmp_path) as broker, device(broker.port, "pillar-1") as pillar:
        seals = []
        for start in (1, 2, 3):
            async with linked(broker.port, Told(), start) as link:
                link.perform([lamp("pillar-1", n) for n in range(50)])
                seals += [opened(await soon(pillar.received()))[0] for _ in range(50)]
        numbers = [seal.n for seal in seals]
        assert numbers == sorted(set(numbers))
        assert {(seal.gen, seal.ttl_ms, seal.sent_at) for seal in seals} == {(7, 1000, 12345)}


@BOTH
async def test_a_talk_group_is_sent_to_once(kind: Kind, tmp_path: Path) -> None:
    async with (
        running(kind, tmp_path) as broker,
        linked(broker.port, Told()) as link,
        device(broker.port, "terminal-1") as radio,
    ):
        await radio.subscribe(topics.group_filter(ROOT, "tg-1"))
        await greeted(link, radio, "terminal-1")
        link.perform([SendGroup("tg-1", down.Broadcast("b1-1", "b1-1", "集合"), 5000)])
        message = await soon(radio.received())
        assert message.topic == topics.group_down(ROOT, "tg-1", "broadcast")
        assert opened(message)[1] == down.Broadcast("b1-1", "b1-1", "集合")


async def test_without_a_connection_effects_are_dropped_and_counted() -> None:
    link = MqttLink(
        BrokerAddress("mqtt://127.0.0.1:1", "x", "y"),
        ROOT,
        Numbers(1, 1),
        Told().tell,
        lambda *_: None,
        lambda: 0,
    )
    link.perform([lamp("pillar-1", 1), receipt("pillar-1", 1)])
    assert link.counts == {"down_dropped": 2}


# --- voice ------------------------------------------------------------------------------------------------------


@BOTH
async def test_voice_goes_to_the_voice_room_and_not_to_the_engine(kind: Kind, tmp_path: Path) -> None:
    told, said = Told(), asyncio.Queue[tuple[str, object]]()
    join = up.VoiceJoin(b"12345678", bytes(65))
    async with (
        running(kind, tmp_path) as broker,
        linked(broker.port, told) as link,
        device(broker.port, "terminal-1") as radio,
    ):
        link.on_voice, link.on_voice_payload = (
            (lambda *one: said.put_nowait(one)),
            lambda *one: said.put_nowait(one),
        )
        await radio.publish(topics.up(ROOT, "terminal-1", "voice-join"), codec.encode(join))
        await radio.publish(topics.up(ROOT, "terminal-1", topics.VOICE), b"\xc1 sealed")
        await radio.publish(topics.up(ROOT, "terminal-1", "alarm"), alarm(1))
        assert await told.next() == DeviceSaid("terminal-1", up.Alarm(Key("boot-1", 1)))
        assert [await soon(said.get()) for _ in range(2)] == [
            ("terminal-1", join),
            ("terminal-1", b"\xc1 sealed"),
        ]
        await radio.publish(topics.up(ROOT, "terminal-1", topics.VOICE), b"\xc1 nobody answers", qos=0)
        assert await soon(said.get()) == ("terminal-1", b"\xc1 nobody answers")
        assert link.counts["up_voice"] == 2
        assert told.inputs.empty()
        assert told.malformed == []


@BOTH
async def test_frames_reach_a_talk_group_and_one_device_bare(kind: Kind, tmp_path: Path) -> None:
    async with (
        running(kind, tmp_path) as broker,
        linked(broker.port, Told()) as link,
        device(broker.port, "terminal-1") as radio,
    ):
        await radio.subscribe(topics.group_voice(ROOT, "tg-1"))
        await greeted(link, radio, "terminal-1")
        link.publish_voice("tg-1", b"for all")
        link.publish_voice_to("terminal-1", b"for one")
        heard = [await soon(radio.received()) for _ in range(2)]
        assert [(one.topic, one.payload) for one in heard] == [
            (topics.group_voice(ROOT, "tg-1"), b"for all"), (topics.down(ROOT, "terminal-1", "voice"), b"for one"),
        ]  # fmt: skip


async def test_voice_is_dropped_when_the_broker_does_not_take_it() -> None:
    over = asyncio.Event()

    async def deaf(_: BadBroker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Says what a link waits for, then reads no more."""
        for _n in range(3):
            kind, body = await read_packet(reader)
            writer.write(CONNACK if kind & 0xF0 == 0x10 else packet(SUBACK_HEAD, body[:2] + b"\x01"))
        await over.wait()
        writer.transport.abort()

    async with BadBroker(deaf).listening() as port, linked(port, Told()) as link:
        for _ in range(20_000):
            link.publish_voice("tg-1", bytes(700))
        assert link._client is not None
        waiting = link._client._connection._transport.get_write_buffer_size()
        over.set()
        assert waiting < 2 * mqtt.VOICE_BUFFER_BYTES
        assert link.counts["voice_dropped"] > 0
        assert link.counts["voice_dropped"] + link.counts["voice"] == 20_000


async def test_voice_is_dropped_while_there_is_no_broker() -> None:
    link = MqttLink(
        BrokerAddress("mqtt://127.0.0.1:1", "x", "y"),
        ROOT,
        Numbers(1, 1),
        Told().tell,
        lambda *_: None,
        lambda: 0,
    )
    link.publish_voice("tg-1", b"x")
    assert link.counts == {"voice_dropped": 1}


# --- the connection ---------------------------------------------------------------------------------------------


@BOTH
async def test_after_kill_9_of_the_broker_it_is_back_and_says_so(kind: Kind, tmp_path: Path) -> None:
    told = Told()
    async with running(kind, tmp_path) as broker, linked(broker.port, told) as link:
        await told.next_of(LinkUp)
        os.kill(broker.pid, signal.SIGKILL)
        await told.next_of(LinkUp)
        assert told.changes == [True, False, True]
        async with device(broker.port, "pillar-1") as pillar:
            await pillar.publish(topics.up(ROOT, "pillar-1", "alarm"), alarm(1))
            assert await told.next() == DeviceSaid("pillar-1", up.Alarm(Key("boot-1", 1)))
            await greeted(link, pillar, "pillar-1")


@BOTH
async def test_what_waited_for_its_commit_when_the_broker_died_does_no_harm(
    kind: Kind, tmp_path: Path
) -> None:
    told = Told()
    async with running(kind, tmp_path) as broker, linked(broker.port, told) as link:
        async with device(broker.port, "pillar-1") as pillar:
            told.gate.clear()
            await pillar.publish(topics.up(ROOT, "pillar-1", "alarm"), alarm(1))
            await told.next()
            os.kill(broker.pid, signal.SIGKILL)
            await until(lambda: not link.connected.is_set())
        told.gate.set()
        link.perform([receipt("pillar-1", 1)])
        assert link.counts["down_dropped"] == 1
        await soon(link.connected.wait())
        async with device(broker.port, "pillar-1") as pillar:
            await pillar.publish(topics.up(ROOT, "pillar-1", "alarm"), alarm(1))
            assert await told.next() == DeviceSaid("pillar-1", up.Alarm(Key("boot-1", 1)))


@BOTH
async def test_a_wrong_password_is_said_and_never_shown(kind: Kind, tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with (
            running(kind, tmp_path) as broker,
            linked(broker.port, Told(), secret="not-the-secret") as link,
        ):
            await until(lambda: [line for line in lines if line["event"] == "broker cannot be reached"])
            assert not link.connected.is_set()
    said = [line for line in lines if line["event"] == "broker cannot be reached"]
    assert "Refused" in said[0]["error"]
    assert "not-the-secret" not in str(lines) + repr(link._address)


class BadBroker:
    """A socket that answers as it is told, connection by connection."""

    def __init__(
        self, *behaviours: Callable[["BadBroker", asyncio.StreamReader, asyncio.StreamWriter], Any]
    ) -> None:
        self._behaviours = list(behaviours)
        self.connections: list[float] = []

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(asyncio.get_running_loop().time())
        behaviour = self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await behaviour(self, reader, writer)
        writer.close()


async def hangs_up(_: BadBroker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_packet(reader)


async def refuses_filters(_: BadBroker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _serve(reader, writer, 0x80)


async def never_acknowledges(
    _: BadBroker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await _serve(reader, writer, 1)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, granted: int) -> None:
    while True:
        kind, body = await read_packet(reader)
        if kind & 0xF0 == 0x10:
            writer.write(CONNACK)
        elif kind & 0xF0 == SUBSCRIBE:
            writer.write(packet(SUBACK_HEAD, body[:2] + bytes((granted,))))


async def test_a_broker_that_hangs_up_at_connect_is_tried_again_soon() -> None:
    broker = BadBroker(hangs_up, hangs_up, never_acknowledges)
    async with broker.listening() as port, linked(port, Told()):
        assert len(broker.connections) == 3
        assert broker.connections[-1] - broker.connections[0] < mqtt.CONNECT_TIMEOUT_S / 4


async def test_refused_filters_are_not_taken_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "CONNECT_TIMEOUT_S", 0.3)
    broker = BadBroker(refuses_filters, never_acknowledges)
    with capture_logs() as lines:
        async with broker.listening() as port, linked(port, Told()):
            assert len(broker.connections) == 2
    assert "the broker does not let us hear devices" in [line["event"] for line in lines]


async def test_unacknowledged_publishes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "OUTSTANDING_MAX", 100)
    async with BadBroker(never_acknowledges).listening() as port, linked(port, Told()) as link:
        link.perform([lamp("pillar-1", n) for n in range(150)])
        assert (link.counts["down"], link.counts["down_dropped"]) == (100, 50)
