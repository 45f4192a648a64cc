"""The recorder behind a real relay: files that are whole from their first to their last frame, at their times."""

import hashlib
from itertools import pairwise

import pytest

from dispatchd.core.effects import SetFloor
from dispatchd.core.inputs import Recorded
from dispatchd.core.state import Incident, State, Talk
from dispatchd.store.base import Recording
from dispatchd.voice import ogg, recorder
from dispatchd.voice.about import About, about_of
from dispatchd.voice.burst import Grant
from dispatchd.voice.relay import Relay
from protocols.site import Device, Operator, Patrol, TalkGroup, Unit
from protocols.voice import LAST, Frame
from tests.voice.bench import GRANT, Bench, frames, running, until_recorded
from tests.voice.sounds import FRAME, heard_ms, played, tone


def test_a_burst_is_whole_from_its_first_to_its_last_frame(bench: Bench) -> None:
    said = tone(440, 120)
    bench.recorder.began(GRANT, 5_000)
    bench.say(frames(said, ts=77))
    bench.recorder.ended(GRANT, 8_000)
    bench.recorder.turn()
    (row,) = bench.rows()
    file = bench.path(row)
    assert row._replace(wall_ms=0, path="", bytes=0, sha256="") == Recording(
        "r3-7", "tg-1", "t-1", "巡逻一组", "i1-4", "north", 7, 0, 2400, 120, 0, 0, "", "", True
    )
    assert row.path == f"{file.parent.name}/r3-7.opus"
    assert row.bytes == file.stat().st_size
    assert row.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [p.opus for p in ogg.read(file)] == said
    assert bench.posted == [Recorded("r3-7", "tg-1", 7, "t-1", "i1-4", 5_000, 2400, 120, 0, row.bytes)]
    with file.open("rb") as opened:
        tags = ogg.read_tags(ogg.pages(opened))
    assert tags["DISPATCH_INCIDENT"] == "i1-4"
    assert tags["DATE"].endswith("+08:00")


def test_loss_pause_and_disorder_keep_the_time(bench: Bench) -> None:
    low, high = frames(tone(440, 50)), frames(tone(1000, 50), 51, ts=2 * 48_000)
    low[30], low[31] = low[31], low[30]
    del low[40:43]
    bench.recorder.began(GRANT, 0)
    bench.say(low)
    bench.turn(1)
    bench.turn(1)
    bench.say([*high, Frame(7, 101, high[-1].ts + FRAME, b"", LAST)])
    bench.recorder.ended(GRANT, 0)
    bench.recorder.turn()
    (row,) = bench.rows()
    sound = played(bench.path(row))
    assert (row.ms, row.frames, row.lost) == (2000 + 1020 + 1000, 97, 4)
    begin, end = heard_ms(sound, 1000)
    assert abs(begin - 3020) <= 40
    assert abs(end - 4020) <= 40
    kept = list(ogg.read(bench.path(row)))
    assert [p.ts for p in kept] == sorted(frame.ts for frame in [*low, *high])


def test_what_comes_after_its_place_was_written_is_lost_and_moves_nothing(bench: Bench) -> None:
    said = frames(tone(440, 100))
    late = said.pop(10)
    bench.recorder.began(GRANT, 0)
    bench.say(said[:60])
    bench.turn()
    bench.say([late, *said[60:]])
    bench.recorder.ended(GRANT, 0)
    bench.recorder.turn()
    (row,) = bench.rows()
    assert (row.ms, row.frames, row.lost) == (2000, 99, 1)
    assert [p.ts for p in ogg.read(bench.path(row))] == [frame.ts for frame in said]


def test_while_it_is_said_no_more_than_a_second_is_not_in_the_file(bench: Bench) -> None:
    bench.recorder.began(GRANT, 0)
    for at, frame in enumerate(frames(tone(440, 300))):
        bench.say([frame])
        if at % 10 == 9:  # every 200 ms, as the thread does
            bench.recorder.turn()
            if at > 50:
                (file,) = bench.recordings.folder.glob("*/*.opus")
                with file.open("rb") as opened:
                    found = ogg.pages(opened)
                    ogg.read_tags(found)
                    granule = max(page.granule for page in found)
                assert (at + 1) * FRAME - granule <= 48_000


def test_a_clock_that_jumps_makes_no_hours_of_silence(bench: Bench) -> None:
    said = frames(tone(440, 20))
    said[10:] = [Frame(f.burst, f.seq, f.ts + 3_000_000_000, f.opus) for f in said[10:]]
    bench.recorder.began(GRANT, 0)
    bench.say(said)
    bench.recorder.ended(GRANT, 0)
    bench.recorder.turn()
    (row,) = bench.rows()
    assert (row.ms, row.frames, row.lost) == (400, 20, 0)
    assert "clock" in row.why


def test_what_is_long_is_cut_into_parts_that_fit_together(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "LONGEST_MS", 2_000)
    up = Grant("@up/pil-1", 7, "pil-1", ("@up/pil-1",))
    said = frames(tone(440, 250))
    bench.recorder.began(up, 1_000)
    for at in range(0, 250, 25):
        bench.say(said[at : at + 25], "@up/pil-1")
        bench.turn(0)
    bench.recorder.ended(up, 0)
    bench.recorder.turn()
    rows = sorted(bench.rows(), key=lambda row: row.wall_ms)
    assert [row.recording for row in rows] == ["r3-7", "r3-7-2", "r3-7-3"]
    assert [row.lost for row in rows] == [0, 0, 0]
    assert [b.wall_ms - a.wall_ms for a, b in pairwise(rows)] == [rows[0].ms, rows[1].ms]
    assert [p.opus for row in rows for p in ogg.read(bench.path(row))] == [f.opus for f in said]
    assert bench.recorded[1].started_ms == 1_000 + rows[0].ms
    assert all(row.ms <= 3_000 for row in rows)


def test_more_than_the_queue_holds_is_said_and_voice_does_not_wait(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "QUEUE_FRAMES", 40)
    bench.recorder.began(GRANT, 0)
    bench.say(frames(tone(440, 60)))
    bench.recorder.ended(GRANT, 0)
    bench.recorder.turn()
    (row,) = bench.rows()
    assert (row.frames, row.lost) == (39, 21)
    assert row.why == "not whole: 21 frames came faster than the disk took them"


def test_one_more_than_can_be_recorded_is_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_TAPES", 1)
    bench.recorder.began(GRANT, 0)
    bench.recorder.began(GRANT._replace(burst=8), 0)
    bench.recorder.turn()
    assert [(one.burst, one.bytes, one.why) for one in bench.recorded] == [
        (8, 0, "not recorded: too many were talking at once")
    ]


SITE = {
    "unit": {
        id_: Unit(id=id_, parent=parent)
        for id_, parent in (("top", None), ("north", "top"), ("south", "top"))
    },
    "patrol": {"p-1": Patrol(id="p-1", unit="north", name="巡逻一组", force="police")},
    "device": {
        "t-1": Device(id="t-1", kind="terminal", unit="north", patrol="p-1"),
        "pil-1": Device(id="pil-1", kind="pillar", unit="south", name="三号柱"),
    },
    "talk_group": {"tg-1": TalkGroup(id="tg-1", unit="top", units=["top"])},
    "operator": {"wang": Operator(id="wang", unit="south", role="operator", name="王")},
}


@pytest.mark.parametrize(
    ("channel", "talker", "incident", "about"),
    [
        ("tg-1", "t-1", "", About("top", "巡逻一组")),
        ("north", "@wang", "", About("north", "王")),
        ("og1-1", "@wang", "", About("north", "王")),
        ("tg-1", "t-1", "i1", About("south", "巡逻一组")),
        ("@up/pil-1", "pil-1", "", About("south", "三号柱")),
        ("@back/pil-1", "@wang", "gone", About("south", "王")),
        ("gone", "t-1", "", About("north", "巡逻一组")),
        ("gone", "gone", "", About("top", "")),
    ],
)
def test_whose_a_recording_is(channel: str, talker: str, incident: str, about: About) -> None:
    state = State()
    for table, entries in SITE.items():
        setattr(state.site, table, entries)
    state.talk["og1-1"] = Talk("og1-1", "north")
    state.incidents["i1"] = Incident("i1", "pil-1", "one-key", "south", 0)
    assert about_of(state, Grant(channel, 7, talker, (channel,), incident)) == about


async def test_behind_the_relay_in_a_thread_of_its_own(bench: Bench) -> None:
    relay = Relay(bench.posted.append)
    relay.taps.append(bench.recorder)
    said = frames(tone(440, 40))
    async with running(bench.recorder):
        relay.set_floor(SetFloor("tg-1", 7, "t-1", ("tg-1",)), 1_000)
        for at, frame in enumerate(said):
            relay.said("t-1", frame, 1_000 + at * 20)
        relay.set_floor(SetFloor("tg-1", ended=7), 1_900)
        relay.tick(10_000)
        await until_recorded(bench, 1)
        relay.open("@up/pil-1", 8, "pil-1")
        relay.said_rtp("pil-1", 5, 960, said[0].opus, 10_000)
    assert [(one.recording, one.frames, one.why) for one in bench.recorded] == [
        ("r3-7", 40, ""),
        ("r3-8", 1, "the daemon was stopped"),
    ]
    assert len(bench.rows()) == 2
