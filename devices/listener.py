"""The part of a device that hears broadcasts: presents them once, whatever road they come by, and reports each.

A broadcast can arrive twice under two items (its own and the talk group's second route): it is presented once and
every item is reported. A cancelled one is never presented, also when the cancel overtakes it.

One with a clip waits for its sound, CLIP_WITHIN_MS or half of its life; then its text is said by the device's own
means. It is presented when the last of it was heard.
"""

import random
from collections.abc import Iterable
from typing import Final, TypeVar

from msgspec import Struct

from devices.agent import Agent
from devices.events import Connected, HardwareState, Publish
from devices.outbox import Boot, Record
from devices.player import RANK_OF, Sound
from devices.voice.clips import Clips
from protocols import codec, down
from protocols.envelope import Envelope

MAX_BROADCASTS: Final = 200
"""Broadcasts (and cancels) remembered, oldest out; then one that came again would be presented again."""
MAX_ALIASES: Final = 8
"""Items of one broadcast that are reported."""


CLIP_WITHIN_MS: Final = 30_000
"""Without its clip by then, or by half of its remaining life, a broadcast is said by the device's own means."""


T = TypeVar("T")


class Heard(Struct):
    message: down.Broadcast
    items: list[str]
    waits: bool = False


class Listener(Agent):
    def __init__(
        self, records: Iterable[Record], boot: Boot, rng: random.Random, language: str = "zh"
    ) -> None:
        super().__init__(records, boot, rng, language)
        self._broadcasts: dict[str, Heard] = {}
        self._cancelled: dict[str, None] = {}
        self._clips = Clips()

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
            if (gone := _bound(self._broadcasts)) is not None:
                self._withdraw_waiting(gone)
            self._broadcast(message)

    def _withdraw_waiting(self, gone: Heard) -> None:
        """Forgotten for want of room: its sound is not waited for any more."""
        if gone.waits:
            self._no_more_waiting(gone)

    def _again(self, heard: Heard, item: str) -> None:
        seen = self._inbox.get(heard.items[0])
        if len(heard.items) < MAX_ALIASES:
            heard.items.append(item)
        if seen is not None and seen.reason:
            super()._failed(item, seen.reason)
        elif seen is not None and seen.rung != "delivered":
            super()._rung(item, seen.rung, seen.volume_pct)

    def _broadcast(self, message: down.Broadcast) -> None:
        """A new one: to be presented, with its sound as soon as that is here."""
        clip = message.clip
        if clip is not None and self._clips.want(clip, self._now) and self._clips.frames(clip.clip) is None:
            self._broadcasts[message.broadcast].waits = True
            due = self._now + self._clip_within_ms(message)
            self._at("clip " + message.broadcast, due, lambda: self._without_clip(message))
            self._ask_for_clips()
        else:
            self._sound(self._broadcast_sound(message))

    def _clip_within_ms(self, message: down.Broadcast) -> int:
        site = self.site_now()
        if not message.expires_at or site is None:
            return CLIP_WITHIN_MS
        return min(CLIP_WITHIN_MS, max(0, message.expires_at - site) // 2)

    def _ask_for_clips(self) -> None:
        """What is missing, if there is a connection; and when to ask again."""
        for request in self._clips.requests(self._now) if self._conn is not None else ():
            self._do(Publish("clip-request", codec.encode(request)))
        due = self._clips.deadline()
        if due is not None and self._conn is not None:
            self._at("clips", due, self._ask_for_clips)

    def _on_connected(self, event: Connected) -> None:
        super()._on_connected(event)
        self._clips.connected(self._now)
        self._ask_for_clips()

    def _on_clip_part(self, message: down.ClipPart) -> None:
        if self._clips.received(message, self._now) is None:
            return
        self._log("clip", clip=message.clip)
        for heard in list(self._broadcasts.values()):
            if heard.message.clip is not None and heard.message.clip.clip == message.clip:
                self._no_more_waiting(heard)

    def _without_clip(self, message: down.Broadcast) -> None:
        heard = self._broadcasts.get(message.broadcast)
        if heard is not None and heard.waits:
            self._log("no-clip", item=message.item, broadcast=message.broadcast)
            self._no_more_waiting(heard)

    def _no_more_waiting(self, heard: Heard) -> None:
        """Its sound is here, or will not come in time: its turn to be presented."""
        if heard.waits:
            heard.waits = False
            self._cancel("clip " + heard.message.broadcast)
            self._sound(self._broadcast_sound(heard.message))

    def _frames(self, sound: Sound) -> tuple[bytes, ...]:
        return self._clips.frames(sound.clip) or ()

    def _done_with(self, heard: Heard) -> None:
        """Presented, or never to be: its sound goes, unless another broadcast has the same."""
        clip = heard.message.clip
        if clip is not None and not any(
            other is not heard and other.message.clip == clip and self._is_owed(other)
            for other in self._broadcasts.values()
        ):
            self._clips.drop(clip.clip)

    def _is_owed(self, heard: Heard) -> bool:
        return heard.waits or self._player.holds(heard.message.item)

    def _broadcast_sound(self, message: down.Broadcast) -> Sound:
        drill = ("Drill. " if message.lang == "en" else "演练。") if message.drill else ""
        rank = RANK_OF.get(message.priority, 0)
        volume_pct = self._volume_pct()
        sound = Sound(message.item, drill + message.text, message.lang, volume_pct, rank, "broadcast")
        sound.expires_at, sound.clip = message.expires_at, message.clip.clip if message.clip else ""
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
        heard.waits = False
        self._cancel("clip " + heard.message.broadcast)
        self._silence(heard.message.item)
        self._done_with(heard)

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
        heard = self._heard(item)
        for each in heard.items if heard is not None else [item]:
            super()._rung(each, rung, volume_pct)
        if heard is not None and rung != "delivered":
            self._done_with(heard)

    def _failed(self, item: str, reason: str) -> None:
        heard = self._heard(item)
        for each in heard.items if heard is not None else [item]:
            super()._failed(each, reason)
        if heard is not None and reason != "muted":
            self._done_with(heard)

    def _heard(self, item: str) -> Heard | None:
        return next((heard for heard in self._broadcasts.values() if item == heard.message.item), None)


def _bound(remembered: dict[str, T]) -> T | None:
    """The oldest beyond MAX_BROADCASTS, taken out."""
    return remembered.pop(next(iter(remembered))) if len(remembered) > MAX_BROADCASTS else None
