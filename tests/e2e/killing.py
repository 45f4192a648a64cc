"""kill -9 of daemon and broker under a stream of presses and broadcasts; then heal, and compare what everybody holds.

What must agree afterwards: the pillars' and terminals' own logs, the journal, and what an operator is shown. Every
press receipted, once in the journal, counted once in the incident its receipt names; every broadcast that an operator
was told of is in the journal once and was presented once by each of its addressees.

At least half of the kills land while a press is out and not receipted: a kill waits for a press to leave, more often
than not, and strikes within STRIKE_S.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from dispatchd.core import facts as f
from dispatchd.core.state import PRESENTED
from dispatchd.store import open_store
from tests.e2e.device import Device
from tests.e2e.process import Daemon, NotReady, daemon, until

PILLARS, TERMINALS = 6, 4
PRESS_EVERY_S = 0.12
BROADCAST_EVERY_S = 0.7
AIMED_SHARE = 0.8
"""Of the kills are aimed between a press and its receipt; the others strike at any time, also while it starts."""
STRIKE_S = 0.003
"""An aimed kill strikes within this after the press has left."""
PAUSE_S = 0.3
"""Between two kills, from the first receipt after the one before."""
HEAL_S = 60.0
"""Everything must agree within this after the last kill."""
VICTIMS = ("daemon", "daemon", "broker", "both")

_AT: dict[str, Any] = {"unit": "station", "lat": 26.9, "lon": 112.6}
SITE: dict[str, Any] = {
    "name": "kill test",
    "rules": {"retry_first_s": 0.5, "retry_max_s": 2, "second_route_after_s": 600},
    "unit": [{"id": "top"}, {"id": "station", "parent": "top"}],
    "patrol": [{"id": f"patrol-{n}", "unit": "station", "force": "police"} for n in range(TERMINALS)],
    "device": [
        *({"id": f"pillar-{n}", "kind": "pillar", **_AT} for n in range(PILLARS)),
        *({"id": f"radio-{n}", "kind": "terminal", "unit": "station", "patrol": f"patrol-{n}"}
          for n in range(TERMINALS)),
    ],
}  # fmt: skip


class Kill(NamedTuple):
    """`between`: presses that had left before it and were receipted only after it."""

    victim: str
    at_s: float
    between: int


@dataclass
class Report:
    """What a run came to."""

    kills: list[Kill] = field(default_factory=list)
    presses: int = 0
    broadcasts: int = 0
    rows: int = 0
    starts: int = 0
    gave_up: int = 0
    took_s: float = 0.0
    waits_s: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def between(self) -> int:
        return sum(kill.between > 0 for kill in self.kills)

    def text(self) -> str:
        victims = Counter(kill.victim for kill in self.kills)
        waits = sorted(self.waits_s) or [0.0]
        return (
            f"{len(self.kills)} kills {dict(victims)}, {self.between} of them between a press and its receipt; "
            f"{self.presses} presses, {self.broadcasts} broadcasts, {self.rows} journal rows, {self.starts} starts, "
            f"{self.gave_up} of them after the daemon gave its broker up; press to receipt median "
            f"{waits[len(waits) // 2]:.2f} s, longest {waits[-1]:.2f} s; {self.took_s:.1f} s in all; "
            f"{len(self.faults)} faults"
        )


class Killing:
    """One run. `daemon` is restarted whenever it ends, as a supervisor does."""

    def __init__(self, daemon: Daemon, seed: int) -> None:
        self.daemon, self.chance = daemon, random.Random(seed)
        self.pillars = [self._device(f"pillar-{n}", pillar=True) for n in range(PILLARS)]
        self.radios = [self._device(f"radio-{n}", pillar=False) for n in range(TERMINALS)]
        self.told: dict[str, str] = {}
        self.texts: list[str] = []
        self.report = Report()
        self._killing = asyncio.Lock()

    def _device(self, id_: str, *, pillar: bool) -> Device:
        own = random.Random(self.chance.getrandbits(64))
        return Device(id_, self.daemon.port, self.daemon.secrets[id_], pillar=pillar, chance=own)

    @property
    def devices(self) -> list[Device]:
        return [*self.pillars, *self.radios]

    async def run(self, kills: int) -> Report:
        """Kill so often, heal, compare."""
        start = time.monotonic()
        async with _beside(self._supervise, *(device.run for device in self.devices)):
            await until(lambda: all(device.greeted.is_set() for device in self.devices), HEAL_S)
            async with _beside(self._press, self._broadcast):
                for aimed in self._plan(kills):
                    await self._kill(aimed=aimed)
            await self._healed()
            shown = await self._shown()
        await self.daemon.stop()
        self._compare(shown)
        self.report.took_s = time.monotonic() - start
        return self.report

    # --- the stream

    async def _press(self) -> None:
        while True:
            await self.chance.choice(self.pillars).press()
            await asyncio.sleep(PRESS_EVERY_S * self.chance.uniform(0.2, 1.8))

    async def _broadcast(self) -> None:
        """Each with a text of its own: one whose answer was lost may have been sent, but not twice."""
        while True:
            text = f"word {len(self.texts)}"
            self.texts.append(text)
            with contextlib.suppress(httpx.HTTPError):
                answer = await self.daemon.command(
                    "broadcast", text=text, target={"everybody": True}, speak=False
                )
                self.told[text] = answer["ids"]["broadcast"]
            await asyncio.sleep(BROADCAST_EVERY_S * self.chance.uniform(0.2, 1.8))

    # --- the kills

    async def _supervise(self) -> None:
        """systemd: whatever ends is started again, whatever is not ready is tried again."""
        while True:
            assert self.daemon.process is not None
            await self.daemon.process.wait()
            async with self._killing:
                if self.daemon.process.returncode not in (-9, 0):
                    self.report.gave_up += 1
                await self.daemon.launch()
            with contextlib.suppress(NotReady):
                await self.daemon.said_ready()

    def _plan(self, kills: int) -> list[bool]:
        aimed = round(kills * AIMED_SHARE)
        plan = [True] * aimed + [False] * (kills - aimed)
        self.chance.shuffle(plan)
        return plan

    async def _kill(self, *, aimed: bool) -> None:
        victim = self.chance.choice(VICTIMS)
        if aimed:
            await self._aim()
        else:
            await asyncio.sleep(self.chance.uniform(0, 1))
        async with self._killing:
            at_s = time.monotonic()
            out = [press for device in self.pillars for press in device.unreceipted]
            await self._strike(victim)
        await self._receipt_after(at_s)
        between = [press for press in out if press.sent_s < at_s < (press.receipted_s or time.monotonic())]
        self.report.kills.append(Kill(victim, at_s, len(between)))

    async def _aim(self) -> None:
        """Until a press has just left a connected pillar and is not receipted yet."""
        async with asyncio.timeout(HEAL_S):
            while True:
                await until(lambda: any(pillar.greeted.is_set() for pillar in self.pillars), HEAL_S)
                press = await self.chance.choice(self.pillars).press()
                await asyncio.sleep(self.chance.uniform(0, STRIKE_S))
                if press.sent_s and not press.receipted_s:
                    return

    async def _strike(self, victim: str) -> None:
        if victim in ("broker", "both"):
            self.daemon.kill_broker()
        if victim in ("daemon", "both") and self.daemon.running:
            await self.daemon.kill()

    async def _receipt_after(self, at_s: float) -> None:
        """The service is back: a press after the kill is receipted; then a pause of its own."""
        await until(
            lambda: any(p.receipted_s > at_s for d in self.pillars for p in d.presses.values()), HEAL_S
        )
        await asyncio.sleep(self.chance.uniform(0, PAUSE_S))

    # --- heal and compare

    async def _healed(self) -> None:
        """Every outbox is empty, and every broadcast is closed because everybody presented it."""
        await until(lambda: all(device.settled for device in self.devices), HEAL_S)
        await until(self._all_closed, HEAL_S, 0.2)
        await until(lambda: all(device.settled for device in self.devices), HEAL_S)

    async def _all_closed(self) -> bool:
        try:
            shown = await self.daemon.get("/broadcasts")
        except httpx.HTTPError:
            return False
        return all(one["state"] == "closed" for one in shown["items"])

    async def _shown(self) -> tuple[Any, Any]:
        """What the operator sees when he opens his feed now."""
        tables = await self.daemon.feed_snapshot()
        return list(tables["incidents"].values()), list(tables["broadcasts"].values())

    def _compare(self, shown: tuple[Any, Any]) -> None:
        store = open_store(f"sqlite:{self.daemon.database}")
        try:
            facts = [f.decode(row.kind, row.v, row.body) for row in store.rows()]
        finally:
            store.close()
        self.report.rows, self.report.starts = len(facts), self.daemon.starts
        self.report.faults += [fault for device in self.devices for fault in device.faults]
        self._compare_presses(facts, shown[0])
        self._compare_broadcasts(facts, shown[1])

    def _expect(self, what: str, *, holds: bool) -> None:
        if not holds:
            self.report.faults.append(what)

    def _compare_presses(self, facts: list[f.Fact], incidents: Any) -> None:
        logs = {(d.id, p.key.boot, p.key.seq): p for d in self.pillars for p in d.presses.values()}
        raised = [fact for fact in facts if isinstance(fact, f.AlarmRaised)]
        rows = Counter((fact.device, fact.key.boot, fact.key.seq) for fact in raised)
        self.report.presses = len(logs)
        self.report.waits_s = [p.receipted_s - p.made_s for p in logs.values() if p.receipted_s]
        for key, press in logs.items():
            self._expect(f"{key} lost: {press}", holds=bool(press.receipted_s) and rows[key] >= 1)
            self._expect(f"{key} doubled: {rows[key]} rows", holds=rows[key] <= 1)
            self._expect(
                f"{key} receipts differ: {press}",
                holds=press.outcomes == {"committed"} and len(press.incidents) == 1,
            )
        self._expect(
            f"rows of presses nobody made: {rows.keys() - logs.keys()}", holds=not rows.keys() - logs.keys()
        )
        per_incident = Counter(fact.incident for fact in raised)
        named = Counter(incident for press in logs.values() for incident in press.incidents)
        seen = {one["id"]: one["press_count"] for one in incidents}
        self._expect(f"incidents: journal {per_incident}, receipts {named}", holds=per_incident == named)
        self._expect(f"incidents: journal {per_incident}, shown {seen}", holds=dict(per_incident) == seen)

    def _compare_broadcasts(self, facts: list[f.Fact], shown: Any) -> None:
        opened = {fact.broadcast: fact for fact in facts if isinstance(fact, f.BroadcastOpened)}
        texts = Counter(fact.text for fact in opened.values())
        rungs = Counter((r.item, r.device, r.rung) for r in facts if isinstance(r, f.RungReached))
        self.report.broadcasts = len(opened)
        for text, id_ in self.told.items():
            self._expect(f"broadcast {id_} lost", holds=id_ in opened and opened[id_].text == text)
        self._expect(f"broadcasts doubled: {texts}", holds=max(texts.values(), default=0) <= 1)
        for id_ in opened:
            for radio in self.radios:
                heard, written = radio.presented[id_], rungs[id_, radio.id, PRESENTED]
                self._expect(
                    f"{radio.id} presented {id_} {heard} times, journal {written}",
                    holds=heard == written == 1,
                )
        self._expect(f"rungs doubled: {rungs.most_common(3)}", holds=max(rungs.values(), default=1) == 1)
        self._expect("broadcasts: shown others", holds={one["id"] for one in shown} == opened.keys())


@contextlib.asynccontextmanager
async def _beside(*works: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """They run until the block ends."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(work(), name=work.__qualname__) for work in works]
        try:
            yield
        finally:
            for task in running:
                task.cancel()


async def kill_and_compare(folder: Path, broker: str, kills: int, seed: int) -> Report:
    """A daemon of its own in `folder`, killed so often."""
    async with daemon(folder, broker, SITE) as started:
        return await Killing(started, seed).run(kills)
