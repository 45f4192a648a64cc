"""A whole daemon as a process, one shell that listens and one that talks: the words arrive."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .test_voice import TONE_S, TONES_HZ, loudest_hz, read_wav, sentence, write_wav

WAIT_S = 40
RATE_HZ = 16_000


@contextlib.contextmanager
def process(*args: str) -> Iterator["subprocess.Popen[str]"]:
    found = subprocess.Popen(
        [sys.executable, "-m", "dispatchd", *args],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        yield found
    finally:
        found.terminate()
        found.communicate(timeout=WAIT_S)


def once(*args: str) -> str:
    """stdout of a command that succeeds."""
    done = subprocess.run(
        [sys.executable, "-m", "dispatchd", *args],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, (args, done.stderr)
    return done.stdout


@pytest.mark.full
def test_two_shells_at_one_daemon(tmp_path: Path) -> None:
    state, out = str(tmp_path / "state"), tmp_path / "heard.wav"
    file = tmp_path / "settings.toml"
    file.write_text(
        f'dir = "{state}"\n[broker]\nlisten = "127.0.0.1:0"\n[voice]\nudp = "127.0.0.1:0"\n', "utf-8"
    )
    with process("run", "--config", str(file), "--http", "127.0.0.1:0", "--broker", "amqtt") as daemon:
        assert daemon.stdout is not None
        assert json.loads(daemon.stdout.readline())["ready"] is True
        said = once("operator", "add", "wang", "--unit", "top", "--role", "operator", "--dir", state)
        token = tmp_path / "wang.token"
        token.write_text(said.split()[-1] + "\n", "utf-8")
        with process("ctl", "listen", "top", str(out), "--for", "60", "--json", "--dir", state) as listener:
            _until_somebody_listens(state)
            wav = write_wav(tmp_path / "said.wav", sentence())
            wang = ("--dir", state, "--token-file", str(token), "--json")
            report = json.loads(once("ctl", "talk", "top", str(wav), *wang).splitlines()[-1])
            assert (report["listeners"], report["frames_sent"], report["ended"]) == (1, 60, "released")
            listener.send_signal(signal.SIGINT)
            assert listener.stdout is not None
            summary = json.loads(listener.stdout.readline())
    assert [one["talker"] for one in summary["talkers"]] == ["wang"]
    assert summary["frames"] + summary["lost"] == 60
    heard, size = read_wav(out), int(TONE_S * RATE_HZ)
    for n, hz in enumerate(TONES_HZ):
        middle = heard[n * size + size // 4 : (n + 1) * size - size // 4]
        assert loudest_hz(middle) == pytest.approx(hz, abs=15)


def _until_somebody_listens(state: str) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not json.loads(once("ctl", "groups", "--json", "--dir", state))["items"][0]["hearing"]:
        assert time.monotonic() < deadline_s
