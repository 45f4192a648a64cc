"""Voice in the simulation: terminals that press, hold and let go; a voice room that knows only what it was told.

The room is a true model of the daemon's: it starts empty with every life, passes on the frames of a floor's burst and
reports them. A talker believes what he is told, asks again three times, and may lose every message but not his key.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from dispatchd.core.effects import SetFloor
from dispatchd.core.inputs import (
    MediaHeard,
    MediaRefused,
    OperatorHears,
    Recorded,
    RecordingFaulted,
    VoiceJoined,
)
from protocols import down, up

from .world import Violation, World

if TYPE_CHECKING:
    from .models import Terminal

FRAME_MS: Final = 500
"""One report stands for the frames of so long."""
ASK_AGAIN_MS: Final = 1_000
ASKED_MOST: Final = 3
OPERATORS: Final = ("boss", "li", "wang")


class VoiceRoom:
    """Who talks where, as the core said last. `put` gives an input to the daemon."""

    def __init__(self, world: World, put: Callable[[Any], None]) -> None:
        self.world, self.put = world, put
        self.floors: dict[str, SetFloor] = {}
        self.said: set[int] = set()

    def began(self) -> None:
        """A new life: nobody has keys, nobody talks."""
        self.floors.clear()
        self.said.clear()

    def set_floor(self, effect: SetFloor) -> None:
        if effect.ended in self.said and self.world.likely(0.3):
            self._recorded(effect)
        self._set(effect)

    def _recorded(self, effect: SetFloor) -> None:
        """What was said is on disk, or the disk is full for a while."""
        now = self.world.now
        name = f"r-{effect.ended}"
        self.put(
            Recorded(name, effect.group, effect.ended, effect.talker, effect.incident, now, 900, 45, 0, 99)
        )
        if self.world.likely(0.1):
            self.put(RecordingFaulted(self.world.rng.choice(["disk full", ""])))

    def _set(self, effect: SetFloor) -> None:
        if (
            effect.burst
            and effect.burst in self.said
            and self.floors.get(effect.group, effect).burst != effect.burst
        ):
            raise Violation("burst-used-twice", f"{effect}")
        self.said.add(effect.burst)
        if not effect.burst:
            self.floors.pop(effect.group, None)
            return
        self.floors[effect.group] = effect
        heard: dict[str, str] = {}
        for floor in self.floors.values():
            for group in floor.groups:
                if group in heard:
                    raise Violation("two-talkers", f"{heard[group]} and {floor.talker} in {group}")
                heard[group] = floor.talker

    def frames(self, talker: str, burst: int, *, last: bool = False) -> None:
        floor = next((f for f in self.floors.values() if (f.burst, f.talker) == (burst, talker)), None)
        if floor is None:
            self.world.counts["frames without the floor"] += 1
            self.put(MediaRefused(talker, burst, "no-floor"))
            return
        self.world.counts["frames passed on"] += 1
        self.put(MediaHeard(floor.group, burst, last))


class Talker:
    """The person with the key of one terminal."""

    def __init__(self, terminal: "Terminal", room: VoiceRoom) -> None:
        self.terminal, self.room, self.world = terminal, room, terminal.world
        self.ref = 0
        self.group = ""
        self.held = False
        self.burst = 0

    def joined(self) -> None:
        """New keys after every connect and every start of the room."""
        if self.terminal.connected:
            self.room.put(VoiceJoined(self.terminal.id, self.world.rng.choice(["datagram", "mqtt"])))

    def press(self, group: str, priority: str) -> None:
        """In this group, or in any of his."""
        if self.held or not self.terminal.connected:
            return
        rng = self.world.rng
        self.ref += 1
        self.held, self.burst = True, 0
        self.group = group or rng.choice(self.terminal.groups or ["g-none"])
        self.world.counts["talk keys pressed"] += 1
        self._ask(self.ref, priority, ASKED_MOST)
        hold_ms = rng.choice([300, 2_000, 8_000, 60_000])
        self.world.at(hold_ms, self._let_go, self.ref)

    def _ask(self, ref: int, priority: str, times: int) -> None:
        if not (self.held and ref == self.ref and not self.burst and times):
            return
        self.terminal.network.said(self.terminal.id, up.FloorRequest(self.group, ref, priority))
        self.world.at(ASK_AGAIN_MS, self._ask, ref, priority, times - 1)

    def _let_go(self, ref: int) -> None:
        if ref != self.ref or not self.held:
            return
        self.held = False
        if self.burst and self.terminal.connected and self.world.likely(0.8):
            self.room.frames(self.terminal.id, self.burst, last=True)
        self.burst = 0
        if self.terminal.connected:
            self.terminal.network.said(self.terminal.id, up.FloorRelease(self.group, ref))

    def hear(self, message: Any) -> None:
        if isinstance(message, down.FloorGranted) and message.ref == self.ref:
            if not self.held:
                self.terminal.network.said(self.terminal.id, up.FloorRelease(message.group, message.ref))
            elif not self.burst:
                self.burst = message.burst
                self._talk(message.burst)
        elif isinstance(message, down.FloorRevoke) and message.burst == self.burst:
            self.burst = 0
            self.held = self.held and self.world.likely(0.5)  # some hold the key and are not heard

    def _talk(self, burst: int) -> None:
        """Frames, as long as he has the floor; a few go on without it."""
        if self.terminal.alive and (self.burst == burst or self.world.likely(0.02)):
            if self.world.likely(0.97):
                self.room.frames(self.terminal.id, burst)
            self.world.at(FRAME_MS, self._talk, burst)


def listen(world: World, room: VoiceRoom) -> None:
    """Operators open and close their voice sessions."""
    for operator in OPERATORS:
        groups = world.rng.choice([(), ("g-all",), ("g-all", "s1", "g-r21")])
        room.put(OperatorHears(operator, groups))
    if world.chaos:
        world.at(world.rng.uniform(5_000, 30_000), listen, world, room)
