"""Operators of chance: they accept, idle, vanish, call, broadcast, end, relieve, ask nonsense and reach across levels.

They read only what is committed. In the healing phase one of them, the boss, is awake and does his duty.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

from dispatchd.core import commands as c
from dispatchd.core.commands import Done, Refusal
from dispatchd.core.state import Incident, State

from . import city
from .world import FIRST_MS, World

OUTCOMES: Final = ("genuine", "mistaken", "prank", "equipment", "unverifiable", "drill")


class Desk(Protocol):
    """What an operator has in front of him; `state` is None while the daemon is down."""

    @property
    def state(self) -> State | None: ...
    def ask(self, operator: str, command: Any) -> None: ...
    def connected(self, operator: str, connections: int) -> None: ...


class Operator:
    """One human at a desk."""

    def __init__(self, world: World, desk: Desk, id_: str) -> None:
        self.world, self.desk, self.id = world, desk, id_
        self.unit = city.OPERATORS[id_][0]
        self.awake = True
        self.zeal = world.rng.choice([0.1, 0.5, 0.9])
        world.at(world.rng.uniform(500, 5_000), self._live)

    def _live(self) -> None:
        rng = self.world.rng
        if self.world.chaos:
            if self.awake and rng.random() < 0.03:
                self.awake = False
                self.desk.connected(self.id, 0)
            elif not self.awake and rng.random() < 0.08:
                self.awake = True
        else:
            self.awake = True
        if self.awake:
            self._work()
        self.world.at(rng.uniform(1_000, 6_000), self._live)

    def _work(self) -> None:
        state = self.desk.state
        if state is None:
            return
        self.desk.connected(self.id, 1)
        if not self.world.chaos:
            self._duty(state)
        else:
            self._act(state)

    # healing: what a good operator does

    def _duty(self, state: State) -> None:
        if self.id != "boss":
            return
        for incident in state.incidents.values():
            if incident.ended_ms or (incident.owner == self.id and self.world.likely(0.7)):
                continue
            mine = incident.owner == self.id
            self.desk.ask(self.id, c.Note(incident.incident, "在办") if mine else c.Accept(incident.incident))
        for task in state.tasks.values():
            if not task.done_ms:
                self.desk.ask(self.id, c.DoneTask(task.task))

    # chaos

    def _act(self, state: State) -> None:
        rng = self.world.rng
        if self.id == "root" and rng.random() < 0.15:
            self.desk.ask(self.id, _set(self, state))
            return
        if rng.random() < 0.25:
            self.desk.ask(self.id, rng.choice(_ON_AIR)(self, state))
        mine = [i for i in state.incidents.values() if i.owner == self.id and not i.ended_ms]
        free = [i for i in state.incidents.values() if i.owner is None and not i.ended_ms]
        if free and rng.random() < self.zeal:
            self.desk.ask(self.id, c.Accept(rng.choice(free).incident))
        elif mine and rng.random() < 0.6:
            self.desk.ask(self.id, rng.choice(_ON_INCIDENT)(self, state, rng.choice(mine)))
        elif rng.random() < 0.5:
            self.desk.ask(self.id, rng.choice(_ANYWHERE)(self, state))
        elif state.incidents:  # of whoever it is, also outside the level
            any_ = rng.choice(list(state.incidents.values()))
            self.desk.ask(self.id, rng.choice(_ON_INCIDENT)(self, state, any_))

    def target(self, state: State) -> c.Target:
        rng = self.world.rng
        kind = rng.randrange(8)
        devices = list(state.site.device)
        patrols = list(state.site.patrol)
        if kind == 0:
            return c.Target(everybody=True, pillars=rng.random() < 0.3)
        if kind == 1:
            return c.Target(units=[rng.choice(list(city.PARENTS))])
        if kind == 2:
            return c.Target(patrols=rng.sample(patrols, min(3, len(patrols))))
        if kind == 3:
            return c.Target(talk_groups=["g-s1"])
        if kind == 4:
            return c.Target(circle=c.Circle(*city.place(rng), radius_m=500))
        if kind == 5:
            return c.Target(polygon=[city.place(rng) for _ in range(4)])
        if kind == 6:
            return c.Target(devices=["no-such"])
        return c.Target(devices=rng.sample(devices, min(4, len(devices))))


_Incident = Callable[[Operator, State, Incident], Any]
_Any = Callable[[Operator, State], Any]


def _end(o: Operator, s: State, i: Incident) -> Any:
    return c.End(i.incident, o.world.rng.choice(OUTCOMES))


def _confirm(o: Operator, s: State, i: Incident) -> Any:
    return c.ConfirmHandOff(i.incident, i.handoffs[-1].handoff if i.handoffs else "h-none", "110-7")


def _hand_over(o: Operator, s: State, i: Incident) -> Any:
    return c.HandOver(i.incident, o.world.rng.choice([None, *city.OPERATORS]))


def _split(o: Operator, s: State, i: Incident) -> Any:
    return c.Split(i.incident, o.world.rng.choice(i.presses).alarm if i.presses else "a-none")


def _merge(o: Operator, s: State, i: Incident) -> Any:
    return c.Merge(i.incident, o.world.rng.choice(list(s.incidents)))


def _call(o: Operator, s: State, i: Incident) -> Any:
    return c.CallMore(i.incident, o.target(s))


def _stand_down(o: Operator, s: State, i: Incident) -> Any:
    return c.StandDown(i.incident, list(i.responders)[: o.world.rng.choice([0, 1])])


def _silent(o: Operator, s: State, i: Incident) -> Any:
    return c.SetSilent(i.incident, o.world.likely(0.6), confirm=o.world.likely(0.5))


_ON_INCIDENT: Final[tuple[_Incident, ...]] = (
    _end, _end, _confirm, _hand_over, _split, _merge, _call, _call, _stand_down, _silent,
    lambda o, s, i: c.Ring(i.incident),
    lambda o, s, i: c.SetHazard(i.incident, o.world.likely(0.7)),
    lambda o, s, i: c.Note(i.incident, "看见两个人"),
    lambda o, s, i: c.Ask(i.incident, "受伤了吗?", "Is anybody hurt?"),
    lambda o, s, i: c.Ask(i.incident, "受伤了吗?"),
    lambda o, s, i: c.HandOff(i.incident, "120", "telephone"),
    lambda o, s, i: c.TalkBack(i.incident, o.world.likely(0.7)),
    lambda o, s, i: c.PatchIn(i.incident, o.world.likely(0.7)),
    lambda o, s, i: c.HoldIncident(i.incident, "case-1", o.world.likely(0.7)),
)  # fmt: skip


def _broadcast(o: Operator, s: State) -> Any:
    rng = o.world.rng
    return c.BroadcastText(
        "全体注意", o.target(s), ttl_s=rng.choice([None, 10, 40, 300]), ack=rng.random() < 0.5,
        drill=rng.random() < 0.2, priority=rng.choice(["normal", "imminent-peril", "emergency"]),
    )  # fmt: skip


def _cancel(o: Operator, s: State) -> Any:
    return c.CancelBroadcast(o.world.rng.choice(list(s.broadcasts) or ["b-none"]))


def _resend(o: Operator, s: State) -> Any:
    return c.Resend(o.world.rng.choice(list(s.ladders) or ["b-none"]))


def _device(o: Operator, s: State) -> str:
    return o.world.rng.choice(list(s.site.device) or ["no-such"])


def _group(o: Operator, s: State) -> str:
    return o.world.rng.choice(["g-all", "g-s1", "g-r21", "r11", "g-none", *s.talk])


def _ref(o: Operator, s: State) -> int:
    return o.world.now - FIRST_MS


def _duty(o: Operator, s: State) -> Any:
    return c.SetDuty(o.world.rng.choice(list(s.site.patrol) or ["no-such"]), o.world.likely(0.8))


def _task(o: Operator, s: State) -> Any:
    return c.DoneTask(o.world.rng.choice(list(s.tasks) or ["t-none"]))


def _fault(o: Operator, s: State) -> Any:
    return c.ClearFault(o.world.rng.choice(list(s.faults) or ["no-fault"]))


def _verify(o: Operator, s: State) -> Any:
    return c.VerifyFirst(_device(o, s), "被玩弄", o.world.rng.choice([0, 60, 600]))


def _take(o: Operator, s: State) -> Any:
    offered = [a for a, b in s.reliefs.items() if b == o.id]
    return c.TakeRelief(o.world.rng.choice(offered or list(city.OPERATORS)))


def _set(o: Operator, s: State) -> Any:
    """Move a patrol or a device, take one away, or bring it back."""
    rng = o.world.rng
    entry = city.entries(o.world.site)[rng.choice(["patrol", "device"])]
    id_ = rng.choice(sorted(entry))
    table = "patrol" if id_.startswith("pat") else "device"
    if rng.random() < 0.4:
        return c.RemoveEntry(table, id_)
    return c.SetEntry(table, entry[id_])


_ANYWHERE: Final[tuple[_Any, ...]] = (
    _broadcast, _broadcast, _broadcast, _cancel, _resend, _duty, _task, _fault, _verify, _take, _take, _set,
    lambda o, s: c.Lamp(_device(o, s), o.world.rng.choice(["off", "steady", "flash"]), 30),
    lambda o, s: c.Drill(_device(o, s)),
    lambda o, s: c.Relieve(o.world.rng.choice(list(city.OPERATORS))),
    lambda o, s: c.SignOut(),
    lambda o, s: c.SetConfig(_device(o, s), {"volume_pct": o.world.rng.randrange(100)}),
    lambda o, s: c.SetSecret(_device(o, s), "sha256$0"),
    lambda o, s: c.SetDutyLevel(o.world.rng.choice(list(city.PARENTS)), "high"),
    lambda o, s: c.ConfirmDevice(_device(o, s), o.world.likely(0.8)),
    lambda o, s: c.Accept("i-none"),
)  # fmt: skip


_ON_AIR: Final[tuple[_Any, ...]] = (
    lambda o, s: c.RequestFloor(_group(o, s), _ref(o, s)),
    lambda o, s: c.RequestFloor(_group(o, s), _ref(o, s)),
    lambda o, s: c.ReleaseFloor(_group(o, s), 2**40),
    lambda o, s: c.RevokeFloor(_group(o, s)),
    lambda o, s: c.OpenGroup("围捕", o.target(s)),
    lambda o, s: c.PatchGroups(["r11", "r12"]),
    lambda o, s: c.UnpatchGroup("r12"),
    lambda o, s: c.Listened("r-1", unit=o.unit),
    lambda o, s: c.BroadcastLive(o.target(s), "讲话", ttl_s=o.world.rng.choice([10, 60, 600])),
    lambda o, s: c.BroadcastLive(o.target(s), "讲话", ttl_s=600),
    lambda o, s: c.EndLive(o.world.rng.choice([b.broadcast for b in s.broadcasts.values() if b.live] or ["b-none"])),
    lambda o, s: c.CloseGroup(_group(o, s)),
    lambda o, s: c.AddMembers(_group(o, s), o.target(s)),
    lambda o, s: c.RemoveMembers(_group(o, s), o.target(s)),
    lambda o, s: c.PatchGroups([_group(o, s), _group(o, s), "g-s1"]),
    lambda o, s: c.UnpatchGroup(_group(o, s)),
    lambda o, s: c.MuteDevice(_device(o, s), o.world.likely(0.3)),
    lambda o, s: c.OpenMicrophone(_device(o, s), o.world.likely(0.6)),
)  # fmt: skip
"""Talk groups, floors and what is said live."""


def refused(result: Done | Refusal | None) -> bool:
    return isinstance(result, Refusal)
