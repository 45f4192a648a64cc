"""The rules of voice as invariants, from the committed facts alone; it shares no code with the core.

One talker in a group, only members and operators talk, the queue is fair, an emergency waits for nobody but an
emergency, nobody holds the floor for ever, and nothing sounds at a pillar that must be silent.
"""

from typing import Any, Final

from msgspec import Struct

from dispatchd.core import voice_facts as v

from .world import Violation, World

ORDER: Final = {"normal": 0, "imminent-peril": 1, "emergency": 2}
TALK_MS: Final = 33_000
"""The limit and its grace, as the city's rules have them; a Tick may be late by LATE_MS."""
LATE_MS: Final = 2_000


class Talking(Struct):
    """One burst."""

    burst: int
    talker: str
    groups: list[str]
    priority: str
    since_ms: int
    ambient: bool


class TalkWatch:
    """Told of every fact about voice, in order."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.talking: dict[str, Talking] = {}
        self.queues: dict[str, list[tuple[int, int, int, str]]] = {}
        self.groups: dict[str, set[str]] = {}
        self.silent: set[str] = set()
        self.down_since = 0

    def fail(self, name: str, *what: object) -> None:
        raise Violation(name, " ".join(map(str, what)))

    def started(self, now: int) -> None:
        """What was said in the last second before the daemon died may be on no disk; all floors are free."""
        self.talking.clear()
        self.queues.clear()

    def member(self, fact: Any) -> None:
        self.groups[fact.device] = set(fact.groups)

    def taken(self, fact: v.FloorTaken, now: int) -> None:
        there = self.talking.get(fact.group)
        if there is not None:
            self.fail("two-talkers", f"{fact.talker} took {fact.group} while {there.talker} talks")
        device = not fact.talker.startswith("@") and not fact.ambient
        if device and fact.via not in self.groups.get(fact.talker, ()):
            self.fail("talks-without-right", f"{fact.talker} in {fact.via}")
        if fact.ambient and self.queues.get(fact.group):
            self.fail("queue-unfair", f"a pillar before {self.queues[fact.group]}")
        self._in_turn(fact)
        self.talking[fact.group] = Talking(
            fact.burst, fact.talker, list(fact.groups), fact.priority, now, fact.ambient
        )

    def _in_turn(self, fact: v.FloorTaken) -> None:
        queue = sorted(self.queues.get(fact.group, []))
        mine = [place for place in queue if place[3] == fact.talker]
        if mine and queue[0] != mine[0] and ORDER[fact.priority] <= -mine[0][0]:
            self.fail("queue-unfair", f"{fact.talker} before {queue[0][3]} in {fact.group}")
        self.queues[fact.group] = [place for place in queue if place[3] != fact.talker]

    def freed(self, fact: v.FloorFreed, now: int) -> None:
        there = self.talking.pop(fact.group, None)
        if there is None:
            return
        if there.burst != fact.burst:
            self.fail("wrong-burst-freed", f"{fact.burst}, {there.burst} talks in {fact.group}")
        held_ms = now - there.since_ms
        if not there.ambient and held_ms > TALK_MS + LATE_MS and fact.why != "restart":
            self.fail("floor-held-too-long", f"{there.talker} {held_ms} ms in {fact.group}")

    def queued(self, fact: v.FloorQueued, seq: int) -> None:
        there = self.talking.get(fact.group)
        if there is None:
            self.fail("waits-for-nobody", f"{fact.talker} in {fact.group}")
        elif ORDER[fact.priority] > ORDER[there.priority] and not there.ambient:
            self.fail(
                "urgent-waits", f"{fact.talker} ({fact.priority}) for {there.talker} ({there.priority})"
            )
        rest = [place for place in self.queues.get(fact.group, []) if place[3] != fact.talker]
        self.queues[fact.group] = [*rest, (-ORDER[fact.priority], -fact.rank, seq, fact.talker)]

    def unqueued(self, fact: v.FloorUnqueued) -> None:
        self.queues[fact.group] = [p for p in self.queues.get(fact.group, []) if p[3] != fact.talker]

    def gone(self, group: str) -> None:
        """A closed group, or one patched away, has no floor of its own any more."""
        if group in self.talking:
            self.fail("talks-in-a-closed-group", f"{self.talking[group].talker} in {group}")
        self.queues.pop(group, None)

    def intercom(self, fact: v.IntercomOpened | v.IntercomChanged) -> None:
        if isinstance(fact, v.IntercomChanged) and fact.silent and (fact.back or fact.patched):
            self.fail("silent-pillar-sounds", f"{fact.device}: {fact.back} patched={fact.patched}")

    def at_rest(self) -> None:
        """Nobody presses any more: nobody talks, nobody waits."""
        left = [t for t in self.talking.values() if not t.ambient]
        if left:
            self.fail("floor-never-idle", left)
        if any(self.queues.values()):
            self.fail("waits-for-ever", self.queues)
