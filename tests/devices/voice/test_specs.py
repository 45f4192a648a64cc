"""Microphones and speakers by name, and what is said when there is none of that name."""

import sys
from pathlib import Path

import pytest

from devices.voice.files import WavMicrophone, WavSpeaker
from devices.voice.pyaudio_sound import (
    PyAudioMicrophone,
    PyAudioSpeaker,
    SoundDevice,
    find_device,
    list_devices,
)
from devices.voice.sound import SoundFailed
from devices.voice.specs import open_sound
from devices.voice.synthetic import NullSpeaker, SilentMicrophone, ToneMicrophone


@pytest.mark.parametrize(
    ("mic", "speaker", "microphone_type", "speaker_type"),
    [
        ("pyaudio", "pyaudio", PyAudioMicrophone, PyAudioSpeaker),
        ("pyaudio:USB Headset", "pyaudio:3", PyAudioMicrophone, PyAudioSpeaker),
        ("file:/a/b:c.wav", "file:d.wav", WavMicrophone, WavSpeaker),
        ("loop:a.wav", "null", WavMicrophone, NullSpeaker),
        ("tone:440", "null", ToneMicrophone, NullSpeaker),
        ("tone:1e3", "null", ToneMicrophone, NullSpeaker),
        ("silence", "null", SilentMicrophone, NullSpeaker),
    ],
)
def test_names(mic: str, speaker: str, microphone_type: type, speaker_type: type) -> None:
    microphone, sink = open_sound(mic, speaker)
    assert type(microphone) is microphone_type
    assert type(sink) is speaker_type


@pytest.mark.parametrize(
    "mic", ["", "files:a", "file:", "tone", "tone:x", "tone:-1", "tone:nan", "tone:9000", "null"]
)
def test_a_microphone_of_no_such_name_is_refused_with_those_there_are(mic: str) -> None:
    with pytest.raises(
        SoundFailed, match="is no microphone; choose one of: pyaudio, pyaudio:NAME_OR_INDEX, file:"
    ):
        open_sound(mic, "null")


@pytest.mark.parametrize("speaker", ["", "silence", "file:", "null:1"])
def test_a_speaker_of_no_such_name_is_refused_with_those_there_are(speaker: str) -> None:
    with pytest.raises(SoundFailed, match="is no loudspeaker; choose one of: pyaudio"):
        open_sound("silence", speaker)


DEVICES = [
    SoundDevice(0, "HDA Intel: Analog", microphone=True, speaker=True),
    SoundDevice(1, "USB Headset: Mic", microphone=True, speaker=False),
    SoundDevice(2, "USB Headset: Phones", microphone=False, speaker=True),
    SoundDevice(3, "USB", microphone=True, speaker=True),
]


@pytest.mark.parametrize(
    ("wanted", "microphone", "index"),
    [
        ("1", True, 1),
        ("headset", True, 1),
        ("headset", False, 2),
        ("USB", True, 3),
        ("HDA Intel: Analog", False, 0),
    ],
)
def test_a_device_is_found_by_number_name_or_part_of_it(wanted: str, microphone: bool, index: int) -> None:
    assert find_device(wanted, DEVICES, microphone=microphone) == index


def test_a_device_that_is_not_there_or_not_the_only_one_is_said() -> None:
    with pytest.raises(
        SoundFailed, match=r"There is no loudspeaker '1'; choose among: 0 'HDA.*', 2 'USB.*', 3 'USB'"
    ):
        find_device("1", DEVICES, microphone=False)
    with pytest.raises(SoundFailed, match=r"More than one microphone is called 'us'; choose among: 1 .*, 3 "):
        find_device("us", DEVICES, microphone=True)
    with pytest.raises(SoundFailed, match="choose among: none"):
        find_device("us", [], microphone=True)


def test_without_pyaudio_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", None)
    with pytest.raises(
        SoundFailed, match=r"pip install 'dispatchd\[audio\]'.*portaudio19-dev.*file:PATH.wav"
    ):
        list_devices()


async def test_without_pyaudio_a_microphone_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyaudio", None)
    with pytest.raises(SoundFailed, match="PyAudio cannot be used"):
        await PyAudioMicrophone().open()


def test_nothing_but_this_room_needs_pyaudio() -> None:
    for path in Path(__file__).parents[3].glob("devices/**/*.py"):
        assert path.name == "pyaudio_sound.py" or "import pyaudio\n" not in path.read_text(encoding="utf-8")
