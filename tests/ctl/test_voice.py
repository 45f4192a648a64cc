"""`ctl talk` and `ctl listen` against a daemon's voice: what one says by a file the other keeps as a file."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from dispatchd import cli
from dispatchd.config import READY_FILE, Ready
from dispatchd.core.commands import RevokeFloor
from dispatchd.core.inputs import DeviceSaid, VoiceJoined
from dispatchd.ctl import errors
from protocols import up
from protocols.voice import RATE_HZ
from tests.console.desk import token
from tests.voice.control_room import Room, control_room

T = TypeVar("T")
WAIT_S = 20
TONES_HZ = (400, 900, 1500)
TONE_S = 0.4


class Voices:
    """A control room in a thread, with a folder as a daemon leaves it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.room: Room
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="voices", daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(WAIT_S)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_S)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with control_room() as self.room:
            ready = Ready(
                True,
                f"http://127.0.0.1:{self.room.port}",
                "mqtt://127.0.0.1:1883",
                "dispatch/v1",
                "admin.token",
            )
            (self.directory / READY_FILE).write_bytes(msgspec.json.encode(ready))
            for operator in ("admin", "chief", "north", "south", "north-view"):
                (self.directory / f"{operator}.token").write_text(token(operator) + "\n")
            self._ready.set()
            await self._stop.wait()

    def do(self, what: Callable[[Room], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run_coroutine_threadsafe(what(self.room), self._loop).result(WAIT_S)

    def until(self, condition: Callable[[Room], object]) -> None:
        deadline_s = time.monotonic() + WAIT_S
        while not condition(self.room):
            assert time.monotonic() < deadline_s
            time.sleep(0.02)

    def args(self, *args: str, by: str) -> list[str]:
        return [*args, "--dir", str(self.directory), "--token-file", str(self.directory / f"{by}.token")]

    @contextlib.contextmanager
    def listening(self, *args: str, by: str) -> Iterator["subprocess.Popen[str]"]:
        """`ctl listen` as a process, from the moment it hears."""
        process = subprocess.Popen(
            [sys.executable, "-m", "dispatchd", *self.args("ctl", "listen", *args, "--json", by=by)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            self.until(lambda room: process.poll() is not None or _hears(room, by))
            yield process
        finally:
            process.kill()
            process.communicate(timeout=WAIT_S)


def _hears(room: Room, operator: str) -> bool:
    return any(session.connected and session.tuner.channels for session in room.sessions.of("@" + operator))


@pytest.fixture
def voices(tmp_path: Path) -> Iterator[Voices]:
    os.environ.pop("NO_COLOR", None)
    found = Voices(tmp_path)
    found.start()
    yield found
    found.stop()


def sentence() -> npt.NDArray[np.int16]:
    """One tone after the other: a listener hears which, in which order, and whether the ends are there."""
    at = np.arange(int(TONE_S * RATE_HZ)) / RATE_HZ
    tones = [9000 * np.sin(2 * np.pi * hz * at) for hz in TONES_HZ]
    return np.concatenate(tones).astype(np.int16)


def write_wav(path: Path, sound: npt.NDArray[np.int16], rate_hz: int = RATE_HZ) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate_hz, 0, "NONE", ""))
        file.writeframes(sound.tobytes())
    return path


def read_wav(path: Path) -> npt.NDArray[np.int16]:
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (1, RATE_HZ, 2)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def loudest_hz(sound: npt.NDArray[np.int16]) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum) * RATE_HZ / len(sound))


async def terminal(room: Room, device: str = "t-n") -> None:
    await room.online(device)
    await room.engine.tell(VoiceJoined(device, "datagram"))


def talk(
    voices: Voices, capsys: pytest.CaptureFixture[str], *args: str, by: str = "north"
) -> tuple[int, Any, str]:
    """Exit code, the JSON (None without), stderr."""
    capsys.readouterr()
    code = cli.main(voices.args("ctl", "talk", *args, "--json", by=by))
    out, err = capsys.readouterr()
    lines = [line for line in out.splitlines() if line.startswith("{")]
    return code, json.loads(lines[-1]) if lines else None, err


def test_nobody_hears_himself_in_another_window(
    voices: Voices, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said, out = write_wav(tmp_path / "said.wav", sentence()), tmp_path / "heard.wav"
    with (
        voices.listening("north-a", str(tmp_path / "other.wav"), by="chief"),
        voices.listening("north-a", str(out), by="north") as own,
    ):
        assert talk(voices, capsys, "north-a", str(said))[0] == 0
        voices.until(lambda room: not room.engine.unsettled.floors["north-a"].burst)
        own.send_signal(2)
        heard_out, _ = own.communicate(timeout=WAIT_S)
    summary = json.loads(heard_out.splitlines()[-1])
    assert (summary["frames"], summary["talkers"]) == (0, [])


def test_what_one_says_the_other_hears(
    voices: Voices, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said, out = write_wav(tmp_path / "said.wav", sentence()), tmp_path / "heard.wav"
    with voices.listening("north-a", "north", str(out), by="chief") as listener:
        code, report, err = talk(voices, capsys, "north-a", str(said))
        assert (code, err) == (0, "")
        assert (report["listeners"], report["ended"], report["frames_sent"]) == (1, "released", 60)
        assert report["seconds"] == pytest.approx(1.2)
        voices.until(lambda room: not room.engine.unsettled.floors["north-a"].burst)
        listener.send_signal(2)
        heard_out, heard_err = listener.communicate(timeout=WAIT_S)
    assert listener.returncode == 0, heard_err
    summary = json.loads(heard_out.splitlines()[-1])
    assert summary["file"] == str(out)
    assert summary["frames"] + summary["lost"] == 60
    assert [(one["group"], one["talker"], one["burst"]) for one in summary["talkers"]] == [
        ("north-a", "north", report["burst"])
    ]
    heard = read_wav(out)
    assert len(heard) / RATE_HZ == pytest.approx(1.2, abs=0.05)
    size = int(TONE_S * RATE_HZ)
    for n, hz in enumerate(TONES_HZ):
        middle = heard[n * size + size // 4 : (n + 1) * size - size // 4]
        assert loudest_hz(middle) == pytest.approx(hz, abs=15)
    assert np.abs(heard[:1600]).max() > 2000, "the first syllable"
    assert np.abs(heard[-1600:]).max() > 2000, "the last syllable"


def test_a_denial_is_a_sentence_and_an_exit_code(
    voices: Voices, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = write_wav(tmp_path / "said.wav", sentence())
    code, report, err = talk(voices, capsys, "north-a", str(said))
    assert (code, report) == (errors.REFUSED, None)
    assert "该组无人在听" in err
    code, _, err = talk(voices, capsys, "south", str(said), "--lang", "en")
    assert code == errors.REFUSED
    assert "not in this talk group" in err
    code, _, err = talk(voices, capsys, "north-a", str(said), by="north-view")
    assert code == errors.NOT_ALLOWED
    assert "[role]" in err
    assert not voices.room.engine.unsettled.floors


def test_who_talks_already_is_waited_for(
    voices: Voices, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    voices.do(terminal)
    voices.do(lambda room: room.engine.tell(DeviceSaid("t-n", up.FloorRequest("north-a", 1, "emergency"))))

    def let_go_later() -> None:
        voices.until(lambda room: room.engine.unsettled.floors["north-a"].queue)
        voices.do(lambda room: room.engine.tell(DeviceSaid("t-n", up.FloorRelease("north-a", 1))))

    helper = threading.Thread(target=let_go_later, name="let go")
    helper.start()
    code, report, err = talk(voices, capsys, "north-a", str(write_wav(tmp_path / "x.wav", sentence())))
    helper.join(WAIT_S)
    assert (code, err) == (0, "")
    assert (report["queue_position"], report["listeners"]) == (1, 1)


def test_a_floor_that_is_taken_away_ends_it_with_how_much_was_said(
    voices: Voices, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    voices.do(terminal)

    def revoke_later() -> None:
        voices.until(lambda room: len(room.recorder.opus("north-a")) > 10)
        voices.do(lambda room: room.done("chief", RevokeFloor("north-a")))

    helper = threading.Thread(target=revoke_later, name="revoke")
    helper.start()
    long = np.tile(sentence(), 5)
    code, report, _ = talk(voices, capsys, "north-a", str(write_wav(tmp_path / "long.wav", long)))
    helper.join(WAIT_S)
    assert code == errors.REFUSED
    assert report["ended"] == "other"
    assert 10 < report["frames_sent"] < 300
    assert not voices.room.sessions.of("@north")


def test_what_is_no_sound_says_so_before_anybody_is_bothered(
    voices: Voices, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "words.txt"
    text.write_text("no sound at all\n" * 50)
    for path in (text, tmp_path / "nowhere.wav"):
        code, report, err = talk(voices, capsys, "north-a", str(path))
        assert (code, report) == (errors.BAD_FILE, None)
        assert str(path) in err
        assert "Traceback" not in err
    assert not voices.room.sessions.counts["answered"]


def test_listen_ends_by_itself_and_leaves_nothing_behind(
    voices: Voices, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "quiet.wav"
    code = cli.main(voices.args("ctl", "listen", "north-a", str(out), "--for", "0.3", "--json", by="north"))
    assert code == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (summary["frames"], summary["talkers"], len(read_wav(out))) == (0, [], 0)
    voices.until(lambda room: not room.sessions.of("@north"))
    assert not (tmp_path / "quiet.wav.new").exists()


def test_listen_says_why_it_cannot(
    voices: Voices, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.wav"
    assert cli.main(voices.args("ctl", "listen", "north-a", str(out), by="south")) == errors.REFUSED
    assert "您听不到这个通道" in capsys.readouterr().err
    assert not out.exists()
    nowhere = str(tmp_path / "no" / "x.wav")
    assert cli.main(voices.args("ctl", "listen", "north-a", nowhere, by="north")) == errors.BAD_FILE
    assert nowhere in capsys.readouterr().err
