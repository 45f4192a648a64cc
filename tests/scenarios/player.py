"""Plays a script against the real core and writes down its decisions, so that a person can check them against a rule.

Steps (README.md explains each with an example): `at T STEP`, `to T`, `press`, `repeat`, `cancel`, `reply`, the answers
of a patrol, rungs of a device, `op NAME COMMAND field=value…`, `session`, `offline`, `online`, `deaf`, `restart` …
Between steps time runs by the core's own deadlines; devices that are on line are heard every 5 s; what they are sent
they report delivered after 0.2 s and presented after 1 s, unless the script says they are deaf.
"""

import heapq
from collections.abc import Callable
from typing import Any, Final, get_args

import msgspec

from dispatchd.core import commands as c
from dispatchd.core import facts as f
from dispatchd.core.commands import Done, Refusal
from dispatchd.core.effects import Effect, Send, SendGroup
from dispatchd.core.inputs import (
    DaemonStarted,
    DeviceSaid,
    Input,
    LinkUp,
    OperatorAsked,
    OperatorSeen,
    PresenceSeen,
    ScheduleDue,
    Tick,
)
from dispatchd.ledger import Ledger
from dispatchd.store.memory import MemoryStore
from protocols import down, up
from protocols.types import Key, Position

from . import plain
from .place import at_metres, make_site

FIRST_MS: Final = 1_795_000_000_000
HEARD_EVERY_MS: Final = 5_000
COMMANDS: Final[dict[str, Any]] = {kind.__struct_config__.tag: kind for kind in get_args(c.Command)}


class ScriptError(ValueError):
    """The script says something that cannot be played."""


class Device:
    """One device of the script."""

    def __init__(self, id_: str, at: tuple[float, float] | None) -> None:
        self.id, self.at = id_, at
        self.online = False
        self.deaf = False
        self.conn = self.seq = 0
        self.boot = 1
        self.items: list[str] = []
        self.last_key: Key | None = None
        self.calls: list[down.Call] = []
        self.question = ""

    def key(self) -> Key:
        self.seq += 1
        return Key(f"b{self.boot}", self.seq)


class Player:
    """`lines` gives what the core decided since it was last asked."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.ledger = Ledger(self.store)
        self.now = FIRST_MS
        self.out: list[str] = []
        self.hidden = set(plain.HIDDEN)
        self.incident = ""
        self.last: dict[str, str] = {}
        self._later: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0
        self.devices: dict[str, Device] = {}
        self.alarms: dict[str, up.Alarm] = {}
        self.reads_calls = False
        self._quiet = True
        self._set_up()
        self._quiet = False

    def _set_up(self) -> None:
        site, where = make_site()
        self.decide(DaemonStarted(self.store.next_start(), self.store.generation(), "", "hash"))
        self.decide(OperatorAsked("admin", c.ApplySite(msgspec.to_builtins(site))))
        for entry in site.device:
            self.devices[entry.id] = Device(entry.id, where.get(entry.id))
            self.come(self.devices[entry.id])
        for operator in site.operator:
            self.decide(OperatorSeen(operator.id, 1))
        self.run_to(FIRST_MS + 10_000)
        self.first = self.now

    def lines(self) -> list[str]:
        out, self.out = self.out, []
        return out

    # time

    def after(self, delay_ms: int, action: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._later, (self.now + delay_ms, self._number, action))

    def run_to(self, until: int) -> None:
        while True:
            due = self.ledger.core.deadline()
            planned = self._later[0][0] if self._later else None
            next_ = min((t for t in (due, planned) if t is not None), default=None)
            if next_ is None or next_ > until:
                break
            self.now = max(self.now, next_)
            if planned is not None and planned <= self.now:
                heapq.heappop(self._later)[2]()
            else:
                self.decide(Tick())
        self.now = max(self.now, until)

    # deciding

    def decide(self, input_: Input) -> Any:
        batch = self.ledger.decide([input_], self.now, self.now)
        self.ledger.keep(batch, self.ledger.write(batch))
        for row in batch.rows:
            fact = f.decode(row.kind, row.v, row.body)
            self._remember(fact)
            self._write(plain.fact(fact, self.now, self.hidden))
        decision = batch.decisions[0]
        self._perform(decision.effects)
        result = decision.result
        if isinstance(result, Refusal):
            self._write(f"refused {result.code}: {result.why}")
        elif isinstance(result, Done):
            self._write(plain.done(result))
        return result

    def _remember(self, fact: f.Fact) -> None:
        if isinstance(fact, f.IncidentOpened):
            self.incident = fact.incident
        for name in ("incident", "call", "broadcast", "task", "handoff", "alarm", "question", "item"):
            if getattr(fact, name, ""):
                self.last[name] = getattr(fact, name)

    def _write(self, text: str) -> None:
        if text and not self._quiet:
            self.out.append(f"{(self.now - self.first) / 1000:6.1f}  {text}")

    def _perform(self, effects: list[Effect]) -> None:
        for text in plain.effects(effects, {(device, alarm.key) for device, alarm in self.alarms.items()}):
            self._write(text)
        if self.reads_calls:
            for text in plain.whole_call(effects):
                self._write(text)
        for effect in effects:
            if isinstance(effect, Send):
                self._hear(effect.device, effect.message)
            elif isinstance(effect, SendGroup):
                for device in self.ledger.core.index.tree.members.get(effect.group, ()):
                    self._hear(device, effect.message)

    # devices

    def _hear(self, id_: str, message: down.Down) -> None:
        device = self.devices[id_]
        if not device.online:
            return
        if isinstance(message, down.Membership):
            self.after(0, lambda: self._say(device, up.Applied(device.key(), "membership", message.version)))
        elif isinstance(message, down.Config):
            self.after(0, lambda: self._say(device, up.Applied(device.key(), "config", message.version)))
        elif not isinstance(message, (down.Hello, down.Receipt)) and not device.deaf:
            self._item(device, message)

    def _item(self, device: Device, message: Any) -> None:
        if isinstance(message, down.Call) and message.call not in {call.call for call in device.calls}:
            device.calls.append(message)
        if isinstance(message, down.Prompt) and message.question:
            device.question = message.question
        if message.item not in device.items:
            device.items.append(message.item)
            self.after(200, lambda: self.rung(device, "delivered", message.item))
            self.after(1_000, lambda: self.rung(device, "presented", message.item))

    def rung(self, device: Device, rung: str, item: str, reason: str | None = None) -> None:
        if device.online:
            volume = 80 if rung == "presented" else None
            self._say(device, up.Rung(device.key(), item, rung, reason=reason, age_ms=0, volume_pct=volume))

    def _say(self, device: Device, message: up.Up) -> None:
        self.decide(DeviceSaid(device.id, message))

    def come(self, device: Device) -> None:
        device.online = True
        device.conn += 1
        nonce = device.conn.to_bytes(8, "big")
        role = "pillar" if device.id.startswith("p-") else "terminal"
        self._say(device, up.Hello(nonce, device.conn, f"b{device.boot}", role=role))
        self._beat(device, device.conn)

    def _beat(self, device: Device, conn: int) -> None:
        if device.online and device.conn == conn:
            entry = self.ledger.core.state.site.patrol.get(self._patrol(device))
            place = Position(*device.at, age_ms=0) if device.at and (entry is None or entry.on_duty) else None
            self._say(device, up.State(conn, position=place))
            self.after(HEARD_EVERY_MS, lambda: self._beat(device, conn))

    def _patrol(self, device: Device) -> str:
        entry = self.ledger.core.state.site.device.get(device.id)
        return (entry.patrol or "") if entry else ""

    # the script

    def play(self, line: str) -> None:
        """One step; what it leads to is in `lines`."""
        words = line.split()
        if words[0] == "at":
            self.run_to(self.first + seconds(words[1]))
            words = words[2:]
        step = _STEPS.get(words[0])
        if step is None:
            raise ScriptError(f"unknown step {words[0]!r} in: {line}")
        step(self, words[1:])

    def device(self, id_: str) -> Device:
        if id_ not in self.devices:
            raise ScriptError(f"no device {id_!r} in the scenarios' site")
        return self.devices[id_]

    def _to(self, words: list[str]) -> None:
        self.run_to(self.first + seconds(words[0]))

    def _press(self, words: list[str]) -> None:
        device, fields = self.device(words[0]), _fields(words[1:])
        age = fields.get("age", "0s")
        place = Position(*device.at) if device.at and device.id.startswith("t-") else None
        alarm = up.Alarm(
            device.key(), kind=fields.get("kind", "one-key"), age_ms=None if age == "unknown" else seconds(age),
            position=place, drill="drill" in words,
        )  # fmt: skip
        self.alarms[device.id] = alarm
        self._say(device, alarm)

    def _repeat(self, words: list[str]) -> None:
        self._say(self.device(words[0]), self.alarms[words[0]])

    def _cancel(self, words: list[str]) -> None:
        self._say(self.device(words[0]), up.Cancel(self.device(words[0]).key(), age_ms=0))

    def _reply(self, words: list[str]) -> None:
        device = self.device(words[0])
        question = device.question or self.last.get("question", "q-none")
        self._say(device, up.Reply(device.key(), question, words[1] == "yes", age_ms=0))

    def _answer(self, word: str, words: list[str]) -> None:
        device = self.device(words[0])
        fields = _fields(words[1:])
        call = device.calls[-1] if device.calls else None
        id_, patrol = (
            (call.call, call.patrol) if call else (self.last.get("call", "c-none"), self._patrol(device))
        )
        answer = up.Answer(device.key(), fields.get("call", id_), patrol, word, age_ms=0)
        self._say(device, answer)

    def _rungs(self, rung: str, words: list[str]) -> None:
        device = self.device(words[0])
        item = _fields(words[1:]).get("item", self.last.get("item", ""))
        item = device.items[-1] if device.items and "item" not in _fields(words[1:]) else item
        reason = words[1] if rung == "failed" else None
        self.rung(device, rung, self.last.get(item, item), reason)

    def _duty(self, words: list[str]) -> None:
        device = self.device(words[0])
        self._say(device, up.Duty(device.key(), words[1] == "on", age_ms=0))

    def _op(self, words: list[str]) -> None:
        operator, name, rest = words[0], words[1], words[2:]
        kind = COMMANDS.get(name)
        if kind is None:
            raise ScriptError(f"unknown command {name!r}")
        fields = {k: self._value(v) for k, v in _fields(rest).items()}
        for field in kind.__struct_fields__:
            if field in self.last and field not in fields and kind not in _NAMED_ELSEWHERE:
                fields[field] = self.incident if field == "incident" else self.last[field]
        self.decide(OperatorAsked(operator, msgspec.convert(_nested(fields), kind, strict=False)))

    def _value(self, text: str) -> Any:
        if text.startswith("$"):
            return self.last[text[1:]]
        return text.split(",") if "," in text else text.replace("_", " ")

    def _session(self, words: list[str]) -> None:
        self.decide(OperatorSeen(words[0], int(words[1])))

    def _offline(self, words: list[str]) -> None:
        for id_ in words:
            self.device(id_).online = False

    def _will(self, words: list[str]) -> None:
        device = self.device(words[0])
        device.online = False
        self.decide(PresenceSeen(device.id, up.Presence(False, device.conn)))

    def _online(self, words: list[str]) -> None:
        for id_ in words:
            device = self.device(id_)
            device.deaf = False
            self.come(device)

    def _deaf(self, words: list[str]) -> None:
        for id_ in words:
            self.device(id_).deaf = True

    def _move(self, words: list[str]) -> None:
        device = self.device(words[0])
        device.at = None if words[1] == "nowhere" else at_metres(float(words[1].removesuffix("m")), words[2])
        conn = device.conn
        place = Position(*device.at) if device.at else None
        self._say(device, up.State(conn, position=place))

    def _restart(self, words: list[str]) -> None:
        """The process died without a word and starts again after so long."""
        self.now += seconds(words[0]) if words else 0
        self.ledger = Ledger(self.store)
        self.decide(DaemonStarted(self.store.next_start(), self.store.generation(), "", "hash"))
        self.decide(LinkUp())

    def _due(self, words: list[str]) -> None:
        """A schedule's hour has come, with the sound made for it."""
        fields = _fields(words[2:])
        clip = down.Clip(fields["clip"], 4_000, 1, bytes(32)) if "clip" in fields else None
        self.decide(ScheduleDue(words[0], words[1], seconds(fields.get("late", "0s")), clip))

    def _show(self, words: list[str]) -> None:
        self.hidden -= set(words)
        self.reads_calls = self.reads_calls or "calls" in words


def seconds(text: str) -> int:
    """`90s`, `2m`, `1.5s` in ms."""
    unit = {"s": 1_000, "m": 60_000, "h": 3_600_000}.get(text[-1])
    if unit is None:
        raise ScriptError(f"{text!r} is no time; write 5s, 2m or 1h")
    return int(float(text[:-1]) * unit)


def _fields(words: list[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words if "=" in word)


def _nested(fields: dict[str, Any]) -> dict[str, Any]:
    """`target.units=s1` becomes {"target": {"units": ["s1"]}}."""
    out: dict[str, Any] = {}
    for name, value in fields.items():
        head, _, tail = name.partition(".")
        if tail:
            out.setdefault(head, {})[tail] = value if tail in _PLAIN_TARGET else _listed(value)
        else:
            out[name] = _listed(value) if name == "patrols" else value
    return out


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


_PLAIN_TARGET: Final = frozenset({"everybody", "pillars"})
_NAMED_ELSEWHERE: Final = frozenset(
    {c.Relieve, c.TakeRelief, c.BroadcastText, c.Lamp, c.VerifyFirst, c.Drill}
)
_Step = Callable[[Player, list[str]], None]


def _answering(word: str) -> _Step:
    return lambda player, words: player._answer(word, words)


def _reporting(rung: str) -> _Step:
    return lambda player, words: player._rungs(rung, words)


_STEPS: Final[dict[str, _Step]] = {
    "to": Player._to,
    "press": Player._press,
    "repeat": Player._repeat,
    "cancel": Player._cancel,
    "reply": Player._reply,
    "duty": Player._duty,
    "op": Player._op,
    "session": Player._session,
    "offline": Player._offline,
    "will": Player._will,
    "online": Player._online,
    "deaf": Player._deaf,
    "move": Player._move,
    "restart": Player._restart,
    "show": Player._show,
    "due": Player._due,
    **{word: _answering(word) for word in ("accept", "decline", "en-route", "on-scene", "done")},
    **{word: _reporting(word) for word in ("delivered", "presented", "acknowledged", "failed")},
}
