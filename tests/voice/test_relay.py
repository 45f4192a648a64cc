"""The relay: only the granted talker is heard, by everyone once, and nothing behind the end and its grace."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dispatchd.core.effects import SetFloor
from dispatchd.core.inputs import Input, MediaHeard, MediaRefused
from dispatchd.voice import limits
from dispatchd.voice.burst import Grant
from dispatchd.voice.relay import Relay
from protocols.errors import ProtocolError
from protocols.opus import samples_48k
from protocols.voice import CATCH_UP, LAST, Frame

OPUS = bytes([0x08, 1, 2, 3])
"""Its first byte says: one mono frame of 20 ms. The relay looks at no more of it."""
OPUS_120_MS = bytes([0x1B, 2]) + bytes(8)
GARBAGE = bytes([0x03, 0])


class Ear:
    """Remembers what it heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, Frame]] = []

    def hear(self, channel: str, talker: str, frame: Frame) -> None:
        self.heard.append((channel, talker, frame))

    @property
    def seqs(self) -> list[int]:
        return [frame.seq for _, _, frame in self.heard]


class Tape:
    """A tap that writes down what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[Any, ...]] = []

    def began(self, grant: Grant, now_ms: int) -> None:
        self.lines.append(("began", grant.channel, grant.burst, now_ms))

    def hear(self, channel: str, talker: str, frame: Frame) -> None:
        self.lines.append(("hear", channel, talker, frame.seq))

    def ended(self, grant: Grant, now_ms: int) -> None:
        self.lines.append(("ended", grant.channel, grant.burst, now_ms))


class Rig:
    """A relay, what it told the core, and one listener on group `all`."""

    def __init__(self) -> None:
        self.posted: list[Input] = []
        self.relay = Relay(self.posted.append)
        self.ear = Ear()
        self.relay.attach("all", self.ear)

    def grant(self, burst: int = 1, talker: str = "t1", now_ms: int = 0, **more: Any) -> None:
        self.relay.set_floor(SetFloor("all", burst, talker, **more), now_ms)

    def say(self, seq: int, now_ms: int, talker: str = "t1", burst: int = 1, flags: int = 0) -> None:
        self.relay.said(talker, frame(seq, burst, flags), now_ms)


def frame(seq: int, burst: int = 1, flags: int = 0, opus: bytes = OPUS) -> Frame:
    return Frame(burst, seq, seq * 960, opus, flags)


def test_what_a_talker_says_of_his_frames_is_not_passed_on_but_for_the_last() -> None:
    rig = Rig()
    rig.grant()
    rig.say(0, 0, flags=CATCH_UP | 0x40)
    rig.say(1, 20, flags=CATCH_UP | LAST)
    assert [f.flags for _, _, f in rig.ear.heard] == [0, LAST]


# --- the floor --------------------------------------------------------------------------------------------------


def test_only_talker_and_burst_of_the_grant_are_heard() -> None:
    rig = Rig()
    rig.grant(burst=7)
    rig.say(0, 0, "t1", 7)
    rig.say(1, 0, "t2", 7)
    rig.say(2, 0, "t1", 6)
    assert [(c, t, f.seq) for c, t, f in rig.ear.heard] == [("all", "t1", 0)]
    assert rig.relay.counts["no-floor"] == 2
    assert rig.posted == [
        MediaHeard("all", 7), MediaRefused("t2", 7, "no-floor"), MediaRefused("t1", 6, "no-floor"),
    ]  # fmt: skip


def test_a_released_burst_is_heard_for_what_is_under_way() -> None:
    rig = Rig()
    rig.grant()
    rig.relay.set_floor(SetFloor("all", ended=1), 1000)
    rig.say(0, 1000 + limits.LATE_MS - 1)
    rig.say(1, 1000 + limits.LATE_MS)
    assert rig.ear.seqs == [0]


def test_grace_ends_when_the_next_talker_is_heard_there() -> None:
    rig = Rig()
    rig.grant()
    rig.say(0, 0)
    rig.relay.set_floor(SetFloor("all", 2, "t2", ended=1), 100)
    rig.say(1, 110)
    rig.say(0, 120, "t2", 2)
    rig.say(2, 130)
    assert [(t, f.seq) for _, t, f in rig.ear.heard] == [("t1", 0), ("t1", 1), ("t2", 0)]


def test_the_same_floor_again_changes_its_groups_only() -> None:
    rig, tape = Rig(), Tape()
    rig.relay.taps.append(tape)
    rig.grant()
    rig.say(0, 0)
    rig.grant(groups=("all", "two"))
    other = Ear()
    rig.relay.attach("two", other)
    rig.say(1, 20)
    assert rig.ear.seqs == [0, 1]
    assert other.seqs == [1]
    assert [line[0] for line in tape.lines] == ["began", "hear", "hear"]


# --- who hears --------------------------------------------------------------------------------------------------


def test_a_listener_to_patched_groups_hears_each_frame_once() -> None:
    rig = Rig()
    rig.relay.attach("two", rig.ear)
    two = Ear()
    rig.relay.attach("two", two)
    rig.grant(groups=("all", "two"))
    rig.say(0, 0)
    assert [c for c, _, _ in rig.ear.heard] == ["all"]
    assert [c for c, _, _ in two.heard] == ["two"]
    assert rig.relay.counts["sent"] == 2


def test_neither_the_talker_nor_the_too_near_hear_it() -> None:
    rig = Rig()
    own, near = Ear(), Ear()
    rig.relay.attach("all", own, "t1")
    rig.relay.attach("all", near, "t2")
    rig.grant(not_for=("t2",))
    rig.say(0, 0)
    assert (rig.ear.seqs, own.seqs, near.seqs) == ([0], [], [])


def test_who_was_detached_hears_no_more() -> None:
    rig = Rig()
    rig.grant()
    rig.say(0, 0)
    rig.relay.detach("all", rig.ear)
    rig.relay.detach("all", rig.ear)
    rig.say(1, 20)
    assert rig.ear.seqs == [0]


def test_a_pillar_is_heard_in_the_control_room_and_in_the_group_it_is_patched_to() -> None:
    rig, owner = Rig(), Ear()
    rig.relay.attach("@up/p1", owner, "@ann")
    rig.relay.open("@up/p1", 8, "p1", "i1")
    rig.relay.said_rtp("p1", 0, 0, OPUS, 0)
    rig.grant(9, "p1")
    rig.relay.said_rtp("p1", 1, 960, OPUS, 20)
    rig.grant(10, "t1", 40)
    rig.say(0, 40, burst=10)
    rig.relay.said_rtp("p1", 2, 1920, OPUS, 60)
    assert [(f.burst, f.seq) for _, _, f in owner.heard] == [(8, 0), (8, 1), (8, 2)]
    assert [(t, f.burst) for _, t, f in rig.ear.heard] == [("p1", 9), ("t1", 10)]


# --- bad frames -------------------------------------------------------------------------------------------------


def test_three_unreadable_packets_in_a_row_are_told() -> None:
    rig = Rig()
    rig.grant()
    for seq, opus in enumerate((GARBAGE, OPUS_120_MS, OPUS, b"", GARBAGE)):
        rig.relay.said("t1", frame(seq, opus=opus), seq * 20)
    assert rig.posted == [MediaHeard("all", 1)]
    rig.relay.said("t1", frame(5, opus=GARBAGE), 100)
    assert rig.posted[1:] == [MediaRefused("t1", 1, "unreadable")]
    assert rig.relay.counts["unreadable"] == 5
    assert rig.ear.seqs == [2]


@given(st.binary(min_size=1, max_size=640))
def test_what_is_read_as_opus_is_what_libopus_reads(opus: bytes) -> None:
    try:
        expected = samples_48k(opus) <= limits.MAX_PACKET_48K
    except ProtocolError:
        expected = False
    rig = Rig()
    rig.grant()
    rig.relay.said("t1", frame(0, opus=opus), 0)
    assert bool(rig.ear.heard) is expected


def test_the_last_frame_may_be_empty() -> None:
    rig = Rig()
    rig.grant()
    rig.say(0, 0)
    rig.relay.said("t1", frame(1, flags=LAST, opus=b""), 20)
    rig.say(2, 40)
    assert rig.ear.seqs == [0, 1]
    assert rig.posted == [MediaHeard("all", 1), MediaHeard("all", 1, last=True)]
    assert rig.relay.counts["after-last"] == 1


def test_too_many_frames_are_dropped_and_told_once_a_second() -> None:
    rig = Rig()
    rig.grant()
    for seq in range(150):
        rig.say(seq, 0)
    assert rig.ear.seqs == list(range(limits.FRAMES_AT_ONCE))
    for seq in range(150, 300):
        rig.say(seq, 1000)
    assert len(rig.ear.seqs) == 2 * limits.FRAMES_AT_ONCE
    assert [p for p in rig.posted if isinstance(p, MediaRefused)] == 2 * [MediaRefused("t1", 1, "too-fast")]


def test_sixty_frames_a_second_pass_for_ever() -> None:
    rig = Rig()
    rig.grant()
    for n in range(60 * 20):
        rig.say(n, n * 1000 // 60)
    assert len(rig.ear.seqs) == 60 * 20
    assert [p for p in rig.posted if isinstance(p, MediaHeard)] == 20 * [MediaHeard("all", 1)]


def test_what_comes_twice_or_too_late_is_dropped() -> None:
    rig = Rig()
    rig.grant()
    rig.say(limits.KEEP_FRAMES, 0)
    for seq in (limits.KEEP_FRAMES, 1, 0):
        rig.say(seq, 20)
    assert rig.ear.seqs == [limits.KEEP_FRAMES, 1]
    assert (rig.relay.counts["double"], rig.relay.counts["late"]) == (1, 1)


# --- streams ----------------------------------------------------------------------------------------------------


def test_a_stream_is_counted_anew_in_every_grant_and_over_its_wrap() -> None:
    rig = Rig()
    rig.relay.said_rtp("p1", 65530, 2**32 - 2880, OPUS, 0)
    rig.relay.open("@up/p1", 3, "p1")
    up = Ear()
    rig.relay.attach("@up/p1", up)
    for n in range(8):
        rig.relay.said_rtp("p1", (65533 + n) % 65536, (2**32 - 960 + n * 960) % 2**32, OPUS, n * 20)
        if n == 3:
            rig.grant(burst=4, talker="p1")
    assert [(f.burst, f.seq, f.ts) for _, _, f in up.heard] == [(3, n, n * 960) for n in range(8)]
    assert [(f.burst, f.seq, f.ts) for _, _, f in rig.ear.heard] == [(4, n, n * 960) for n in range(4)]
    assert rig.relay.counts["stream-idle"] == 1


def test_a_reordered_stream_keeps_its_places() -> None:
    rig = Rig()
    rig.grant()
    for seq in (10, 12, 11, 9, 13):
        rig.relay.said_rtp("t1", seq, seq * 960, OPUS, 0)
    assert rig.ear.seqs == [0, 2, 1, 3]


def test_a_stream_begun_anew_goes_on_behind_the_last_frame() -> None:
    rig = Rig()
    rig.grant()
    for seq in (10, 11, 40_000, 40_001):
        rig.relay.said_rtp("t1", seq, seq * 77, OPUS, 0)
    assert rig.ear.seqs == [0, 1, 2, 3]
    assert [f.ts for _, _, f in rig.ear.heard] == [0, 77, 77 + 960, 2 * 77 + 960]


@given(st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), st.permutations(range(40)))
def test_any_stream_is_heard_once_from_its_first_packet_on(seq: int, ts: int, order: list[int]) -> None:
    rig = Rig()
    rig.grant()
    for n in order:
        rig.relay.said_rtp("t1", (seq + n) % 2**16, (ts + 960 * n) % 2**32, OPUS, 0)
    first = order[0]
    assert rig.ear.seqs == [n - first for n in order if n >= first]
    assert all(f.ts == f.seq * 960 for _, _, f in rig.ear.heard)


# --- taps and catch-up ------------------------------------------------------------------------------------------


def test_a_tap_hears_of_floors_and_of_intercoms() -> None:
    rig, tape = Rig(), Tape()
    rig.relay.taps.append(tape)
    rig.grant()
    rig.say(0, 10)
    rig.relay.set_floor(SetFloor("all", ended=1), 50)
    assert rig.relay.deadline() == 50 + limits.LATE_MS
    rig.relay.tick(50 + limits.LATE_MS)
    rig.relay.open("@up/p1", 2, "p1")
    rig.relay.said_rtp("p1", 1, 1, OPUS, 500)
    rig.relay.close("@up/p1")
    rig.relay.close("@up/p1")
    assert tape.lines == [
        ("began", "all", 1, 10), ("hear", "all", "t1", 0), ("ended", "all", 1, 350),
        ("began", "@up/p1", 2, 500), ("hear", "@up/p1", "p1", 0), ("ended", "@up/p1", 2, 500),
    ]  # fmt: skip
    assert rig.relay.deadline() is None


def test_the_last_seconds_of_a_burst_are_kept_for_those_who_missed_it() -> None:
    rig = Rig()
    rig.grant(groups=("all", "two"))
    for seq in range(limits.KEEP_FRAMES + 100):
        rig.say(seq, seq * 20)
    assert [f.seq for f in rig.relay.kept("two", 1, 800)] == list(range(800, limits.KEEP_FRAMES + 100))
    assert len(rig.relay.kept("all", 1, 0)) == limits.KEEP_FRAMES
    assert rig.relay.kept("other", 1, 0) == rig.relay.kept("all", 2, 0) == []


def test_bursts_kept_are_bounded() -> None:
    rig = Rig()
    for burst in range(1, limits.KEEP_BURSTS + 2):
        rig.grant(burst, now_ms=burst * 1000)
        rig.say(0, burst * 1000, burst=burst)
    assert rig.relay.kept("all", 1, 0) == []
    assert len(rig.relay.kept("all", 2, 0)) == 1


# --- everything at once -----------------------------------------------------------------------------------------

TALKERS = ("t1", "t2", "@ann")
CHANNELS = ("a", "b")


class OneTalker(RuleBasedStateMachine):
    """Random floors, talkers and listeners; a plain model says who must have heard what."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 0
        self.relay = Relay(lambda _: None)
        self.ears = {name: Ear() for name in ("e0", "e1", "e2")}
        self.attached: set[tuple[str, str]] = set()
        self.floors: dict[str, tuple[str, int, tuple[str, ...]]] = {}
        self.ended: dict[tuple[str, int], int] = {}  # when its grace is over
        self.bursts = 0
        self.said: set[tuple[str, int, int]] = set()

    @rule(channel=st.sampled_from(CHANNELS), talker=st.sampled_from(TALKERS), patched=st.booleans())
    def grant(self, channel: str, talker: str, patched: bool) -> None:
        self._over(channel)
        self.bursts += 1
        groups = CHANNELS if patched else (channel,)
        self.floors[channel] = (talker, self.bursts, groups)
        self.relay.set_floor(SetFloor(channel, self.bursts, talker, groups), self.now_ms)

    @rule(channel=st.sampled_from(CHANNELS))
    def end(self, channel: str) -> None:
        self._over(channel)
        self.relay.set_floor(SetFloor(channel), self.now_ms)

    def _over(self, channel: str) -> None:
        if channel in self.floors:
            talker, burst, _ = self.floors.pop(channel)
            self.ended[talker, burst] = self.now_ms + limits.LATE_MS

    @rule(ear=st.sampled_from(("e0", "e1", "e2")), channel=st.sampled_from(CHANNELS), on=st.booleans())
    def tune(self, ear: str, channel: str, on: bool) -> None:
        if on:
            self.attached.add((ear, channel))
            self.relay.attach(channel, self.ears[ear])
        else:
            self.attached.discard((ear, channel))
            self.relay.detach(channel, self.ears[ear])

    @rule(ms=st.integers(0, 2000))
    def wait(self, ms: int) -> None:
        self.now_ms += ms

    @precondition(lambda self: self.bursts)
    @rule(talker=st.sampled_from(TALKERS), back=st.integers(0, 3), seq=st.integers(0, 30))
    def say(self, talker: str, back: int, seq: int) -> None:
        burst = max(1, self.bursts - back)
        before = {name: len(ear.heard) for name, ear in self.ears.items()}
        self.relay.said(talker, frame(seq, burst), self.now_ms)
        heard = {name for name, ear in self.ears.items() if len(ear.heard) > before[name]}
        granted = next((g for t, b, g in self.floors.values() if (t, b) == (talker, burst)), None)
        if granted is None:
            assert not heard or self.now_ms < self.ended.get((talker, burst), 0), "nobody gave him the floor"
            return
        self.now_ms += 20  # inside the rate: what is granted must be heard
        if (talker, burst, seq) in self.said:
            assert not heard, "twice"
        else:
            assert heard == {ear for ear, channel in self.attached if channel in granted}
        self.said.add((talker, burst, seq))

    @invariant()
    def everybody_hears_each_frame_once(self) -> None:
        for ear in self.ears.values():
            frames = [(talker, f.burst, f.seq) for _, talker, f in ear.heard]
            assert len(frames) == len(set(frames))


TestOneTalker = OneTalker.TestCase


@pytest.mark.parametrize("burst", [1, 2])
def test_a_talker_holds_the_floor_of_two_groups_at_once(burst: int) -> None:
    rig, two = Rig(), Ear()
    rig.relay.attach("two", two)
    rig.grant()
    rig.relay.set_floor(SetFloor("two", 2, "t1"), 0)
    rig.say(0, 0, burst=burst)
    assert (len(rig.ear.heard), len(two.heard)) == ((1, 0) if burst == 1 else (0, 1))
