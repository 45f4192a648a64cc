"""A tape takes any order, loss, pause and length of frames: what it keeps is in order and at its time."""

from datetime import UTC
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from dispatchd.voice import ogg
from dispatchd.voice.tape import FLUSH_S, HOLD_S, Label, Tape
from protocols.voice import CLOCK_HZ, Frame

LABEL = Label("r1-7", "tg-1", "t-1", 7, 1_790_000_000_000, 5)
TOCS = {10: 8 << 3, 20: 9 << 3, 40: 10 << 3, 60: 11 << 3}


@st.composite
def bursts(draw: st.DrawFn) -> list[tuple[Frame, float]]:
    """Frames and when they arrive: up to HOLD_S late, some never, with pauses between."""
    rng = Random(draw(st.integers(0, 2**32)))
    origin = draw(st.integers(0, 2**31))
    length = draw(st.sampled_from(sorted(TOCS)))
    said, ts = [], 0
    for seq in range(draw(st.integers(1, 120))):
        opus = bytes([TOCS[length]]) + seq.to_bytes(2, "big")
        said.append((Frame(7, seq, origin + ts, opus), ts / CLOCK_HZ + rng.random() * HOLD_S * 0.9))
        ts += length * 48 + (rng.randrange(100) * length * 48 if rng.random() < 0.05 else 0)
    kept = [one for one in said if one[0].seq == 0 or rng.random() > draw(st.sampled_from([0, 0.1, 0.5]))]
    return kept[:1] + sorted(kept[1:], key=lambda one: one[1])  # the first heard is the first said


@given(burst=bursts())
def test_all_that_arrives_in_time_is_kept_at_its_time(
    tmp_path_factory: object, burst: list[tuple[Frame, float]]
) -> None:
    folder: Path = tmp_path_factory.mktemp("tape")  # type: ignore[attr-defined]
    tape = Tape(folder, LABEL, UTC)
    turn_s = 0.0
    for frame, at_s in burst:
        while turn_s + FLUSH_S / 3 < at_s:
            turn_s += FLUSH_S / 3
            tape.flush(turn_s)
        tape.put(frame, at_s + 1e-6)
    row = tape.close(turn_s + 10)
    first = burst[0][0]
    said = sorted((frame for frame, _ in burst), key=lambda frame: frame.seq)
    found = list(ogg.read(folder / row.path))
    assert [(p.ts, p.opus) for p in found] == [(f.ts - first.ts, f.opus) for f in said]
    assert (row.frames, row.lost, row.why) == (len(said), said[-1].seq + 1 - len(said), "")
    assert row.ms == (found[-1].ts + ogg.samples(found[-1].opus)) // 48
