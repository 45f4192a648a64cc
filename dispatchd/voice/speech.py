"""Text to clip: a child speaks, another makes packets of it. Also sound files to clips.

The voice is espeak-ng in a child (protocols/espeak.py), or any program of the settings that reads text on stdin and
writes a WAV on stdout. What must hold: at most CHILDREN_MAX of our children at a time, WAITING_MAX waiting; each is
bounded in time; whoever stops waiting stops his child. Why there is no sound is a SpeechError, never a fault of the
broadcast: that goes as text.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import msgspec

from dispatchd.config import Speech as Settings
from protocols import espeak
from protocols.speech import speakable

from . import child, encode

CHILDREN_MAX: Final = 2
WAITING_MAX: Final = 32
TEXT_MAX: Final = 2_000
"""Signs of one text; a broadcast has 1,000 at most."""
WAV_MAX_BYTES: Final = encode.MAX_FILE_BYTES
ENCODE_TIMEOUT_S: Final = 60.0
_packets: Final = msgspec.msgpack.Decoder(list[bytes])


class SpeechError(Exception):
    """Why there is no sound: a stable `code` (no-speech, bad-sound, too-long, busy) and a sentence."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class Words(NamedTuple):
    text: str
    lang: str


class Speech:
    """`say` and `file`; both give the packets of a clip."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._places = asyncio.Semaphore(CHILDREN_MAX)
        self._waiting = 0

    async def say(self, words: Sequence[Words], lead_in: str) -> list[bytes]:
        """One after the other, after the lead-in. SpeechError."""
        if self._settings.voice == "off":
            raise SpeechError("no-speech", "Speech is switched off in the settings ([speech] voice).")
        packets: list[bytes] = []
        async with self._place():
            for number, one in enumerate(words):
                wav = await self._wav(one)
                packets += await self._encoded(wav, "none" if number else lead_in, "no-speech")
        return packets

    async def file(self, raw: bytes) -> list[bytes]:
        """A WAV, MP3, Ogg or FLAC file as it is. SpeechError."""
        if len(raw) > encode.MAX_FILE_BYTES:
            raise SpeechError(
                "too-long", f"The file is larger than {encode.MAX_FILE_BYTES // 2**20} MB. Cut it."
            )
        async with self._place():
            return await self._encoded(raw, "none", "bad-sound")

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if self._waiting >= WAITING_MAX:
            raise SpeechError("busy", "Too many sounds are being made at once. Try again.")
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()

    async def _wav(self, words: Words) -> bytes:
        text = speakable(words.text[:TEXT_MAX], words.lang)
        command = self._command(words.lang)
        try:
            return await child.run(
                command, text.encode(), max_bytes=WAV_MAX_BYTES, timeout_s=self._settings.timeout_s
            )
        except child.ChildFailed as error:
            raise SpeechError("no-speech", f"The voice made no sound: {error}.".replace("..", ".")) from error

    def _command(self, lang: str) -> list[str]:
        if self._settings.voice == "espeak":
            return espeak.command(lang)
        return [part.replace("{lang}", lang) for part in self._settings.command]

    async def _encoded(self, raw: bytes, lead_in: str, code: str) -> list[bytes]:
        command = [sys.executable, "-m", encode.__name__, "--lead-in", lead_in]
        try:
            made = await child.run(command, raw, max_bytes=encode.MAX_FILE_BYTES, timeout_s=ENCODE_TIMEOUT_S)
            return _packets.decode(made)
        except child.ChildFailed as error:
            code = "too-long" if error.code == encode.TOO_LONG else code
            raise SpeechError(code, f"There is no clip of this: {error}.".replace("..", ".")) from error
        except msgspec.MsgspecError as error:
            raise SpeechError(code, "The program that makes clips answered with something else.") from error
