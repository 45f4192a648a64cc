"""One screen on the voice WebSocket: what it hears, what it asked for, and what it is still to be told.

What must hold: this screen's microphone is passed on only while this screen has the floor or talks back; what it was
told is what holds in the committed state; a screen that does not read is dropped, never waited for.
"""

import asyncio
import secrets
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dispatchd.core.state import State
from protocols import down
from protocols.site import Operator

from . import voice_messages as m
from .hearing import may_hear, who_talks

if TYPE_CHECKING:
    from dispatchd.voice.webrtc import Session

MAX_WAITING: Final = 200
"""Messages that a screen has not taken; one more drops it."""
MAX_ASKED: Final = 16
"""Floors that one screen asks for at once; further requests are refused."""
LATE_S: Final = 0.3
"""Its microphone is passed on so long after the key was let go: the last packets come by another road."""


class SlowClient(Exception):
    """It does not read what it is told."""


class VoiceClient:
    """What is known of one socket. Its session, if it has one, is `session`."""

    def __init__(self, operator: Operator) -> None:
        self.operator = operator
        self.id = f"ws-{secrets.token_hex(8)}"
        self.session: Session | None = None
        self.wanted: list[str] = []
        self.asked: dict[tuple[str, int], None] = {}
        self.talking: set[str] = set()
        self.back = ""
        self.wake = asyncio.Event()
        self.look = False
        self.stale = False
        self._out: deque[bytes] = deque()
        self._told_hearing: list[str] | None = None
        self._told_floors: set[str] = set()
        self._told_intercoms: dict[str, dict[str, Any]] = {}

    # --- what it is told ----------------------------------------------------------------------------------------

    def tell(self, message: dict[str, Any]) -> None:
        """In its order; the writer takes it. A screen with MAX_WAITING untaken is marked for dropping."""
        if len(self._out) >= MAX_WAITING:
            self.stale = True
        else:
            self._out.append(msgspec.json.encode(message))
        self.wake.set()

    def look_soon(self) -> None:
        """The state, or its session, changed: what follows from it is to be told."""
        self.look = True
        self.wake.set()

    def take(self) -> list[bytes]:
        """All that is to be sent now; SlowClient when it was too much."""
        if self.stale:
            raise SlowClient
        found = list(self._out)
        self._out.clear()
        return found

    def tell_floor(self, message: down.Floor) -> None:
        """What the core says to this operator, as far as it concerns this screen."""
        if isinstance(message, down.FloorGranted | down.FloorDeny | down.FloorQueuePositionInfo):
            if (message.group, message.ref) not in self.asked:
                return
            if isinstance(message, down.FloorGranted):
                self.talking.add(message.group)
            elif isinstance(message, down.FloorDeny) or not message.position:
                self.asked.pop((message.group, message.ref))
        elif isinstance(message, down.FloorRevoke | down.FloorIdle):
            if isinstance(message, down.FloorRevoke) and message.group not in self.talking:
                return
            self._floor_over(message.group)
        elif message.talker != self.operator.id:
            self._floor_over(message.group)
        self.set_gate()
        self.tell(m.floor(message))

    def _floor_over(self, group: str) -> None:
        if group in self.talking:
            self.talking.discard(group)
            for key in [key for key in self.asked if key[0] == group]:
                del self.asked[key]

    def set_gate(self) -> None:
        """Pass its microphone on, or do not."""
        if self.session is not None:
            self.session.open = bool(self.talking or self.back)

    # --- what it hears ------------------------------------------------------------------------------------------

    @property
    def channels(self) -> list[str]:
        """By slot; [] without a session."""
        return [] if self.session is None or self.session.ended else self.session.tuner.channels

    def groups(self) -> set[str]:
        """The talk groups that its connected session hears."""
        if self.session is None or not self.session.connected:
            return set()
        return {channel for channel in self.channels if channel and not channel.startswith("@")}

    def lost(self, state: State) -> list[str]:
        """Channels it asked for and may not hear any more; they are taken out of what it wants."""
        gone = [c for c in self.wanted if c and not may_hear(state, self.operator, c)]
        self.wanted = ["" if channel in gone else channel for channel in self.wanted]
        return gone

    def refresh(self, state: State, now_ms: int) -> None:
        """Tell what is new of its slots, of who talks in them, and of the intercoms that are its operator's."""
        self._tell_hearing()
        groups = {channel for channel in self.channels if channel and not channel.startswith("@")}
        for group in sorted(groups - self._told_floors):
            self.tell(m.floor(who_talks(state, group, now_ms)))
        self._told_floors = groups
        self._tell_intercoms(state)

    def _tell_hearing(self) -> None:
        if self.session is not None and self.channels != self._told_hearing:
            self._told_hearing = self.channels
            self.tell(m.hearing(self._told_hearing))

    def hear_again(self) -> None:
        """Its next `hearing` is told even if it is the same."""
        self._told_hearing = None

    def _tell_intercoms(self, state: State) -> None:
        now: dict[str, dict[str, Any]] = {}
        for device, found in state.intercoms.items():
            if self.operator.id in found.hears:
                slot = self.channels.index("@up/" + device) if "@up/" + device in self.channels else -1
                now[device] = m.intercom(found, slot)
        for device in self._told_intercoms.keys() - now.keys():
            self.tell(m.intercom_closed(device, self._told_intercoms[device]["incident"]))
        for device, message in now.items():
            if self._told_intercoms.get(device) != message:
                self.tell(message)
        self._told_intercoms = now
        self._follow_back(state)

    def _follow_back(self, state: State) -> None:
        """Somebody or something else ended the talk-back."""
        if self.back and not any(
            i.incident == self.back and i.back == "@" + self.operator.id for i in state.intercoms.values()
        ):
            self.back = ""
            self.set_gate()
