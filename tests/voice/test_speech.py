"""Text and sound files to packets, by real children: what is heard in them, and each way in which there is no sound."""

import asyncio
import io
import math
import sys
import wave
from array import array
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from dispatchd.config import ConfigError, load
from dispatchd.config import Speech as Settings
from dispatchd.voice import encode
from dispatchd.voice.child import ChildFailed, run
from dispatchd.voice.speech import CHILDREN_MAX, WAITING_MAX, Speech, SpeechError, Words
from protocols import codec, down
from protocols.clip import MAX_CLIP_MS, describe, parts_of
from protocols.codec import MAX_UP_BYTES
from protocols.opus import Decoder
from protocols.voice import RATE_HZ

TEXT = "请到东门集合,拨打110"


def heard(packets: list[bytes]) -> NDArray[np.float64]:
    decoder = Decoder()
    return np.frombuffer(b"".join(map(decoder.decode, packets)), dtype="<i2").astype(np.float64)


def level(sound: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(sound**2)))


def power_at(sound: NDArray[np.float64], hz: float) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    at = round(hz * len(sound) / RATE_HZ)
    return float(spectrum[at - 3 : at + 4].max() / np.median(spectrum))


def wav(seconds: float, hz: float = 440, rate: int = 22_050, channels: int = 1) -> bytes:
    tone = array("h")
    for n in range(int(seconds * rate)):
        tone.extend([round(8_000 * math.sin(2 * math.pi * hz * n / rate))] * channels)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(tone.tobytes())
    return file.getvalue()


def coded(kind: str, codec_name: str, seconds: float = 1.0) -> bytes:
    """A file of another kind with a tone of 440 Hz."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as out:
        stream = out.add_stream(codec_name, rate=48_000)
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.layout = "mono"
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=48_000)
        with av.open(io.BytesIO(wav(seconds)), "r") as given:
            for frame in given.decode(audio=0):
                for piece in resampler.resample(frame):
                    out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    return file.getvalue()


async def test_words_are_spoken_after_a_chime() -> None:
    packets = await Speech(Settings()).say([Words(TEXT, "zh")], "chime")
    sound = heard(packets)
    words = sound[RATE_HZ * 7 // 10 :]
    assert 2.0 < len(words) / RATE_HZ < 8.0
    assert level(words) > 500
    assert power_at(sound[800:2_800], encode.LEAD_IN["chime"][0][0]) > 100
    assert level(sound[int(0.56 * RATE_HZ) : int(0.63 * RATE_HZ)]) < 0.1 * level(words), (
        "a pause before the words"
    )
    described = describe(packets)
    assert described.ms == len(packets) * 20
    assert sum(map(len, packets)) * 8 / (described.ms / 1000) < 32_000


async def test_an_emergency_sounds_otherwise_and_two_languages_follow_each_other() -> None:
    speech = Speech(Settings())
    one = await speech.say([Words(TEXT, "zh")], "emergency")
    both = await speech.say([Words(TEXT, "zh"), Words("Attention", "en")], "emergency")
    assert power_at(heard(one)[200:2_000], encode.LEAD_IN["emergency"][0][0]) > 100
    assert len(one) + 20 < len(both) < 2 * len(one)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (wav(1.0), "wav"),
        (wav(1.0, rate=8_000, channels=2), "wav"),
        (coded("mp3", "libmp3lame"), "mp3"),
        (coded("flac", "flac"), "flac"),
        (coded("ogg", "libopus"), "ogg"),
    ],
    ids=["wav", "wav stereo", "mp3", "flac", "ogg"],
)
def test_each_kind_of_file_becomes_the_same_tone(raw: bytes, kind: str) -> None:
    assert encode.kind_of(raw) == kind
    sound = heard(encode.make(raw, "none"))
    assert abs(len(sound) / RATE_HZ - 1.0) < 0.1
    assert power_at(sound[4_000:12_000], 440) > 100


@pytest.mark.parametrize(
    ("raw", "code", "words"),
    [
        (b"", "bad-sound", "no WAV, MP3, Ogg or FLAC"),
        (b"#EXTM3U\n/etc/passwd\n", "bad-sound", "no WAV, MP3, Ogg or FLAC"),
        (b"RIFF" + bytes(100), "bad-sound", "wav file"),
        (b"OggS" + bytes(4_000), "bad-sound", "ogg file"),
        (wav(0.5)[:44], "bad-sound", "wav file"),
        (b"RIFF" + bytes(encode.MAX_FILE_BYTES), "too-long", "larger than 10 MB"),
    ],
)
async def test_what_is_no_sound_is_refused_in_a_sentence(raw: bytes, code: str, words: str) -> None:
    with pytest.raises(SpeechError, match=words) as refused:
        await Speech(Settings()).file(raw)
    assert refused.value.code == code


async def test_a_file_that_lasts_too_long_is_refused() -> None:
    long = coded("ogg", "libopus", 20)
    assert len(encode.make(long, "none")) > 900
    silent = wav(0.001, rate=8_000)[:40] + (2**31 - 1).to_bytes(4, "little") + bytes(8_000 * 2 * 302)
    with pytest.raises(SpeechError, match="longer than 5 minutes") as refused:
        await Speech(Settings()).file(silent)
    assert refused.value.code == "too-long"


async def test_another_voice_is_a_matter_of_the_settings(tmp_path: Path) -> None:
    """It gets the text as it is to be spoken, and its WAV has a rate of its own."""
    (tmp_path / "voice.wav").write_bytes(wav(1.0, 700))
    program = "import sys; open(sys.argv[1] + '/said', 'w').write(sys.stdin.read()); "
    program += "sys.stdout.buffer.write(open(sys.argv[1] + '/voice.wav', 'rb').read())"
    settings = Settings(
        voice="command",
        command=(
            sys.executable,
            "-c",
            program,
            str(tmp_path),
        ),
    )
    packets = await Speech(settings).say([Words("请拨打110", "zh")], "none")
    assert power_at(heard(packets)[2_000:14_000], 700) > 100
    assert (tmp_path / "said").read_text("utf-8") == "请拨打幺幺零"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Settings(voice="off"), "switched off"),
        (Settings(voice="command", command=("/no/such/program",)), "cannot be started"),
        (Settings(voice="command", command=("false",)), "ended with code 1"),
        (Settings(voice="command", command=("cat",)), "no WAV"),
        (
            Settings(
                voice="command",
                command=(
                    "sleep",
                    "60",
                ),
                timeout_s=1,
            ),
            "longer than 1 s",
        ),
    ],
)
async def test_without_a_voice_it_says_why(settings: Settings, words: str) -> None:
    with pytest.raises(SpeechError, match=words) as refused:
        await Speech(settings).say([Words(TEXT, "zh")], "chime")
    assert refused.value.code == "no-speech"


async def test_text_without_a_word_is_no_speech() -> None:
    with pytest.raises(SpeechError, match="sound"):
        await Speech(Settings()).say([Words(" ", "zh")], "chime")


async def test_whoever_stops_waiting_stops_his_child(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    shell = f"echo $$ > {pid}; exec sleep 60"
    waiting = asyncio.create_task(run(["sh", "-c", shell], b"", max_bytes=10, timeout_s=60))
    async with asyncio.timeout(10):
        while not pid.exists() or not pid.read_text().strip():
            await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


async def test_a_child_that_says_too_much_is_not_believed() -> None:
    with pytest.raises(ChildFailed, match="more than 1000 bytes"):
        await run(["head", "-c", "100000", "/dev/zero"], b"", max_bytes=1_000, timeout_s=10)


async def test_the_line_for_the_voice_is_bounded() -> None:
    speech = Speech(
        Settings(
            voice="command",
            command=(
                "sleep",
                "60",
            ),
            timeout_s=60,
        )
    )
    tasks = [
        asyncio.create_task(speech.say([Words("x", "zh")], "none")) for _ in range(CHILDREN_MAX + WAITING_MAX)
    ]
    for _ in range(10):
        await asyncio.sleep(0)
    with pytest.raises(SpeechError) as refused:
        await speech.say([Words("x", "zh")], "none")
    assert refused.value.code == "busy"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_settings_that_fit_no_voice_are_told() -> None:
    with pytest.raises(ConfigError, match=r"give speech\.command"):
        load(None, {"speech": {"voice": "command"}})
    with pytest.raises(ConfigError, match="is used with"):
        load(None, {"speech": {"command": ["piper"]}})


def test_the_longest_clip_fits_its_parts_and_every_part_a_message() -> None:
    """At 24 kbit/s; a part is read by devices as any other message."""
    frames = [bytes([n % 251]) * 60 for n in range(MAX_CLIP_MS // 20)]
    clip = describe(frames)
    parts = parts_of(frames)
    assert (clip.ms, clip.parts) == (MAX_CLIP_MS, len(parts))
    assert [frame for part in parts for frame in part] == frames
    for number, part in enumerate(parts):
        body = codec.encode(down.ClipPart(clip.clip, number, part))
        assert len(body) < MAX_UP_BYTES
        assert codec.decode_down("clip-part", body) == down.ClipPart(clip.clip, number, part)
    with pytest.raises(ValueError, match="at most 300 s"):
        describe([*frames, frames[0]])
