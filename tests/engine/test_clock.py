"""Core time never steps back, whatever the wall clock does, and a start goes on by at most a day of downtime."""

import random
import time

import pytest

from dispatchd.clock import DOWNTIME_MAX_MS, CoreClock, wall_ms

DAY_MS = 86_400_000
NOW_MS = 1_795_000_000_000


class Wall:
    """A wall clock that somebody sets."""

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def __call__(self) -> int:
        return self.ms


def test_a_new_site_starts_at_wall_time_and_runs_by_the_monotonic_clock() -> None:
    ticks = iter([100.0, 100.0, 101.5])
    clock = CoreClock(0, Wall(NOW_MS), lambda: next(ticks))
    assert [clock.now_ms(), clock.now_ms()] == [NOW_MS, NOW_MS + 1500]


@pytest.mark.parametrize(
    ("wall_moved_ms", "went_on_ms"),
    [(0, 0), (90_000, 90_000), (DAY_MS - 1, DAY_MS - 1), (400 * DAY_MS, DOWNTIME_MAX_MS), (-400 * DAY_MS, 0), (-1, 0)],
)  # fmt: skip
def test_a_start_goes_on_by_the_downtime_between_nothing_and_a_day(
    wall_moved_ms: int, went_on_ms: int
) -> None:
    clock = CoreClock(NOW_MS, Wall(NOW_MS + wall_moved_ms), lambda: 7.0)
    assert clock.now_ms() == NOW_MS + went_on_ms


def test_the_wall_jumping_400_days_while_it_runs_changes_nothing() -> None:
    wall, at = Wall(NOW_MS), [5.0]
    clock = CoreClock(NOW_MS, wall, lambda: at[0])
    before = clock.now_ms()
    for jump in (400 * DAY_MS, -800 * DAY_MS, 400 * DAY_MS):
        wall.ms += jump
        at[0] += 1.0
        assert clock.now_ms() - before == 1000
        before = clock.now_ms()


def test_over_many_lives_with_a_jumping_wall_it_only_grows() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance, wall, last = random.Random(seed), Wall(NOW_MS), 0
    for _ in range(2000):
        wall.ms = max(1, wall.ms + chance.randint(-400 * DAY_MS, 400 * DAY_MS))
        at = [chance.random() * 1e6]
        clock = CoreClock(last, wall, lambda at=at: at[0])  # type: ignore[misc]
        start = clock.now_ms()
        assert last == 0 or 0 <= start - last <= DOWNTIME_MAX_MS
        at[0] += chance.random() * 1000
        assert clock.now_ms() >= start
        last = clock.now_ms()


def test_seconds_until_is_what_is_left_and_never_negative() -> None:
    clock = CoreClock(NOW_MS, Wall(NOW_MS), lambda: 3.0)
    assert clock.seconds_until(NOW_MS + 2500) == 2.5
    assert clock.seconds_until(NOW_MS - 1) == 0


def test_the_machines_clocks_are_the_defaults() -> None:
    before = time.time_ns() // 1_000_000
    clock = CoreClock(0)
    assert before <= clock.now_ms() <= wall_ms() + 1
