"""What an offer asks for, and how ours is answered: text in, text out. Pure.

What must hold: only Opus, only one transport (bundled), no more channels than are allowed, and no address of the
offer is kept: the peer shows by its own ICE checks where it is.
"""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

MAX_SDP_CHARS: Final = 60_000
"""Of an offer; a browser's with nine tracks is about 25,000. Longer ones are refused unread."""
MAX_SLOTS: Final = 8
"""Channels down in one session."""
MAX_MEDIA: Final = 12
"""Media lines of an offer: microphone, channels, and pictures to come."""
MAX_OF_A_KIND: Final = 100
"""Attributes of one name in one media line (a browser's have 40 at most): the library compares them pair by pair, on
the loop that everybody's sound goes through."""
UNUSED: Final = ("a=candidate:", "a=end-of-candidates", "a=rtcp-fb:")
"""Lines the library is not given."""
OPUS_FMTP: Final = "minptime=10;useinbandfec=1;stereo=0;maxaveragebitrate=24000;usedtx=1"
PTIME_MS: Final = 20
DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")
REVERSE: Final = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}

_MEDIA = re.compile(r"^m=(\w+) (\d{1,5}) ")
_OPUS = re.compile(r"^a=rtpmap:(\d{1,3}) opus/48000/2$", re.IGNORECASE)


class Refused(Exception):
    """An offer is not taken: a stable `code` and a sentence."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


class Media(NamedTuple):
    """One media line of an offer. `direction` as its peer sees it: sendonly is sound that comes to us."""

    kind: str
    direction: str
    opus: bool

    @property
    def up(self) -> bool:
        return self.direction in {"sendrecv", "sendonly"}

    @property
    def down(self) -> bool:
        return self.direction in {"sendrecv", "recvonly"}


def read_offer(sdp: str) -> list[Media]:
    """Its media lines in order, or Refused."""
    if len(sdp) > MAX_SDP_CHARS:
        raise Refused("too-long", f"The offer has {len(sdp)} characters; at most {MAX_SDP_CHARS} are read.")
    found = [_media(section) for section in _sections(sdp)]
    if not 0 < len(found) <= MAX_MEDIA:
        raise Refused("bad-offer", f"An offer has 1 to {MAX_MEDIA} media lines; this one has {len(found)}.")
    if any(media.kind not in {"audio", "video"} for media in found):
        raise Refused("bad-offer", "Only audio and video are carried here; leave data channels out.")
    if any(media.kind == "audio" and not media.opus for media in found):
        raise Refused("no-opus", "Every audio line must offer opus/48000/2: nothing else is carried here.")
    if sum(media.kind == "audio" and media.down for media in found) > MAX_SLOTS:
        raise Refused("too-many-channels", f"A session has at most {MAX_SLOTS} channels down.")
    if len(found) > 1 and not re.search(r"^a=group:BUNDLE \S", sdp, re.MULTILINE):
        raise Refused(
            "not-bundled", "All media must share one transport: offer with bundlePolicy max-bundle."
        )
    return found


def _sections(sdp: str) -> Iterator[list[str]]:
    lines = sdp.splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("m=")]
    yield from (lines[start:end] for start, end in pairwise([*starts, len(lines)]))


def _media(section: list[str]) -> Media:
    match = _MEDIA.match(section[0])
    if match is None:
        raise Refused("bad-offer", "The offer is no SDP: one of its media lines cannot be read.")
    kinds = Counter(line.partition(":")[0] for line in section if not line.startswith(UNUSED))
    if max(kinds.values()) > MAX_OF_A_KIND:
        raise Refused("bad-offer", f"A media line has more than {MAX_OF_A_KIND} attributes of one kind.")
    directions = [line[2:] for line in section if line[2:] in DIRECTIONS and line.startswith("a=")]
    direction = directions[-1] if directions else "sendrecv"
    opus = any(_OPUS.match(line) for line in section)
    return Media(match[1], "inactive" if match[2] == "0" else direction, opus)


def without_addresses(sdp: str) -> str:
    """The offer as the library is given it: also without feedback, which it notes for each codec anew."""
    return _joined(line for line in sdp.splitlines() if not line.startswith(UNUSED))


def as_answered(sdp: str) -> str:
    """The library's answer, or offer, with how Opus is to be sent to us and by us."""
    return _joined(_with_opus(sdp.splitlines()))


def _with_opus(lines: list[str]) -> Iterator[str]:
    for line in lines:
        yield line
        if match := _OPUS.match(line):
            yield f"a=fmtp:{match[1]} {OPUS_FMTP}"
            yield f"a=ptime:{PTIME_MS}"


def _joined(lines: Iterator[str]) -> str:
    return "".join(f"{line}\r\n" for line in lines)
