"""The part of a device that hears broadcasts: presents them once, whatever road they come by, and reports each.

A broadcast can arrive twice under two items (its own and the talk group's second route): it is presented once and
every item is reported. A cancelled one is never presented, also when the cancel overtakes it.
"""

import random
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from devices.agent import Agent
from devices.events import HardwareState
from devices.outbox import Boot, Record
from devices.player import RANK_OF, Sound
from protocols import down
from protocols.envelope import Envelope

MAX_BROADCASTS: Final = 200
"""Broadcasts (and cancels) remembered, oldest out; then one that came again would be presented again."""
MAX_ALIASES: Final = 8
"""Items of one broadcast that are reported."""


class Heard(Struct):
    message: down.Broadcast
    items: list[str]


class Listener(Agent):
    def __init__(
        self, records: Iterable[Record], boot: Boot, rng: random.Random, language: str = "zh"
    ) -> None:
        super().__init__(records, boot, rng, language)
        self._broadcasts: dict[str, Heard] = {}
        self._cancelled: dict[str, None] = {}

    def _present(self, message: down.Item, envelope: Envelope) -> None:
        match message:
            case down.Broadcast():
                self._on_broadcast(message)
            case down.BroadcastCancel():
                self._on_broadcast_cancel(message)
            case _:
                super()._present(message, envelope)

    def _on_broadcast(self, message: down.Broadcast) -> None:
        heard = self._broadcasts.get(message.broadcast)
        if message.broadcast in self._cancelled:
            self._failed(message.item, "refused")
        elif heard is not None:
            self._again(heard, message.item)
        else:
            self._broadcasts[message.broadcast] = Heard(message, [message.item])
            _bound(self._broadcasts)
            self._broadcast(message)

    def _again(self, heard: Heard, item: str) -> None:
        seen = self._inbox.get(heard.items[0])
        if len(heard.items) < MAX_ALIASES:
            heard.items.append(item)
        if seen is not None and seen.reason:
            super()._failed(item, seen.reason)
        elif seen is not None and seen.rung != "delivered":
            super()._rung(item, seen.rung, seen.volume_pct)

    def _broadcast(self, message: down.Broadcast) -> None:
        """A new one: to be presented."""
        self._sound(self._broadcast_sound(message))

    def _broadcast_sound(self, message: down.Broadcast) -> Sound:
        drill = ("Drill. " if message.lang == "en" else "演练。") if message.drill else ""
        rank = RANK_OF.get(message.priority, 0)
        volume_pct = self._volume_pct()
        sound = Sound(message.item, drill + message.text, message.lang, volume_pct, rank, "broadcast")
        sound.expires_at = message.expires_at
        return sound

    def _volume_pct(self) -> int:
        volume = self._hardware.volume_pct
        return self.settings.volume_pct if volume is None else volume

    def _on_broadcast_cancel(self, message: down.BroadcastCancel) -> None:
        self._cancelled[message.broadcast] = None
        _bound(self._cancelled)
        heard = self._broadcasts.get(message.broadcast)
        if heard is not None:
            self._withdraw(heard)
        self._rung(message.item, "presented", 0)

    def _withdraw(self, heard: Heard) -> None:
        self._silence(heard.message.item)

    def _on_hardware(self, event: HardwareState) -> None:
        """A speaker that sounds again plays what it owes."""
        sounds_again = self._hardware.muted and not event.muted
        super()._on_hardware(event)
        if sounds_again:
            for heard in self._broadcasts.values():
                seen = self._inbox.get(heard.message.item)
                owed = seen is not None and seen.rung == "delivered" and seen.reason == "muted"
                if owed and heard.message.broadcast not in self._cancelled:
                    self._sound(self._broadcast_sound(heard.message))

    def _rung(self, item: str, rung: str, volume_pct: int | None = None) -> None:
        for each in self._items_of(item):
            super()._rung(each, rung, volume_pct)

    def _failed(self, item: str, reason: str) -> None:
        for each in self._items_of(item):
            super()._failed(each, reason)

    def _items_of(self, item: str) -> list[str]:
        for heard in self._broadcasts.values():
            if item == heard.message.item:
                return list(heard.items)
        return [item]


def _bound(remembered: dict[str, Heard] | dict[str, None]) -> None:
    if len(remembered) > MAX_BROADCASTS:
        del remembered[next(iter(remembered))]
