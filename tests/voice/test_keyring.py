"""Keys and epochs: a member that left never learns another key, and the old one seals nothing for long."""

import random
from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dispatchd.voice import keyring
from dispatchd.voice.keyring import Keyring, KeysExhausted
from protocols.errors import ProtocolError
from protocols.sframe import Opener, kid_of
from protocols.voice_keys import MAX_GROUPS, GroupKey, Keys

NONCE, POINT = bytes(8), bytes(65)


def random_bytes(seed: int = 1) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


def ring(*devices: str, start: int = 3) -> Keyring:
    made = Keyring(start, random_bytes())
    for device in devices:
        made.join(device, NONCE, POINT, 0)
    return made


def key_of(made: Keyring, device: str, group: str) -> GroupKey:
    keys = made.keys(device, [])
    assert keys is not None
    return next(key for key in keys.groups if key.group == group)


def sealed(made: Keyring, group: str, burst: int | None, now_ms: int) -> bytes:
    sealer = made.sealer(group, burst, now_ms)
    assert sealer is not None
    return sealer.seal(b"sound")


def opens(key: GroupKey, what: bytes) -> bool:
    try:
        return Opener(key.kid, key.key).open(what) == b"sound"
    except ProtocolError:
        return False


def test_a_device_gets_keys_of_its_own_and_of_its_groups() -> None:
    made = ring("a", "b")
    assert made.sync({"all": {"a", "b"}, "two": {"b"}}, 0) == {"a", "b"}
    keys = made.keys("b", ["h:1"])
    assert isinstance(keys, Keys)
    assert (keys.start, keys.udp, [k.group for k in keys.groups]) == (3, ["h:1"], ["all", "two"])
    assert keys.up is not None
    assert keys.down is not None
    kids = [keys.up.kid, keys.down.kid, *(k.kid for k in keys.groups)]
    assert {kid >> 16 for kid in kids} == {3}
    assert len(set(kids)) == 4
    assert opens(key_of(made, "a", "all"), sealed(made, "all", 1, 0))
    assert made.keys("c", []) is None


def test_nothing_changed_tells_nobody_and_a_new_member_alone_is_told() -> None:
    made = ring("a", "b")
    made.sync({"all": {"a"}}, 0)
    before = key_of(made, "a", "all")
    assert made.sync({"all": {"a"}}, 0) == set()
    assert made.sync({"all": {"a", "b", "without-keys"}}, 0) == {"b"}
    assert key_of(made, "b", "all") == before


@pytest.mark.parametrize(("burst", "at_ms"), [(2, 1), (1, keyring.SWITCH_MS)])
def test_when_one_leaves_the_next_burst_or_second_is_closed_to_him(burst: int, at_ms: int) -> None:
    made = ring("a", "b", "c")
    made.sync({"all": {"a", "b", "c"}}, 0)
    old = key_of(made, "c", "all")
    assert opens(old, sealed(made, "all", 1, 0))
    assert made.sync({"all": {"a", "b"}}, 0) == {"a", "b", "c"}
    keys = made.keys("c", [])
    assert keys is not None
    assert keys.groups == []
    assert opens(old, sealed(made, "all", 1, keyring.SWITCH_MS - 1)), "a word goes on as it began"
    assert opens(old, sealed(made, "all", None, 1)), "what is caught up is no new burst"
    after = sealed(made, "all", burst, at_ms)
    assert not opens(old, after)
    new = key_of(made, "a", "all")
    assert (new.epoch, opens(new, after)) == (2, True)


def test_who_leaves_while_an_epoch_is_on_its_way_does_not_know_it() -> None:
    made = ring("a", "b", "c")
    made.sync({"all": {"a", "b", "c"}}, 0)
    sealed(made, "all", 1, 0)
    made.sync({"all": {"a", "b"}}, 0)
    known = key_of(made, "b", "all")
    made.sync({"all": {"a"}}, 900)
    assert not opens(known, sealed(made, "all", 2, 950))
    assert key_of(made, "a", "all").epoch == 3


def test_many_who_leave_do_not_put_the_switch_off() -> None:
    devices = [f"d{n}" for n in range(20)]
    made = ring(*devices)
    made.sync({"all": set(devices)}, 0)
    old = key_of(made, "d0", "all")
    sealed(made, "all", 1, 0)
    for n in range(1, 20):
        made.sync({"all": set(devices[n:])}, n * 500)
        assert opens(old, sealed(made, "all", 1, n * 500)) == (n * 500 < 500 + keyring.SWITCH_MAX_MS)


def test_a_device_that_is_gone_leaves_no_key_that_opens() -> None:
    made = ring("a", "b")
    made.sync({"all": {"a", "b"}, "two": {"b"}}, 0)
    session, old = made.session("b"), key_of(made, "b", "all")
    assert session is not None
    assert made.leave("b", 0) == {"a"}
    assert made.opening(session.up.kid) is None
    assert made.unknown_why(session.up.kid) == "stale-kid"
    assert not opens(old, sealed(made, "all", 2, 0))
    made.join("b", NONCE, POINT, 0)  # with its new credentials
    assert made.sync({"all": {"a", "b"}, "two": {"b"}}, 0) == {"b"}
    assert opens(key_of(made, "b", "all"), sealed(made, "all", 3, 0))


def test_a_new_join_keeps_the_former_keys_for_what_is_under_way() -> None:
    made = ring("a")
    kids = [made.join("a", NONCE, POINT, n).up.kid for n in range(4)]
    assert [made.opening(kid) is not None for kid in kids] == [False, True, True, True]
    made.tick(3 + keyring.FORMER_MS)
    assert [made.opening(kid) is not None for kid in kids] == [False, False, False, True]


def test_numbers_of_other_starts_are_known_for_what_they_are() -> None:
    made, other = ring("a"), ring("a", start=2)
    session = other.session("a")
    assert session is not None
    assert made.opening(session.up.kid) is None
    assert made.unknown_why(session.up.kid) == "stale-kid"
    assert made.unknown_why(3 << 16 | 999) == "unknown-kid"


def test_a_group_that_is_closed_is_forgotten() -> None:
    made = ring("a")
    made.sync({"all": {"a"}}, 0)
    assert made.sync({}, 0) == {"a"}
    assert made.sealer("all", 1, 0) is None
    assert made.members("all") == frozenset()
    assert not made.is_member("a", "all")


def test_numbers_are_used_anew_but_never_twice_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "COUNTERS", 100)
    made = ring("keeper")
    kept = made.session("keeper")
    assert kept is not None
    for n in range(500):
        session = made.join("a", NONCE, POINT, n * 10_000)
        assert kept.up.kid not in (session.up.kid, session.down.kid)


def test_when_all_numbers_are_in_use_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "COUNTERS", 5)
    made = ring("a", "b")
    with pytest.raises(KeysExhausted):
        made.join("c", NONCE, POINT, 0)


DEVICES = ("a", "b", "c", "d")


class NoKeyForStrangers(RuleBasedStateMachine):
    """Members come and go; each device remembers every group key it was ever told."""

    def __init__(self) -> None:
        super().__init__()
        self.made = ring(*DEVICES)
        self.now_ms = 0
        self.burst = 1
        self.members: set[str] = set()
        self.known: dict[str, list[GroupKey]] = {device: [] for device in DEVICES}
        self.left_in: dict[str, int] = {}  # the burst during which a device left
        self.left_ms = 0
        self.made.sync({"g": set()}, 0)
        sealed(self.made, "g", self.burst, 0)

    @rule(members=st.sets(st.sampled_from(DEVICES)))
    def change(self, members: set[str]) -> None:
        for device in self.members - members:
            self.left_in[device], self.left_ms = self.burst, self.now_ms
        for device in members:
            self.left_in.pop(device, None)
        self.members = members
        for device in self.made.sync({"g": members}, self.now_ms):
            keys = self.made.keys(device, [])
            assert keys is not None
            self.known[device] += keys.groups

    @rule(ms=st.integers(0, 1500))
    def wait(self, ms: int) -> None:
        self.now_ms += ms

    @rule()
    def next_burst(self) -> None:
        self.burst += 1

    @precondition(lambda self: self.members)
    @rule()
    def talk(self) -> None:
        what = sealed(self.made, "g", self.burst, self.now_ms)
        for device in DEVICES:
            can = any(opens(key, what) for key in self.known[device] if key.kid == kid_of(what))
            if device in self.left_in and self.left_in[device] != self.burst:
                assert not can, "he left during an earlier burst"
            if self.now_ms >= self.left_ms + keyring.SWITCH_MS and device not in self.members:
                assert not can, "the old key's time is over"

    @invariant()
    def members_know_what_is_to_come(self) -> None:
        for device in self.members:
            assert key_of(self.made, device, "g") in self.known[device]


TestNoKeyForStrangers = NoKeyForStrangers.TestCase


def test_of_too_many_groups_the_incidents_are_told() -> None:
    made = ring("a")
    names = [f"og1-{n}" for n in range(MAX_GROUPS + 50)]
    made.sync({name: {"a"} for name in ["all", *names, "inc-i1-1"]}, 0)
    keys = made.keys("a", [])
    assert keys is not None
    assert [key.group for key in keys.groups][:3] == ["inc-i1-1", "all", "og1-0"]
    assert len(keys.groups) == MAX_GROUPS
