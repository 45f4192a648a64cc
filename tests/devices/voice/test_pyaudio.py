"""The machine's own sound through a real sound server: speaker → null sink → its monitor → microphone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.devices.voice.pulse import pulse
from tests.devices.voice.two_radios import LENGTH_S, TONES_HZ

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.audio


def child(env: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    env = env | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, timeout=40, check=False
    )


@pytest.mark.alone
@pytest.mark.parametrize(
    ("mic", "speaker"),
    [pytest.param("", "", id="default", marks=pytest.mark.full), pytest.param("ear", "mouth", id="by-name")],
)
def test_what_is_played_is_heard(tmp_path: Path, mic: str, speaker: str) -> None:
    with pulse(tmp_path) as env:
        done = child(env, "-m", "tests.devices.voice.two_radios", mic, speaker)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    print(report)
    assert {"ear", "mouth"} <= set(report["devices"])
    assert report["tones_hz"] == pytest.approx(list(TONES_HZ), abs=2.0)
    assert report["rms"] == pytest.approx(8_000 / 2**0.5, rel=0.1)
    assert report["took_s"] == pytest.approx(2 * LENGTH_S, abs=0.5), "real time, nothing heaped up"
    assert report["ticks"] > report["took_s"] / 0.005 / 3, "the loop was never held"
    assert report["longest_write_ms"] < 200
    assert report["drained_ms"] <= report["lead_ms"] + 100
    assert report["overruns"] >= 5, "0.7 s unread, 0.5 s of it kept"


def test_a_machine_without_sound_is_told_so_and_nothing_else_is_printed(tmp_path: Path) -> None:
    (tmp_path / ".asoundrc").write_text("pcm.!default { type hw card 99 }\n", encoding="utf-8")
    body = (
        "import asyncio\nfrom devices.voice.pyaudio_sound import *\nfrom devices.voice.sound import SoundFailed\n"
        "for one in (PyAudioMicrophone(), PyAudioSpeaker()):\n"
        "    try:\n        asyncio.run(one.open())\n"
        "    except SoundFailed as error:\n        print(error)\n"
    )
    env = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "PULSE_SERVER": f"unix:{tmp_path}/none"}
    done = child(env, "-c", body)
    assert done.returncode == 0, done.stderr
    assert [line.split(" cannot be used")[0] for line in done.stdout.splitlines()] == [
        "The microphone of the system",
        "The loudspeaker of the system",
    ]
    assert done.stderr == ""
