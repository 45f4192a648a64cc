"""The frame that every carriage and every baseline is given: the form and size of 20 ms of speech at 24 kbit/s."""

from random import Random
from typing import Final

BYTES: Final = 60
WIDEBAND_20_MS: Final = 9 << 3
"""TOC of RFC 6716: SILK, wideband, 20 ms, one channel, one frame."""


def packet() -> bytes:
    """An Opus packet by its form; what it says is noise, which nobody on the way looks at."""
    return bytes([WIDEBAND_20_MS]) + Random("packet").randbytes(BYTES - 1)
