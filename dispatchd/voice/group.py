"""How a talk group hears: its frames sealed once, to all who have datagrams at once, and to the broker for the rest.

What must hold: a device that left gets no datagram any more, whatever key it has; nothing is sealed or published when
nobody would hear it.
"""

from collections import Counter
from collections.abc import Callable

from protocols.voice import Frame, encode

from .datagram import Datagrams
from .fanout import Address
from .keyring import Keyring


class GroupVoice:
    """The relay's listener for one talk group. Say `changed` when members, their places or carriages changed."""

    def __init__(
        self,
        group: str,
        keyring: Keyring,
        datagrams: Datagrams | None,
        carriage_of: Callable[[str], str],
        publish: Callable[[str, bytes], None],
        now_ms: Callable[[], int],
        counts: Counter[str],
    ) -> None:
        self._group = group
        self._keyring, self._datagrams = keyring, datagrams
        self._carriage_of, self._publish = carriage_of, publish
        self._now_ms, self._counts = now_ms, counts
        self._fan = datagrams.fan() if datagrams is not None else None
        self._by_mqtt = False
        self._aimed = False

    def changed(self) -> None:
        self._aimed = False

    def hear(self, _channel: str, _talker: str, frame: Frame) -> None:
        """Of the relay."""
        if not self._aimed:
            self._aim()
        if not self._fan and not self._by_mqtt:
            return
        sealer = self._keyring.sealer(self._group, frame.burst, self._now_ms())
        if sealer is None:
            return
        sealed = sealer.seal(encode(frame))
        if self._fan:
            self._fan.send(sealed)
        if self._by_mqtt:
            self._publish(self._group, sealed)
            self._counts["published"] += 1

    def _aim(self) -> None:
        """Anew at the members who listen, each by its carriage."""
        carriages = {device: self._carriage_of(device) for device in self._keyring.members(self._group)}
        self._by_mqtt = "mqtt" in carriages.values()
        if self._fan is not None and self._datagrams is not None:
            self._fan.aim(_addresses(self._datagrams, carriages))
        self._aimed = True


def _addresses(datagrams: Datagrams, carriages: dict[str, str]) -> list[Address]:
    return [
        place.address
        for device, carriage in carriages.items()
        if carriage == "datagram" and (place := datagrams.places.get(device)) is not None
    ]
