"""The codec with real sound: durations, loss, silence, other people's packets, and garbage."""

import array
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import opus
from protocols.errors import ProtocolError
from protocols.opus import DTX_BYTES, Decoder, Encoder, samples_48k

RATE_HZ = 16_000
FRAME_SAMPLES = 320


def voiced(seconds: float, rate_hz: int = RATE_HZ) -> bytes:
    """A vowel with gliding pitch and moving loudness: harmonics weighted by two formants."""
    sound = array.array("h")
    phase = 0.0
    for n in range(int(seconds * rate_hz)):
        t = n / rate_hz
        pitch_hz = 130 + 40 * math.sin(2 * math.pi * 1.7 * t)
        phase += 2 * math.pi * pitch_hz / rate_hz
        level = 0.6 + 0.4 * math.sin(2 * math.pi * 3.1 * t)
        value = sum(
            math.sin(k * phase)
            * (
                math.exp(-(((k * pitch_hz - 600) / 250) ** 2))
                + 0.4 * math.exp(-(((k * pitch_hz - 1400) / 300) ** 2))
            )
            for k in range(1, 16)
        )
        sound.append(int(6000 * level * value))
    return sound.tobytes()


VOICE = voiced(2.0)


def frames_of(pcm: bytes, samples: int = FRAME_SAMPLES) -> list[bytes]:
    return [pcm[at : at + samples * 2] for at in range(0, len(pcm) - samples * 2 + 1, samples * 2)]


def snr_db(wanted: bytes, heard: bytes) -> float:
    a, b = array.array("h", wanted), array.array("h", heard)
    assert len(a) == len(b)
    noise = sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
    return 10 * math.log10(sum(x * x for x in a) / max(noise, 1))


def code_of(opus_: bytes) -> str:
    with pytest.raises(ProtocolError) as error:
        samples_48k(opus_)
    return error.value.code


def test_found_without_importing_pyav() -> None:
    program = "import sys, protocols.opus as o; print(o.version()); assert 'av' not in sys.modules"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=30)
    assert said.stdout.startswith(b"libopus 1.")


def test_a_library_that_does_not_load_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "av").mkdir()
    (tmp_path / "av" / "__init__.py").touch()
    (tmp_path / "av.libs").mkdir()
    (tmp_path / "av.libs" / "libopus-0.so").write_text("no library")
    program = "import protocols.opus as o\ntry: o.Encoder()\nexcept o.OpusMissing as e: print(e)"
    said = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert b"libopus-0.so cannot be used as libopus" in said.stdout
    assert b"pip install av" in said.stdout


def test_voice_comes_back_as_it_was() -> None:
    """Aligned by the encoder's look-ahead, the decoded vowel is the vowel."""
    encoder, decoder = Encoder(dtx=False), Decoder()
    packets = [encoder.encode(frame) for frame in frames_of(VOICE)]
    heard = b"".join(decoder.decode(packet) for packet in packets)
    assert len(heard) == len(VOICE)
    assert 16_000 <= sum(map(len, packets)) * 8 / 2.0 <= 24_000
    best = max(snr_db(VOICE[: 30_000 * 2], heard[lag * 2 : (30_000 + lag) * 2]) for lag in range(80, 130))
    assert best > 8, f"only {best:.1f} dB"


@pytest.mark.parametrize("frame_ms", [10, 20, 40, 60])
def test_duration_of_a_packet(frame_ms: int) -> None:
    encoder, decoder = Encoder(frame_ms=frame_ms, dtx=False), Decoder()
    for frame in frames_of(VOICE, 16 * frame_ms)[:10]:
        packet = encoder.encode(frame)
        assert samples_48k(packet) == 48 * frame_ms
        assert len(decoder.decode(packet)) == 32 * frame_ms


def test_bitrate_is_what_was_asked_for() -> None:
    for bitrate_bps in (12_000, 32_000):
        encoder = Encoder(bitrate_bps=bitrate_bps, dtx=False)
        size = sum(len(encoder.encode(frame)) for frame in frames_of(VOICE))
        assert size * 8 / 2.0 == pytest.approx(bitrate_bps, rel=0.25)


def test_a_lost_packet_is_better_recovered_than_concealed() -> None:
    encoder = Encoder(loss_pct=20)
    packets = [encoder.encode(frame) for frame in frames_of(VOICE)]
    whole, recovering, concealing = Decoder(), Decoder(), Decoder()
    wanted, recovered, concealed = [], [], []
    for n, packet in enumerate(packets):
        right = whole.decode(packet)
        if n % 7 == 5 and n + 1 < len(packets):
            wanted.append(right)
            recovered.append(recovering.recover(packets[n + 1], 20))
            concealed.append(concealing.conceal(20))
        else:
            recovering.decode(packet)
            concealing.decode(packet)
    fec_db, plc_db = (
        snr_db(b"".join(wanted), b"".join(recovered)),
        snr_db(b"".join(wanted), b"".join(concealed)),
    )
    assert fec_db > plc_db + 2, f"FEC {fec_db:.1f} dB, PLC {plc_db:.1f} dB"


def test_concealment_fades_out() -> None:
    encoder, decoder = Encoder(), Decoder()
    for frame in frames_of(VOICE)[:25]:
        decoder.decode(encoder.encode(frame))
    gap = array.array("h", b"".join(decoder.conceal(60) for _ in range(10)))
    assert len(gap) == 9600
    assert max(map(abs, gap[:320])) > 1000
    assert max(map(abs, gap[-320:])) < 100


@pytest.mark.parametrize("ms", [0, -20, 7, 121, 10_000])
def test_concealment_has_a_bound(ms: int) -> None:
    packet = Encoder().encode(VOICE[:640])
    with pytest.raises(ValueError, match="cannot conceal"):
        Decoder().conceal(ms)
    with pytest.raises(ValueError, match="cannot conceal"):
        Decoder().recover(packet, ms)


def test_silence_need_not_be_sent() -> None:
    with_dtx, without = Encoder(), Encoder(dtx=False)
    quiet = [with_dtx.encode(bytes(640)) for _ in range(100)]
    assert sum(len(packet) <= DTX_BYTES for packet in quiet[50:]) > 40
    assert all(samples_48k(packet) == 960 for packet in quiet)
    assert all(len(without.encode(bytes(640))) > DTX_BYTES for _ in range(100))
    loud = [with_dtx.encode(frame) for frame in frames_of(VOICE)[:10]]
    assert all(len(packet) > DTX_BYTES for packet in loud), "speech after silence is sent at once"


def test_packets_of_a_browser() -> None:
    """48 kHz stereo, made by the same library through its own door, comes out as 16 kHz mono."""
    import ctypes

    lib = opus.library()
    lib.opus_encoder_create.restype = ctypes.c_void_p
    wrong = ctypes.c_int()
    state = ctypes.c_void_p(lib.opus_encoder_create(48_000, 2, 2049, ctypes.byref(wrong)))
    mono = array.array("h", voiced(0.4, 48_000))
    both = array.array("h", [value for value in mono for _ in range(2)]).tobytes()
    out = ctypes.create_string_buffer(1500)
    decoder, heard = Decoder(), b""
    for at in range(0, len(both), 960 * 4):
        size = lib.opus_encode(state, both[at : at + 960 * 4], 960, out, 1500)
        assert size > 0
        assert out.raw[0] & 4, "stereo"
        assert samples_48k(out.raw[:size]) == 960
        heard += decoder.decode(out.raw[:size])
    lib.opus_encoder_destroy(state)
    assert len(heard) == 0.4 * RATE_HZ * 2
    assert max(map(abs, array.array("h", heard[6400:]))) > 3000


@pytest.mark.parametrize("length", [0, 639, 641, 1280])
def test_a_frame_is_exactly_a_frame(length: int) -> None:
    with pytest.raises(ValueError, match="not one frame"):
        Encoder().encode(bytes(length))


def test_what_opus_does_not_have() -> None:
    with pytest.raises(ValueError, match="30 ms"):
        Encoder(frame_ms=30)
    with pytest.raises(ValueError, match="44100 Hz"):
        Encoder(rate_hz=44_100)
    with pytest.raises(ValueError, match="44100 Hz"):
        Decoder(44_100)
    with pytest.raises(ValueError, match="invalid argument"):
        Encoder(loss_pct=101)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x03",  # several frames, and no byte that says how many
        b"\x03\x00",
        b"\x0b\x41",  # an odd rest where two equal frames should be
        bytes([0x01, 1, 2, 3]),
        b"\x1b\x3f" + bytes(60),  # 63 frames
        bytes([0x1B, 2]) + bytes(20),  # 2 × 60 ms
        bytes(4001),
    ],
)
def test_what_is_no_packet(packet: bytes) -> None:
    assert code_of(packet) == "bad-opus"
    with pytest.raises(ProtocolError):
        Decoder().decode(packet)
    with pytest.raises(ProtocolError):
        Decoder().recover(packet, 20)


def test_the_longest_packet() -> None:
    assert samples_48k(bytes([0x18]) + bytes(20)) == 2880
    assert samples_48k(bytes([0x0B, 3]) + bytes(30)) == 2880
    assert code_of(bytes([0x0B, 4]) + bytes(40)) == "bad-opus"


@settings(max_examples=300)
@given(st.lists(st.tuples(st.binary(max_size=300), st.booleans()), max_size=8))
def test_garbage_gives_sound_or_an_error(packets: list[tuple[bytes, bool]]) -> None:
    decoder, codes = Decoder(), set()
    for packet, lost in packets:
        try:
            heard = decoder.recover(packet, 20) if lost else decoder.decode(packet)
        except ProtocolError as error:
            codes.add(error.code)
        else:
            assert len(heard) == (640 if lost else samples_48k(packet) // 3 * 2)
    assert codes <= {"bad-opus"}


@settings(max_examples=200)
@given(st.data())
def test_damaged_speech_gives_sound_or_an_error(data: st.DataObject) -> None:
    encoder, decoder, codes = Encoder(), Decoder(), set()
    for frame in frames_of(VOICE)[:5]:
        packet = bytearray(encoder.encode(frame))
        packet[data.draw(st.integers(0, len(packet) - 1))] ^= data.draw(st.integers(1, 255))
        try:
            decoder.decode(bytes(packet[: data.draw(st.integers(0, len(packet)))]))
        except ProtocolError as error:
            codes.add(error.code)
    assert codes <= {"bad-opus"}
    assert len(decoder.decode(encoder.encode(VOICE[:640]))) == 640, "and goes on"
