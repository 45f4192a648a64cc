"""Microphones and speakers by the words of a command line: `--mic`, `--speaker`."""

import math
from pathlib import Path
from typing import Final

from devices.voice.files import WavMicrophone, WavSpeaker
from devices.voice.pace import Clock
from devices.voice.pyaudio_sound import PyAudioMicrophone, PyAudioSpeaker
from devices.voice.sound import Microphone, SoundFailed, Speaker
from devices.voice.synthetic import NullSpeaker, SilentMicrophone, ToneMicrophone

MICROPHONES: Final = "pyaudio, pyaudio:NAME_OR_INDEX, file:PATH.wav, loop:PATH.wav, tone:440, silence"
SPEAKERS: Final = "pyaudio, pyaudio:NAME_OR_INDEX, file:PATH.wav, null"


def open_sound(mic: str, speaker: str, clock: Clock | None = None) -> tuple[Microphone, Speaker]:
    """Both as named by MICROPHONES and SPEAKERS, not opened yet; SoundFailed for a word that is none of these.

    `loop:` is a file over and over. The clock is for those that have none of their own.
    """
    return microphone_of(mic, clock), speaker_of(speaker, clock)


def microphone_of(mic: str, clock: Clock | None = None) -> Microphone:
    kind, _, rest = mic.partition(":")
    match kind:
        case "pyaudio":
            return PyAudioMicrophone(rest)
        case "file" | "loop" if rest:
            return WavMicrophone(Path(rest), loop=kind == "loop", clock=clock)
        case "tone" if _hz(rest):
            return ToneMicrophone(_hz(rest), clock=clock)
        case "silence" if not rest:
            return SilentMicrophone(clock=clock)
    raise SoundFailed(f"{mic!r} is no microphone; choose one of: {MICROPHONES}.")


def speaker_of(speaker: str, clock: Clock | None = None) -> Speaker:
    kind, _, rest = speaker.partition(":")
    match kind:
        case "pyaudio":
            return PyAudioSpeaker(rest)
        case "file" if rest:
            return WavSpeaker(Path(rest), clock=clock)
        case "null" if not rest:
            return NullSpeaker(clock=clock)
    raise SoundFailed(f"{speaker!r} is no loudspeaker; choose one of: {SPEAKERS}.")


def _hz(text: str) -> float:
    """0.0 = no frequency that can be heard at 16 kHz."""
    try:
        tone_hz = float(text)
    except ValueError:
        return 0.0
    return tone_hz if math.isfinite(tone_hz) and 0 < tone_hz < 8_000 else 0.0
