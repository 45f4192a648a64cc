"""A pillar or terminal written from docs/asyncapi.yaml alone: plain paho-mqtt and msgpack, nothing of ours.

Topics, QoS, retain flags, keep-alive and retry times are read from the document; whatever is sent or received
is checked against its schemas. What does not fit is kept in `violations`, which a test demands to be empty.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import jsonschema
import msgpack
import yaml
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

DOCUMENT = Path(__file__).parents[2] / "docs" / "asyncapi.yaml"
WAIT_S = 15.0
"""How long a test waits for anything; then it fails and says what came instead."""
Body = dict[str, Any]


def anything(_: Body) -> bool:
    return True


class Contract:
    """The document, asked by channel name (`up-alarm`, `down-call`, `group-broadcast`, `presence`)."""

    def __init__(self, path: Path = DOCUMENT) -> None:
        self.document = yaml.safe_load(path.read_text(encoding="utf-8"))
        types = jsonschema.Draft7Validator.TYPE_CHECKER.redefine("string", _is_text_or_octets)
        self._validator = jsonschema.validators.extend(jsonschema.Draft7Validator, type_checker=types)

    def topic(self, channel: str, **parameters: str) -> str:
        return str(self.document["channels"][channel]["address"].format(**parameters))

    def binding(self, channel: str) -> dict[str, Any]:
        """QoS and retain."""
        return dict(self._operation(channel)["bindings"]["mqtt"])

    def durable(self, channel: str) -> bool:
        return bool(self._operation(channel)["x-durable"])

    def limit(self, name: str) -> float:
        return float(self.document["x-limits"][name]["value"])

    def server(self) -> dict[str, Any]:
        """Connection settings: keepAlive, cleanSession, lastWill."""
        return dict(self.document["servers"]["site"]["bindings"]["mqtt"])

    def channel_of(self, topic: str, root: str) -> str:
        """Which received channel a topic belongs to."""
        for name, channel in self.document["channels"].items():
            pattern = re.escape(channel["address"]).replace(r"\{root\}", re.escape(root))
            if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[a-z0-9-]{1,32}", pattern), topic):
                return str(name)
        raise ValueError(f"the document has no channel for {topic}")

    def check_sent(self, channel: str, message: Body) -> None:
        self._check(self._message(channel)["payload"], message)

    def opened(self, channel: str, payload: bytes) -> tuple[Body, Body]:
        """Envelope and body of a received payload, both checked."""
        envelope = msgpack.unpackb(payload)
        self._check(self._message(channel)["payload"], envelope)
        body = msgpack.unpackb(envelope["body"])
        self._check(self._message(channel)["x-body"]["schema"], body)
        return envelope, body

    def _operation(self, channel: str) -> Body:
        wanted = {"$ref": f"#/channels/{channel}"}
        (found,) = [o for o in self.document["operations"].values() if o["channel"] == wanted]
        return dict(found)

    def _message(self, channel: str) -> Body:
        return dict(self.document["components"]["messages"][channel])

    def _check(self, schema: Body, value: Any) -> None:
        self._validator({**self.document, **schema}).validate(value)


def _is_text_or_octets(_: object, value: object) -> bool:
    return isinstance(value, (str, bytes))


class Received(NamedTuple):
    channel: str
    envelope: Body
    body: Body


class Device:
    """One device on the wire. Threads: paho's own, which only appends; tests wait on the condition."""

    def __init__(self, contract: Contract, credentials: Body, conn: int = 1) -> None:
        self.contract = contract
        self.id, self.root = credentials["device"], credentials["root"]
        self.role, self.patrol = credentials["kind"], credentials["patrol"]
        self.boot = "b-" + os.urandom(6).hex()
        self.conn, self._seq = conn, 0
        self.inbox: list[Received] = []
        self.violations: list[str] = []
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._address = urlsplit(credentials["urls"][0])
        self._mqtt = self._client(credentials["secret"])

    # ------------------------------------------------------------------------------------- connection
    def _client(self, secret: str) -> mqtt.Client:
        server = self.contract.server()
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.id,
            clean_session=server["cleanSession"],
            protocol=mqtt.MQTTv311,
        )
        client.username_pw_set(self.id, secret)
        will = server["lastWill"]
        topic = will["topic"].format(root=self.root, device=self.id)
        client.will_set(
            topic, msgpack.packb({"online": False, "conn": self.conn}), will["qos"], will["retain"]
        )
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_message = self._on_message
        return client

    def _on_connect(
        self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._note(f"refused by the broker: {reason}")
            return
        client.subscribe(f"{self.root}/d/{self.id}/down/#", qos=1)

    def connect(self) -> Body:
        """Connect, subscribe, say birth and hello; the daemon's hello."""
        self._mqtt.connect(
            str(self._address.hostname),
            int(self._address.port or 1883),
            int(self.contract.server()["keepAlive"]),
        )
        self._mqtt.loop_start()
        assert self._subscribed.wait(WAIT_S), f"{self.id} could not subscribe: {self.violations}"
        self.publish("presence", {"online": True, "conn": self.conn})
        return self.hello()

    def hello(self) -> Body:
        """Said again with a new nonce until one is answered."""
        nonces: list[bytes] = []
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            nonces.append(os.urandom(16))
            message = {
                "nonce": nonces[-1],
                "conn": self.conn,
                "boot": self.boot,
                "role": self.role,
                "profile": "A",
            }
            self.publish("up-hello", message)
            answer = self._find(
                "down-hello", lambda m: m["nonce"] in nonces, self.contract.limit("hello_again_s"), 0
            )
            if answer:
                return answer.body
        raise AssertionError(f"{self.id}: no hello with one of our nonces; {self.seen()}")

    def close(self) -> None:
        self._mqtt.disconnect()
        self._mqtt.loop_stop()

    # ---------------------------------------------------------------------------------------- sending
    def key(self) -> Body:
        self._seq += 1
        return {"boot": self.boot, "seq": self._seq}

    def publish(self, channel: str, message: Body) -> bytes:
        """Checked against the schema, at the document's QoS; the payload, to send it again."""
        self.contract.check_sent(channel, message)
        payload: bytes = msgpack.packb(message)
        self.publish_raw(channel, payload)
        return payload

    def publish_raw(self, channel: str, payload: bytes, device: str = "") -> None:
        """Any bytes, also on another device's topic."""
        binding = self.contract.binding(channel)
        topic = self.contract.topic(channel, root=self.root, device=device or self.id)
        self._mqtt.publish(topic, payload, binding["qos"], binding["retain"])

    def say(self, channel: str, **fields: Any) -> Body:
        """A durable message, repeated until receipted; the receipt's entry."""
        assert self.contract.durable(channel), channel
        message = {"key": self.key(), **fields}
        self.publish(channel, message)
        return self.receipt(message["key"], again=lambda: self.publish(channel, message))

    def receipt(self, key: Body, again: Callable[[], object] = lambda: None, after: int = 0) -> Body:
        """The receipt's entry for this key, in messages from number `after` on; `again` repeats meanwhile."""
        wait_s, deadline = self.contract.limit("retry_first_s"), time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            found = self._find(
                "down-receipt", lambda m: any(i["key"] == key for i in m["items"]), wait_s, after
            )
            if found:
                return next(item for item in found.body["items"] if item["key"] == key)
            again()
            wait_s = min(2 * wait_s, self.contract.limit("retry_max_s"))
        raise AssertionError(f"{self.id}: no receipt for {key}; {self.seen()}")

    def rung(self, item: str, rung: str, **fields: Any) -> Body:
        return self.say("up-rung", item=item, rung=rung, **fields)

    def report_at(self, lat: float, lon: float) -> None:
        """One state with a position."""
        self.publish("up-state", {"conn": self.conn, "position": {"lat": lat, "lon": lon, "accuracy_m": 5.0}})

    # -------------------------------------------------------------------------------------- receiving
    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            channel = self.contract.channel_of(message.topic, self.root)
            received = Received(channel, *self.contract.opened(channel, bytes(message.payload)))
        except (ValueError, KeyError, jsonschema.ValidationError, msgpack.UnpackException) as error:
            self._note(f"{message.topic}: {error}")
            return
        with self._changed:
            self.inbox.append(received)
            self._changed.notify_all()

    def _note(self, violation: str) -> None:
        with self._changed:
            self.violations.append(violation)
            self._changed.notify_all()

    def now(self) -> int:
        """Number of messages so far; give it as `after` to see only later ones."""
        with self._changed:
            return len(self.inbox)

    def wait(self, channel: str, where: Callable[[Body], bool] = anything, after: int = 0) -> Received:
        """The first such message; AssertionError with what came instead."""
        found = self._find(channel, where, WAIT_S, after)
        assert found, f"{self.id}: no {channel} in {WAIT_S:.0f} s; {self.seen()}"
        return found

    def none(self, channel: str, where: Callable[[Body], bool], within_s: float, after: int) -> None:
        """No such message comes within the time."""
        found = self._find(channel, where, within_s, after)
        assert found is None, f"{self.id}: unexpected {found}"

    def _find(
        self, channel: str, where: Callable[[Body], bool], timeout_s: float, after: int
    ) -> Received | None:
        def look() -> Received | None:
            return next((r for r in self.inbox[after:] if r.channel == channel and where(r.body)), None)

        with self._changed:
            self._changed.wait_for(look, timeout_s)
            return look()

    def seen(self) -> str:
        return f"came: {[(r.channel, r.body) for r in self.inbox]}, violations: {self.violations}"


@contextmanager
def connected(contract: Contract, credentials: Body, conn: int = 1) -> Iterator[Device]:
    """A device that has said hello; afterwards everything it was sent must have fitted the document."""
    device = Device(contract, credentials, conn)
    try:
        device.connect()
        yield device
    finally:
        device.close()
    assert device.violations == []
    _numbers_grow(device)


def _numbers_grow(device: Device) -> None:
    """Within a generation no number of the envelope comes twice to this receiver."""
    numbers = [(r.envelope["gen"], r.envelope["n"]) for r in device.inbox]
    assert len(set(numbers)) == len(numbers), f"{device.id}: a number came twice: {numbers}"
