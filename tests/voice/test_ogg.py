"""Files of dispatchd.voice.ogg, judged by PyAV: length, places of tones around a gap, and what a cut leaves."""

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatchd.voice import ogg
from tests.voice.sounds import FRAME, heard_ms, played, tone

NEAR_MS = 40


def near(found: tuple[int, int], begin: int, end: int) -> bool:
    return abs(found[0] - begin) <= NEAR_MS and abs(found[1] - end) <= NEAR_MS


@pytest.mark.parametrize("bitrate", [12_000, 24_000])
@pytest.mark.parametrize("gap_ms", [20, 60, 140, 1_500, 9_000])
def test_what_follows_a_gap_is_at_its_time(tmp_path: Path, gap_ms: int, bitrate: int) -> None:
    low, high = tone(440, 50, bitrate=bitrate), tone(1000, 50, bitrate=bitrate)
    stream = ogg.Stream({"GROUP": "巡逻一组"}, 7)
    gap = ogg.fillers(low[-1], gap_ms * 48)
    path = tmp_path / "gap.opus"
    path.write_bytes(stream.head() + stream.pages(low) + stream.pages(gap) + stream.pages(high, last=True))
    for decoder in ("opus", "libopus"):
        sound = played(path, decoder)
        assert abs(len(sound) / 48 - 2000 - gap_ms) <= 10
        assert near(heard_ms(sound, 1000), 1000 + gap_ms, 2000 + gap_ms), decoder
        assert abs(heard_ms(sound, 440)[0]) <= NEAR_MS
    with av.open(path) as container:
        assert container.duration is not None
        assert abs(container.duration / 1000 - 2000 - gap_ms) <= 10
        assert container.streams.audio[0].metadata["GROUP"] == "巡逻一组"


def test_packets_come_back_with_their_times(tmp_path: Path) -> None:
    said = tone(600, 30)
    stream = ogg.Stream({"TALKER": "t-1", "INCIDENT": "i1-4"}, 1)
    path = tmp_path / "a.opus"
    path.write_bytes(
        stream.head()
        + stream.pages(said[:10])
        + stream.pages(ogg.fillers(said[0], 5 * FRAME))
        + stream.pages(said[10:])
    )
    assert list(ogg.read(path)) == [
        ogg.Packet(FRAME * (n if n < 10 else n + 5), opus) for n, opus in enumerate(said)
    ]


def test_a_file_cut_anywhere_is_mended_and_plays(tmp_path: Path) -> None:
    said = tone(500, 100)
    stream = ogg.Stream({"BURST": "9"}, 1)
    whole = stream.head()
    ends = [len(whole)]
    for at in range(0, 100, 25):
        whole += stream.pages(said[at : at + 25])
        ends.append(len(whole))
    path = tmp_path / "cut.opus"
    for cut in [*ends[1:], *(end + 13 for end in ends[1:-1]), len(whole) - 1]:
        path.write_bytes(whole[:cut])
        kept = sum(end <= cut for end in ends[1:])
        found = ogg.mend(path)
        assert found == ogg.Whole({"BURST": "9"}, ends[kept], kept * 500, kept * 25)
        assert path.stat().st_size == ends[kept]
        if kept:
            assert abs(len(played(path)) / 48 - kept * 500) <= 10


def test_a_flipped_bit_ends_the_file_before_its_page(tmp_path: Path) -> None:
    stream = ogg.Stream({}, 1)
    first = stream.head() + stream.pages(tone(500, 25))
    damaged = bytearray(first + stream.pages(tone(500, 25)))
    damaged[-40] ^= 4
    path = tmp_path / "bit.opus"
    path.write_bytes(damaged)
    assert ogg.mend(path)[1:] == (len(first), 500, 25, False)


@pytest.mark.parametrize("content", [b"", b"OggS", b"RIFF" * 40, ogg.Stream({"A": "b"}, 1).head()])
def test_what_holds_no_sound_is_said_to(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "no.opus"
    path.write_bytes(content)
    with pytest.raises(ogg.OggError):
        ogg.mend(path)
    assert path.read_bytes() == content


@given(
    lengths=st.lists(st.integers(1, 640), max_size=400),
    tags=st.dictionaries(st.sampled_from("ABC"), st.text(max_size=50), max_size=3),
)
def test_any_packets_come_back(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], tags: dict[str, str]
) -> None:
    said = [bytes([9 << 3]) + bytes(n) for n in lengths]
    stream = ogg.Stream(tags, 3)
    path = tmp_path_factory.mktemp("any") / "x.opus"
    path.write_bytes(stream.head() + stream.pages(said, last=True))
    assert [p.opus for p in ogg.read(path)] == said
    with path.open("rb") as file:
        found = list(ogg.pages(file))
    assert found[-1].flags & ogg.LAST
    assert found[-1].granule == len(said) * FRAME == stream.granule
    with path.open("rb") as file:
        assert set(ogg.read_tags(ogg.pages(file))) == set(tags)


def test_lengths_are_those_that_the_decoder_finds() -> None:
    silk_60ms, celt_2_5ms, code_3 = 11 << 3, 28 << 3, bytes([9 << 3 | 3, 3])
    assert [ogg.samples(p) for p in (bytes([silk_60ms]), bytes([celt_2_5ms, 1]), code_3, b"", bytes([3]))] == [
        2880, 120, 2880, 0, 0
    ]  # fmt: skip
    assert sum(map(ogg.samples, ogg.fillers(bytes([31 << 3]), 7 * 120))) == 7 * 120
    assert sum(map(ogg.samples, ogg.fillers(bytes([9 << 3]), 7 * 120))) == 480, (
        "SILK knows no less than 10 ms"
    )
    assert np.all([ogg.is_filler(p) for p in ogg.fillers(bytes([13 << 3 | 4]), 4800)])
