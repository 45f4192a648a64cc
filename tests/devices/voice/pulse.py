"""A sound server of the test's own: what is played on its only speaker is what its only microphone hears."""

import os
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import find_program

START_S = 10.0
ASOUNDRC = """
pcm.!default {{ type pulse server "unix:{socket}" hint.description "the street" }}
pcm.mouth {{ type pulse server "unix:{socket}" device "street" hint.description "plays in the street" }}
pcm.ear {{ type pulse server "unix:{socket}" device "street.monitor" hint.description "hears the street" }}
"""


@contextmanager
def pulse(folder: Path) -> Generator[dict[str, str]]:
    """A daemon with a null sink called `street`; gives the environment in which programs find it, and it only."""
    socket = folder / "native"
    env = os.environ | {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PULSE_SERVER": f"unix:{socket}"}
    env = {
        name: value for name, value in env.items() if name not in {"PULSE_SINK", "PULSE_SOURCE", "DISPLAY"}
    }
    (folder / ".asoundrc").write_text(ASOUNDRC.format(socket=socket), encoding="utf-8")
    command = [
        *(find_program("pulseaudio") or "pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no"),
        *("--exit-idle-time=-1", "--disable-shm=yes", "--log-target=stderr"),
        *("-L", f"module-native-protocol-unix auth-anonymous=1 socket={socket}"),
        *("-L", "module-null-sink sink_name=street rate=48000"),
    ]
    with (
        (folder / "pulse.log").open("wb") as log,
        subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=log) as daemon,
    ):
        try:
            wait_for(socket, daemon)
            yield env
        finally:
            daemon.kill()


def wait_for(socket: Path, daemon: subprocess.Popen[bytes]) -> None:
    """Until it listens."""
    until_s = time.monotonic() + START_S
    while not socket.exists():
        assert daemon.poll() is None, (socket.parent / "pulse.log").read_text(errors="replace")
        assert time.monotonic() < until_s, "pulseaudio did not start"
        time.sleep(0.02)
