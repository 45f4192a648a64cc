"""A child program that speaks: `python -m protocols.espeak --voice cmn --rate 170 <text.txt >speech.wav`.

UTF-8 text on stdin, WAV on stdout: 16 kHz, 16 bit, mono. It drives the library of espeakng-loader's wheel, which is
GPL-3, and is therefore only ever a process of its own: others import this module for `command` and the exit codes
only, and the library is loaded below `main` alone. It is also the one place in `protocols` that reads or writes
anything. It has no time-out of its own: who starts it ends it after TIMEOUT_S.

Exit codes: 0 spoken, 2 wrong arguments, and as below with one sentence on stderr.
"""

import argparse
import ctypes
import importlib
import io
import math
import sys
import wave
from array import array
from operator import mul
from typing import Final

from .voice import RATE_HZ

NO_TEXT: Final = 3
"""Exit code: the text is empty, longer than MAX_TEXT_BYTES, or no UTF-8."""
NO_ESPEAK: Final = 4
"""Exit code: espeakng-loader is missing or its library does not load."""
NO_VOICE: Final = 5
"""Exit code: it has no such voice."""
NO_SOUND: Final = 6
"""Exit code: it failed, or had nothing to say (text without a word)."""

VOICES: Final = {"zh": "cmn", "en": "en"}
RATE_WPM: Final = 170
MIN_RATE_WPM, MAX_RATE_WPM = 80, 450  # what espeak-ng takes
MAX_TEXT_BYTES: Final = 16_000
"""Ten minutes and more; a longer text is refused."""
TIMEOUT_S: Final = 60
"""Of the longest text on a slow board; a second or two is usual."""

_FILTER_TAPS = 48
_FILTER_PASS = 0.94  # of the lower rate's half

_SYNCHRONOUS, _DO_NOT_EXIT = 2, 0x8000  # espeak_AUDIO_OUTPUT, option of espeak_Initialize
_PARAMETER_RATE, _BY_CHARACTER, _CHARS_UTF8 = 1, 1, 1
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
)  # sound, count, events


class Refused(Exception):
    """Why nothing was spoken, for stderr, and the exit code."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


def command(lang: str = "zh", rate_wpm: int = RATE_WPM) -> list[str]:
    """How to start the child; languages without a voice here get the English one."""
    voice = VOICES.get(lang, VOICES["en"])
    return [sys.executable, "-m", "protocols.espeak", "--voice", voice, "--rate", str(rate_wpm)]


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        speech = speak(_text(sys.stdin.buffer.read(MAX_TEXT_BYTES + 1)), options.voice, options.rate)
    except Refused as refused:
        print(f"espeak: {refused}", file=sys.stderr)
        return refused.code
    sys.stdout.buffer.write(as_wav(speech))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m protocols.espeak",
        description="Speak UTF-8 text from stdin as 16 kHz WAV on stdout.",
        epilog="example: echo 请拨打幺幺零 | python -m protocols.espeak --voice cmn > speech.wav",
    )
    parser.add_argument("--voice", default=VOICES["zh"], help="a voice of espeak-ng (cmn)")
    parser.add_argument("--rate", type=_rate, default=RATE_WPM, help="words a minute (170)")
    return parser


def _rate(text: str) -> int:
    if not text.isdecimal() or not MIN_RATE_WPM <= int(text) <= MAX_RATE_WPM:
        raise argparse.ArgumentTypeError(
            f"{text} is not within {MIN_RATE_WPM} and {MAX_RATE_WPM} words a minute"
        )
    return int(text)


def _text(raw: bytes) -> str:
    if len(raw) > MAX_TEXT_BYTES:
        raise Refused(NO_TEXT, f"the text is longer than {MAX_TEXT_BYTES} bytes; speak it in parts")
    try:
        text = raw.decode().replace("\0", " ").strip()
    except UnicodeDecodeError as error:
        raise Refused(NO_TEXT, f"the text is not UTF-8: {error}") from None
    if not text:
        raise Refused(NO_TEXT, "there is no text to speak; write it to standard input")
    return text


def speak(text: str, voice: str, rate_wpm: int) -> list[int]:
    """Samples at RATE_HZ; Refused. Once in a process: the library keeps its state for ever."""
    espeak, made_hz = _start()
    if espeak.espeak_SetVoiceByName(voice.encode()) != 0:
        raise Refused(NO_VOICE, f"espeak-ng has no voice {voice!r}; `cmn` is Mandarin")
    espeak.espeak_SetParameter(_PARAMETER_RATE, rate_wpm, 0)
    made, raw = array("h"), text.encode()

    def take(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            made.frombytes(ctypes.string_at(samples, count * 2))
        return 0  # go on

    callback = _CALLBACK(take)
    espeak.espeak_SetSynthCallback(callback)
    failed = espeak.espeak_Synth(raw + b"\0", len(raw) + 1, 0, _BY_CHARACTER, 0, _CHARS_UTF8, None, None)
    if failed or espeak.espeak_Synchronize() or not any(made):
        raise Refused(NO_SOUND, "espeak-ng made no sound of this text")
    return resample(made.tolist(), made_hz, RATE_HZ)


def _start() -> tuple[ctypes.CDLL, int]:
    try:
        loader = importlib.import_module("espeakng_loader")
        espeak = ctypes.CDLL(loader.get_library_path())
        folder: str = loader.get_data_path()
        espeak.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        made_hz: int = espeak.espeak_Initialize(_SYNCHRONOUS, 0, folder.encode(), _DO_NOT_EXIT)
        espeak.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        espeak.espeak_SetSynthCallback.argtypes = [_CALLBACK]
        espeak.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            *[ctypes.c_uint, ctypes.c_int] * 2,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
    except (ImportError, OSError, AttributeError, RuntimeError) as error:
        raise Refused(NO_ESPEAK, f"no espeak-ng: {error}; install the package espeakng-loader") from error
    if made_hz <= 0:
        raise Refused(NO_ESPEAK, f"espeak-ng does not start with the data in {folder}")
    return espeak, made_hz


def resample(samples: list[int], from_hz: int, to_hz: int) -> list[int]:
    """By a windowed sinc of 48 taps, one set for each phase. Plain Python: 10 s of speech take some 0.5 s."""
    divisor = math.gcd(from_hz, to_hz)
    up, down = to_hz // divisor, from_hz // divisor
    bank = [_taps(phase / up, min(1.0, to_hz / from_hz) * _FILTER_PASS) for phase in range(up)]
    padded = [0] * (_FILTER_TAPS // 2 - 1) + samples + [0] * (_FILTER_TAPS // 2 + 1)
    places = (divmod(n * down, up) for n in range(len(samples) * up // down))
    sums = (sum(map(mul, padded[at : at + _FILTER_TAPS], bank[phase])) for at, phase in places)
    return [max(-32_768, min(32_767, round(value))) for value in sums]


def _taps(offset: float, cutoff: float) -> list[float]:
    """Of the filter between two samples, `offset` of the way; gain 1. `cutoff` as a part of half the sample rate."""
    taps = []
    for k in range(_FILTER_TAPS):
        x = k - (_FILTER_TAPS // 2 - 1) - offset
        window = 0.5 + 0.5 * math.cos(2 * math.pi * x / (_FILTER_TAPS + 1))  # Hann
        taps.append(window * (math.sin(math.pi * cutoff * x) / (math.pi * x) if x else cutoff))
    gain = sum(taps)
    return [tap / gain for tap in taps]


def as_wav(samples: list[int]) -> bytes:
    """A whole WAV file at RATE_HZ."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(array("h", samples).tobytes())
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(main())
