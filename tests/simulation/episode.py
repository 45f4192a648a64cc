"""One episode: a fresh city, chaos for some minutes of virtual time, then healing, and nothing may be left undone."""

import hashlib
from collections import Counter
from typing import Final

import msgspec

from dispatchd.core import commands as c
from dispatchd.core.inputs import ScheduleDue
from dispatchd.core.ladder import held_back
from dispatchd.core.state import PRESENTED, Ladder, Place, State
from dispatchd.ledger import Ledger
from protocols import up

from . import city, invariants
from .daemon import Daemon, refolded_from_start
from .models import Device, Pillar, Terminal, Truth
from .network import Network
from .operators import Operator
from .talk import Talker, listen
from .watch import Watch
from .world import Violation, World

CHAOS_MS: Final = 200_000
HEAL_MS: Final = 100_000
SETTLE_MS: Final = 90_000
ACCEPT_WITHIN_MS: Final = 15_000
"""The boss, awake again, takes what nobody owns within this."""
STRAY_EVERY_MS: Final = 2_500
"""Something happens to somebody about this often."""
OUTAGE_MAX_MS: Final = 60_000

FLUSH_MS: Final = 500
FLUSHES_MAX: Final = 20
"""What nobody waits for is written a little later: so often is looked whether all of it is."""
JUST_SAID_MS: Final = 5_000
"""A word said in the last moment of an episode is still on its way."""


class Episode:
    """`run` raises Violation with the first rule that did not hold."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.world = world = World(seed)
        self.truth = Truth()
        self.network = Network(world)
        self.watch = Watch(world, self.truth)
        self.daemon = Daemon(world, self.network, self.watch)
        self.site = world.site = city.make(world.rng)
        self.pillars = [Pillar(world, self.network, self.truth, f"p-{n}") for n in range(city.PILLARS)]
        self.terminals = [
            Terminal(world, self.network, self.truth, f"t-{n:03}") for n in range(city.TERMINALS)
        ]
        self.devices: list[Device] = [*self.pillars, *self.terminals]
        for terminal in self.terminals:
            terminal.talker = Talker(terminal, self.daemon.room)
            self.daemon.on_start.append(terminal.talker.joined)
        self.operators = [Operator(world, self.daemon, id_) for id_ in city.OPERATORS]

    @property
    def inputs(self) -> int:
        return self.daemon.inputs

    @property
    def made(self) -> Counter[str]:
        return self.watch.made

    def digest(self) -> str:
        """Of the journal: the same seed gives the same, in any process."""
        hasher = hashlib.sha256()
        for row in self.daemon.store.rows():
            hasher.update(f"{row.seq} {row.now_ms} {row.kind} ".encode() + row.body)
        return hasher.hexdigest()

    def run(self) -> None:
        self._open()
        self.world.run(CHAOS_MS)
        self._heal()
        self.world.run(HEAL_MS)
        self._converged()
        self._end_all()
        self.world.run(SETTLE_MS)
        self._nothing_left()

    def _open(self) -> None:
        self.daemon.start()
        self._apply_site()
        for device in self.devices:
            self.world.at(self.world.rng.uniform(100, 8_000), device.start)
        self.world.at(2_000, self._stray)
        self.world.at(3_000, listen, self.world, self.daemon.room)
        self.world.at(self.world.rng.uniform(10_000, 60_000), self._outage)

    def _apply_site(self) -> None:
        """Until it is on disk: a first commit may fail, too."""
        if "boss" not in self.watch.tables["operator"]:
            self.daemon.ask("admin", c.ApplySite(msgspec.to_builtins(self.site)))
            self.world.at(100, self._apply_site)

    # chaos

    def _stray(self) -> None:
        if self.world.chaos:
            rng = self.world.rng
            rng.choice(_STRAYS)(self)
            self.world.at(rng.expovariate(1 / STRAY_EVERY_MS), self._stray)

    def _outage(self) -> None:
        """The daemon's link, or its clock."""
        if not self.world.chaos:
            return
        rng = self.world.rng
        if rng.random() < 0.5:
            self.daemon.link(False)
            self.world.at(rng.uniform(500, 20_000), self._link_back)
        else:
            self.daemon.wall_skew_ms += rng.choice([-3_600_000, -5_000, 2_000, 30_000])
        self.world.at(rng.uniform(15_000, OUTAGE_MAX_MS), self._outage)

    def _link_back(self) -> None:
        if not self.network.up_link:
            self.daemon.link(True)

    def press(self) -> None:
        rng = self.world.rng
        pillar = rng.choice(self.pillars)
        kind = rng.choice(
            ("one-key", "one-key", "one-key", "one-key", "duress", "tamper", "fault", "stuck", "odd")
        )
        if pillar.alive:
            pillar.alarm(kind, drill=rng.random() < 0.05)

    def hour(self) -> None:
        """A schedule's hour: often twice the same, sometimes late."""
        rng = self.world.rng
        occurrence = f"2026-11-{rng.randrange(1, 31):02}T10:00"
        self.daemon.put(ScheduleDue("sc-1", occurrence, rng.choice([0, 0, 200_000, 400_000])))

    def press_cut_off(self) -> None:
        """Nobody hears it until the network is back: a late alarm by then."""
        pillar = self.world.rng.choice(self.pillars)
        if pillar.alive:
            pillar.drop()
            pillar.alarm("one-key")
            self.world.at(45_000, pillar.connect)

    def emergency(self) -> None:
        terminal = self.world.rng.choice(self.terminals)
        if terminal.alive:
            terminal.alarm(self.world.rng.choice(("emergency", "emergency", "duress")))

    def cancel(self) -> None:
        pillar = self.world.rng.choice(self.pillars)
        if pillar.alive:
            pillar.cancel()

    def crash(self) -> None:
        device = self.world.rng.choice(self.devices)
        if device.alive:
            device.crash()
            self.world.at(self.world.rng.choice([1_000, 10_000, OUTAGE_MAX_MS]), self._revive, device)

    def _revive(self, device: Device) -> None:
        if not device.alive:
            device.start()

    def drop(self) -> None:
        device = self.world.rng.choice(self.devices)
        device.drop()
        self.world.at(self.world.rng.choice([500, 5_000, 40_000]), device.connect)

    def clock_in_or_out(self) -> None:
        terminal = self.world.rng.choice(self.terminals)
        if terminal.alive:
            terminal.duty(self.world.likely(0.75))

    def walk(self) -> None:
        for terminal in self.world.rng.sample(self.terminals, 5):
            terminal.where = city.position(self.world.rng)

    def ghost(self) -> None:
        """A device that nobody knows, or that says what makes no sense."""
        rng = self.world.rng
        terminal = rng.choice(self.terminals)
        word = rng.choice(["accept", "on-scene", "done", "perhaps"])
        terminal.keep(up.Rung(terminal.key(), "x-none", "presented"))
        key = terminal.key()
        answer = up.Answer(key, rng.choice(["c-none", *self.watch.wanted]), "pat-00", word)
        self.truth.answers[terminal.id, key] = answer
        self.truth.rungs[terminal.id, answer.call] = 3
        terminal.keep(answer)

    def talk(self) -> None:
        """One after the other, or several at once in one group."""
        rng = self.world.rng
        group = rng.choice(["g-all", "g-all", "g-s1", ""])
        for terminal in rng.sample(self.terminals, rng.choice([1, 2, 4, 14])):
            priority = rng.choice(["normal", "normal", "normal", "normal", "imminent-peril", "emergency"])
            if terminal.talker is not None:
                self.world.at(rng.choice([0, 50, 3_000]), terminal.talker.press, group, priority)

    # healing

    def _heal(self) -> None:
        world = self.world
        world.chaos = False
        world.says("heal")
        self.network.heal()
        self.daemon.faults.heal()
        self.daemon.link(True)
        self.daemon.start()
        for device in self.devices:
            self._revive(device)
            device.connect()
        for table, entries in city.entries(self.site).items():
            for entry in entries.values():
                if table in {"patrol", "device"} and entry["id"] not in self.watch.tables[table]:
                    self.daemon.ask("root", c.SetEntry(table, entry))

    def _end_all(self) -> None:
        """Every owner ends what he owns; again, because one may lose his incident in that moment."""
        for incident in self._state().incidents.values():
            if not incident.ended_ms and incident.owner is not None:
                self.daemon.ask(incident.owner, c.End(incident.incident, "genuine"))
        self.world.at(10_000, self._end_all)

    def _state(self) -> State:
        state = self.daemon.state
        if state is None:
            raise Violation("daemon-down", "the daemon did not come back after healing")
        return state

    # convergence

    def _converged(self) -> None:
        state = self._state()
        invariants.everything(self.watch, self.daemon.ledger.core, self.daemon.now())
        self._alarms_receipted()
        for incident in state.incidents.values():
            just_lost = self.daemon.now() - incident.unowned_since_ms < ACCEPT_WITHIN_MS
            if not incident.ended_ms and incident.owner is None and not just_lost:
                raise Violation("not-owned-after-heal", f"{incident.incident}: step {incident.step}")
        for ladder in state.ladders.values():
            for place in ladder.places.values():
                self._settled(state, ladder, place)

    def _alarms_receipted(self) -> None:
        for place, alarm in self.truth.pressed.items():
            if place not in self.truth.receipted:
                raise Violation("alarm-not-receipted", f"{place} {alarm.kind}")
            if place not in self.watch.keys:
                raise Violation("alarm-lost", f"{place} {alarm.kind}: receipted, not in the store")
            incident = self.watch.alarm_of[self.watch.keys[place]]
            if not incident and alarm.kind in {"one-key", "duress", "emergency", "odd"}:
                raise Violation("alarm-without-incident", f"{place} {alarm.kind}")

    @staticmethod
    def _by_schedule(state: State, ladder: Ladder) -> bool:
        broadcast = state.broadcasts.get(ladder.about)
        return broadcast is not None and broadcast.by.startswith("schedule:")

    def _settled(self, state: State, ladder: Ladder, place: Place) -> None:
        """Presented, or why not; a young item may still be on its way."""
        over = ladder.superseded or ladder.expired or place.left or self._by_recording(state, ladder)
        young = self.daemon.now() - ladder.opened_ms < 40_000
        if over or young or place.rung >= PRESENTED or place.reason or (place.rung and place.route):
            return
        if place.rung and ladder.kind in {"prompt", "lamp", "stand-down", "broadcast-cancel", "microphone"}:
            return  # delivered and never played: these have no second route
        if held_back(state, ladder, place) or self._by_schedule(state, ladder):
            return  # a notice that waits for the end of the incident there, or has no second route
        raise Violation(
            "addressee-not-settled",
            f"{ladder.kind} {ladder.item} at {place.device}: rung {place.rung}, {place.tries} tries",
        )

    def _by_recording(self, state: State, ladder: Ladder) -> bool:
        """Said live: its one other way is the recording, once it has been said."""
        broadcast = state.broadcasts.get(ladder.about)
        if broadcast is None or not broadcast.live:
            return False
        if broadcast.state == "open" and broadcast.said_ms and self.daemon.now() - broadcast.said_ms > 40_000:
            raise Violation("recording-never-sent", f"{broadcast.broadcast}: said, and nothing came of it")
        return True

    def _nothing_left(self) -> None:
        for _ in range(FLUSHES_MAX):
            if not self.daemon.ledger.backlog:
                break
            self.world.run(FLUSH_MS)
        state = self._state()
        self._alarms_receipted()
        self.watch.talk.at_rest()
        for incident in state.incidents.values():
            if not incident.ended_ms:
                raise Violation("not-ended", incident.incident)
        for ladder in state.ladders.values():
            for place in ladder.places.values():
                self._settled(state, ladder, place)
        for device in self.devices:
            self._device_settled(state, device)
        live = self.daemon.ledger.core.state
        invariants.same(live, refolded_from_start(self.daemon.store), "replay-from-start-differs")
        invariants.same(live, Ledger(self.daemon.store).core.state, "replay-from-snapshot-differs")

    def _device_settled(self, state: State, device: Device) -> None:
        for entry in device.outbox.values():
            if self.world.now - entry.born > JUST_SAID_MS:
                raise Violation("outbox-not-empty", f"{device.id}: {entry.message}")
        settings = state.settings.get(device.id)
        if settings is not None and settings.membership_applied != settings.membership_version:
            raise Violation("membership-not-applied", f"{device.id}: {settings}")
        live = state.live.get(device.id)
        if live is None or not live.online:
            raise Violation("live-device-offline", f"{device.id}: {live}")


_STRAYS: Final = (
    Episode.press, Episode.press, Episode.press, Episode.press_cut_off, Episode.emergency, Episode.cancel,
    Episode.talk, Episode.talk, Episode.talk, Episode.talk,
    Episode.crash, Episode.drop, Episode.drop, Episode.clock_in_or_out, Episode.walk, Episode.ghost,
    Episode.hour,
)  # fmt: skip
