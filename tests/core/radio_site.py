"""A small site with voice: six terminals, two pillars, three operators; say things, see what was told to whom."""

from typing import Any

from dispatchd.core import commands as c
from dispatchd.core import facts as f
from dispatchd.core import inputs as i
from dispatchd.core.commands import Done, Refusal
from dispatchd.core.core import Core
from dispatchd.core.effects import Send, SendGroup, SetFloor, TellOperator
from dispatchd.core.floor_rights import floor_of
from dispatchd.core.state import Floor
from dispatchd.core.turn import Decision, Turn
from protocols import down, up
from protocols.types import Key, Position

ADMIN = "admin"
TERMINALS = [f"t-{n}" for n in range(1, 7)]
FORCES = {1: "police", 2: "police", 3: "auxiliary", 4: "volunteer", 5: "volunteer", 6: "police"}
SITE: dict[str, Any] = {
    "unit": [
        {"id": "top", "name": "分局", "duty_leaders": ["t-6"]},
        {"id": "north", "parent": "top"},
        {"id": "south", "parent": "top"},
    ],
    "patrol": [{"id": f"g-{n}", "unit": "north" if n < 5 else "south", "force": FORCES[n]} for n in FORCES],
    "device": [
        *(
            {"id": f"t-{n}", "kind": "terminal", "unit": "north" if n < 5 else "south", "patrol": f"g-{n}"}
            for n in FORCES
        ),
        {"id": "p-1", "kind": "pillar", "unit": "north", "lat": 30.0, "lon": 110.0, "profile": "C"},
        {"id": "p-2", "kind": "pillar", "unit": "south", "lat": 30.1, "lon": 110.0},
    ],
    "talk_group": [{"id": "all", "unit": "top", "units": ["top"]}],
    "operator": [
        {"id": "chief", "unit": "top", "role": "duty-leader"},
        {"id": "north-desk", "unit": "north", "role": "operator"},
        {"id": "south-desk", "unit": "south", "role": "operator"},
        {"id": "guest", "unit": "top", "role": "viewer"},
    ],
}


class Radio:
    """Everybody on line with voice unless `silent`; time only passes by `wait`."""

    def __init__(self, *, silent: tuple[str, ...] = ()) -> None:
        self.core = Core()
        self.now = 1_000_000
        self.facts: list[f.Fact] = []
        self.effects: list[Any] = []
        self.refs: dict[str, int] = {}
        self.give(i.DaemonStarted(1, 1, "test", "hash"))
        assert isinstance(self.ask(ADMIN, c.ApplySite(SITE)), Done)
        for device in [*TERMINALS, "p-1", "p-2"]:
            self.say(device, up.Hello(b"12345678", 1, "b1"))
            if device not in silent and device.startswith("t-"):
                self.give(i.VoiceJoined(device, "datagram"))
        self.effects.clear()
        self.facts.clear()

    # --- in

    def give(self, one: i.Input) -> Decision:
        decision = self.core.decide(one, self.now)
        self.facts += decision.facts
        self.effects += decision.effects
        return decision

    def say(self, device: str, message: up.Up) -> Decision:
        return self.give(i.DeviceSaid(device, message))

    def ask(self, operator: str, command: c.Command) -> Done | Refusal:
        result = self.give(i.OperatorAsked(operator, command)).result
        assert result is not None
        return result

    def wait(self, ms: int) -> None:
        """Every timer on the way fires at its time; devices go on being heard."""
        end = self.now + ms
        while (due := self.core.deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            for live in self.core.state.live.values():
                live.heard_ms = self.now if live.online else live.heard_ms
            self.give(i.Tick())
        self.now = end

    def press(self, device: str, group: str = "all", priority: str = "normal", ref: int | None = None) -> int:
        self.refs[device] = self.refs.get(device, 0) + 1 if ref is None else ref
        self.say(device, up.FloorRequest(group, self.refs[device], priority))
        return self.refs[device]

    def let_go(self, device: str, group: str = "all", ref: int | None = None) -> None:
        self.say(device, up.FloorRelease(group, self.refs[device] if ref is None else ref))

    def sound(self, group: str = "all", *, last: bool = False) -> None:
        """The talker's frames arrive."""
        floor = self.floor(group)
        self.give(i.MediaHeard(floor.group, floor.burst, last))

    def talk(self, device: str, group: str = "all", priority: str = "normal") -> int:
        """Press, and be heard."""
        self.press(device, group, priority)
        self.sound(group)
        return self.floor(group).burst

    def alarm(self, device: str, kind: str = "one-key", position: Position | None = None) -> str:
        key = Key("b1", len(self.facts))
        self.say(device, up.Alarm(key, kind, 0, position))
        opened = [fact for fact in self.facts if isinstance(fact, f.IncidentOpened)]
        return opened[-1].incident

    # --- out

    def turn(self) -> Turn:
        return Turn(self.core.state, self.core.index, self.now)

    def floor(self, group: str = "all") -> Floor:
        return floor_of(self.turn(), group)

    def talker(self, group: str = "all") -> str:
        return self.floor(group).talker

    def told(self, device: str) -> list[Any]:
        """Floor messages to this device alone since the last look, oldest first."""
        found = [e.message for e in self.effects if isinstance(e, Send) and e.device == device]
        return [m for m in found if isinstance(m, down.Floor)]

    def told_group(self, group: str = "all") -> list[Any]:
        return [e.message for e in self.effects if isinstance(e, SendGroup) and e.group == group]

    def told_operator(self, operator: str) -> list[Any]:
        return [e.message for e in self.effects if isinstance(e, TellOperator) and e.operator == operator]

    def set_floors(self) -> list[SetFloor]:
        return [e for e in self.effects if isinstance(e, SetFloor)]

    def look_away(self) -> None:
        self.effects.clear()
        self.facts.clear()
