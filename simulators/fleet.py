"""All simulated devices of one process on one event loop: the real agents, on simulated hardware, over
the radio.

A device's own log is how the city learns what its person heard and where a call is. Every device is one
task; the tasks start staggered, and end when the fleet's does.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from devices.credentials import Credentials, split
from devices.events import EmergencyDown, EmergencyUp, KeyDown, KeyUp
from devices.hardware import MediaPart
from devices.log import DeviceLog
from devices.outbox import ConnTaken, MemoryOutbox
from devices.pillar import PillarAgent
from devices.shell import LogLine, run_device
from devices.terminal import TerminalAgent

from . import city as city_
from .city import Befell, City, Deed, Mishap, Pressed
from .figures import Figures
from .hardware import SimHardware
from .radio import Radio
from .roster import Roster
from .voice import Packets, SimVoice, word

STEP_S: Final = 0.5
CONNECT_EVERY_S: Final = 0.015
"""Between the starts of two devices: a hundred log-ins in 1.5 s."""
PRESS_S: Final = 0.3
EMERGENCY_HOLD_S: Final = 1.3
MAX_ITEMS: Final = 200
"""Items of one device whose kind is remembered; the oldest go."""
MAX_RECEIPTS: Final = 100
"""Alarms of one device, waiting and receipted, that are remembered; the oldest go."""
MAX_INCIDENTS: Final = 1000
"""Incidents whose place is remembered; the oldest go, and who is called to one only goes to the next
corner.
"""
MAX_DEEDS: Final = 1000
"""Deeds asked for and not done yet (half a second); more are not taken."""


class Item(NamedTuple):
    """What a device was sent, by its log: kind, and for a call which one to which incident."""

    kind: str = ""
    call: str = ""
    incident: str = ""


class Receipt(NamedTuple):
    """An alarm of this device was receipted: which incident, and how long after the press by its own
    clock.
    """

    incident: str
    after_ms: int


@dataclass(slots=True)
class SimDevice:
    """One device. `junction` is set for a pillar, `voice` for a terminal that is a radio.

    `groups_keyed`: of so many talk groups it has the key; `asked_ms`: group → when it asked for the floor, by its
    clock; `connected`: a pillar whose sound reached the daemon at least once.
    """

    credentials: Credentials
    hardware: SimHardware
    outbox: MemoryOutbox
    junction: int | None = None
    voice: SimVoice | None = None
    boots: int = 1
    online: bool = False
    items: dict[str, Item] = field(default_factory=dict)
    pressed: dict[str, int] = field(default_factory=dict)
    groups_keyed: int = 0
    asked_ms: dict[str, int] = field(default_factory=dict)
    connected: bool = False
    agent: TerminalAgent | PillarAgent | None = None
    receipts: deque[Receipt] = field(default_factory=lambda: deque(maxlen=MAX_RECEIPTS))
    task: "asyncio.Task[None] | None" = None

    @property
    def id(self) -> str:
        return self.credentials.device


class Fleet:
    """`run()` until cancelled; the other methods are what a script or a person does meanwhile."""

    def __init__(
        self,
        roster: Roster,
        city: City,
        rng: random.Random,
        logs: Path | None = None,
        *,
        language: str = "zh",
        radios: bool = True,
        sound: Callable[[LogLine], MediaPart] | None = None,
    ) -> None:
        """`radios`: terminals have voice. `sound` makes the sound of one pillar; without it they have none."""
        self.city = city
        self.figures = Figures()
        self.word: Packets = ()
        """What who talks says when nobody says what; nothing: la-la-la."""
        self._radios = radios
        self._sound = sound
        self._born_s = int(time.time())
        self._rng = rng
        self._logs = logs
        self._language = language
        self._incidents: dict[str, int] = {}
        self._deeds: deque[Deed] = deque(maxlen=MAX_DEEDS)
        self._radio: Radio | None = None
        self._group: asyncio.TaskGroup | None = None
        self.changed = asyncio.Event()
        """Set whenever a device came on line or went; whoever waits for it clears it."""
        self.devices: dict[str, SimDevice] = {}
        for credentials, _ in roster.terminals:
            self._add(credentials, None)
        for credentials, junction in roster.pillars:
            self._add(credentials, junction)

    def _add(self, credentials: Credentials, junction: int | None) -> None:
        device = credentials.device
        where = (lambda: self.city.where(device)) if junction is None else None
        self.devices[device] = SimDevice(
            credentials,
            SimHardware(where, pace=self.city.pace),
            _outbox(self._born_s),
            junction,
            SimVoice(device, self.figures) if self._radios and junction is None else None,
        )

    # ------------------------------------------------------------------------------------------------ running

    async def run(self) -> None:
        """Everything on line and moving, until cancelled. All devices of a process use the same broker."""
        now_ms = round(asyncio.get_running_loop().time() * 1000)
        self.city.now_ms = max(self.city.now_ms, now_ms)
        async with self._air() as radio, asyncio.TaskGroup() as group:
            self._radio, self._group = radio, group
            group.create_task(self._move(), name="city")
            for device in list(self.devices.values()):
                self._start(device)
                await asyncio.sleep(CONNECT_EVERY_S)

    def _air(self) -> Radio:
        host, port, _ = split(next(iter(self.devices.values())).credentials.urls[0])
        return Radio(host, port)

    async def _move(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            deeds = city_.step(self.city, round(loop.time() * 1000), self._rng)
            for deed in deeds:
                self._perform(deed)
            while self._deeds:
                self._perform(self._deeds.popleft())
            await asyncio.sleep(STEP_S)

    def _start(self, device: SimDevice) -> None:
        assert self._group is not None
        device.task = self._group.create_task(self._live(device), name=device.id)

    async def _live(self, device: SimDevice) -> None:
        kind = TerminalAgent if device.junction is None else PillarAgent
        agent = kind.restore(
            device.outbox.records, device.outbox.boot, rng=random.Random(), language=self._language
        )
        path = None if self._logs is None else self._logs / f"{device.id}.jsonl"
        with DeviceLog(device.id, path) as write:

            def log(fields: dict[str, Any]) -> None:
                write(fields)
                self._notice(device, fields)

            self._fit(device, agent, log)
            try:
                await run_device(
                    agent, self._through_the_air(device), device.hardware, device.outbox, log, device.voice
                )
            finally:
                self._online(device, online=False)

    def _fit(self, device: SimDevice, agent: TerminalAgent | PillarAgent, log: LogLine) -> None:
        """What the city sees of it, and what writes into its log."""
        device.agent, device.groups_keyed = agent, 0
        if device.voice is not None:
            device.voice.log = log
        if device.junction is not None and self._sound is not None:
            device.hardware.media = self._sound(log)

    def _through_the_air(self, device: SimDevice) -> Credentials:
        """The radio carries plain connections; a TLS one goes straight to the broker."""
        _, _, tls = split(device.credentials.urls[0])
        if tls or self._radio is None:
            return device.credentials
        return msgspec.structs.replace(device.credentials, urls=[f"mqtt://127.0.0.1:{self._radio.port}"])

    # ------------------------------------------------------------------------------------------------
    # noticing

    def _notice(self, device: SimDevice, line: dict[str, Any]) -> None:
        """What a person, or somebody beside the device, learns from a line of its log."""
        match line["ev"]:
            case "hello":
                self._online(device, online=True)
            case "disconnected":
                self._online(device, online=False)
            case "alarm":
                device.pressed[line["key"]] = line["t_ms"]
                _trim(device.pressed, MAX_RECEIPTS)
            case "receipted" if line.get("kind") == "alarm":
                self._receipted(device, line)
            case "delivered":
                self._delivered(device, line)
            case "presented" if device.junction is None:
                self._presented(device, line["item"])
            case "voice-keys" if "groups" in line:
                device.groups_keyed = line["groups"]
            case "media" if line["state"] == "connected":
                device.connected = True
            case "floor":
                self._floor(device, line)

    def _online(self, device: SimDevice, *, online: bool) -> None:
        if device.online != online:
            device.online = online
            self.changed.set()

    def _receipted(self, device: SimDevice, line: dict[str, Any]) -> None:
        """Where the incident is, is where its device stands."""
        incident, now_ms = line.get("incident") or "", line["t_ms"]
        device.receipts.append(Receipt(incident, now_ms - device.pressed.pop(line["key"], now_ms)))
        if incident:
            junction = device.junction
            self._incidents[incident] = (
                self.city.bearers[device.id].walker.at if junction is None else junction
            )
            _trim(self._incidents, MAX_INCIDENTS)

    def _floor(self, device: SimDevice, line: dict[str, Any]) -> None:
        """From the press to the grant, as the device saw it."""
        group, now_ms = line["group"], line["t_ms"]
        match line["why"]:
            case "press" | "raised":
                device.asked_ms[group] = now_ms
                _trim(device.asked_ms, MAX_ITEMS)
            case "granted" if group in device.asked_ms:
                self.figures.grant_ms[now_ms - device.asked_ms.pop(group)] += 1

    def _delivered(self, device: SimDevice, line: dict[str, Any]) -> None:
        item = Item(*(line.get(name) or "" for name in Item._fields))
        device.items[line["item"]] = item
        if item.kind == "stand-down" and device.junction is None:
            city_.stood_down(self.city, device.id, item.call)
        _trim(device.items, MAX_ITEMS)

    def _presented(self, device: SimDevice, item: str) -> None:
        kind, call, incident = device.items.get(item, Item())
        city_.heard(self.city, device.id, kind, item, call, self._incidents.get(incident), self._rng)

    # ----------------------------------------------------------------------------------------------
    # performing

    def _perform(self, deed: Deed) -> None:
        device = self.devices[deed.terminal]
        if isinstance(deed, Pressed):
            device.hardware.use(deed.event)
        else:
            self._befall(device, deed)

    def _befall(self, device: SimDevice, deed: Befell) -> None:
        condition = device.hardware.condition
        match deed.mishap:
            case "deaf":
                condition.muted = deed.began
                device.hardware.use(device.hardware.read())
            case "broken":
                condition.broken = deed.began
            case "offline":
                self._cover(device, covered=not deed.began)
            case "flat":
                self._power(device, on=not deed.began)
            case "off-duty":
                pass  # the key of it comes as a deed of its own

    def _cover(self, device: SimDevice, *, covered: bool) -> None:
        assert self._radio is not None
        if device.voice is not None:
            device.voice.covered = covered
        if covered:
            self._radio.find(device.id)
        else:
            self._radio.lose(device.id)

    def _power(self, device: SimDevice, *, on: bool) -> None:
        """Without power the air goes first: a flat terminal says no goodbye."""
        self._cover(device, covered=on)
        if not on and device.task is not None:
            device.task.cancel()
        elif on:
            device.boots += 1
            device.outbox.reboot(f"sim-{self._born_s:x}-{device.boots}", clock="sim")
            self._start(device)

    # -------------------------------------------------------------------------------------------------- hands

    def press(self, pillar: str, key: str = "alarm") -> None:
        """A citizen presses `alarm` or `duress` and lets go."""
        hardware = self.devices[pillar].hardware
        hardware.use(KeyDown(key))
        asyncio.get_running_loop().call_later(PRESS_S, hardware.use, KeyUp(key))

    def emergency(self, terminal: str) -> None:
        """The person holds the emergency key long enough."""
        hardware = self.devices[terminal].hardware
        hardware.use(EmergencyDown())
        asyncio.get_running_loop().call_later(EMERGENCY_HOLD_S, hardware.use, EmergencyUp())

    def talk(self, terminal: str, packets: Packets = (), group: str = "") -> bool:
        """The person chooses `group`, presses the talk key, says this, lets go; False if this is no running radio."""
        voice = self.devices[terminal].voice
        return voice is not None and voice.speak(packets or self._any_word(), group)

    def _any_word(self) -> Packets:
        self.word = self.word or word()
        return self.word

    def tuned(self, terminal: str, group: str) -> bool:
        """It knows that it is in this talk group and has the keys of all its groups."""
        device = self.devices[terminal]
        radio = device.agent.radio if isinstance(device.agent, TerminalAgent) else None
        return radio is not None and group in radio.groups and device.groups_keyed >= len(radio.groups)

    def befall(self, terminal: str, mishap: Mishap, *, for_s: float | None = None) -> None:
        """It begins, or ends if it had begun already; `for_s` None = until told otherwise."""
        if mishap in self.city.bearers[terminal].until:
            self._deeds.extend(city_.recover(self.city, terminal, mishap))
        else:
            for_ms = None if for_s is None else round(for_s * 1000)
            self._deeds.extend(city_.strike(self.city, terminal, mishap, for_ms=for_ms))

    def online(self) -> tuple[int, int]:
        """Terminals, pillars whose hello was answered."""
        live = [device for device in self.devices.values() if device.online]
        pillars = sum(device.junction is not None for device in live)
        return len(live) - pillars, pillars

    def ids(self, *, pillars: bool) -> Sequence[str]:
        return [one.id for one in self.devices.values() if (one.junction is not None) == pillars]


def _outbox(born_s: int) -> MemoryOutbox:
    """An empty one that repeats no key and no connection number of an earlier run against the same daemon."""
    outbox = MemoryOutbox(f"sim-{born_s:x}-1", clock="sim")
    outbox.append([ConnTaken(born_s)])
    return outbox


def _trim(kept: dict[str, Any], most: int) -> None:
    """The oldest go."""
    while len(kept) > most:
        del kept[next(iter(kept))]
