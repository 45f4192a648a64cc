"""Files as microphone and speaker.

A file that is played may have any rate, width and number of channels. A file that is written can be played at any
moment, also after the process was killed: the sizes in its head never promise more than is there.
"""

import os
import struct
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Final

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from devices.voice.pace import Clock, Pace, PlayedOut
from devices.voice.sound import SILENCE, Microphone, SoundEnded, SoundFailed, Speaker
from protocols.voice import PCM_FRAME_BYTES, RATE_HZ

HEAD: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")
MAX_WAV_BYTES: Final = 2**31 - HEAD.size
"""Of sound in one file: 18 hours. Beyond it `write` fails with a sentence."""


class WavMicrophone(Microphone):
    """Says a WAV file once, or over and over."""

    def __init__(self, path: Path, *, loop: bool = False, clock: Clock | None = None) -> None:
        self._path = path
        self._loop = loop
        self._pace = Pace(clock)
        self._file: IO[bytes] | None = None
        self._sound: Iterator[bytes] = iter(())

    async def open(self) -> None:
        """Reads the first 20 ms as well, so that a file that is no sound is refused here."""
        try:
            self._file = self._path.open("rb")
        except OSError as error:
            raise SoundFailed(f"{self._path} cannot be read: {error.strerror}.") from None
        pieces = self._pieces(self._file)
        try:
            first = next(pieces, None)
        except SoundFailed:
            await self.close()
            raise
        self._sound = pieces if first is None else chain([first], pieces)

    async def read(self) -> bytes:
        piece = next(self._sound, None)
        if piece is None:
            raise SoundEnded
        await self._pace.tick()
        return piece

    async def close(self) -> None:
        self._sound = iter(())
        if self._file is not None:
            self._file.close()
            self._file = None

    def _pieces(self, file: IO[bytes]) -> Iterator[bytes]:
        """20 ms each, the last one filled up with silence."""
        while True:
            given = False
            kept = b""
            for pcm in self._decoded(file):
                kept += pcm
                while len(kept) >= PCM_FRAME_BYTES:
                    yield kept[:PCM_FRAME_BYTES]
                    kept = kept[PCM_FRAME_BYTES:]
                    given = True
            if kept:
                yield (kept + SILENCE)[:PCM_FRAME_BYTES]
                given = True
            if not (self._loop and given):
                return
            file.seek(0)

    def _decoded(self, file: IO[bytes]) -> Iterator[bytes]:
        try:
            with av.open(file, mode="r", format="wav") as container:
                converter = AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
                for frame in container.decode(audio=0):
                    yield from map(_bytes, converter.resample(frame))
                yield from map(_bytes, converter.resample(None))
        except (av.FFmpegError, IndexError, ValueError) as error:
            raise SoundFailed(
                f"{self._path} is no WAV file that can be played ({error}); convert it to WAV first."
            ) from None


def _bytes(frame: AudioFrame) -> bytes:
    return bytes(frame.planes[0])[: frame.samples * 2]


class WavSpeaker(Speaker):
    """Keeps what would be heard. Only what is written: the pauses between writes are not in the file."""

    def __init__(self, path: Path, *, clock: Clock | None = None) -> None:
        self._path = path
        self._played = PlayedOut(clock)
        self._fd = -1
        self._size = 0

    async def open(self) -> None:
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
            self._size = 0
            self._put(_head(0), 0)
        except OSError as error:
            raise SoundFailed(f"{self._path} cannot be written: {error.strerror}.") from None

    async def write(self, pcm: bytes) -> None:
        """The sound first, then the sizes: whoever kills us in between loses these 20 ms, never the file."""
        if self._size + len(pcm) > MAX_WAV_BYTES:
            raise SoundFailed(f"{self._path} is full after 18 hours of sound; start another file.")
        try:
            self._put(pcm, HEAD.size + self._size)
            self._put(_head(self._size + len(pcm)), 0)
        except OSError as error:
            raise SoundFailed(f"{self._path} cannot be written: {error.strerror}. Free some space.") from None
        self._size += len(pcm)
        await self._played.room_for(pcm)

    def _put(self, data: bytes, at: int) -> None:
        while data:
            written = os.pwrite(self._fd, data, at)
            data, at = data[written:], at + written

    async def drained(self) -> None:
        await self._played.drained()

    async def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _head(size: int) -> bytes:
    """Of a WAV file with so many bytes of our sound."""
    riff = (b"RIFF", HEAD.size - 8 + size, b"WAVE")
    form = (b"fmt ", 16, 1, 1, RATE_HZ, RATE_HZ * 2, 2, 16)
    return HEAD.pack(*riff, *form, b"data", size)
