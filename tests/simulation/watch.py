"""The rules as invariants, checked at every committed fact and every effect.

`Watch` keeps its own small picture of the city, made from the committed rows alone (decoded from the store's bytes)
and from what the devices really did (`Truth`). It shares no code with the core, so that a fault there is not
repeated here. Every check raises `Violation` with a name.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct, field

from dispatchd.core import facts as f
from dispatchd.core import voice_facts as v
from dispatchd.core.commands import CallMore, Done, Refusal, Ring
from dispatchd.core.effects import Effect, Send, SendGroup
from dispatchd.core.inputs import OperatorAsked
from protocols import down
from protocols.types import Key

from . import city
from .models import Truth
from .watch_talk import TalkWatch
from .world import Violation, World

RESPONDING: Final = frozenset({"accepted", "en-route", "on-scene"})
EXPIRY_SLACK_MS: Final = 200
"""Between the end of an item's life and the Tick that says so, inputs of the same batch may still send it."""
DULL: Final = frozenset({"EntrySet", "SiteSet", "MembershipSet", "Applied", "DeviceOnline", "DeviceOffline"})
"""Not in the transcript of a failure."""


class Seen(Struct):
    """What the committed facts say of one incident."""

    incident: str
    device: str
    unit: str
    kind: str
    silent: bool
    late: bool
    drill: bool
    held: bool
    silent_batch: int = -1
    owner: str | None = None
    ended: bool = False
    presses: int = 0
    step: int = -1
    responders: dict[str, str] = field(default_factory=dict)


class Watch:
    """Told of everything that is decided, kept and sent."""

    def __init__(self, world: World, truth: Truth) -> None:
        self.world, self.truth = world, truth
        self.talk = TalkWatch(world)
        self.said_live: list[str] = []
        self.made: Counter[str] = Counter()
        self.keys: dict[tuple[str, Key], str] = {}
        self.heard_keys: set[tuple[str, Key]] = set()
        self.items: dict[str, str] = {}
        self.rungs: dict[tuple[str, str], int] = defaultdict(int)
        self.incidents: dict[str, Seen] = {}
        self.alarm_of: dict[str, str] = {}
        self.wanted: dict[str, int] = {}
        self.online: set[str] = set()
        self.word: dict[str, str] = {}
        self.tables: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self.versions: dict[str, set[int]] = defaultdict(set)
        self.commitments: dict[str, set[str]] = defaultdict(set)
        self.now_ms = self.seq = self.batch = 0
        self.occurrence = ""
        self.orders: set[str] = set()
        self.enough: set[str] = set()
        self.by_hand: set[tuple[str, str]] = set()
        self.expires: dict[str, int] = {}

    def fail(self, name: str, *what: object) -> None:
        raise Violation(name, " ".join(map(str, what)))

    def begin(self, batch: int, inputs: Iterable[Any]) -> None:
        """A batch is being decided; what its operators order explains what rings in it."""
        self.batch = batch
        asked = (i.command for i in inputs if isinstance(i, OperatorAsked))
        self.orders = {command.incident for command in asked if isinstance(command, Ring | CallMore)}

    # facts

    def committed(self, seq: int, now_ms: int, fact: f.Fact) -> None:
        """One row of the store."""
        if now_ms < self.now_ms:
            self.fail("time-steps-back", f"row {seq} at {now_ms}, after {self.now_ms}")
        if seq != self.seq + 1:
            self.fail("journal-gap", f"row {seq} after {self.seq}")
        self.now_ms, self.seq = now_ms, seq
        kind = type(fact).__name__
        self.made[kind] += 1
        if kind not in DULL:
            self.world.says(seq, fact)
        handler = _HANDLERS.get(type(fact))
        if handler is not None:
            handler(self, fact)

    def _press(self, fact: f.AlarmRaised) -> None:
        place = (fact.device, fact.key)
        if not fact.by:  # an operator's drill has no device behind it
            if place in self.keys:
                self.fail("one-press-one-alarm", f"{place} raised twice: {self.keys[place]}, {fact.alarm}")
            if place not in self.truth.pressed:
                self.fail("alarm-invented", f"nobody pressed {place}")
            self.keys[place] = fact.alarm
        if fact.alarm in self.alarm_of:
            self.fail("one-press-one-alarm", f"{fact.alarm} given twice")
        self.alarm_of[fact.alarm] = fact.incident
        self.heard_keys.add(place)
        if (seen := self.incidents.get(fact.incident)) is not None:
            seen.presses += 1

    def _opened(self, fact: f.IncidentOpened) -> None:
        if fact.incident in self.incidents:
            self.fail("one-press-one-alarm", f"incident {fact.incident} opened twice")
        self.incidents[fact.incident] = Seen(
            fact.incident, fact.device, fact.unit, fact.kind, fact.silent, fact.late, fact.drill, fact.late,
            silent_batch=self.batch,
        )  # fmt: skip

    def _joined(self, fact: f.PressJoined) -> None:
        seen = self.incidents[fact.incident]
        if fact.count != seen.presses:
            self.fail("press-miscounted", f"{fact.incident}: count {fact.count}, presses {seen.presses}")
        if seen.ended:
            self.fail("joined-ended", f"{fact.alarm} joined {fact.incident}, which has ended")
        seen.held = seen.held and not fact.rings_again

    def _split(self, fact: f.SplitOff) -> None:
        self.alarm_of[fact.alarm] = fact.new
        self.incidents[fact.incident].presses -= 1
        self.incidents[fact.new].presses += 1

    # owner

    def _escalated(self, fact: f.Escalated) -> None:
        seen = self.incidents[fact.incident]
        if seen.owner is not None and not seen.ended:
            self.fail("escalated-owned", f"{fact.incident} is owned by {seen.owner}")
        if fact.next_ms <= self.now_ms:
            self.fail("escalation-in-the-past", f"{fact.incident}: next {fact.next_ms} at {self.now_ms}")

    def _took(self, fact: f.OwnerTook) -> None:
        self._owner(fact.incident, fact.operator)

    def _owner(self, incident: str, operator: str) -> None:
        seen = self.incidents[incident]
        if seen.ended:
            self.fail("owner-of-ended", f"{incident} has ended, {operator} took it")
        entry = self.tables["operator"].get(operator)
        if entry is None or not city.within(seen.unit, entry["unit"]):
            self.fail("levels-are-walls", f"{operator} took {incident} of {seen.unit}")
        seen.owner = operator

    def _lost_owner(self, fact: f.OwnerLost) -> None:
        seen = self.incidents[fact.incident]
        if seen.owner != fact.operator:
            self.fail(
                "owner-silently-changed", f"{fact.incident}: {fact.operator} lost it, owner is {seen.owner}"
            )
        if not fact.why:
            self.fail("owner-without-reason", fact.incident)
        seen.owner = None

    def _relieved(self, fact: f.Relieved) -> None:
        for incident in fact.incidents:
            if self.incidents[incident].owner != fact.operator:
                self.fail(
                    "owner-silently-changed", f"{incident} relieved from {fact.operator}, not its owner"
                )
            self._owner(incident, fact.successor)

    def _silent(self, fact: f.SilentSet) -> None:
        """What was decided before it in the same batch leaves after it, and is followed by what makes it silent."""
        seen = self.incidents[fact.incident]
        seen.silent, seen.silent_batch = fact.on, self.batch

    # rings

    def _ring(self, fact: f.RingOpened) -> None:
        seen = self.incidents[fact.incident]
        self._lives(fact.call, "call", fact.expires_ms)
        self.enough.discard(fact.incident)
        self.wanted[fact.call] = fact.wanted
        if seen.ended:
            self.fail("rings-after-end", fact.incident)
        if seen.late and seen.held and fact.incident not in self.orders:
            self.fail("late-rings-by-itself", f"{fact.incident} ring {fact.ring} ({fact.why})")
        if not fact.by and seen.kind in {"fault", "stuck"}:
            self.fail("fault-rings", f"{fact.incident} is a {seen.kind}")
        seen.held = False
        for candidate in fact.looked_at:
            self._candidate(fact, seen, candidate)

    def _candidate(self, fact: f.RingOpened, seen: Seen, candidate: f.Candidate) -> None:
        patrol = candidate.patrol
        others = self.committed_to(patrol, seen)
        if candidate.chosen:
            if not fact.by:
                self._automatic(fact, patrol, others)
            if fact.by:
                self.by_hand.add((fact.incident, patrol))
            if seen.responders.get(patrol) not in RESPONDING:
                seen.responders[patrol] = "called"
        elif not seen.drill and not others and candidate.why.startswith("committed"):
            self.fail(
                "drill-counted",
                f"{patrol} not called to {fact.incident}: {candidate.why}, but only a drill has it",
            )

    def _automatic(self, fact: f.RingOpened, patrol: str, others: list[str]) -> None:
        if others:
            self.fail("committed-patrol-called", f"{patrol} to {fact.incident}, while committed to {others}")
        entry = self.tables["patrol"].get(patrol)
        if entry is None or not entry.get("on_duty", True):
            self.fail("off-duty-called", f"{patrol} to {fact.incident}")
        if not any(d in self.online for d, e in self.tables["device"].items() if e.get("patrol") == patrol):
            self.fail("offline-called", f"{patrol} to {fact.incident}: none of its terminals is on line")

    def committed_to(self, patrol: str, but: Seen) -> list[str]:
        """Other incidents that bind this patrol as seen from `but`: a drill never does for a real one."""
        return [
            id_ for id_ in self.commitments[patrol]
            if id_ != but.incident and (but.drill or not self.incidents[id_].drill)
        ]  # fmt: skip

    def _answer(self, fact: f.Answered) -> None:
        self._key(fact)
        real = self.truth.answers.get((fact.device, fact.key))
        if real is None or (real.answer, real.call) != (fact.answer, fact.call):
            self.fail("answer-invented", f"{fact.patrol} {fact.answer} to {fact.call}: {real}")
        if fact.counted:
            self._place(fact.incident, fact.patrol, fact.place)

    def _place(self, incident: str, patrol: str, place: str) -> None:
        seen = self.incidents[incident]
        seen.responders[patrol] = place
        if place in RESPONDING and not seen.ended:
            self.commitments[patrol].add(incident)
        else:
            self.commitments[patrol].discard(incident)

    def _closed(self, fact: f.RingClosed) -> None:
        if fact.why == "enough":
            self.enough.add(fact.incident)
            self._enough(fact.incident, self.wanted[fact.call], "RingClosed")

    def _enough(self, incident: str, wanted: int, what: str) -> None:
        coming = [p for p, place in self.incidents[incident].responders.items() if place in RESPONDING]
        forces = {self.tables["patrol"].get(p, {}).get("force") for p in coming}
        if len(coming) < wanted:
            self.fail("not-enough", f"{what} of {incident}: {coming} are less than {wanted}")
        if forces <= {"volunteer"}:
            self.fail("volunteers-are-not-enough", f"{what} of {incident}: {coming}")

    def _lost(self, fact: f.PatrolLost) -> None:
        self._place(fact.incident, fact.patrol, "lost")

    def _stood_down(self, fact: f.StoodDown) -> None:
        self._lives(fact.item, "stand-down", fact.expires_ms)
        if fact.reason == "enough":
            self._enough(fact.incident, 1, "StoodDown")
        for patrol in fact.patrols:
            if self.incidents[fact.incident].responders.get(patrol) != "lost":
                self._place(fact.incident, patrol, "stood-down")

    def _end(self, fact: f.Ended) -> None:
        if not fact.by:
            self.fail("ended-by-itself", fact.incident)
        self._over(fact.incident)

    def _merged(self, fact: f.Merged) -> None:
        if not fact.by:
            self.fail("ended-by-itself", fact.incident)
        old, into = self.incidents[fact.incident], self.incidents[fact.into]
        for patrol, place in old.responders.items():
            if place in RESPONDING and into.responders.get(patrol) not in RESPONDING:
                self._place(fact.into, patrol, place)
        self._over(fact.incident)

    def _over(self, incident: str) -> None:
        seen = self.incidents[incident]
        seen.ended = True
        for patrol in seen.responders:
            self.commitments[patrol].discard(incident)

    # what is said to people

    def _prompt(self, fact: f.PromptSet) -> None:
        self._lives(fact.item, "prompt", fact.expires_ms)
        self.word[fact.device] = fact.incident

    def only_open_at(self, device: str) -> bool:
        """One open incident there, and not a silent one: what the pillar says is about it."""
        open_ = [s for s in self.incidents.values() if s.device == device and not s.ended]
        return len(open_) == 1 and not open_[0].silent and device in self.tables["device"]

    def _item(self, fact: Any) -> None:
        until = fact.until_ms if isinstance(fact, f.LampSet) else fact.expires_ms
        self._lives(fact.item, type(fact).__name__, until)

    def _lives(self, item: str, kind: str, expires_ms: int) -> None:
        self.items[item] = kind
        self.expires[item] = expires_ms

    def _broadcast(self, fact: f.BroadcastOpened) -> None:
        self._lives(fact.broadcast, "broadcast", fact.expires_ms)
        schedule = fact.by.removeprefix("schedule:")
        by = self.tables["operator"].get(fact.by) or self.tables["schedule"].get(schedule)
        if by is None:
            self.fail("levels-are-walls", f"broadcast by nobody: {fact.by}")
            return
        for device, _ in fact.addressees:
            unit = self.tables["device"][device]["unit"]
            if not city.within(unit, by["unit"]):
                self.fail("levels-are-walls", f"broadcast of {fact.by} ({by['unit']}) to {device} ({unit})")
            if schedule != fact.by and device.startswith("p-") and self.only_open_at(device):
                self.fail("notice-over-an-alarm", f"{fact.by} to {device}")

    def _schedule(self, fact: f.ScheduleRan) -> None:
        """Once for each occurrence, in their order."""
        if fact.occurrence <= self.occurrence:
            self.fail("occurrence-twice", f"{fact.schedule} {fact.occurrence} after {self.occurrence}")
        self.occurrence = fact.occurrence

    def _live_ended(self, fact: f.LiveEnded) -> None:
        self.said_live.append(fact.broadcast)

    # ladder

    def _rung(self, fact: f.RungReached) -> None:
        place = (fact.device, fact.item)
        if fact.rung <= self.rungs[place]:
            self.fail("rung-falls", f"{place}: {self.rungs[place]} → {fact.rung}")
        if fact.rung > self.truth.rungs.get(place, 0):
            self.fail(
                "rung-invented", f"{place}: {fact.rung}, the device said {self.truth.rungs.get(place, 0)}"
            )
        self.rungs[place] = fact.rung

    def _failed(self, fact: f.RungFailed) -> None:
        if (fact.device, fact.item) not in self.truth.failed:
            self.fail("rung-invented", f"{fact.device} {fact.item} failed: {fact.reason}")
        if not fact.reason:
            self.fail("not-heard-without-reason", f"{fact.device} {fact.item}")

    # site and presence

    def _entry(self, fact: f.EntrySet) -> None:
        self.tables[fact.table][fact.id] = dict(fact.entry)

    def _removed(self, fact: f.EntryRemoved) -> None:
        self.tables[fact.table].pop(fact.id, None)
        if fact.table == "device":
            self.online.discard(fact.id)

    def _duty(self, fact: f.DutySet) -> None:
        if fact.key is not None:
            self._key(fact)
        if fact.patrol in self.tables["patrol"]:
            self.tables["patrol"][fact.patrol]["on_duty"] = fact.on

    def _came(self, fact: f.DeviceOnline) -> None:
        self.online.add(fact.device)

    def _went(self, fact: f.DeviceOffline) -> None:
        self.online.discard(fact.device)

    def _config(self, fact: Any) -> None:
        self.versions[fact.device].add(fact.version)

    def _membership(self, fact: f.MembershipSet) -> None:
        self._config(fact)
        self.talk.member(fact)

    def _microphone(self, fact: v.IntercomOpened | v.IntercomClosed) -> None:
        self._lives(fact.item, "microphone", fact.expires_ms)
        if isinstance(fact, v.IntercomOpened):
            self.items[f"v-{fact.burst}"] = "microphone"  # said again to a pillar that rebooted
            self.talk.intercom(fact)

    def _key(self, fact: Any) -> None:
        """A key counts once, whatever it says."""
        if (fact.device, fact.key) in self.heard_keys:
            self.fail("key-counted-twice", f"{type(fact).__name__} {fact.device} {fact.key}")
        self.heard_keys.add((fact.device, fact.key))

    def _reply(self, fact: f.Replied) -> None:
        if fact.counted:
            self._key(fact)

    # effects and answers

    def performed(self, effect: Effect, now: int) -> None:
        """It leaves now: the store must hold what it says, and nothing leaves that has expired."""
        item = getattr(getattr(effect, "message", None), "item", "")
        if item and now > self.expires.get(item, now) + EXPIRY_SLACK_MS:
            self.fail("expired-sent", f"{item} expired {now - self.expires[item]} ms ago")
        if isinstance(effect, Send):
            self._sent(effect.device, effect.message)
        elif isinstance(effect, SendGroup) and not isinstance(effect.message, down.Floor):
            self._backed(effect.message)

    def _sent(self, device: str, message: down.Down) -> None:
        if isinstance(message, down.Receipt):
            for item in message.items:
                self._receipt(device, item)
        elif isinstance(message, (down.Config, down.Membership)):
            if message.version not in self.versions[device]:
                self.fail(
                    "effect-not-committed", f"{device}: version {message.version} of {type(message).__name__}"
                )
        elif not isinstance(message, down.Hello | down.Floor):
            self._backed(message)
            self._silence(device, message)

    def _receipt(self, device: str, item: down.Receipted) -> None:
        if item.outcome != "committed" or (device, item.key) not in self.truth.pressed:
            return
        if (device, item.key) not in self.keys:
            self.fail(
                "receipt-before-commit", f"{device} {item.key} is receipted, the store does not hold it"
            )

    def _backed(self, message: Any) -> None:
        if message.item not in self.items:
            self.fail("effect-not-committed", f"{type(message).__name__} {message.item}")

    def _silence(self, device: str, message: Any) -> None:
        if isinstance(message, (down.Prompt, down.Lamp)):
            for seen in self.incidents.values():
                if seen.device == device and self._is_silent(seen) and not seen.ended and _is_heard(message):
                    self.fail(
                        "silent-incident-heard", f"{type(message).__name__} to {device} in {seen.incident}"
                    )
        elif isinstance(message, down.Call):
            seen_ = self.incidents[message.incident]
            if self._is_silent(seen_) and not message.silent:
                self.fail("silent-incident-heard", f"call {message.call} to {device} is not marked silent")
            if seen_.drill != message.drill:
                self.fail("drill-unmarked", f"call {message.call} to {device}")

    def batch_done(self) -> None:
        """Enough in this batch: whoever was called by a machine and has not answered was stood down in it."""
        for incident in self.enough:
            seen = self.incidents[incident]
            left = [
                p
                for p, place in seen.responders.items()
                if place == "called" and (incident, p) not in self.by_hand
            ]
            if left and not seen.ended:
                self.fail("stand-down-forgotten", f"{incident}: {left} are still called")
        self.enough.clear()

    def _is_silent(self, seen: Seen) -> bool:
        return seen.silent and seen.silent_batch < self.batch

    def answered(self, operator: str, command: Any, result: Done | Refusal) -> None:
        """What an operator was told; across levels it must have been no."""
        if not isinstance(result, Done):
            return
        if operator == "admin":
            return
        entry = city.OPERATORS.get(operator)
        unit = self._unit_of(command)
        if entry is None or (unit is not None and not city.within(unit, entry[0])):
            self.fail("levels-are-walls", f"{operator}: {command} of {unit} was done")

    def _unit_of(self, command: Any) -> str | None:
        """The unit that a command is about, None where there is no one unit."""
        if (incident := getattr(command, "incident", None)) is not None:
            seen = self.incidents.get(incident)
            return None if seen is None else seen.unit
        for table in ("device", "patrol"):
            id_ = getattr(command, table, None)
            if isinstance(id_, str) and id_ in self.tables[table]:
                return str(self.tables[table][id_]["unit"])
        return None


def _is_heard(message: Any) -> bool:
    """Whether anybody at the pillar would notice: the prompt that ends all others is not heard."""
    return not (isinstance(message, down.Prompt) and message.code in {"silent", "ended"} and not message.text)


_HANDLERS: Final[dict[type[f.Fact], Any]] = {
    f.AlarmRaised: Watch._press,
    f.IncidentOpened: Watch._opened,
    f.PressJoined: Watch._joined,
    f.SplitOff: Watch._split,
    f.Escalated: Watch._escalated,
    f.OwnerTook: Watch._took,
    f.OwnerLost: Watch._lost_owner,
    f.Relieved: Watch._relieved,
    f.SilentSet: Watch._silent,
    f.RingOpened: Watch._ring,
    f.RingClosed: Watch._closed,
    f.Answered: Watch._answer,
    f.PatrolLost: Watch._lost,
    f.StoodDown: Watch._stood_down,
    f.Ended: Watch._end,
    f.Merged: Watch._merged,
    f.PromptSet: Watch._prompt,
    f.OrderGiven: Watch._item,
    f.AlertSent: Watch._item,
    f.LampSet: Watch._item,
    f.BroadcastCancelled: Watch._item,
    f.BroadcastOpened: Watch._broadcast,
    f.LiveEnded: Watch._live_ended,
    f.ScheduleRan: Watch._schedule,
    f.RungReached: Watch._rung,
    f.RungFailed: Watch._failed,
    f.EntrySet: Watch._entry,
    f.EntryRemoved: Watch._removed,
    f.DutySet: Watch._duty,
    f.DeviceOnline: Watch._came,
    f.DeviceOffline: Watch._went,
    f.ConfigSet: Watch._config,
    f.MembershipSet: Watch._membership,
    v.FloorTaken: lambda watch, fact: watch.talk.taken(fact, watch.now_ms),
    v.FloorFreed: lambda watch, fact: watch.talk.freed(fact, watch.now_ms),
    v.FloorQueued: lambda watch, fact: watch.talk.queued(fact, watch.seq),
    v.FloorUnqueued: lambda watch, fact: watch.talk.unqueued(fact),
    v.TalkGroupClosed: lambda watch, fact: watch.talk.gone(fact.group),
    v.GroupUnpatched: lambda watch, fact: watch.talk.gone(fact.group),
    v.GroupsPatched: lambda watch, fact: [watch.talk.gone(group) for group in fact.groups],
    v.IntercomOpened: Watch._microphone,
    v.IntercomChanged: lambda watch, fact: watch.talk.intercom(fact),
    v.IntercomClosed: Watch._microphone,
    f.Started: lambda watch, fact: watch.talk.started(watch.now_ms),
    f.CitizenCancelled: Watch._key,
    f.Replied: Watch._reply,
}
