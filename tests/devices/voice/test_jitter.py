"""The jitter buffer: order, loss, pauses, doubles, bursts that change or break off, bounds, figures by loss rate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.voice.jitter import CATCH_UP_WAIT_MS, END_MS, FASTER, FASTEST, MAX_BURSTS, JitterBuffer
from devices.voice.lateness import MOST_MS, UNKNOWN_MS, Lateness, Transits
from devices.voice.slots import Ended, Play, Recover, Silence, Slot
from devices.voice.stream import MOST_FRAMES
from protocols.errors import ProtocolError
from protocols.voice import CATCH_UP, LAST, Frame
from tests.devices.voice.network import Network, buffer, listen, opus_of, spoken

Slots = list[tuple[float, Slot]]


def played(slots: Slots, burst: int = 1) -> list[int]:
    return [slot.seq for _, slot in slots if isinstance(slot, Play) and slot.burst == burst]


def of_burst(slots: Slots, burst: int = 1) -> Slots:
    """From its first to its last slot."""
    return [(at, slot) for at, slot in slots if slot.burst == burst]


def kinds(slots: Slots) -> str:
    """One letter a slot."""
    return "".join(type(slot).__name__[0] for _, slot in slots)


# ------------------------------------------------------------------------------------------- a good network


def test_a_quiet_network_plays_everything_after_the_first_wait() -> None:
    jitter = buffer()
    slots = listen(jitter, spoken(50), 2_000)
    assert played(slots) == list(range(50))
    assert kinds(of_burst(slots)) == "P" * 50 + "E"
    assert of_burst(slots)[0][0] == UNKNOWN_MS
    assert not jitter.counts
    assert jitter.idle


def test_between_bursts_there_is_silence_that_belongs_to_none() -> None:
    assert buffer().take(0.0) == Silence(None, 20)


def test_the_wait_is_learnt_and_kept_for_the_next_burst() -> None:
    jitter = buffer()
    listen(jitter, Network(3, jitter_ms=150).carry(spoken(200)), 6_000)
    assert 120 < jitter.target_ms < 175
    came = Network(4, jitter_ms=150).carry(spoken(200, burst=2, at_ms=10_000))
    before = jitter.counts.copy()
    slots = listen(jitter, came, 16_000, from_ms=10_000)
    assert played(slots, 2)[:20] == list(range(20)), "the first word is whole"
    assert jitter.counts["starved"] - before["starved"] <= 12  # of 200 frames; and the last ones
    listen(jitter, spoken(300, burst=3, at_ms=20_000), 27_000, from_ms=20_000)
    assert jitter.target_ms == 20, "a network that calmed down"


def test_the_wait_has_bounds() -> None:
    lateness = Lateness()
    transits = Transits(lateness)
    for n in range(300):
        transits.arrived(n * 960, n * 20 + (n % 2) * 900)
    assert lateness.target_ms == MOST_MS


def test_another_route_is_learnt_and_the_old_one_forgotten() -> None:
    jitter = buffer()
    came = [(at if frame.seq < 100 else at + 150, frame) for at, frame in spoken(800)]
    listen(jitter, came[:300], 6_000)
    assert jitter.target_ms == 170, "150 ms later than the quickest, and one frame"
    assert played(listen(jitter, came[300:], 17_000, from_ms=6_000)) == list(range(300, 800))
    assert jitter.target_ms == 20, "and nobody is late any more"


@pytest.mark.parametrize("jump_ms", [-60_000, 3_600_000])
def test_a_talkers_clock_that_jumps_is_not_lateness(jump_ms: int) -> None:
    jitter = buffer()
    came = [
        (
            at,
            Frame(
                1,
                frame.seq,
                (frame.ts + (jump_ms * 48 if frame.seq >= 100 else 0)) % 2**32,
                b"x",
                frame.flags,
            ),
        )
        for at, frame in spoken(200)
    ]
    assert played(listen(jitter, came, 6_000)) == list(range(200))
    assert jitter.target_ms == 20


@pytest.mark.parametrize("ms", [10, 20, 40, 60])
def test_packets_of_any_length(ms: int) -> None:
    slots = listen(buffer(ms), Network(1, jitter_ms=15).carry(spoken(40, ms=ms)), 40 * ms + 1_000)
    assert played(slots) == list(range(40))
    assert kinds(of_burst(slots)).rstrip("E").count("P") == 40


# --------------------------------------------------------------------------------------- loss, order, doubles


def without(came: list[tuple[float, Frame]], *missing: int) -> list[tuple[float, Frame]]:
    return [(at, frame) for at, frame in came if frame.seq not in missing]


@pytest.mark.parametrize("ms", [20, 60])
def test_a_lost_frame_is_recovered_from_the_next(ms: int) -> None:
    jitter = buffer(ms)
    slots = listen(jitter, without(spoken(20, ms=ms), 7), 30 * ms + 500)
    at = kinds(of_burst(slots)).index("R")
    assert of_burst(slots)[at][1] == Recover(1, opus_of(1, 8), ms)
    assert of_burst(slots)[at + 1][1] == Play(1, 8, opus_of(1, 8), ms)
    assert dict(jitter.counts) == {"lost": 1, "recovered": 1}


def test_of_several_lost_frames_the_last_is_recovered_and_the_others_made_up() -> None:
    jitter = buffer()
    jitter_wait = [(at, frame) for at, frame in spoken(60) if frame.seq not in {30, 31, 32}]
    slots = listen(jitter, Network(delay_ms=0).carry(jitter_wait), 2_000)
    assert kinds(of_burst(slots)) == "P" * 30 + "CCR" + "P" * 27 + "E"
    assert dict(jitter.counts) | {"starved": 0} == {"lost": 3, "concealed": 2, "recovered": 1, "starved": 0}


def test_after_100_ms_of_made_up_sound_comes_silence() -> None:
    jitter = buffer()
    came = [(at if frame.seq < 10 else 200.0, frame) for at, frame in without(spoken(50), *range(10, 30))]
    slots = listen(jitter, came, 2_000)
    assert "C" * 6 not in kinds(slots)
    assert played(slots) == [*range(10), *range(30, 50)]
    assert jitter.counts["lost"] == 20


def test_frames_that_change_places_are_played_in_order() -> None:
    came = spoken(50)
    came[10:12] = [(came[11][0], came[11][1]), (came[11][0] + 5, came[10][1])]
    jitter = buffer()
    assert played(listen(jitter, came, 2_000)) == list(range(50))
    assert not jitter.counts


def test_the_first_two_may_change_places() -> None:
    first, second, *rest = spoken(50)
    jitter = buffer()
    assert played(listen(jitter, [(0.0, second[1]), (20.0, first[1]), *rest], 2_000)) == list(range(50))


def test_doubles_are_played_once() -> None:
    jitter = buffer()
    assert played(listen(jitter, Network(5, doubles=1.0, jitter_ms=30).carry(spoken(50)), 2_000)) == list(
        range(50)
    )
    assert jitter.counts["duplicate"] + jitter.counts["late"] == 50


def test_a_frame_that_was_given_up_is_late() -> None:
    jitter = buffer()
    came = without(spoken(50, last=False), 10)
    came.insert(30, (came[29][0], Frame(1, 10, 9600, b"x")))
    slots = listen(jitter, came, 1_000)
    assert 10 not in played(slots)
    assert jitter.counts["late"] == 1


# ------------------------------------------------------------------------------------- pauses and lateness


def pausing(pause_ms: int, before: int = 30, after: int = 30) -> list[tuple[float, Frame]]:
    """Numbers go on, timestamps show the pause."""
    return [
        (
            n * 20 + (pause_ms if n >= before else 0),
            Frame(1, n, n * 960 + (pause_ms * 48 if n >= before else 0), b"x"),
        )
        for n in range(before + after)
    ]


@pytest.mark.parametrize("pause_ms", [20, 400, 900])
def test_a_pause_of_the_talker_is_no_loss_and_keeps_its_length(pause_ms: int) -> None:
    jitter = buffer()
    slots = listen(jitter, pausing(pause_ms), 2_000 + pause_ms)
    times = {slot.seq: at for at, slot in slots if isinstance(slot, Play)}
    assert list(times) == list(range(60))
    assert times[30] - times[29] == pytest.approx(pause_ms + 20, abs=40)  # the wait shrinks meanwhile
    assert jitter.counts["lost"] == jitter.counts["concealed"] == 0


def test_a_late_word_is_played_late_and_not_thrown_away() -> None:
    jitter = buffer()
    came = [(at if not 20 <= frame.seq < 45 else 1_000.0, frame) for at, frame in spoken(100)]
    slots = listen(jitter, came, 2_600)
    assert played(slots) == list(range(100))
    assert jitter.counts["lost"] == jitter.counts["late"] == 0
    assert jitter.speed(1_000) == 1.0


def test_after_a_hole_in_the_network_the_next_word_comes_as_soon_as_before() -> None:
    jitter = buffer()
    slots = listen(jitter, without(spoken(100), *range(40, 60)), 2_600)
    delays = {slot.seq: at - slot.seq * 20 for at, slot in slots if isinstance(slot, Play)}
    assert delays[60] <= delays[39]
    assert jitter.counts["recovered"] == 0, "its time has passed"
    assert jitter.counts["lost"] == 20


def test_what_piled_up_is_played_faster_until_it_is_gone() -> None:
    jitter = buffer()
    for _, frame in spoken(50, last=False):
        jitter.put(frame, 0.0)
    jitter.take(100.0)
    assert jitter.speed(100.0) == FASTEST
    for _ in range(35):
        jitter.take(100.0)
    assert jitter.speed(100.0) == FASTEST, "no to and fro"
    for _ in range(13):
        jitter.take(100.0)
    assert jitter.speed(100.0) == 1.0


def test_a_little_too_much_is_played_a_little_faster() -> None:
    jitter = buffer()
    for _, frame in spoken(10, last=False):
        jitter.put(frame, 0.0)
    jitter.take(100.0)
    assert jitter.speed(100.0) == FASTER


def test_pauses_are_shortened_when_too_much_waits() -> None:
    jitter = buffer()
    for _, frame in pausing(400, 5, 20):
        jitter.put(frame, 0.0)
    slots = [jitter.take(100.0 + 20 * n) for n in range(25)]
    assert kinds([(0.0, slot) for slot in slots]) == "P" * 25


# ----------------------------------------------------------------------------------------- begin and end


def test_a_late_joiner_starts_where_he_is() -> None:
    jitter = buffer()
    assert played(listen(jitter, spoken(50, first=1_234), 2_000)) == list(range(1_234, 1_284))
    assert not jitter.counts


def test_a_last_frame_may_be_empty() -> None:
    jitter = buffer()
    came = [*spoken(20, last=False), (400.0, Frame(1, 20, 20 * 960, b"", LAST))]
    slots = listen(jitter, came, 1_000)
    assert kinds(of_burst(slots)) == "P" * 20 + "E"


def test_a_last_frame_of_garbage_still_ends() -> None:
    def only_good(opus: bytes) -> int:
        if opus == b"bad":
            raise ProtocolError("bad-opus", "no packet")
        return 960

    jitter = JitterBuffer(only_good)
    came = [*spoken(20, last=False), (400.0, Frame(1, 20, 19_200, b"bad", LAST))]
    came.insert(10, (came[9][0], Frame(1, 5_000, 3, b"bad")))
    slots = listen(jitter, came, 1_000)
    assert kinds(of_burst(slots)).startswith("P" * 20)
    assert kinds(slots).count("E") == 1
    assert jitter.counts["garbage"] == 2


def test_a_burst_whose_last_frame_is_lost_ends() -> None:
    jitter = buffer()
    slots = listen(jitter, spoken(20, last=False), 3_000)
    ends = [at for at, slot in slots if isinstance(slot, Ended)]
    assert ends == [380 + END_MS]
    assert kinds(of_burst(slots)) == "P" * 20 + "C" * 5 + "S" * 41 + "E"


def test_once_the_floor_is_idle_it_ends_sooner() -> None:
    jitter = buffer()
    listen(jitter, spoken(20, last=False), 400)
    jitter.close(1)
    slots = listen(jitter, [], 2_000, from_ms=400)
    assert [at for at, slot in slots if isinstance(slot, Ended)] == [480]
    jitter.put(spoken(21)[20][1], 500)
    assert jitter.idle, "it does not come back"


def test_a_new_burst_ends_the_old_one_and_is_whole() -> None:
    jitter = buffer()
    came = sorted(spoken(20, last=False) + spoken(20, burst=2, at_ms=420), key=lambda one: one[0])
    slots = listen(jitter, came, 2_000)
    order = [slot.burst for _, slot in slots if isinstance(slot, Play | Ended)]
    assert order == [1] * 21 + [2] * 21
    assert played(slots, 2) == list(range(20))


def test_a_straggler_of_an_ended_burst_opens_nothing() -> None:
    jitter = buffer()
    listen(jitter, spoken(20), 1_000)
    jitter.put(spoken(20)[5][1], 1_000)
    assert jitter.idle
    assert jitter.counts["late"] == 1


def test_out_of_the_tunnel_the_same_burst_goes_on() -> None:
    jitter = buffer()
    came = [(at, frame) for at, frame in spoken(400) if not 50 <= frame.seq < 250]
    slots = listen(jitter, came, 10_000)
    assert played(slots) == [*range(50), *range(250, 400)]
    assert kinds(slots).count("E") == 2
    heard_again_ms = next(at for at, slot in slots if isinstance(slot, Play) and slot.seq == 250)
    assert heard_again_ms - 250 * 20 <= 100


def test_what_is_flushed_is_not_played_and_goes_on_where_it_is() -> None:
    jitter = buffer()
    listen(jitter, spoken(50, last=False)[:20], 380)
    jitter.flush(1)
    assert jitter.idle
    assert jitter.counts["dropped"] > 0
    slots = listen(jitter, spoken(50)[30:], 2_000, from_ms=600)
    assert played(slots) == list(range(30, 50))


# --------------------------------------------------------------------------------------------- catch-up


def test_the_start_waits_for_what_was_said_before() -> None:
    jitter = buffer()
    jitter.await_catch_up(1, 0.0)
    before = [(150 + n * 5.0, Frame(1, n, n * 960, b"x", CATCH_UP)) for n in range(100)]
    came = sorted(before + spoken(100, first=100), key=lambda one: one[0])
    assert played(listen(jitter, came, 6_000)) == list(range(200))


def test_it_does_not_wait_for_ever() -> None:
    jitter = buffer()
    jitter.await_catch_up(1, 0.0)
    slots = listen(jitter, spoken(100, first=100), 4_000)
    assert next(at for at, slot in slots if isinstance(slot, Play)) == CATCH_UP_WAIT_MS
    assert played(slots) == list(range(100, 200))


def test_15_s_of_catch_up_fit_and_are_played_fast() -> None:
    jitter = buffer()
    for n in range(750):
        jitter.put(Frame(1, n, n * 960, b"x", CATCH_UP), n * 5.0)
    assert jitter.counts["dropped"] == 0
    assert isinstance(jitter.take(3_750.0), Play)
    assert jitter.speed(3_750.0) == FASTEST


def test_catch_up_says_nothing_about_the_network() -> None:
    jitter = buffer()
    for n in range(300):
        jitter.put(Frame(1, n, n * 960, b"x", CATCH_UP), n * 5.0 + (n % 7) * 30)
    assert jitter.target_ms == UNKNOWN_MS


# ------------------------------------------------------------------------------------------ wrap and garbage


def test_numbers_and_timestamps_wrap() -> None:
    came = [
        (
            at,
            Frame(1, (frame.seq + 2**32 - 10) % 2**32, (frame.ts + 2**32 - 9_600) % 2**32, b"x", frame.flags),
        )
        for at, frame in Network(2, jitter_ms=30).carry(spoken(50))
    ]
    jitter = buffer()
    slots = listen(jitter, came, 2_000)
    assert played(slots) == list(range(2**32 - 10, 2**32 + 40))
    assert jitter.counts["lost"] == jitter.counts["late"] == 0


def test_timestamps_that_run_backwards_or_jump_stop_nothing() -> None:
    def mad(n: int) -> int:
        return (2**31 + 5 - n * 7_000, n * 960, 48_000 * 3_600 * n, 17)[n % 4] % 2**32

    jitter = buffer()
    came = [(at, Frame(1, frame.seq, mad(frame.seq), b"x", frame.flags)) for at, frame in spoken(200)]
    slots = listen(jitter, came, 30_000)
    assert played(slots) == sorted(set(played(slots)))
    assert len(played(slots)) >= 150
    assert jitter.idle


def test_a_number_far_ahead_is_dropped() -> None:
    jitter = buffer()
    came = spoken(50)
    came.insert(20, (came[19][0], Frame(1, 2**31, 960, b"x")))
    assert played(listen(jitter, came, 2_000)) == list(range(50))
    assert jitter.counts["dropped"] == 1


def test_more_than_2_s_waiting_drops_the_oldest() -> None:
    jitter = buffer()
    for _, frame in spoken(500, last=False):
        jitter.put(frame, 0.0)
    assert jitter.counts["dropped"] == 400
    slots = listen(jitter, [], 5_000, from_ms=100)
    assert played(slots) == list(range(400, 500))


@pytest.mark.parametrize("opus", [b"", b"x"])
def test_frames_of_no_length_are_bounded_too(opus: bytes) -> None:
    jitter = JitterBuffer(lambda _opus: 120)
    for n in range(3_000):
        jitter.put(Frame(1, n, n * 960, opus), 0.0)
    assert jitter.counts["dropped"] >= 3_000 - MOST_FRAMES
    assert jitter.counts["dropped"] < 3_000


def test_many_bursts_at_once_are_bounded() -> None:
    jitter = buffer()
    for burst in range(100):
        jitter.put(Frame(burst, 0, 0, b"x"), 0.0)
    slots = listen(jitter, [], 8_000)
    assert [slot.burst for _, slot in slots if isinstance(slot, Play)] == list(range(100 - MAX_BURSTS, 100))


Sent = tuple[int, int, int, int, int, int]
HOSTILE = st.lists(
    st.tuples(
        st.integers(0, 5),  # burst
        st.one_of(st.integers(0, 60), st.integers(0, 2**32 - 1)),  # seq
        st.one_of(st.integers(0, 60).map(lambda n: n * 960), st.integers(0, 2**32 - 1)),  # ts
        st.integers(0, 3),  # flags
        st.sampled_from([0, 0, 1, 20, 20, 700]),  # ms since the one before
        st.sampled_from([0, 120, 480, 960, 960, 2_880]),  # its length
    ),
    max_size=80,
)


@given(sent=HOSTILE)
def test_whatever_comes_nothing_is_played_twice_or_out_of_order_and_all_ends(sent: list[Sent]) -> None:
    """Within one stretch of a burst, that is up to its `Ended`; what was played before it never comes again."""
    jitter = JitterBuffer(lambda opus: int(opus.split(b"-")[0]))
    now_ms, slots = 0.0, []
    for n, (burst, seq, ts, flags, later_ms, length) in enumerate(sent):
        for _ in range(0, later_ms, 20):
            slots.append(jitter.take(now_ms))
            now_ms += 20
        jitter.put(Frame(burst, seq, ts, b"%d-%d" % (length, n) if length else b"", flags), now_ms)
        assert sum(stream.waiting for stream in jitter._streams) <= MAX_BURSTS * 850
        assert jitter.speed(now_ms) in {1.0, FASTER, FASTEST}
    for _ in range(2_000):
        slots.append(jitter.take(now_ms))
        now_ms += 20
    assert jitter.idle
    assert slots[-1] == Silence(None, 20)
    packets = [slot.opus for slot in slots if isinstance(slot, Play)]
    assert len(packets) == len(set(packets))
    for burst in {slot.burst for slot in slots if isinstance(slot, Play)}:
        seqs = [slot.seq for slot in slots if isinstance(slot, Play) and slot.burst == burst]
        assert seqs == sorted(set(seqs))
    assert all(slot.ms > 0 for slot in slots if not isinstance(slot, Ended))


@given(
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.0, 0.05, 0.3]),
    jitter_ms=st.sampled_from([0, 30, 200]),
)
def test_everything_that_comes_in_any_order_is_played_or_counted(
    seed: int, loss: float, jitter_ms: int
) -> None:
    jitter = buffer()
    came = Network(seed, jitter_ms=jitter_ms, loss=loss, doubles=0.1).carry(spoken(60))
    slots = listen(jitter, came, 5_000)
    counts = jitter.counts
    assert len(played(slots)) + counts["late"] + counts["duplicate"] + counts["dropped"] == len(came)
    assert jitter.idle


# ---------------------------------------------------------------------------------------------- figures


@pytest.mark.parametrize("loss", [0.0, 0.05, 0.1])
def test_figures(loss: float) -> None:
    """A minute in 12 bursts of 5 s through 30 ms of jitter."""
    jitter = buffer()
    delays: list[float] = []
    sent = came_in = 0
    for burst in range(12):
        start_ms = burst * 8_000.0
        words = spoken(250, burst=burst, at_ms=start_ms)
        came = Network(burst, delay_ms=50, jitter_ms=30, loss=loss).carry(words)
        slots = listen(jitter, came, start_ms + 8_000, from_ms=start_ms)
        sent, came_in = sent + 250, came_in + len(came)
        delays += [at - start_ms - slot.seq * 20 for at, slot in slots if isinstance(slot, Play)]
        assert [slot.burst for _, slot in slots if isinstance(slot, Ended)] == [burst]
    counts = jitter.counts
    delays.sort()
    share = {
        name: round(100 * counts[name] / sent, 2)
        for name in ("late", "lost", "recovered", "concealed", "starved")
    }
    print(f"\nloss {loss:.0%}, jitter 30 ms: {share} % of {sent} frames; delay sent to played "
          f"p50 {delays[len(delays) // 2]:.0f} p95 {delays[len(delays) * 95 // 100]:.0f} ms, "
          f"target {jitter.target_ms:.0f} ms")  # fmt: skip
    assert counts["late"] <= sent * 0.02
    assert counts["recovered"] >= 0.75 * counts["lost"]
    assert counts["lost"] <= sent - came_in + counts["late"]
    assert delays[len(delays) * 95 // 100] <= 50 + 30 + 60  # network, its jitter; two frames and the tick
