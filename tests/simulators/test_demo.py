"""`make demo ARGS="--once --json"`, end to end, and every number of it rebuilt twice: from the devices' own logs and
from `dispatchd replay` and the recordings on the store that the run left behind.
"""

import json
import math
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest

from dispatchd.store.base import Recording, Sought
from dispatchd.store.sqlite import SqliteStore
from simulators.demo.once import MISHAPS

Line = dict[str, Any]
SILENT = {"deaf": "muted", "broken": "player-failed", "offline": "offline", "flat": "offline"}


class Run:
    """One run: its numbers, what the devices logged, what the store says."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        command = [
            sys.executable,
            "-m",
            "simulators.cli",
            "demo",
            "--once",
            "--json",
            "--dir",
            str(directory),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
        assert done.returncode == 0, done.stderr
        self.said = done.stderr
        self.numbers: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        self.alarm: dict[str, Any] = self.numbers["alarm"]
        self.broadcast: dict[str, Any] = self.numbers["broadcast"]
        self.voice: dict[str, Any] = self.numbers["voice"]
        logs = sorted((directory / "logs").glob("*.jsonl"))
        self.logs = {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in logs}

    def lines(self, ev: str, **fields: Any) -> Iterator[tuple[str, Line]]:
        """(device, line) of all devices' logs that have these fields."""
        for device, log in self.logs.items():
            for line in log:
                if line["ev"] == ev and all(line.get(name) == value for name, value in fields.items()):
                    yield device, line

    def devices(self, ev: str, **fields: Any) -> set[str]:
        return {device for device, _ in self.lines(ev, **fields)}

    def replay(self, id_: str) -> list[tuple[str, Line]]:
        """(kind, fact) of the journal about an incident or broadcast, by the command line, with no daemon."""
        command = [sys.executable, "-m", "dispatchd", "replay", id_, "--json", "--dir", str(self.directory)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return [(step["kind"], step["fact"]) for step in json.loads(done.stdout)["steps"]]

    def recordings(self) -> list[Recording]:
        """The index, oldest first."""
        store = SqliteStore(self.directory / "dispatch.db")
        try:
            return store.recordings(Sought(), 1000)[::-1]
        finally:
            store.close()

    @property
    def heard(self) -> dict[str, set[str]]:
        """Device → items under which it got the one broadcast."""
        found: dict[str, set[str]] = {}
        for device, line in self.lines("delivered", kind="broadcast"):
            found.setdefault(device, set()).add(line["item"])
        return found

    def reached(self, ev: str) -> set[str]:
        """Devices whose log says that the broadcast came to this rung."""
        return {device for device, line in self.lines(ev) if line["item"] in self.heard.get(device, ())}


def everybody_came_on_line(run: Run) -> None:
    greeted = run.devices("hello")
    assert run.numbers["terminals_online"] == sum(device.startswith("t-") for device in greeted) == 100
    assert run.numbers["pillars_online"] == sum(device.startswith("p-") for device in greeted) == 12


def the_alarm_by_the_logs_of_pillar_and_terminals(run: Run) -> None:
    [(pillar, pressed)] = run.lines("alarm")
    [(by, receipted)] = run.lines("receipted", kind="alarm")
    assert (by, receipted["key"]) == (pillar, pressed["key"])
    assert run.alarm["receipt_ms"] == receipted["t_ms"] - pressed["t_ms"]
    assert run.alarm["incident"] == receipted["incident"]
    incident = receipted["incident"]
    called = list(run.lines("called", incident=incident))
    assert run.alarm["called"] == len({line["patrol"] for _, line in called}) >= 2
    calls = {line["call"] for _, line in called}
    stood_down = {
        d for d, line in run.lines("stood-down") if line["call"] in calls and line["reason"] != "ended"
    }
    assert run.alarm["stood_down"] == len(stood_down)
    accepting = run.devices("answered", incident=incident, answer="accept")
    assert run.alarm["accepted"] == len(accepting - stood_down) >= 2, (
        "an accept that crossed a stand-down is late"
    )


def the_alarm_by_the_journal(run: Run) -> None:
    facts = run.replay(run.alarm["incident"])
    rings = [fact for kind, fact in facts if kind == "RingOpened"]
    assert run.alarm["rings"] == len(rings)
    called = {one["patrol"] for ring in rings for one in ring["looked_at"] if one.get("chosen")}
    assert run.alarm["called"] == len(called)
    accepts = {
        fact["patrol"]
        for kind, fact in facts
        if kind == "Answered" and fact["answer"] == "accept" and fact.get("counted", True)
    }
    assert run.alarm["accepted"] == len(accepts)
    stood_down = {
        patrol
        for kind, fact in facts
        if kind == "StoodDown" and fact["reason"] != "ended"
        for patrol in fact["patrols"]
    }
    assert run.alarm["stood_down"] == len(stood_down)
    assert [fact["operator"] for kind, fact in facts if kind == "OwnerTook"][-1] == run.alarm["owner"]
    assert [kind for kind, _ in facts].count("Ended") == 1
    calls = {ring["call"] for ring in rings if any(one.get("chosen") for one in ring["looked_at"])}
    assert {line["call"] for _, line in run.lines("called", incident=run.alarm["incident"])} == calls


def the_broadcast_by_the_logs_of_the_terminals(run: Run) -> None:
    terminals = {device for device in run.logs if device.startswith("t-")}
    assert run.broadcast["addressees"] == len(terminals) == 100
    assert run.broadcast["delivered"] == len(run.heard)
    presented = run.reached("presented")
    assert run.broadcast["presented"] == len(presented)
    assert run.broadcast["acknowledged"] == len(run.reached("acknowledged"))
    told = {one["device"]: one["reason"] for one in run.broadcast["not_heard"]}
    assert set(told) == terminals - presented
    for device, reason in told.items():
        said = [
            line["reason"]
            for by, line in run.lines("failed")
            if by == device and line["item"] in run.heard[by]
        ]
        assert reason == (said[-1] if said else "offline")
        assert said or device not in run.heard


def the_broadcast_by_the_journal(run: Run) -> None:
    [broadcast] = {line["broadcast"] for _, line in run.lines("delivered", kind="broadcast")}
    facts = run.replay(broadcast)
    [opened] = [fact for kind, fact in facts if kind == "BroadcastOpened"]
    addressees = {device for device, _ in opened["addressees"]}
    assert run.broadcast["addressees"] == len(addressees)
    highest = dict.fromkeys(addressees, 0)
    for kind, fact in facts:
        if kind == "RungReached" and fact["item"] == broadcast:
            highest[fact["device"]] = max(highest[fact["device"]], fact["rung"])
    for rung, name in enumerate(("delivered", "presented", "acknowledged"), 1):
        assert run.broadcast[name] == sum(reached >= rung for reached in highest.values()), name
    assert {one["device"] for one in run.broadcast["not_heard"]} == {d for d, r in highest.items() if r < 2}
    failed = {fact["device"]: fact["reason"] for kind, fact in facts if kind == "RungFailed"}
    for one in run.broadcast["not_heard"]:
        assert one["reason"] == failed.get(one["device"], "offline")


def the_mishaps_are_told_as_they_were(run: Run) -> None:
    reasons = sorted(one["reason"] for one in run.broadcast["not_heard"])
    assert reasons == sorted(SILENT[mishap] for mishap in MISHAPS)


def p99(values: Iterable[int]) -> int:
    found = sorted(values)
    return found[math.ceil(len(found) * 0.99) - 1]


class Spoken:
    """What the terminals' logs say of each burst: when each frame was captured, and when it came to whom."""

    def __init__(self, run: Run) -> None:
        self.by: dict[int, str] = {}
        self.said: dict[int, dict[int, int]] = {}
        self.heard: dict[int, dict[str, dict[int, int]]] = defaultdict(lambda: defaultdict(dict))
        self.group: dict[int, str] = {}
        for device, line in run.lines("said"):
            assert line["frames"] == len(line["seq"])
            self.by[line["burst"]] = device
            self.said[line["burst"]] = dict(zip(line["seq"], line["at_ms"], strict=True))
        for device, line in run.lines("sound-heard"):
            assert line["frames"] == len(line["seq"])
            came = self.heard[line["burst"]][device]
            assert not came.keys() & set(line["seq"]), "a frame counts once"
            came |= dict(zip(line["seq"], line["at_ms"], strict=True))
            self.group[line["burst"]] = line["group"]

    @property
    def room(self) -> int:
        """The burst that no terminal said."""
        [burst] = self.heard.keys() - self.said.keys()
        return burst


def the_voice_by_the_logs_of_the_terminals(run: Run) -> None:
    spoken, recorded = Spoken(run), {row.burst: row for row in run.recordings()}
    terminals = {device for device in run.logs if device.startswith("t-")}
    assert set(spoken.heard[spoken.room]) == terminals
    assert run.voice["listeners"] == len(terminals) == 100
    assert Counter(spoken.group.values()) == {f"inc-{run.alarm['incident']}": 2, "tg-all": 2}
    [car] = [burst for burst in spoken.said if spoken.group[burst] == "tg-all"]
    assert set(spoken.heard[car]) == terminals - {spoken.by[car]}
    assert run.voice["talkers"] == len({*spoken.by.values(), recorded[spoken.room].talker}) == 4
    here = sum(len(frames) for frames in spoken.said.values())
    assert run.voice["frames_sent"] == here + recorded[spoken.room].frames
    came = [frames for ears in spoken.heard.values() for frames in ears.values()]
    assert run.voice["frames_heard"] == sum(map(len, came))
    delays = [
        at_ms - frames[seq]
        for burst, frames in spoken.said.items()
        for ear in spoken.heard[burst].values()
        for seq, at_ms in ear.items()
    ]
    assert run.voice["mouth_to_ear_ms_p99"] == p99(delays)


def the_grants_by_the_logs_of_the_terminals(run: Run) -> None:
    waited = []
    for device in run.devices("said"):
        asked: dict[str, int] = {}
        for line in run.logs[device]:
            if line["ev"] == "floor" and line["why"] == "press":
                asked[line["group"]] = line["t_ms"]
            elif line["ev"] == "floor" and line["why"] == "granted":
                waited.append(line["t_ms"] - asked.pop(line["group"]))
    assert len(waited) == 3
    assert run.voice["grant_ms_p99"] == p99(waited)


def the_voice_by_the_recordings(run: Run) -> None:
    spoken, rows = Spoken(run), run.recordings()
    assert run.voice["recordings"] == len(rows) == len(list(run.directory.glob("recordings/*/*.opus")))
    words = {row.burst: row for row in rows if not row.group.startswith("@up/")}
    assert {burst: row.group for burst, row in words.items()} == spoken.group
    assert run.voice["talkers"] == len({row.talker for row in words.values()})
    for burst, device in spoken.by.items():
        assert words[burst].talker == device
        assert words[burst].frames == len(spoken.said[burst]) - 1, (
            "the last frame ends the burst, it has no sound"
        )
    for row in rows:
        assert not row.why
        assert not row.lost
        assert loudest(run.directory / "recordings" / row.path) > 3_000, f"{row.recording} is to be heard"
    [pillar] = [row for row in rows if row.burst not in words]
    assert (pillar.talker, pillar.incident) == (next(iter(run.devices("alarm"))), run.alarm["incident"])


def loudest(path: Path) -> int:
    """As any player decodes it."""
    with av.open(str(path)) as file:
        return max(int(np.abs(frame.to_ndarray()).max() * 32_768) for frame in file.decode(audio=0))


def the_voice_by_the_journal(run: Run) -> None:
    spoken, incident = Spoken(run), run.alarm["incident"]
    facts = run.replay(incident)
    taken = {fact["burst"]: fact["talker"] for kind, fact in facts if kind == "FloorTaken"}
    assert taken == {
        burst: device for burst, device in spoken.by.items() if spoken.group[burst] == f"inc-{incident}"
    }
    made = {fact["recording"] for kind, fact in facts if kind == "RecordingMade"}
    assert made == {row.recording for row in run.recordings() if row.incident == incident}
    assert {kind for kind, _ in facts} >= {"IntercomOpened", "IntercomClosed"}


def it_says_where_the_recordings_are(run: Run) -> None:
    assert str(run.directory / "recordings") in run.said
    assert "ctl recordings" in run.said


def nothing_is_left_running(run: Run) -> None:
    http = next(word.rstrip(",") for word in run.said.split() if word.startswith("http://"))
    with pytest.raises(httpx.ConnectError):
        httpx.get(http + "/api/v1/health", timeout=5, trust_env=False)


@pytest.mark.timeout(240)
def test_every_number_of_one_run_is_rebuilt_from_logs_and_journal(tmp_path: Path) -> None:
    """One test, because the run takes some 35 s and must not be made once per worker."""
    run = Run(tmp_path / "state")
    for part in (
        everybody_came_on_line,
        the_alarm_by_the_logs_of_pillar_and_terminals,
        the_alarm_by_the_journal,
        the_broadcast_by_the_logs_of_the_terminals,
        the_broadcast_by_the_journal,
        the_mishaps_are_told_as_they_were,
        the_voice_by_the_logs_of_the_terminals,
        the_grants_by_the_logs_of_the_terminals,
        the_voice_by_the_recordings,
        the_voice_by_the_journal,
        it_says_where_the_recordings_are,
        nothing_is_left_running,
    ):
        part(run)
