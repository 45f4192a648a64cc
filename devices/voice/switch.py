"""The change from one carriage to the other, as the daemon and the broker are told of it. Pure.

Decided by route.py. What must hold: the carriage that is left works until the new one does. So `voice-carriage mqtt` is
said when the broker has taken the subscriptions, and they are given up only OVERLAP_MS after `voice-carriage datagram`;
what comes by both meanwhile is told apart by its number.
"""

from typing import Final

from devices.events import Action, Publish, SubscribeVoice
from devices.voice import words
from devices.words import Both
from protocols import codec, up

OVERLAP_MS: Final = 1_000
"""Until the daemon has surely taken the word that datagrams are wanted."""


class Switch:
    """`take()` gives what is to be done; `due` is when the subscriptions are given up."""

    def __init__(self) -> None:
        self.due: int | None = None
        self._linked = False
        self._by_mqtt = False
        self._groups: tuple[str, ...] = ()
        self._told: tuple[str, ...] | None = None
        self._why = words.NO_PONG
        self._out: list[Action] = []

    def take(self) -> list[Action]:
        out, self._out = self._out, []
        return out

    def linked(self, *, yes: bool) -> None:
        """Subscriptions are forgotten with a connection."""
        self._linked, self._told = yes, None
        self._subscribe()

    def groups(self, groups: tuple[str, ...]) -> None:
        self._groups = tuple(sorted(groups))
        self._subscribe()

    def to_mqtt(self, why: Both) -> None:
        self._by_mqtt, self._why, self.due = True, why, None
        self._subscribe()

    def to_datagram(self, now_ms: int) -> None:
        self._by_mqtt, self._told = False, None
        self._say("datagram", words.PONGS)
        self.due = now_ms + OVERLAP_MS

    def tick(self, now_ms: int) -> None:
        if self.due is not None and now_ms >= self.due:
            self.due = None
            self._out.append(SubscribeVoice(()))

    def subscribed(self, groups: tuple[str, ...]) -> None:
        """Said once for each set; a change of mind meanwhile is not announced."""
        if self._by_mqtt and groups == self._groups and groups != self._told:
            self._told = groups
            self._say("mqtt", self._why)

    def _subscribe(self) -> None:
        if self._by_mqtt and self._linked:
            self._out.append(SubscribeVoice(self._groups))

    def _say(self, carriage: str, why: Both) -> None:
        self._out.append(Publish("voice-carriage", codec.encode(up.VoiceCarriage(carriage, why.en))))
