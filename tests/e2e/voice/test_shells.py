"""Two shells on two laptops are two radios: the command line, a file as microphone and a file as loudspeaker."""

import asyncio
import contextlib
import json
import os
import sys
import wave
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.process import PATIENCE_S, ROOT
from tests.e2e.voice.radio import Sound
from tests.e2e.voice.stand import Stand, stand
from tests.sound.compare import compare
from tests.sound.spoken import SENTENCE, reference, spoken


@contextlib.asynccontextmanager
async def shell(here: Stand, device: str, folder: Path, *options: str) -> AsyncIterator[Process]:
    """`dispatch-device terminal`, switched off at the end."""
    url, secret = f"mqtt://127.0.0.1:{here.daemon.port}", here.daemon.secrets[device]
    credentials = folder / f"{device}.json"
    credentials.touch(mode=0o600)
    credentials.write_text(
        json.dumps({"device": device, "kind": "terminal", "urls": [url], "secret": secret})
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "devices.cli", "terminal", "--credentials", credentials, "--dir", folder / device,
        "--json", *options, cwd=ROOT, stdin=PIPE, stdout=PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        await process.communicate()


async def says(process: Process, event: str) -> None:
    """Until it prints a line of this event."""
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        while json.loads(await process.stdout.readline()).get("ev") != event:
            pass


def write_wav(path: Path, sound: Sound) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(sound.tobytes())


@pytest.mark.full
async def test_a_file_said_in_one_shell_is_heard_in_another(tmp_path: Path) -> None:
    wanted, heard = reference(SENTENCE), tmp_path / "heard.wav"
    write_wav(tmp_path / "said.wav", spoken(SENTENCE))
    async with (
        stand(tmp_path, 2, on=False) as here,
        shell(here, "radio-2", tmp_path, "--speaker", f"file:{heard}") as listener,
        shell(here, "radio-1", tmp_path, "--mic", f"file:{tmp_path / 'said.wav'}") as talker,
    ):
        await says(listener, "voice-keys")
        await says(talker, "voice-keys")
        assert talker.stdin is not None
        talker.stdin.write(b"talk\n")
        await talker.stdin.drain()
        await says(listener, "burst-heard")
        report = compare(wanted, np.frombuffer(heard.read_bytes()[44:], dtype=np.int16))
        print(report)
        assert not report.faults(), report.faults()
