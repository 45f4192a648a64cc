"""The child that speaks, run as one: a sentence of plausible length and level, and refusals that say why."""

import array
import io
import math
import subprocess
import sys
import wave

import pytest

from protocols import espeak
from protocols.speech import speakable
from protocols.voice import RATE_HZ

SENTENCE = "请注意,三十七号集结点有报警,请拨打幺幺零。"


def run(text: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    program = [sys.executable, "-m", "protocols.espeak", *arguments]
    return subprocess.run(program, input=text, capture_output=True, check=False, timeout=60)


def spoken(text: str, *arguments: str) -> list[int]:
    made = run(text.encode(), *arguments)
    assert (made.returncode, made.stderr) == (0, b"")
    with wave.open(io.BytesIO(made.stdout)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE_HZ, 1, 2)
        return array.array("h", file.readframes(file.getnframes())).tolist()


def rms(samples: list[int]) -> float:
    return math.sqrt(sum(x * x for x in samples) / len(samples))


def tone(hz: float, rate_hz: int = 22_050, seconds: float = 0.2) -> list[int]:
    return [round(10_000 * math.sin(2 * math.pi * hz * n / rate_hz)) for n in range(int(seconds * rate_hz))]


def test_a_sentence_of_mandarin() -> None:
    """18 syllables at 170 words a minute: three to nine a second, from the first half second to the last."""
    sound = spoken(SENTENCE)
    assert 2.0 < len(sound) / RATE_HZ < 8.0
    assert rms(sound) > 500
    half = RATE_HZ // 2
    assert rms(sound[:half]) > 100
    assert rms(sound[-RATE_HZ:]) > 100


def test_command_starts_it_and_the_rate_counts() -> None:
    assert espeak.command("zh", 170)[1:] == ["-m", "protocols.espeak", "--voice", "cmn", "--rate", "170"]
    assert espeak.command("en")[4] == "en"
    slow, fast = (
        spoken(SENTENCE, *espeak.command("zh", 100)[3:]),
        spoken(SENTENCE, *espeak.command("zh", 300)[3:]),
    )
    assert len(slow) > 1.5 * len(fast)


def test_110_said_by_its_digits_is_shorter_than_as_a_quantity() -> None:
    """Three syllables and four: what the normaliser writes is what is heard."""
    assert len(spoken(speakable("110"))) < len(spoken(speakable("110个")[:4]))


@pytest.mark.parametrize(
    ("text", "arguments", "code", "why"),
    [
        (b"", (), espeak.NO_TEXT, b"espeak: there is no text to speak; write it to standard input\n"),
        (b" \n\0 ", (), espeak.NO_TEXT, b"no text to speak"),
        (b"\xff\xfe", (), espeak.NO_TEXT, b"not UTF-8"),
        (b"a" * (espeak.MAX_TEXT_BYTES + 1), (), espeak.NO_TEXT, b"speak it in parts"),
        (b"word", ("--voice", "klingonese"), espeak.NO_VOICE, b"no voice 'klingonese'"),
        (b"word", ("--rate", "9000"), 2, b"words a minute"),
        (b"word", ("--rate", "x"), 2, b"words a minute"),
    ],
)
def test_refusals(text: bytes, arguments: tuple[str, ...], code: int, why: bytes) -> None:
    made = run(text, *arguments)
    assert made.returncode == code, made.stderr
    assert made.stdout == b""
    assert why in made.stderr
    assert b"Traceback" not in made.stderr


def test_importing_it_loads_no_gpl_library() -> None:
    program = "import protocols.espeak; print(open('/proc/self/maps').read())"
    made = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=30)
    assert b"espeak" not in made.stdout


@pytest.mark.parametrize("hz", [100, 440, 1000, 3000, 6000])
def test_resampling_keeps_what_can_be_heard(hz: float) -> None:
    made = espeak.resample(tone(hz), 22_050, RATE_HZ)
    assert len(made) == 3200
    wanted = tone(hz, RATE_HZ)
    noise = [a - b for a, b in zip(made[100:-100], wanted[100:-100], strict=True)]
    assert 20 * math.log10(rms(wanted) / max(rms(noise), 0.5)) > 40


@pytest.mark.parametrize("hz", [9000, 10_000])
def test_resampling_folds_nothing_down(hz: float) -> None:
    made = espeak.resample(tone(hz), 22_050, RATE_HZ)[100:-100]
    assert 20 * math.log10(7071 / max(rms(made), 0.5)) > 40


def test_resampling_clips_instead_of_wrapping() -> None:
    square = ([32_767] * 20 + [-32_768] * 20) * 50
    made = espeak.resample(square, 22_050, RATE_HZ)
    assert max(made) == 32_767
    assert min(made) == -32_768
