"""Floor control under any order of presses, releases, sound, silence, comings and goings (hypothesis).

One talker at a time; what the voice room was told is what the state says; nobody waits twice; a burst number is never
used again; an emergency is never behind anything but an emergency; left alone, every floor becomes idle.
"""

from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dispatchd.core import commands as c
from dispatchd.core import facts as f
from dispatchd.core import inputs as i
from dispatchd.core import voice_facts as v
from dispatchd.core.floor import state_of
from protocols import up

from .radio_site import TERMINALS, Radio

DEVICES: Final = st.sampled_from(TERMINALS)
GROUPS: Final = st.sampled_from(["all", "north", "south"])
PRIORITIES: Final = st.sampled_from(["normal", "normal", "normal", "imminent-peril", "emergency"])


class Floors(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.radio = Radio()
        self.radio.give(i.OperatorHears("chief", ("all", "north")))
        self.said: dict[str, Any] = {}
        self.bursts: set[int] = set()

    @rule(device=DEVICES, group=GROUPS, priority=PRIORITIES)
    def press(self, device: str, group: str, priority: str) -> None:
        before = self.radio.floor(group)
        self.radio.press(device, group, priority)
        after = self.radio.floor(group)
        if priority == "emergency" and group in self.radio.core.index.groups_of(device):
            assert after.talker == device or before.priority == "emergency"

    @rule(device=DEVICES, group=GROUPS, ref=st.integers(0, 8))
    def press_out_of_order(self, device: str, group: str, ref: int) -> None:
        self.radio.press(device, group, ref=ref)

    @rule(device=DEVICES, group=GROUPS)
    def let_go(self, device: str, group: str) -> None:
        self.radio.let_go(device, group, ref=self.radio.refs.get(device, 0))

    @rule(group=GROUPS, last=st.booleans())
    def sound(self, group: str, last: bool) -> None:
        self.radio.sound(group, last=last)

    @rule(burst=st.integers(1, 30), group=GROUPS, last=st.booleans())
    def stale_sound(self, burst: int, group: str, last: bool) -> None:
        self.radio.give(i.MediaHeard(group, burst, last))

    @rule(
        device=DEVICES, burst=st.integers(1, 30), why=st.sampled_from(["no-floor", "unreadable", "too-fast"])
    )
    def refused_sound(self, device: str, burst: int, why: str) -> None:
        self.radio.give(i.MediaRefused(device, burst, why))

    @rule(device=DEVICES)
    def link_dies(self, device: str) -> None:
        self.radio.give(i.PresenceSeen(device, up.Presence(False, 99)))

    @rule(device=DEVICES, boot=st.sampled_from(["b1", "b2"]))
    def comes_back(self, device: str, boot: str) -> None:
        self.radio.say(device, up.Hello(b"12345678", 1, boot))
        self.radio.give(i.VoiceJoined(device, "mqtt"))

    @rule(on=st.booleans())
    def chief_presses(self, on: bool) -> None:
        ref = self.radio.refs["chief"] = self.radio.refs.get("chief", 0) + 1
        self.radio.ask("chief", c.RequestFloor("all", ref) if on else c.ReleaseFloor("all", ref))

    @rule(groups=st.sampled_from([(), ("all",), ("all", "north")]))
    def chief_listens(self, groups: tuple[str, ...]) -> None:
        self.radio.give(i.OperatorHears("chief", groups))

    @rule(together=st.booleans())
    def patch(self, together: bool) -> None:
        groups = ["north", "south"]
        self.radio.ask("chief", c.PatchGroups(groups) if together else c.UnpatchGroup("south"))

    @rule(device=DEVICES, on=st.booleans())
    def member(self, device: str, on: bool) -> None:
        target = c.Target(devices=[device])
        self.radio.ask("chief", c.AddMembers("all", target) if on else c.RemoveMembers("all", target))

    @rule(device=DEVICES, on=st.booleans())
    def mute(self, device: str, on: bool) -> None:
        self.radio.ask("chief", c.MuteDevice(device, on))

    @rule(ms=st.sampled_from([100, 1_000, 5_000, 31_000]))
    def time_passes(self, ms: int) -> None:
        self.radio.wait(ms)

    @rule()
    def daemon_restarts(self) -> None:
        self.radio.core.refolded()
        self.said.clear()  # its voice room begins with nothing
        self.radio.give(i.DaemonStarted(2, 1, "test", "hash"))

    @rule()
    def left_alone_every_floor_becomes_idle(self) -> None:
        self.radio.wait(400_000)
        assert all(state_of(floor) == "idle" for floor in self.radio.core.state.floors.values())
        assert not any(floor.queue for floor in self.radio.core.state.floors.values())

    @invariant()
    def one_talker_and_the_voice_room_knows_him(self) -> None:
        if not hasattr(self, "radio"):
            return
        for effect in self.radio.set_floors():
            self.said[effect.group] = effect
        self._bursts_are_new(self.radio.facts)
        self.radio.look_away()
        heard: dict[str, str] = {}
        for floor in self.radio.core.state.floors.values():
            told = self.said.get(floor.group)
            assert (told.burst, told.talker) == (floor.burst, floor.talker) if told else floor.burst == 0
            for group in floor.groups if floor.burst else ():
                assert group not in heard, f"{heard[group]} and {floor.talker} talk in {group}"
                heard[group] = floor.talker
            waiting = [asking.talker for asking in floor.queue]
            assert len(set(waiting)) == len(waiting) <= 10
            assert floor.talker not in waiting or not floor.burst
            assert not waiting or floor.burst, "somebody waits for a floor that is free"

    def _bursts_are_new(self, facts: list[f.Fact]) -> None:
        for fact in facts:
            if isinstance(fact, v.FloorTaken):
                assert fact.burst not in self.bursts
                self.bursts.add(fact.burst)


Floors.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestFloors = Floors.TestCase
