"""Any sound file as Opus packets to be said; PyAV reads it. Imported only where sound is wanted: it is slow to load."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
from av.audio.frame import AudioFrame

from protocols.opus import Encoder
from protocols.voice import PCM_FRAME_BYTES, RATE_HZ

MAX_S: Final = 3600
"""Of one file; a longer one is refused before anything is said."""


class NoSound(Exception):
    """The file cannot be said; the text says why."""


def packets(path: Path) -> list[bytes]:
    """20 ms each, the last filled up with silence. NoSound."""
    encoder, pcm = Encoder(dtx=False), bytearray()
    found: list[bytes] = []
    try:
        for part in _pcm(path):
            pcm += part
            while len(pcm) >= PCM_FRAME_BYTES:
                found.append(encoder.encode(bytes(pcm[:PCM_FRAME_BYTES])))
                del pcm[:PCM_FRAME_BYTES]
            if len(found) * PCM_FRAME_BYTES > MAX_S * RATE_HZ * 2:
                raise NoSound(f"it is longer than {MAX_S // 60} minutes")
    except OSError as error:
        raise NoSound(error.strerror or str(error)) from None
    if pcm:
        found.append(encoder.encode(bytes(pcm).ljust(PCM_FRAME_BYTES, b"\0")))
    if not found:
        raise NoSound("there is no sound in it")
    return found


def _pcm(path: Path) -> Iterator[bytes]:
    """16 bit mono at RATE_HZ. OSError (PyAV's errors are such, or ValueError)."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise NoSound("there is no sound in it")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
            for frame in container.decode(audio=0):
                yield from map(_bytes, resampler.resample(frame))
            yield from map(_bytes, resampler.resample(None))
    except (ValueError, EOFError, av.error.FFmpegError) as error:
        raise NoSound(getattr(error, "strerror", None) or str(error)) from None


def _bytes(frame: AudioFrame) -> bytes:
    return bytes(frame.planes[0])[: frame.samples * 2]
