"""Several talk groups, one ear: who is heard, who waits, what was missed."""

from hypothesis import given
from hypothesis import strategies as st

from devices.voice.scanner import HANG_MS, MAX_MISSED, MAX_OPEN, SILENT_MS, Scanner


def speak(
    scanner: Scanner, group: str, burst: int, from_ms: float, frames: int = 10, **how: bool
) -> list[bool]:
    return [scanner.heard(group, burst, from_ms + 20 * n, **how) for n in range(frames)]


def test_one_group_alone_is_heard() -> None:
    scanner = Scanner()
    assert all(speak(scanner, "all", 1, 0))
    scanner.ended("all", 1, 200)
    assert scanner.playing is None
    assert dict(scanner.counts) == {"played": 1}
    assert scanner.missed == []


def test_between_equals_he_who_speaks_goes_on() -> None:
    scanner = Scanner()
    assert scanner.heard("a", 1, 0)
    assert not scanner.heard("b", 2, 10)
    assert scanner.heard("a", 1, 20)
    assert scanner.counts["skipped"] == 1


def test_a_higher_group_takes_the_ear_and_a_lower_one_does_not() -> None:
    scanner = Scanner({"all": 5, "unit": 3})
    assert scanner.heard("unit", 1, 0)
    assert not scanner.heard("other", 2, 10)
    assert scanner.heard("all", 3, 20)
    assert not scanner.heard("unit", 1, 30)
    assert scanner.playing == ("all", 3)


def test_an_emergency_in_the_lowest_group_wins() -> None:
    scanner = Scanner({"all": 10**9})
    assert scanner.heard("all", 1, 0)
    assert scanner.heard("lowest", 2, 10, emergency=True)
    assert not scanner.heard("all", 1, 20)
    assert not scanner.heard("other", 3, 30, emergency=True), "the first of two emergencies goes on"
    scanner.ended("lowest", 2, 40)
    assert not scanner.heard("all", 1, 50), "the answer to an emergency is waited for"


def test_a_reply_in_the_hang_time_is_not_lost_to_another_group() -> None:
    scanner = Scanner()
    speak(scanner, "a", 1, 0)
    scanner.ended("a", 1, 200)
    assert not any(speak(scanner, "b", 2, 300))
    assert all(speak(scanner, "a", 3, 1_000))


def test_after_the_hang_time_the_other_group_is_joined() -> None:
    scanner = Scanner()
    speak(scanner, "a", 1, 0)
    scanner.ended("a", 1, 200)
    heard = speak(scanner, "b", 2, 300, frames=200)
    assert heard.index(True) * 20 + 300 == 200 + HANG_MS
    assert all(heard[heard.index(True) :])
    scanner.ended("b", 2, 5_000)
    assert dict(scanner.counts) == {"played": 1, "partly": 1, "skipped": 95}


def test_in_the_hang_time_a_higher_group_is_heard() -> None:
    scanner = Scanner({"all": 1})
    speak(scanner, "a", 1, 0)
    scanner.ended("a", 1, 200)
    assert scanner.heard("all", 2, 210)


def test_stragglers_do_not_open_a_burst_again() -> None:
    scanner = Scanner()
    speak(scanner, "a", 1, 0)
    scanner.heard("b", 2, 100)
    scanner.ended("a", 1, 200)
    scanner.ended("b", 2, 200)
    assert scanner.heard("a", 1, 210), "goes where the rest went"
    assert not scanner.heard("b", 2, 210)
    assert scanner.playing is None
    assert dict(scanner.counts) == {"played": 1, "missed": 1, "skipped": 1}


def test_a_burst_that_becomes_an_emergency_takes_the_ear() -> None:
    scanner = Scanner()
    scanner.heard("a", 1, 0)
    assert not scanner.heard("b", 2, 10)
    assert scanner.heard("b", 2, 20, emergency=True)


def test_out_of_the_tunnel_the_same_burst_is_heard_again() -> None:
    scanner = Scanner()
    speak(scanner, "a", 1, 0)
    assert not scanner.heard("b", 2, 1_000)
    assert scanner.heard("a", 1, 10_000)


def test_what_was_missed_is_listed() -> None:
    scanner = Scanner()
    scanner.heard("a", 1, 0)
    for n in range(MAX_MISSED + 10):
        scanner.heard("b", n, n)
        scanner.ended("b", n, n)
    assert [one.burst for one in scanner.missed] == list(range(10, MAX_MISSED + 10))
    assert scanner.counts["missed"] == MAX_MISSED + 10


def test_what_falls_silent_has_ended() -> None:
    scanner = Scanner()
    scanner.heard("a", 1, 0)
    assert not scanner.heard("b", 2, SILENT_MS)
    assert scanner.heard("b", 2, SILENT_MS + 1), "the hang counts from the last word"
    assert scanner.playing == ("b", 2)


def test_an_end_nobody_knows_of_is_nothing() -> None:
    scanner = Scanner()
    scanner.ended("a", 1, 0)
    assert not scanner.counts


EVENTS = st.lists(
    st.tuples(
        st.sampled_from("abcd"), st.integers(0, 40), st.integers(0, 1_500), st.booleans(), st.integers(0, 9)
    ),
    max_size=200,
)


@given(events=EVENTS)
def test_one_at_a_time_emergencies_first_and_all_bounded(
    events: list[tuple[str, int, int, bool, int]],
) -> None:
    scanner = Scanner({"a": 3, "b": 2, "c": 1})
    now_ms = 0
    for group, burst, later_ms, emergency, what in events:
        now_ms += later_ms
        before = scanner.playing
        if what == 0:
            scanner.ended(group, burst, now_ms)
            continue
        played = scanner.heard(group, burst, now_ms, emergency=emergency)
        if (group, burst) in scanner._over:
            assert scanner.playing == before
            continue
        assert played == (scanner.playing == (group, burst))
        if played and before not in {None, (group, burst)} and before in scanner._open:
            assert scanner._open[group, burst].priority > scanner._open[before].priority
        assert len(scanner._open) <= MAX_OPEN
        assert len(scanner.missed) <= MAX_MISSED
