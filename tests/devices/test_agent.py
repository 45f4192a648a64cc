"""What pillar and terminal share: hello, durable messages, retries, generations, numbers, paths, restores."""

import pytest

from devices import events as ev
from devices import sender
from devices.inbox import REPLAY_WINDOW
from devices.outbox import Note, Record, Reserved
from devices.pillar import PillarAgent
from devices.terminal import TerminalAgent
from protocols import codec, down
from protocols.envelope import seal
from protocols.types import Key, Position
from tests.devices.rig import Bench, pillar, terminal


def test_hello_is_repeated_with_new_nonces_until_answered() -> None:
    bench = Bench(PillarAgent, receipts=False)
    bench.connect()
    bench.run(20_000)
    hellos = bench.sent("hello")
    assert len(hellos) == 5, "at 0, 1, 3, 7 and 15 s"
    assert len({hello.nonce for hello in hellos}) == 5
    assert {len(hello.nonce) for hello in hellos} == {16}
    bench.down(down.Hello(hellos[1].nonce, bench.site_now))
    bench.forget_past()
    bench.run(60_000)
    assert not bench.sent("hello")


def test_an_answer_to_a_nonce_that_is_not_ours_is_no_answer() -> None:
    bench = Bench(PillarAgent, receipts=False)
    bench.connect()
    bench.down(down.Hello(b"0123456789abcdef", 5_000))
    assert bench.agent.site_now() is None


def test_site_time_is_taken_from_the_middle_of_the_round_trip() -> None:
    bench = Bench(PillarAgent, receipts=False)
    bench.connect()
    nonce = bench.sent("hello")[0].nonce
    bench.run(600)
    bench.down(down.Hello(nonce, 1_000_000))
    assert bench.agent.site_now() == 1_000_300
    bench.run(5_000)
    bench.do(ev.Tick())
    assert bench.agent.site_now() == 1_005_300


def test_a_message_is_persisted_before_it_is_published_whatever_it_is() -> None:
    bench = terminal()
    bench.down(down.Broadcast("it-1", "b-1", "x"))
    bench.do(ev.DutyKey())
    bench.do(ev.EmergencyDown())
    bench.run(3_000)
    durable: set[Key] = set()
    for _, action in bench.done:
        if isinstance(action, ev.Persist) and isinstance(action.entry, Record):
            durable.add(action.entry.key)
        if isinstance(action, ev.Publish) and action.kind not in ("hello", "state"):
            assert codec.decode_up(action.kind, action.payload).key in durable  # type: ignore[union-attr]
    assert len(durable) >= 4


def test_retries_double_up_to_15_s_and_carry_the_age_of_the_press() -> None:
    bench = pillar()
    bench.do(ev.KeyDown())
    bench.do(ev.KeyUp())
    bench.run(46_000)
    assert [alarm.age_ms for alarm in bench.sent("alarm")] == [0, 1_000, 3_000, 7_000, 15_000, 30_000, 45_000]
    assert len({alarm.key for alarm in bench.sent("alarm")}) == 1
    bench.receipt_all()
    bench.forget_past()
    bench.run(60_000)
    assert not bench.sent("alarm")


def test_without_a_connection_nothing_is_sent_and_then_all_alarms_first() -> None:
    bench = terminal()
    bench.do(ev.Disconnected())
    bench.forget_past()
    bench.do(ev.DutyKey())
    bench.do(ev.EmergencyDown())
    bench.run(30_000)
    assert not bench.times(ev.Publish)
    bench.connect()
    kinds = [a.kind for _, a in bench.done if isinstance(a, ev.Publish)]
    assert kinds[:3] == ["hello", "alarm", "duty"]
    assert bench.sent("alarm")[0].age_ms == 29_000


def test_an_alarms_position_grows_old_with_it() -> None:
    bench = terminal()
    bench.do(ev.HardwareState(position=Position(1.0, 2.0)))
    bench.do(ev.EmergencyDown())
    bench.run(4_500)
    assert [(a.age_ms, a.position.age_ms) for a in bench.sent("alarm")] == [
        (0, 1_000),
        (1_000, 2_000),
        (3_000, 4_000),
    ]


def test_the_window_bounds_what_is_under_way_but_not_alarms() -> None:
    bench = terminal()
    for number in range(60):
        bench.down(down.Alert(f"it-{number}", "i-1", "x"))
    assert len(bench.unique("rung")) == sender.MAX_IN_FLIGHT
    bench.do(ev.EmergencyDown())
    bench.run(1_000)
    assert len(bench.sent("alarm")) == 1
    for _ in range(20):
        bench.receipt_all()
    delivered = {rung.item for rung in bench.sent("rung") if rung.rung == "delivered"}
    assert len(delivered) == 60


def test_at_the_bound_the_oldest_rungs_go_and_never_an_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "MAX_PENDING", 10)
    bench = terminal()
    bench.do(ev.Disconnected())
    for _ in range(15):
        bench.do(ev.EmergencyDown())
        bench.run(1_001)
        bench.do(ev.EmergencyUp())
    for number in range(10):
        bench.do(ev.DutyKey(on=number % 2 == 0))
    for number in range(4):
        bench.down(down.Alert(f"it-{number}", "i-1", "x"))
    kinds = [record.kind for record in bench.agent.outstanding]
    assert kinds.count("alarm") == 15
    assert len(kinds) == 25
    assert kinds.count("duty") == 10, "rungs went first"
    assert {r.key for r in bench.outbox.records if r.receipted_at is None} == {
        record.key for record in bench.agent.outstanding
    }


def test_receipted_alarms_are_kept_and_sent_again_when_a_restored_site_asks() -> None:
    bench = pillar()
    bench.press()
    bench.receipt_all("i-1")
    key = bench.outbox.records[0].key
    bench.run(3_600_000)
    made = bench.outbox.records[0].made_at
    bench.reboot()
    bench.forget_past()
    bench.receipts = False
    bench.connect()
    bench.gen = 2
    bench.down(down.Hello(bench.sent("hello")[0].nonce, bench.site_now, alarms_since=made - 1_000))
    (alarm,) = bench.sent("alarm")
    assert alarm.key == key
    assert alarm.age_ms == pytest.approx(3_600_000, abs=1_000), "not fresh: known by site time"
    assert Note("gen", b"2") not in [a.entry for _, a in bench.done if isinstance(a, ev.Persist)]
    bench.receipt(key, incident="i-9")
    assert bench.outbox.boot.notes != {}
    assert Note("gen", b"2") in [a.entry for _, a in bench.done if isinstance(a, ev.Persist)]
    assert bench.outbox.records[0].receipted_at


def test_kept_alarms_go_after_30_days() -> None:
    bench = pillar()
    bench.press()
    bench.receipt_all()
    for days, left in ((29, 1), (2, 0)):
        bench.now += days * 86_400_000
        bench.do(ev.Disconnected())
        bench.connect()
        assert len(bench.outbox.records) == left


def test_a_lower_generation_is_refused_receipts_too_and_a_higher_one_makes_it_say_hello() -> None:
    bench = pillar(gen=5)
    bench.press()
    bench.gen = 4
    bench.receipt_all()
    assert len(bench.agent.outstanding) == 1, "that store is not the one in force"
    bench.run(6_000)
    bench.forget_past()
    bench.gen = 6
    bench.down(down.Lamp("it-1", "flash"))
    (hello,) = bench.sent("hello")
    assert hello.gen == 5
    assert not bench.sent("rung")
    bench.down(down.Lamp("it-1", "flash"))
    assert bench.rungs("it-1")[0] == ("delivered", None)


def test_old_numbers_are_refused_and_reordered_ones_count() -> None:
    bench = pillar()
    bench.n = 5_000
    bench.down(down.Lamp("it-1", "flash"))
    bench.down(down.Lamp("it-2", "off"), n=5_001 - REPLAY_WINDOW)
    bench.down(down.Lamp("it-3", "flash"), n=5_000 - REPLAY_WINDOW)
    assert bench.rungs("it-2")
    assert not bench.rungs("it-3")


def test_numbers_that_fell_back_are_healed_by_a_hello() -> None:
    bench = pillar()
    bench.n = 50_000
    bench.down(down.Lamp("it-1", "flash"))
    bench.n = 10
    bench.run(6_000)
    bench.down(down.Lamp("it-2", "off"))
    assert not bench.rungs("it-2")
    bench.down(down.Lamp("it-2", "off"))
    assert bench.rungs("it-2")


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x80", seal(1, 9, 0, 0, b"\xc1"), b"\x00" * 70_000])
def test_any_bytes_are_lived_through(data: bytes) -> None:
    bench = pillar()
    for kind in ("hello", "receipt", "prompt", "config", "no-such-kind"):
        bench.do(ev.Received(kind, data))
    bench.do(ev.Received("broadcast", data, "tg-1"))
    assert len(bench.logged("malformed")) == 6


def test_5_s_without_a_receipt_asks_for_the_next_path() -> None:
    bench = pillar()
    bench.run(60_000)
    assert not bench.times(ev.TryNextPath), "nothing is owed"
    pressed = bench.now
    bench.do(ev.KeyDown())
    bench.do(ev.KeyUp())
    bench.run(12_000)
    assert [at - pressed for at in bench.times(ev.TryNextPath)] == [5_000, 10_000]
    bench.receipt_all()
    bench.forget_past()
    bench.run(60_000)
    assert not bench.times(ev.TryNextPath)


def test_5_s_without_an_answer_to_hello_asks_for_the_next_path() -> None:
    bench = Bench(TerminalAgent, receipts=False)
    bench.connect()
    connected = bench.now
    bench.run(6_000)
    assert [at - connected for at in bench.times(ev.TryNextPath)] == [5_000]


def test_states_go_every_5_s_or_as_the_site_says() -> None:
    bench = pillar()
    bench.do(ev.HardwareState(battery_pct=55, signal_pct=44, volume_pct=33, muted=True))
    bench.forget_past()
    bench.run(20_000)
    states = bench.sent("state")
    assert len(states) == 4
    last = states[-1]
    assert (last.battery_pct, last.signal_pct, last.volume_pct, last.muted) == (55, 44, 33, True)
    assert {a.qos for _, a in bench.done if isinstance(a, ev.Publish)} == {0}


def test_a_broken_outbox_still_sends_the_alarm_and_reports_one_fault() -> None:
    bench = pillar()
    bench.do(ev.StorageFailed("disk full"))
    bench.do(ev.StorageFailed("disk full"))
    bench.press()
    assert [alarm.kind for alarm in bench.unique("alarm")] == ["fault", "one-key"]


def test_numbers_are_never_given_twice_over_crashes_at_any_point() -> None:
    bench = terminal()
    keys: list[Key] = []
    for _ in range(4):
        reserved = bench.outbox.boot.reserved
        bench.forget_past()
        for _ in range(700):
            bench.do(ev.DutyKey())
        for _, action in bench.done:
            if isinstance(action, ev.Persist) and isinstance(action.entry, Reserved):
                reserved = action.entry.seq
            elif isinstance(action, ev.Persist) and isinstance(action.entry, Record):
                assert action.entry.key.seq < reserved, "its block was on disk before it was stamped"
                keys.append(action.entry.key)
        bench.reboot()
    assert len(keys) == 2_800
    assert len({key.seq for key in keys}) == 2_800, "unique within the device, not only within the boot"


def test_the_same_seed_gives_the_same_device() -> None:
    def story() -> list[tuple[int, ev.Action]]:
        bench = pillar()
        bench.press()
        bench.run(30_000)
        bench.receipt_all()
        return bench.done

    assert story() == story()


def test_an_agent_asks_for_few_ticks() -> None:
    """Idle, it wakes for its state only."""
    bench = terminal()
    bench.run(10_000)
    ticks = 0
    while (deadline := bench.agent.deadline()) is not None and deadline < bench.now + 60_000 and ticks < 100:
        ticks += 1
        bench.agent.handle(ev.Tick(), deadline)
    assert ticks in (11, 12)
