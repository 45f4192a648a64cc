"""Tones as Opus packets, and what a player would hear of a file: where each tone is."""

from pathlib import Path

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

FRAME = 960  # samples of 20 ms at 48 kHz


def tone(hz: float, frames: int, *, bitrate: int = 24_000) -> list[bytes]:
    """So many Opus packets of 20 ms of a tone, or of silence at 0 Hz."""
    codec = av.CodecContext.create("libopus", "w")
    assert isinstance(codec, AudioCodecContext)
    codec.sample_rate, codec.layout, codec.format = 48_000, "mono", "s16"
    codec.bit_rate = bitrate
    codec.options = {"frame_duration": "20", "application": "voip"}
    packets: list[bytes] = []
    for n in range(frames + 1):
        phase = 2 * np.pi * hz * (np.arange(FRAME) + n * FRAME) / 48_000
        frame = av.AudioFrame.from_ndarray(
            (9000 * np.sin(phase)).astype(np.int16).reshape(1, -1), "s16", "mono"
        )
        frame.sample_rate, frame.pts = 48_000, n * FRAME
        packets += [bytes(packet) for packet in codec.encode(frame)]
    return packets[:frames]


def played(path: Path, decoder: str = "opus") -> NDArray[np.float64]:
    """All samples at 48 kHz as a player puts them out; `opus` is ffmpeg's own decoder, `libopus` the reference."""
    with av.open(path) as container:
        stream = container.streams.audio[0]
        codec = stream.codec_context
        if decoder != codec.name:
            other = av.CodecContext.create(decoder, "r")
            other.extradata = codec.extradata
            other.open()
            found = [f for p in container.demux(stream) for f in other.decode(p if p.size else None)]  # type: ignore[attr-defined]
        else:
            found = list(container.decode(stream))
    parts = [frame.to_ndarray().astype(np.float64)[0] for frame in found]
    return np.concatenate(parts) if parts else np.zeros(0)


def heard_ms(sound: NDArray[np.float64], hz: float, *, step_ms: int = 5) -> tuple[int, int]:
    """When a tone begins and ends, by its share of the strongest; (-1, -1) if it is not there."""
    size = 48 * 10
    window = np.exp(-2j * np.pi * hz * np.arange(size) / 48_000)
    power = np.array(
        [abs(sound[at : at + size] @ window) for at in range(0, len(sound) - size, 48 * step_ms)]
    )
    loud = np.flatnonzero(power > power.max(initial=0) / 2) if power.max(initial=0) > 0 else np.zeros(0, int)
    return (int(loud[0]) * step_ms, int(loud[-1]) * step_ms + 10) if len(loud) else (-1, -1)
