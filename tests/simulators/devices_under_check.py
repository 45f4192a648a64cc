"""Our own agents on a bench: driven by hands that use the keys, the bad ones spoilt in one way each."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from devices.agent import Agent
from devices.credentials import Credentials
from devices.events import (
    Acknowledged,
    Action,
    AnswerPressed,
    EmergencyDown,
    EmergencyUp,
    Event,
    KeyDown,
    KeyUp,
    Play,
    Publish,
    Received,
)
from devices.hardware import Feed
from devices.outbox import MemoryOutbox
from devices.pillar import PillarAgent
from devices.shell import run_device
from devices.terminal import TerminalAgent
from protocols import codec, up
from protocols.envelope import Envelope, unseal
from protocols.types import Key
from simulators.hardware import SimHardware

ROLES: dict[str, type[Agent]] = {"pillar": PillarAgent, "terminal": TerminalAgent}


class CountingHardware(SimHardware):
    """Remembers how often each text of a check was played."""

    def __init__(self) -> None:
        super().__init__(pace=20.0)
        self.plays: Counter[str] = Counter()
        self.last = ""

    def play(self, play: Play, feed: Feed) -> None:
        found = re.search("check-[0-9]+", play.text)
        if found:
            self.last = found[0]
            self.plays[self.last] += 1
        super().play(play, feed)


class SimHands:
    """Uses the keys of a simulated device; answers questions by what the hardware noticed."""

    def __init__(self, hardware: CountingHardware, role: str) -> None:
        self.hardware = hardware
        self.role = role

    async def do(self, what: str) -> None:
        match what:
            case "alarm" if self.role == "pillar":
                self.hardware.use(KeyDown())
                await asyncio.sleep(0.2)
                self.hardware.use(KeyUp())
                await asyncio.sleep(0.1)
            case "alarm":
                self.hardware.use(EmergencyDown())
                await asyncio.sleep(1.2)
                self.hardware.use(EmergencyUp())
            case "acknowledge":
                self.hardware.use(Acknowledged())
            case _:
                self.hardware.use(AnswerPressed(what))

    async def confirm(self, question: str) -> bool | None:
        return self.hardware.plays[self.hardware.last] <= 1 if "only once" in question else None


Fault = Callable[["Spoilt", Action], list[Action]]
Deafness = Callable[["Spoilt", Event], Event | None]


class Spoilt:
    """An agent with one fault: in what it does (`fault`), or in what it takes (`ear`)."""

    def __init__(self, agent: Agent, fault: Fault | None = None, ear: Deafness | None = None) -> None:
        self.agent = agent
        self.fault = fault
        self.ear = ear
        self.memory: dict[str, Any] = {}

    def handle(self, event: Event, now_ms: int) -> list[Action]:
        heard = self.ear(self, event) if self.ear else event
        actions = [] if heard is None else self.agent.handle(heard, now_ms)
        return [done for action in actions for done in (self.fault(self, action) if self.fault else [action])]

    def deadline(self) -> int | None:
        return self.agent.deadline()


class StuckOutbox(MemoryOutbox):
    """Gives the same connection number every time."""

    def next_conn(self) -> int:
        return 1


def agent(role: str, outbox: MemoryOutbox) -> Agent:
    return ROLES[role].restore(outbox.records, outbox.boot, rng=random.Random(7))


async def live(
    credentials: Credentials,
    hardware: CountingHardware,
    *,
    fault: Fault | None = None,
    ear: Deafness | None = None,
    outbox: MemoryOutbox | None = None,
) -> None:
    """Until cancelled."""
    outbox = outbox or MemoryOutbox(f"{credentials.device}-boot"[:32], clock="test")
    device: Any = agent(credentials.kind, outbox)
    if fault or ear:
        device = Spoilt(device, fault, ear)
    await run_device(device, credentials, hardware, outbox, lambda _: None)


# ------------------------------------------------------------------------------------------------- what spoils


def edit(kind: str, change: Callable[[Spoilt, Any], Any]) -> Fault:
    """Changes every up message of a kind; None swallows it."""

    def fault(spoilt: Spoilt, action: Action) -> list[Action]:
        if not isinstance(action, Publish) or action.kind != kind:
            return [action]
        message = change(spoilt, codec.decode_up(kind, action.payload))
        return [] if message is None else [Publish(kind, codec.encode(message), action.qos, action.retain)]

    return fault


def qos(kind: str, level: int) -> Fault:
    def fault(spoilt: Spoilt, action: Action) -> list[Action]:
        if isinstance(action, Publish) and action.kind == kind:
            return [Publish(kind, action.payload, level)]
        return [action]

    return fault


def only_first(spoilt: Spoilt, message: Any) -> Any:
    """Says each key once and never again."""
    said = spoilt.memory.setdefault("said", set())
    if message.key in said:
        return None
    said.add(message.key)
    return message


def new_key_each_time(spoilt: Spoilt, message: Any) -> Any:
    spoilt.memory["n"] = number = spoilt.memory.get("n", 900_000) + 1
    return msgspec.structs.replace(message, key=Key("bad", number))


def one_key_for_all(_: Spoilt, message: Any) -> Any:
    return msgspec.structs.replace(message, key=Key("bad", 1))


def age_stands_still(spoilt: Spoilt, message: Any) -> Any:
    return msgspec.structs.replace(message, age_ms=0)


def same_nonce(spoilt: Spoilt, message: Any) -> Any:
    nonce = spoilt.memory.setdefault("nonce", message.nonce)
    return msgspec.structs.replace(message, nonce=nonce)


def wrong_role(spoilt: Spoilt, message: up.Hello) -> up.Hello:
    return msgspec.structs.replace(message, role="lamp")


def is_rung(*rungs: str) -> Callable[[Spoilt, Any], Any]:
    """Swallows these rungs."""
    return lambda spoilt, message: None if message.rung in rungs else message


def presented_at_once(spoilt: Spoilt, message: Any) -> Any:
    """Says presented where it should say delivered, or why not."""
    return msgspec.structs.replace(message, rung="presented", reason=None)


def deaf_to(*kinds: str) -> Deafness:
    def ear(spoilt: Spoilt, event: Event) -> Event | None:
        return None if isinstance(event, Received) and event.kind in kinds else event

    return ear


def remakes(change: Callable[[Spoilt, Envelope], Envelope], *kinds: str) -> Deafness:
    """Changes envelopes before the agent reads them."""

    def ear(spoilt: Spoilt, event: Event) -> Event | None:
        if not isinstance(event, Received) or (kinds and event.kind not in kinds):
            return event
        try:
            envelope = change(spoilt, unseal(event.envelope))
        except ValueError:
            return event
        return Received(event.kind, msgspec.msgpack.encode(envelope), event.group)

    return ear


def never_expires(spoilt: Spoilt, envelope: Envelope) -> Envelope:
    return msgspec.structs.replace(envelope, ttl_ms=0)


def newest_generation(spoilt: Spoilt, envelope: Envelope) -> Envelope:
    return msgspec.structs.replace(envelope, gen=99)


def every_item_is_new(spoilt: Spoilt, envelope: Envelope) -> Envelope:
    """Every item gets a name of its own, so that it is played again; reported under the true one."""
    fields = msgspec.msgpack.decode(envelope.body)
    spoilt.memory["item"] = fields["item"]
    spoilt.memory["n"] = spoilt.memory.get("n", 0) + 1
    copy = f"copy-{spoilt.memory['n']}"
    body = msgspec.msgpack.encode({**fields, "item": copy, "broadcast": copy})
    return msgspec.structs.replace(envelope, body=body)


def under_true_name(spoilt: Spoilt, message: up.Rung) -> up.Rung:
    return msgspec.structs.replace(message, item=spoilt.memory.get("item", message.item))


def strict_fields(spoilt: Spoilt, event: Event) -> Event | None:
    """Throws away what has a field it does not know."""
    if isinstance(event, Received):
        try:
            fields = msgspec.msgpack.decode(unseal(event.envelope).body)
        except (ValueError, RecursionError):
            return event
        if isinstance(fields, dict) and "from-the-future" in fields:
            return None
    return event


class CrashedError(Exception):
    """A bad device fell over; it is started again."""


def crashes_on(match: Callable[[Received], bool]) -> Deafness:
    def ear(spoilt: Spoilt, event: Event) -> Event | None:
        if isinstance(event, Received) and match(event):
            raise CrashedError
        return event

    return ear


def unreadable(event: Received) -> bool:
    try:
        unseal(event.envelope)
    except ValueError:
        return True
    return False
