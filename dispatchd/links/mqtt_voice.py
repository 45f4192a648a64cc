"""Frames of voice through gmqtt with the least work: no task for what comes in, no message object for what goes out.

Besides mqtt.py the only file that touches private names of the library (pinned). What must hold: only what came
at QoS 0 on an `up/voice` topic takes this way, for nobody is owed an answer to it; all else goes the library's own.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final, TypeVar

from protocols import topics
from protocols.errors import ProtocolError

_PUBLISH: Final = b"\x30"  # QoS 0, not retained
QOS_OR_RETAIN: Final = 0x07
"""Their bits in a PUBLISH: nobody keeps sound, so what is retained goes the usual way, where it is refused."""
KNOWN_MAX: Final = 20_000
"""Topics that are kept as they were read or written; when there are more all are forgotten and learnt anew."""
_TAIL: Final = f"/up/{topics.VOICE}".encode()
_K = TypeVar("_K")
_V = TypeVar("_V")


class Heard:
    """What comes in on `up/voice`, to `heard(device, sealed)`; an unreadable topic to `unreadable`."""

    def __init__(
        self,
        root: str,
        heard: Callable[[str, bytes], None],
        unreadable: Callable[[str, bytes, ProtocolError], None],
        counts: Counter[str],
    ) -> None:
        self._root, self._heard, self._unreadable, self._counts = root, heard, unreadable, counts
        self._devices: dict[bytes, str] = {}

    def tap(self, client: Any) -> None:
        """Before it connects."""
        handler = client._package_handler
        usual = handler._handle_publish_packet

        def publish(command: int, packet: bytes) -> None:
            end = 2 + int.from_bytes(packet[:2], "big")
            topic = packet[2:end]
            if command & QOS_OR_RETAIN or not topic.endswith(_TAIL):
                usual(command, packet)
            else:
                self._frame(topic, packet[end:])

        handler._handle_publish_packet = publish

    def _frame(self, topic: bytes, sealed: bytes) -> None:
        self._counts["up"] += 1
        device = self._devices.get(topic) or self._learn(topic, sealed)
        if device:
            self._counts["up_voice"] += 1
            self._heard(device, sealed)

    def _learn(self, topic: bytes, sealed: bytes) -> str:
        """The device of it, "" when there is none."""
        text = topic.decode(errors="replace")
        try:
            device = topics.parse_up(self._root, text).device
        except ProtocolError as error:
            self._unreadable(text, sealed, error)
            return ""
        _keep(self._devices, topic, device)
        return device


class Packets:
    """PUBLISH packets at QoS 0, the same few topics again and again."""

    def __init__(self) -> None:
        self._topics: dict[str, bytes] = {}

    def publish(self, topic: str, sealed: bytes) -> bytes:
        """`sealed` and topic together are shorter than 16 kB."""
        written = self._topics.get(topic)
        if written is None:
            text = topic.encode()
            written = len(text).to_bytes(2, "big") + text
            _keep(self._topics, topic, written)
        size = len(written) + len(sealed)
        length = bytes((size,)) if size < 128 else bytes((size & 127 | 128, size >> 7))
        return b"".join((_PUBLISH, length, written, sealed))


def _keep(known: dict[_K, _V], key: _K, value: _V) -> None:
    if len(known) >= KNOWN_MAX:
        known.clear()
    known[key] = value
