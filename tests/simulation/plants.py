"""Planted faults: one change of the source each, in a copy of the tree, that a rule of the simulation must catch.

A change is a string that stands exactly once in its file and what takes its place: when the code moves on, the plant
fails loudly instead of vanishing. Production code has no fault switch.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = ("dispatchd", "protocols", "tests/simulation")
INPUTS: Final = 300_000
"""A fault that so many inputs do not show counts as missed."""


class Plant(NamedTuple):
    """`catches`: the invariants one of which must name it."""

    name: str
    path: str
    old: str
    new: str
    catches: frozenset[str]


class Outcome(NamedTuple):
    caught_by: str
    output: str


def plant(name: str, path: str, old: str, new: str, *catches: str) -> Plant:
    return Plant(name, path, old, new, frozenset(catches))


def copy_tree(to: Path) -> None:
    for part in COPIED:
        shutil.copytree(ROOT / part, to / part, ignore=shutil.ignore_patterns("__pycache__", "static", "web"))
    (to / "tests" / "__init__.py").write_text('"""A copy."""\n', encoding="utf-8")


def apply(one: Plant, to: Path) -> None:
    """ValueError unless the string stands exactly once."""
    file = to / one.path
    text = file.read_text(encoding="utf-8")
    if text.count(one.old) != 1:
        raise ValueError(f"{one.name}: its string stands {text.count(one.old)} times in {one.path}, not once")
    file.write_text(text.replace(one.old, one.new), encoding="utf-8")


def simulate(tree: Path, seed: int = 1, inputs: int = INPUTS) -> Outcome:
    """The first invariant that failed there, "" if none did."""
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(seed), "--inputs", str(inputs)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=300, check=False)
    found = re.search(r"^INVARIANT ([a-z-]+):", done.stdout, re.MULTILINE)
    return Outcome(found.group(1) if found else "", done.stdout[-2000:] + done.stderr[-2000:])


PLANTS: Final = (
    plant(
        "receipt before the commit",
        "tests/simulation/daemon.py",
        "        self._commit(batch)\n        self.failed = None\n",
        "        for effect in (e for d in batch.decisions for e in d.effects):\n"
        "            self._perform(effect, now)\n"
        "        self._commit(batch)\n        self.failed = None\n",
        "burst-used-twice",
        "receipt-before-commit",
        "effect-not-committed",
        "burst-used-twice",
    ),
    plant(
        "state kept after a failed commit",
        "dispatchd/ledger.py",
        "        self.core = self._load()\n        for one in self.backlog:\n",
        "        for one in self.backlog[:0]:\n",
        "state-is-not-the-journal",
        "effect-not-committed",
        "receipt-before-commit",
        "alarm-lost",
        "owner-silently-changed",
        "nobody-looks-after",
        "responder-not-by-facts",
        "burst-used-twice",
    ),
    plant(
        "facts without a wait leave with their receipts",
        "dispatchd/ledger.py",
        "any(type(fact).WAITED for _, fact in facts)",
        "False",
        "receipt-before-commit",
        "effect-not-committed",
    ),
    plant(
        "dropped key of an alarm",
        "dispatchd/core/alarms.py",
        "    known = turn.state.seen.get(device, {}).get(key_text(said.key))\n    incident = known[1]",
        "    known = None\n    incident = known[1]",
        "one-press-one-alarm",
    ),
    plant(
        "keys of alarms forgotten at a restart",
        "dispatchd/core/fold/incidents.py",
        "    seen[key_text(fact.key)] = [now, fact.incident]\n",
        "    if state.start < 2: seen[key_text(fact.key)] = [now, fact.incident]\n",
        "one-press-one-alarm",
        "one-key-two-incidents",
    ),
    plant(
        "what was lost between commit and perform is not sent again",
        "dispatchd/core/index.py",
        "            index.watch(ladder, place.device)\n",
        "            pass\n",
        "obligation-lost",
        "addressee-not-settled",
    ),
    plant(
        "an undelivered item is sent once only",
        "dispatchd/core/ladder.py",
        '    turn.index.arm(place.next_ms, "place", f"{ladder.item} {place.device}")\n    turn.send(',
        "    turn.send(",
        "obligation-lost",
        "addressee-not-settled",
    ),
    plant(
        "escalation timer lost at a restart",
        "dispatchd/core/index.py",
        '            "escalate",\n            "owner",\n',
        '            "owner",\n',
        "nobody-looks-after",
        "not-owned-after-heal",
    ),
    plant(
        "escalation stops at the top",
        "dispatchd/core/owner.py",
        '    else:\n        _step(turn, incident, incident.step + 1, "no-owner")\n',
        '    elif incident.step < 2:\n        _step(turn, incident, incident.step + 1, "no-owner")\n',
        "nobody-looks-after",
    ),
    plant(
        "a rung that falls",
        "dispatchd/core/ladder.py",
        "    if rung > place.rung:\n",
        "    if rung and rung != place.rung:\n",
        "rung-falls",
    ),
    plant(
        "delivered at the send, not at the report",
        "dispatchd/core/ladder.py",
        "    place.tries += 1\n",
        "    place.tries += 1\n    turn.record(f.RungReached(ladder.about, ladder.item, place.device, 1, turn.now))\n",
        "rung-invented",
        "rung-falls",
    ),
    plant(
        "a volunteer counted as enough",
        "dispatchd/core/rings.py",
        ' and any(force != "volunteer" for force in forces)',
        "",
        "volunteers-are-not-enough",
    ),
    plant(
        "one accept counted as enough",
        "dispatchd/core/rings.py",
        "    return len(forces) >= least and",
        "    return len(forces) >= 1 and",
        "not-enough",
    ),
    plant(
        "a late alarm rings by itself",
        "dispatchd/core/alarms.py",
        '    if late:\n        return "late", 0\n',
        "",
        "late-rings-by-itself",
    ),
    plant(
        "a silent incident prompts the pillar",
        "dispatchd/core/care.py",
        "    if pillar_of(turn, incident) is None or silenced(turn, incident) or not code or same:\n",
        "    if pillar_of(turn, incident) is None or not code or same:\n",
        "silent-incident-heard",
        "obligation-lost",
    ),
    plant(
        "a call that does not say it is silent",
        "dispatchd/core/fold/rings.py",
        '        "silent": incident.silent,\n    }\n\n\ndef move_call',
        '        "silent": False,\n    }\n\n\ndef move_call',
        "silent-incident-heard",
    ),
    plant(
        "a committed patrol called by the machine",
        "dispatchd/core/candidates.py",
        '    return f"committed {by.taken[patrol.id]}" if patrol.id in by.taken else ""\n',
        '    return ""\n',
        "committed-patrol-called",
    ),
    plant(
        "a patrol off duty is called",
        "dispatchd/core/candidates.py",
        '    if not patrol.on_duty:\n        return "off-duty"\n',
        "",
        "off-duty-called",
    ),
    plant(
        "stand-down forgotten",
        "dispatchd/core/rings.py",
        '    stand_down(turn, incident, left, "enough")\n',
        "",
        "stand-down-forgotten",
    ),
    plant(
        "no wall between levels",
        "dispatchd/core/levels.py",
        "    return turn.index.within(incident.unit, own) or own in incident.alerted or incident.relief == operator\n",
        "    return True\n",
        "levels-are-walls",
    ),
    plant(
        "no wall for broadcasts",
        "dispatchd/core/levels.py",
        "    return own is not None and turn.index.within(unit, own)\n",
        "    return own is not None\n",
        "levels-are-walls",
    ),
    plant(
        "a press that joins is not counted",
        "dispatchd/core/fold/incidents.py",
        "    incident.press_count += 1\n",
        "    incident.press_count += not incident.press_count\n",
        "press-miscounted",
    ),
    plant(
        "an expired item is sent again",
        "dispatchd/core/ladder.py",
        "    return ladder.superseded or ladder.expired or turn.now >= ladder.expires_ms\n",
        "    return ladder.superseded\n",
        "expired-sent",
    ),
    plant(
        "a drill counts as a commitment",
        "dispatchd/core/candidates.py",
        "if other is not incident and (incident.drill or not other.drill)",
        "if other is not incident",
        "drill-counted",
    ),
    plant(
        "an owner who is gone keeps the incident",
        "dispatchd/core/owner.py",
        '    if dead_due <= turn.now:\n        lose(turn, incident, "dead", dead)\n',
        "    if False:\n        pass\n",
        "dead-owner-keeps",
        "deadline-past",
    ),
    plant(
        "an answer counted twice",
        "dispatchd/core/answers.py",
        "        if key_text(said.key) not in responder.keys:\n",
        "        if True:\n",
        "key-counted-twice",
    ),
    plant(
        "the pillar is not told that nobody comes any more",
        "dispatchd/core/core.py",
        "        _tell_pillars(turn)\n",
        "",
        "pillar-lies",
    ),
    plant(
        "a second talker is let in",
        "dispatchd/core/floor.py",
        '    "taken": _contend,\n',
        '    "taken": _grant,\n',
        "two-talkers",
        "room-out-of-step",
    ),
    plant(
        "an emergency waits its turn",
        "dispatchd/core/floor.py",
        "    return mine > his or (mine == his and",
        "    return (mine == his and",
        "urgent-waits",
    ),
    plant(
        "the last to ask is the first to talk",
        "dispatchd/core/fold/voice.py",
        "    floor.queue = sorted([*rest, mine], ",
        "    floor.queue = sorted([mine, *rest], ",
        "queue-unfair",
    ),
    plant(
        "nobody looks at the clock while somebody talks",
        "dispatchd/core/floor.py",
        "    elif turn.now >= floor.until_ms:\n",
        "    elif turn.now < 0:\n",
        "floor-held-too-long",
        "floor-never-idle",
    ),
    plant(
        "granted is said for ever",
        "dispatchd/core/floor.py",
        "    if floor.repeats >= rules.grant_repeats:\n",
        "    if floor.repeats < 0:\n",
        "floor-never-idle",
        "floor-held-too-long",
        "waits-for-ever",
    ),
    plant(
        "a floor survives the daemon",
        "dispatchd/core/core.py",
        "    floor.restarted(turn)\n",
        "",
        "room-out-of-step",
    ),
    plant(
        "who is not in the group talks there",
        "dispatchd/core/floor_rights.py",
        "    if entry is None or request.group not in turn.index.groups_of(request.talker):\n",
        "    if entry is None:\n",
        "talks-without-right",
    ),
    plant(
        "a patched pillar goes on when it must be silent",
        "dispatchd/core/intercom.py",
        "patched=intercom.patched and not silent,",
        "patched=intercom.patched,",
        "silent-pillar-sounds",
    ),
    plant(
        "a closed group keeps its talker",
        "dispatchd/core/talk_groups.py",
        "    floor.close(turn, group, by)\n    members = ",
        "    members = ",
        "talks-in-a-closed-group",
        "room-out-of-step",
    ),
    plant(
        "floors are forgotten with a failed commit",
        "dispatchd/ledger.py",
        "        for one in self.backlog:\n",
        "        for one in self.backlog[:0]:\n",
        "room-out-of-step",
        "queue-unfair",
        "state-is-not-the-journal",
    ),
)
SLOW: Final = frozenset(
    {
        "an owner who is gone keeps the incident",
        "the pillar is not told that nobody comes any more",
        "a patched pillar goes on when it must be silent",
        "floors are forgotten with a failed commit",
        "granted is said for ever",
        "a closed group keeps its talker",
        "nobody looks at the clock while somebody talks",
        "an expired item is sent again",
    }
)
"""Take more than a few seconds to be found: only in `make test-all`."""
FAST: Final = tuple(one for one in PLANTS if one.name not in SLOW)
