"""A child program that makes clips: `python -m dispatchd.voice.encode [--lead-in chime] <any.wav >packets`.

A WAV, MP3, Ogg or FLAC file on stdin; on stdout its sound as a MessagePack list of Opus packets of 20 ms (16 kHz, mono,
24 kbit/s), after a lead-in if one is asked for. Files come from people and are read by a large library, so it is a
process of its own, with little memory and time, and at low priority.

Exit codes: 0 done, 2 wrong arguments, and as below with one sentence on stderr.
"""

import argparse
import io
import math
import os
import resource
import sys
from array import array
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from protocols.clip import MAX_CLIP_MS
from protocols.opus import Encoder
from protocols.voice import FRAME_MS, PCM_FRAME_BYTES, RATE_HZ

NO_SOUND: Final = 3
"""Exit code: no WAV, MP3, Ogg or FLAC file, or nothing to hear in it."""
TOO_LONG: Final = 4
"""Exit code: it lasts longer than MAX_CLIP_MS."""
BITRATE_BPS: Final = 24_000
COMPLEXITY: Final = 8
MAX_FILE_BYTES: Final = 10 * 1024 * 1024
MAX_MEMORY_BYTES: Final = 2 * 1024**3
MAX_CPU_S: Final = 30
NICENESS: Final = 5
PCM_MAX_BYTES: Final = MAX_CLIP_MS * RATE_HZ // 1000 * 2
FADE_MS: Final = 12
GAP_MS: Final = 160
"""Silence between the lead-in and the words."""

Tone = tuple[float, int]
"""Hertz and milliseconds."""
LEAD_IN: Final[dict[str, tuple[Tone, ...]]] = {
    "none": (),
    "chime": ((659.3, 180), (523.3, 320)),
    "emergency": ((1046.5, 140), (784.0, 140)) * 3,
}
"""What is heard before the words: a falling third, or three quick urgent pairs."""
_MAGIC: Final = ((b"RIFF", "wav"), (b"OggS", "ogg"), (b"fLaC", "flac"), (b"ID3", "mp3"))


class Refused(Exception):
    """Why there is no clip, for stderr, and the exit code."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


def kind_of(raw: bytes) -> str | None:
    """wav, ogg, flac or mp3 by its first bytes; a name or the library's guess is not asked."""
    found = next((kind for magic, kind in _MAGIC if raw.startswith(magic)), None)
    if found is None and len(raw) > 1 and raw[0] == 0xFF and raw[1] & 0xE0 == 0xE0:
        return "mp3"
    return found


def decode(raw: bytes) -> bytes:
    """16 kHz mono 16 bit of a sound file; Refused."""
    import av

    kind = kind_of(raw)
    if kind is None:
        raise Refused(NO_SOUND, "this is no WAV, MP3, Ogg or FLAC file")
    pcm = bytearray()
    try:
        with av.open(io.BytesIO(raw), format=kind) as container:
            for piece in _resampled(av, container):
                pcm += piece
                if len(pcm) > PCM_MAX_BYTES:
                    raise Refused(TOO_LONG, f"it lasts longer than {MAX_CLIP_MS // 60_000} minutes; cut it")
    except (av.FFmpegError, ValueError, IndexError, EOFError) as error:
        if not pcm:
            raise Refused(NO_SOUND, f"the {kind} file cannot be read: {error}") from None
    if not any(pcm):
        raise Refused(NO_SOUND, f"there is nothing to hear in the {kind} file")
    return bytes(pcm)


def _resampled(av: Any, container: Any) -> Iterator[bytes]:
    if not container.streams.audio:
        raise Refused(NO_SOUND, "there is no sound in the file")
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    for frame in container.decode(audio=0):
        for out in resampler.resample(frame):
            yield bytes(out.planes[0])[: out.samples * 2]
    for out in resampler.resample(None):
        yield bytes(out.planes[0])[: out.samples * 2]


def lead_in(kind: str) -> bytes:
    """PCM of the tones of LEAD_IN, and a short silence; nothing for `none`."""
    tones = b"".join(_tone(hz, ms) for hz, ms in LEAD_IN[kind])
    return tones + bytes(GAP_MS * RATE_HZ // 1000 * 2) if tones else b""


def _tone(hz: float, ms: int) -> bytes:
    """With an octave above it, a soft beginning, and dying away."""
    count, fade = ms * RATE_HZ // 1000, FADE_MS * RATE_HZ // 1000
    found = array("h")
    for n in range(count):
        level = min(1.0, n / fade, (count - n) / fade) * math.exp(-1.5 * n / count)
        phase = 2 * math.pi * hz * n / RATE_HZ
        found.append(round(9_000 * level * (math.sin(phase) + 0.3 * math.sin(2 * phase))))
    return found.tobytes()


def packets(pcm: bytes) -> list[bytes]:
    """Opus packets of 20 ms; the last is filled up with silence."""
    encoder = Encoder(bitrate_bps=BITRATE_BPS, fec=False, dtx=False, complexity=COMPLEXITY)
    rest = -len(pcm) % PCM_FRAME_BYTES
    whole = pcm + bytes(rest)
    return [encoder.encode(whole[at : at + PCM_FRAME_BYTES]) for at in range(0, len(whole), PCM_FRAME_BYTES)]


def make(raw: bytes, before: str) -> list[bytes]:
    """The packets of a file with its lead-in; Refused."""
    if len(raw) > MAX_FILE_BYTES:
        raise Refused(TOO_LONG, f"the file is larger than {MAX_FILE_BYTES // 2**20} MB")
    pcm = lead_in(before) + decode(raw)
    if len(pcm) > PCM_MAX_BYTES:
        raise Refused(TOO_LONG, f"it lasts longer than {MAX_CLIP_MS // 60_000} minutes; cut it")
    return packets(pcm)


def main(arguments: list[str] | None = None, limit: Callable[[], None] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m dispatchd.voice.encode", description=__doc__)
    parser.add_argument("--lead-in", choices=tuple(LEAD_IN), default="none")
    options = parser.parse_args(arguments)
    (limit or _limit_myself)()
    try:
        found = make(sys.stdin.buffer.read(MAX_FILE_BYTES + 1), options.lead_in)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return refused.code
    sys.stdout.buffer.write(msgspec.msgpack.encode(found))
    return 0


def _limit_myself() -> None:
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S))


assert PCM_FRAME_BYTES * 1000 == FRAME_MS * RATE_HZ * 2

if __name__ == "__main__":
    sys.exit(main())
