"""A device's own voice: text and prompts to sound by the espeak child, where the daemon's clip is not to be had.

What must hold: one child at a time, ended after TIMEOUT_S and when nobody waits any more; what cannot be spoken is
None, and the agent then reports `player-failed`, never silence as `presented`. Prompts come again and again: the last
few sounds are kept.
"""

import asyncio
import contextlib
import io
import wave
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from protocols import espeak
from protocols.speech import speakable
from protocols.voice import RATE_HZ

TIMEOUT_S: Final = 20.0
MAX_TEXT: Final = 1_000
"""Signs; the rest of a longer text is not said."""
MAX_WAV_BYTES: Final = 10_000_000
"""Five minutes; a longer sound counts as none."""
MAX_KEPT: Final = 16
"""Sounds in memory, least recently used out."""
MAX_KEPT_BYTES: Final = 320_000
"""Ten seconds; a longer one is not kept."""

Command = Callable[[str], Sequence[str]]
"""Language to a program that reads UTF-8 text on stdin and writes a WAV of RATE_HZ on stdout."""


class Voice:
    """`speak` fits devices.voice.handset.Speak."""

    def __init__(self, command: Command = espeak.command) -> None:
        self._command = command
        self._one = asyncio.Lock()
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    async def speak(self, text: str, lang: str) -> bytes | None:
        """PCM of RATE_HZ, 16 bit mono; None where nothing on this machine can say it."""
        said = speakable(text[:MAX_TEXT], lang)
        async with self._one:
            kept = self._kept.pop((said, lang), None)
            pcm = kept if kept is not None else _pcm(await _run(self._command(lang), said.encode()))
        if pcm is not None and len(pcm) <= MAX_KEPT_BYTES:
            self._kept[said, lang] = pcm
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return pcm


async def _run(command: Sequence[str], given: bytes) -> bytes | None:
    """Its stdout, None if it failed; the child is gone when this returns, also by cancelling."""
    pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=null)
    except OSError:
        return None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            said, _ = await child.communicate(given)
    except TimeoutError:
        return None
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    return said if child.returncode == 0 and len(said) <= MAX_WAV_BYTES else None


def _pcm(wav: bytes | None) -> bytes | None:
    """Of a WAV as this room wants it; None for any other."""
    if wav is None:
        return None
    try:
        with wave.open(io.BytesIO(wav)) as file:
            fits = (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE_HZ, 1, 2)
            return (file.readframes(file.getnframes()) or None) if fits else None
    except (wave.Error, EOFError):
        return None
