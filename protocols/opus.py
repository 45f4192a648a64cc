"""Opus: a thin binding of libopus, 16 bit little-endian mono in and out.

The library is the one inside PyAV's wheel, loaded by its path without importing PyAV (slow), else the system's; it is
looked for at the first use. Nothing else is read here. What must hold: whatever bytes a decoder is given, it gives
sound or a ProtocolError `bad-opus`; no length reaches the library unchecked. One encoder or decoder is for one stream
and one thread.
"""

import ctypes
import ctypes.util
import functools
import importlib.util
from pathlib import Path
from typing import Final

from .errors import ProtocolError
from .voice import CLOCK_HZ, FRAME_MS, MAX_OPUS_BYTES, RATE_HZ

MAX_PACKET_MS: Final = 60
"""A longer packet is refused, as RFC 7587 leaves it to us."""
MAX_PACKET_BYTES: Final = 4_000
"""What libopus advises for the longest of a stream; more is refused unread."""
MAX_CONCEAL_MS: Final = 120
"""At one call; the library fades out long before."""
DTX_BYTES: Final = 2
"""With DTX a packet no longer than this need not be sent: the other end conceals, which is silence by then."""
FRAMES_MS: Final = (10, 20, 40, 60)

_MAX_FRAMES = 48  # of a packet, RFC 6716 R5
_APPLICATION_VOIP = 2048
_SET_BITRATE = 4002
_SET_COMPLEXITY = 4010
_SET_INBAND_FEC = 4012
_SET_PACKET_LOSS_PERC = 4014
_SET_DTX = 4016
_SET_SIGNAL = 4024
_SIGNAL_VOICE = 3001


class OpusMissing(RuntimeError):
    """There is no libopus on this machine."""


class Encoder:
    """Voice to packets of `frame_ms`, one of FRAMES_MS. `fec`: each carries a poorer copy of the one before, as
    `loss_pct` (expected loss) makes worth while. `complexity` 0 to 10 is CPU for quality.
    """

    def __init__(
        self,
        *,
        rate_hz: int = RATE_HZ,
        frame_ms: int = FRAME_MS,
        bitrate_bps: int = 20_000,
        fec: bool = True,
        loss_pct: int = 10,
        dtx: bool = True,
        complexity: int = 5,
    ) -> None:
        """OpusMissing; ValueError for what Opus does not have."""
        if frame_ms not in FRAMES_MS:
            raise ValueError(f"Opus frames of {frame_ms} ms are not among {FRAMES_MS}")
        self._library = library()
        self._samples = rate_hz * frame_ms // 1000
        self._packet = ctypes.create_string_buffer(MAX_OPUS_BYTES)
        self._state = ctypes.create_string_buffer(self._library.opus_encoder_get_size(1))
        self._must(
            self._library.opus_encoder_init(self._state, rate_hz, 1, _APPLICATION_VOIP), f"{rate_hz} Hz"
        )
        self._set(_SET_BITRATE, bitrate_bps)
        self._set(_SET_COMPLEXITY, complexity)
        self._set(_SET_INBAND_FEC, int(fec))
        self._set(_SET_PACKET_LOSS_PERC, loss_pct)
        self._set(_SET_DTX, int(dtx))
        self._set(_SET_SIGNAL, _SIGNAL_VOICE)

    def encode(self, pcm: bytes) -> bytes:
        """One packet of exactly one frame; ValueError if `pcm` is no frame. See DTX_BYTES."""
        if len(pcm) != self._samples * 2:
            raise ValueError(f"{len(pcm)} bytes are not one frame of {self._samples * 2}")
        size = self._library.opus_encode(self._state, pcm, self._samples, self._packet, MAX_OPUS_BYTES)
        self._must(size, "encode")
        return ctypes.string_at(self._packet, size)

    def _set(self, request: int, value: int) -> None:
        self._must(
            self._library.opus_encoder_ctl(self._state, request, ctypes.c_int(value)), f"{request}={value}"
        )

    def _must(self, result: int, what: str) -> None:
        if result < 0:
            raise ValueError(f"the Opus encoder refuses {what}: {_reason(result)}")


class Decoder:
    """Packets of anybody (any Opus rate, mono or stereo) to mono sound at `rate_hz`: 8, 12, 16, 24 or 48 kHz."""

    def __init__(self, rate_hz: int = RATE_HZ) -> None:
        """OpusMissing; ValueError for another rate."""
        self._library = library()
        self._rate_hz = rate_hz
        self._pcm = ctypes.create_string_buffer(rate_hz * MAX_CONCEAL_MS // 1000 * 2)
        self._state = ctypes.create_string_buffer(self._library.opus_decoder_get_size(1))
        result = self._library.opus_decoder_init(self._state, rate_hz, 1)
        if result < 0:
            raise ValueError(f"the Opus decoder refuses {rate_hz} Hz: {_reason(result)}")

    def decode(self, opus: bytes) -> bytes:
        """The sound of one packet; ProtocolError `bad-opus`."""
        samples = samples_48k(opus) * self._rate_hz // CLOCK_HZ
        return self._decode(opus, samples, fec=False)

    def conceal(self, ms: int) -> bytes:
        """In place of a lost packet: goes on as before, fading (PLC). `ms`: steps of 5, at most MAX_CONCEAL_MS."""
        return self._decode(None, self._lost(ms), fec=False)

    def recover(self, next_opus: bytes, ms: int) -> bytes:
        """In place of the lost packet of `ms` before `next_opus`: the copy in that (FEC), else as `conceal`.

        Decode `next_opus` after it. ProtocolError `bad-opus`.
        """
        samples_48k(next_opus)
        return self._decode(next_opus, self._lost(ms), fec=True)

    def _lost(self, ms: int) -> int:
        if ms % 5 or not 0 < ms <= MAX_CONCEAL_MS:
            raise ValueError(f"cannot conceal {ms} ms: steps of 5, at most {MAX_CONCEAL_MS}")
        return self._rate_hz * ms // 1000

    def _decode(self, opus: bytes | None, samples: int, *, fec: bool) -> bytes:
        size = len(opus) if opus else 0
        made = self._library.opus_decode(self._state, opus, size, self._pcm, samples, int(fec))
        if made < 0:
            raise ProtocolError("bad-opus", f"no Opus packet: {_reason(made)}")
        return ctypes.string_at(self._pcm, made * 2)


def samples_48k(opus: bytes) -> int:
    """Duration of a packet in CLOCK_HZ samples, all its frame lengths checked; ProtocolError `bad-opus`."""
    if not 0 < len(opus) <= MAX_PACKET_BYTES:
        raise ProtocolError("bad-opus", f"{len(opus)} bytes are no Opus packet")
    opus_library = library()
    frames = opus_library.opus_packet_parse(
        opus, len(opus), None, None, (ctypes.c_int16 * _MAX_FRAMES)(), None
    )
    if frames < 0:
        raise ProtocolError("bad-opus", f"no Opus packet: {_reason(frames)}")
    samples: int = frames * opus_library.opus_packet_get_samples_per_frame(opus, CLOCK_HZ)
    if samples > MAX_PACKET_MS * CLOCK_HZ // 1000:
        raise ProtocolError(
            "bad-opus", f"a packet of {samples * 1000 // CLOCK_HZ} ms is longer than {MAX_PACKET_MS}"
        )
    return samples


def version() -> str:
    """Of the library in use, as it names itself."""
    text: bytes = library().opus_get_version_string()
    return text.decode()


@functools.cache
def library() -> ctypes.CDLL:
    """The loaded library; OpusMissing with what to do about it."""
    path = _path()
    if path is None:
        raise OpusMissing(
            "no libopus found: install PyAV (`pip install av`) or the system's package libopus0"
        )
    try:
        return _declared(ctypes.CDLL(path))
    except (OSError, AttributeError) as error:
        raise OpusMissing(
            f"{path} cannot be used as libopus: {error}; install PyAV (`pip install av`)"
        ) from error


def _path() -> str | None:
    spec = importlib.util.find_spec("av")  # finds, does not import
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted((Path(folder).parent / "av.libs").glob("libopus-*.so*")):
            return str(path)
    return ctypes.util.find_library("opus")


def _declared(opus: ctypes.CDLL) -> ctypes.CDLL:
    text, number, pointer = ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p
    opus.opus_get_version_string.restype = text
    opus.opus_strerror.restype = text
    opus.opus_strerror.argtypes = [number]
    opus.opus_encoder_get_size.argtypes = [number]
    opus.opus_encoder_init.argtypes = [pointer, ctypes.c_int32, number, number]
    opus.opus_encoder_ctl.argtypes = [pointer, number]  # and one more: variadic
    opus.opus_encode.argtypes = [pointer, text, number, pointer, ctypes.c_int32]
    opus.opus_encode.restype = ctypes.c_int32
    opus.opus_decoder_get_size.argtypes = [number]
    opus.opus_decoder_init.argtypes = [pointer, ctypes.c_int32, number]
    opus.opus_decode.argtypes = [pointer, text, ctypes.c_int32, pointer, number, number]
    opus.opus_packet_parse.argtypes = [text, ctypes.c_int32, pointer, pointer, pointer, pointer]
    opus.opus_packet_get_samples_per_frame.argtypes = [text, ctypes.c_int32]
    return opus


def _reason(result: int) -> str:
    text: bytes = library().opus_strerror(result)
    return text.decode()
