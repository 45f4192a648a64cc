"""Frames told apart, keys by epoch, pings by doubt: the small rooms of the radio, one by one."""

import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.voice.hearing import MAX_ASKS, MAX_BURSTS, WINDOW_FRAMES, Hearing
from devices.voice.keyring import DOWN, FORMER_MS, Keyring
from devices.voice.route import AWAY_MS, BACK_AFTER, DARK_MS, IDLE_MS, SUSPICIOUS_MS, Route
from protocols import down
from protocols.errors import ProtocolError
from protocols.sframe import Sealer
from protocols.voice import CATCH_UP, LAST, Frame
from protocols.voice_keys import GroupKey, KeyPair, Keys, OwnKey, context, encode, seal_to


def frame(seq: int, burst: int = 1, flags: int = 0) -> Frame:
    return Frame(burst, seq, seq * 960, b"x", flags)


# --- hearing


@given(st.lists(st.integers(0, 400), max_size=300))
def test_each_frame_counts_once_in_any_order(seqs: list[int]) -> None:
    hearing = Hearing("t-1")
    new = [seq for seq in seqs if hearing.frame("g", frame(seq), 0)[0]]
    assert new == list(dict.fromkeys(seqs))
    assert hearing.counts["double"] == len(seqs) - len(new)


def test_a_frame_behind_the_window_is_too_late() -> None:
    hearing = Hearing("t-1")
    assert hearing.frame("g", frame(WINDOW_FRAMES + 5), 0)[0]
    assert hearing.frame("g", frame(6), 0)[0]
    assert not hearing.frame("g", frame(5), 0)[0]
    assert hearing.counts["too-late"] == 1


def test_the_same_burst_by_two_patched_groups_is_heard_once() -> None:
    hearing = Hearing("t-1")
    assert hearing.frame("a", frame(0), 0)[0]
    assert not hearing.frame("b", frame(0), 0)[0]


def test_a_gap_is_asked_for_once_and_not_again_by_what_fills_it() -> None:
    hearing = Hearing("t-1")
    hearing.frame("g", frame(0), 0)
    _, missed = hearing.frame("g", frame(40), 0)
    assert missed is not None
    assert (missed.burst, missed.seq) == (1, 1)
    for seq in range(1, 40):
        assert hearing.frame("g", frame(seq, flags=CATCH_UP), 0) == (True, None)
    assert hearing.frame("g", frame(41), 0) == (True, None)


def test_asking_and_remembering_are_bounded() -> None:
    hearing = Hearing("t-1")
    asked = [hearing.frame("g", frame(100 * n), 0)[1] for n in range(20)]
    assert sum(one is not None for one in asked) == MAX_ASKS
    for burst in range(10 * MAX_BURSTS):
        hearing.frame("g", frame(0, burst), 0)
    assert len(hearing.bursts) == MAX_BURSTS


def test_our_own_word_is_never_played() -> None:
    hearing = Hearing("t-1")
    hearing.taken(down.FloorTaken("g", 1, "t-1"), 0)
    assert not hearing.frame("g", frame(0), 0)[0]


def test_our_own_frames_that_come_back_before_we_are_told_that_we_talk_are_not_played() -> None:
    hearing = Hearing("t-1")
    hearing.mine("g", 1)
    assert not hearing.frame("g", frame(0), 0)[0]
    hearing.taken(down.FloorTaken("g", 1, "t-1"), 0)
    assert not hearing.frame("g", frame(1), 0)[0]


def test_who_must_be_deaf_is_so_in_the_middle_of_a_word_and_hears_again_when_he_may() -> None:
    hearing = Hearing("t-1")
    hearing.taken(down.FloorTaken("g", 1, "t-2"), 0)
    assert hearing.frame("g", frame(0), 0)[0]
    hearing.taken(down.FloorTaken("g", 1, "t-2", not_for=["t-1"]), 20)
    assert not hearing.frame("g", frame(1), 20)[0]
    hearing.taken(down.FloorTaken("g", 1, "t-2"), 40)
    assert hearing.frame("g", frame(2), 40)[0]


def test_an_older_taken_that_comes_late_changes_nothing() -> None:
    hearing = Hearing("t-1")
    hearing.taken(down.FloorTaken("g", 5, "t-2"), 0)
    assert hearing.taken(down.FloorTaken("g", 4, "t-3"), 0) == (None, None)
    hearing.idle(down.FloorIdle("g", 5))
    assert hearing.taken(down.FloorTaken("g", 5, "t-2"), 0) == (None, None), "it has ended already"
    assert hearing.talks == {}


def test_sound_is_missed_after_300_ms_at_first_and_500_later_but_not_after_the_last() -> None:
    hearing = Hearing("t-1")
    hearing.taken(down.FloorTaken("g", 1, "t-2"), 1_000)
    assert hearing.quiet_since(1_299) is None
    assert hearing.quiet_since(1_300) == 1_000
    hearing.frame("g", frame(0), 1_400)
    assert hearing.quiet_since(1_899) is None
    assert hearing.quiet_since(1_900) == 1_400
    hearing.frame("g", frame(1, flags=LAST), 2_000)
    assert hearing.quiet_since(9_000) is None


# --- keys


class Site:
    def __init__(self) -> None:
        self.ring = Keyring("t-1")
        self.pair, self.nonce = KeyPair.generate(), os.urandom(16)
        self.ring.join(self.pair, self.nonce)
        self.up, self.down = OwnKey(1 << 16 | 1, bytes(16)), OwnKey(1 << 16 | 2, b"d" * 16)

    def tell(self, *groups: GroupKey, now_ms: int = 0, device: str = "t-1", nonce: bytes = b"") -> None:
        keys = Keys(1, self.up, self.down, list(groups))
        public, sealed = seal_to(self.pair.public, encode(keys), context(device, self.nonce))
        self.ring.take(down.VoiceKeys(nonce or self.nonce, public, sealed), now_ms)


def group_key(epoch: int) -> GroupKey:
    return GroupKey("g", epoch, 1 << 16 | 10 + epoch, bytes([epoch]) * 16)


def code(site: Site, sealed: bytes, now_ms: int) -> str:
    with pytest.raises(ProtocolError) as caught:
        site.ring.open(sealed, now_ms)
    return caught.value.code


def test_only_the_keys_of_our_own_join_count() -> None:
    site = Site()
    with pytest.raises(ProtocolError, match="another join"):
        site.tell(nonce=b"z" * 16)
    with pytest.raises(ProtocolError, match="not sealed to this device"):
        site.tell(device="t-2")
    assert not site.ring.ready
    site.tell()
    assert site.ring.ready


def test_the_same_keys_again_keep_the_counter_and_the_window() -> None:
    site = Site()
    site.tell(group_key(1))
    first = site.ring.seal(b"a")
    sealed = Sealer(group_key(1).kid, group_key(1).key).seal(b"f")
    assert site.ring.open(sealed, 0) == ("g", b"f")
    site.tell(group_key(1))
    assert site.ring.seal(b"a") != first, "a counter would have repeated under its key"
    assert code(site, sealed, 0) == "sframe-replayed"


def test_a_former_epoch_opens_for_two_seconds_or_until_the_new_one_is_heard() -> None:
    site = Site()
    old, new = (Sealer(group_key(n).kid, group_key(n).key) for n in (1, 2))
    site.tell(group_key(1))
    site.tell(group_key(2), now_ms=1_000)
    assert site.ring.open(old.seal(b"o"), 1_000 + FORMER_MS) == ("g", b"o")
    assert code(site, old.seal(b"o"), 1_001 + FORMER_MS) == "stale-kid"
    site.tell(group_key(1), now_ms=10_000)
    site.tell(group_key(2), now_ms=10_000)
    assert site.ring.open(new.seal(b"n"), 10_001)[1] == b"n"
    assert code(site, old.seal(b"o"), 10_002) == "unknown-kid"


def test_a_group_that_is_not_in_the_list_is_forgotten_at_once() -> None:
    site = Site()
    site.tell(group_key(1))
    site.tell()
    assert code(site, Sealer(group_key(1).kid, group_key(1).key).seal(b"x"), 0) == "unknown-kid"
    assert site.ring.open(Sealer(site.down.kid, site.down.key).seal(b"p"), 0) == (DOWN, b"p")


def test_another_start_of_the_daemon_is_known_for_what_it_is() -> None:
    site = Site()
    site.tell()
    assert code(site, Sealer(2 << 16 | 1, bytes(16)).seal(b"x"), 0) == "unknown-start"


# --- route


def drive(
    route: Route, until_ms: int, *, answers: bool, start_ms: int = 0, quiet: int | None = None
) -> list[int]:
    """Times of the pings; a pong follows each at once when it answers."""
    pings = []
    for now in range(start_ms, until_ms, 10):
        if "ping" in route.step(now, quiet, talking=False):
            pings.append(now)
            if answers:
                route.pong(route.n, 0, now)
    return pings


def test_answered_pings_are_ten_seconds_apart() -> None:
    route = Route()
    route.start(1, 0)
    assert drive(route, 35_000, answers=True) == [0, IDLE_MS, 2 * IDLE_MS, 3 * IDLE_MS]


def test_unanswered_ones_come_quickly_and_it_is_dark_soon() -> None:
    route = Route()
    route.start(1, 0)
    pings = drive(route, DARK_MS + SUSPICIOUS_MS, answers=False)
    assert route.carriage == "mqtt"
    assert min(b - a for a, b in itertools.pairwise(pings)) >= SUSPICIOUS_MS


def test_it_comes_back_after_answers_in_a_row_only() -> None:
    route = Route()
    route.start(1, 0)
    drive(route, 2_000, answers=False)
    drive(route, 2_000 + AWAY_MS, answers=True, start_ms=2_000)
    drive(route, 2_000 + 2 * AWAY_MS, answers=False, start_ms=2_000 + AWAY_MS)
    drive(route, 2_000 + 4 * AWAY_MS, answers=True, start_ms=2_000 + 2 * AWAY_MS)
    away = route.carriage
    assert away == "mqtt", "one answer was missing in between"
    drive(route, 2_000 + (4 + BACK_AFTER) * AWAY_MS, answers=True, start_ms=2_000 + 4 * AWAY_MS)
    assert route.carriage != away


def test_pongs_to_pings_never_sent_are_nothing() -> None:
    route = Route()
    route.start(1, 0)
    for now in range(0, 3_000, 10):
        route.step(now, None, talking=False)
        route.pong(route.n + 7, 0, now)
    assert route.carriage == "mqtt"
