"""The broker and the wires: loses, doubles, delays and reorders; knows who is connected; keeps retained presence.

A message to somebody who is not connected is gone, as with clean sessions. A share of the messages goes through
the real codec, so that what the structs cannot carry does not pass here either.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from protocols import codec, down, up
from protocols.up import Presence

from .world import World

if TYPE_CHECKING:
    from .models import Device

CODED_SHARE: Final = 0.03
"""So many of the messages are encoded and decoded on their way."""


class Ear(Protocol):
    """Where up messages end: the daemon."""

    def said(self, device: str, message: up.Up) -> None: ...
    def seen(self, device: str, presence: Presence) -> None: ...


class Network:
    """All wires of the city. Chances are per message; `up_link` is the daemon's own connection to the broker."""

    def __init__(self, world: World) -> None:
        rng = world.rng
        self.world = world
        self.loss = rng.choice([0.0, 0.02, 0.1, 0.25])
        self.double = rng.choice([0.0, 0.02, 0.1])
        self.lag_ms = rng.choice([20, 100, 600])
        self.late = rng.choice([0.0, 0.01, 0.05])
        self.up_link = True
        self.devices: dict[str, Device] = {}
        self.retained: dict[str, Presence] = {}
        self.ear: Ear | None = None

    def heal(self) -> None:
        self.loss = self.double = self.late = 0.0
        self.lag_ms = 10

    def said(self, device: str, message: up.Up) -> None:
        """A device publishes."""
        if self.world.rng.random() < CODED_SHARE:
            message = codec.decode_up(codec.UP_KIND[type(message)], codec.encode(message))
        self._carry(self._to_ear, device, message)

    def presence(self, device: str, presence: Presence) -> None:
        """The broker keeps the last and hands it on."""
        self.retained[device] = presence
        self._carry(self._to_ear, device, presence)

    def tell(self, device: str, message: down.Down, ttl_ms: int, sent_at: int) -> None:
        """The daemon publishes to one device."""
        if self.world.rng.random() < CODED_SHARE:
            message = codec.decode_down(codec.DOWN_KIND[type(message)], codec.encode(message))
        self._carry(self._to_device, device, message, ttl_ms, sent_at)

    def tell_group(self, group: str, message: down.Down, ttl_ms: int, sent_at: int) -> None:
        for device in self.devices.values():
            if group in device.groups:
                self.tell(device.id, message, ttl_ms, sent_at)

    def _carry(self, deliver: Callable[..., None], *args: Any) -> None:
        rng, world = self.world.rng, self.world
        if not self.up_link or rng.random() < self.loss:
            world.counts["messages lost"] += 1
            return
        world.at(rng.expovariate(1 / self.lag_ms), deliver, *args)
        if rng.random() < self.double:
            world.counts["messages doubled"] += 1
            world.at(rng.expovariate(1 / self.lag_ms), deliver, *args)
        if rng.random() < self.late:
            world.counts["messages late"] += 1
            world.at(rng.uniform(1_000, 60_000), deliver, *args)

    def _to_ear(self, device: str, message: Any) -> None:
        if self.ear is None or not self.up_link:
            return
        if isinstance(message, Presence):
            self.ear.seen(device, message)
        else:
            self.ear.said(device, message)

    def _to_device(self, device: str, message: down.Down, ttl_ms: int, sent_at: int) -> None:
        model = self.devices.get(device)
        if model is not None and model.connected:
            model.hear(message, ttl_ms, sent_at)
