"""The short way of voice through gmqtt says and hears the same as the library's own."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import gmqtt
import pytest
from gmqtt.mqtt.constants import MQTTv311
from gmqtt.mqtt.package import Package, PublishPacket

from dispatchd.links import mqtt_voice
from dispatchd.links.mqtt_voice import Heard, Packets
from protocols import topics
from protocols.errors import ProtocolError

ROOT = "dispatch/v1"


@pytest.mark.parametrize("size", [0, 1, 90, 96, 97, 98, 127, 128, 720])
def test_a_packet_is_the_librarys_byte_for_byte(size: int) -> None:
    topic, sealed, packets = topics.group_voice(ROOT, "tg-1"), bytes(range(256)) * 3, Packets()
    _, own = PublishPacket.build_package(
        gmqtt.Message(topic, sealed[:size], qos=0), SimpleNamespace(proto_ver=MQTTv311)
    )
    assert [packets.publish(topic, sealed[:size]) for _ in range(2)] == [own, own]


def published(topic: str, payload: bytes, command: int = 0x30) -> Package:
    return Package(command, len(topic).to_bytes(2, "big") + topic.encode() + payload)


class Ear:
    """A client of the library that is connected nowhere, with the short way put in."""

    def __init__(self) -> None:
        self.frames: list[tuple[str, bytes]] = []
        self.bad: list[tuple[str, bytes, str]] = []
        self.usual: list[tuple[str, bytes]] = []
        self.counts: Counter[str] = Counter()
        self._client = gmqtt.Client("x")
        self._client._connection_state.protocol_version = MQTTv311
        self._client.on_message = lambda _c, topic, payload, _qos, _p: self.usual.append((topic, payload))
        Heard(ROOT, self._frame, self._unreadable, self.counts).tap(self._client)

    def hear(self, package: Package) -> None:
        handler: Any = self._client._package_handler
        handler(package)

    def _frame(self, device: str, sealed: bytes) -> None:
        self.frames.append((device, sealed))

    def _unreadable(self, topic: str, payload: bytes, error: ProtocolError) -> None:
        self.bad.append((topic, payload, error.code))


async def test_what_is_retained_does_not_take_the_short_way() -> None:
    ear = Ear()
    ear.hear(published(topics.up(ROOT, "terminal-1", topics.VOICE), b"\xc1 sealed", 0x31))
    assert ear.frames == []


async def test_only_frames_take_the_short_way() -> None:
    ear, voice = Ear(), topics.up(ROOT, "terminal-1", topics.VOICE)
    for _ in range(2):
        ear.hear(published(voice, b"\xc1 sealed"))
    assert ear.frames == [("terminal-1", b"\xc1 sealed")] * 2
    ear.hear(published(topics.up(ROOT, "terminal-1", "voice-join"), b"j"))
    ear.hear(published(topics.up(ROOT, "terminal-1", "state"), b"s"))
    assert [payload for _, payload in ear.usual] == [b"j", b"s"]
    assert ear.counts == {"up": 2, "up_voice": 2}
    assert len(ear.frames) == 2


async def test_topics_that_are_none_are_told_and_kept_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_voice, "KNOWN_MAX", 2)
    ear = Ear()
    for topic in ("x/up/voice", f"{ROOT}/d/A+/up/voice"):
        ear.hear(published(topic, b"?"))
    assert [(topic, code) for topic, _, code in ear.bad] == [
        ("x/up/voice", "bad-topic"), (f"{ROOT}/d/A+/up/voice", "bad-topic"),
    ]  # fmt: skip
    for n in range(5):
        ear.hear(published(topics.up(ROOT, f"t-{n}", topics.VOICE), b"s"))
    assert [device for device, _ in ear.frames] == [f"t-{n}" for n in range(5)]
