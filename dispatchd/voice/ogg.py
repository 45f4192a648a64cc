"""Ogg Opus (RFC 3533, RFC 7845) of raw Opus packets: pages as they are to be written, and reading them back.

Nothing is decoded. What must hold:
  - a page holds whole packets and its granule position counts just their samples, so a file that was cut off
    anywhere plays up to its last whole page, and its length is right up to there;
  - where packets are missing (loss, DTX), packets without content stand in their place (RFC 7845 section 4.1): the
    player conceals, and what follows is at its true time.

These are pages of our own and not those of PyAV's muxer: docs/decisions/0004-own-ogg-pages.md.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from protocols.voice import CLOCK_HZ

PRE_SKIP: Final = 312
"""Samples a player drops at the beginning: libopus' look-ahead of 6.5 ms."""
RATE_HZ: Final = 16_000
"""What the header says the sound was taken at; players only show it."""
MAX_SEGMENTS: Final = 255
"""Of one page; a packet takes one for each 255 bytes and one more."""
MAX_TAG_BYTES: Final = 60_000
"""Of all tags; they must fit one page. What is longer is cut off the longest."""
FIRST, LAST = 2, 4
"""Page flags: the stream begins, the stream ends."""

_HEAD_BYTES: Final = 27
_REVERSED: Final = bytes(int(f"{n:08b}"[::-1], 2) for n in range(256))
_SILK: Final[Sequence[int]] = (2880, 1920, 960, 480)
_HYBRID: Final[Sequence[int]] = (960, 480)
_CELT: Final[Sequence[int]] = (960, 480, 240, 120)


class OggError(ValueError):
    """No Ogg Opus file, or nothing of it is whole."""


def crc(data: bytes) -> int:
    """Ogg's checksum: CRC-32 with its bits the other way round than zlib's, from 0 and not inverted."""
    other = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{other:032b}"[::-1], 2)


def frame_samples(toc: int) -> int:
    """Length of each frame of a packet that begins with `toc`, in samples at 48 kHz."""
    config = toc >> 3
    if config < 12:
        return (480, 960, 1920, 2880)[config & 3]
    if config < 16:
        return (480, 960)[config & 1]
    return (120, 240, 480, 960)[config & 3]


def samples(packet: bytes) -> int:
    """Length of a packet in samples at 48 kHz; 0 for what is no packet or longer than 120 ms."""
    if not packet or (packet[0] & 3 == 3 and len(packet) < 2):
        return 0
    count = (1, 2, 2, packet[1] & 63 if len(packet) > 1 else 0)[packet[0] & 3]
    found = count * frame_samples(packet[0])
    return found if found <= 5760 else 0


def fillers(like: bytes, gap: int) -> list[bytes]:
    """Packets without content, of the mode of packet `like`, that last `gap` samples or up to 10 ms less."""
    config, stereo = like[0] >> 3, like[0] & 4
    if config < 12:
        base, lengths = config & ~3, _SILK
    else:
        base, lengths = (config & ~1, _HYBRID) if config < 16 else (config & ~3, _CELT)
    found: list[bytes] = []
    for step, length in enumerate(lengths):
        toc = (base + len(lengths) - 1 - step) << 3 | stereo
        times, gap = divmod(gap, length)
        found += [bytes([toc])] * times
    return found


def is_filler(packet: bytes) -> bool:
    """Whether there is nothing in it to hear: a gap, or a pause that the talker's own encoder left (DTX)."""
    return len(packet) == 1


class Stream:
    """One logical stream: call `head` once, then `pages` for what has gathered, `last` with the end of it."""

    def __init__(self, tags: Mapping[str, str], serial: int) -> None:
        self._tags, self._serial = tags, serial
        self._number = 0
        self.granule = 0
        """Samples at 48 kHz of all pages until now."""

    def head(self) -> bytes:
        """The two pages before the sound: OpusHead and OpusTags."""
        opus = b"OpusHead" + bytes([1, 1]) + _le(PRE_SKIP, 2) + _le(RATE_HZ, 4) + _le(0, 2) + b"\0"
        return self._page([opus], FIRST) + self._page([_tags(self._tags)], 0)

    def pages(self, packets: Sequence[bytes], *, last: bool = False) -> bytes:
        """As many pages as `packets` need; none for none, but `last` ends the stream also without any."""
        groups = list(_grouped(packets)) or ([[]] if last else [])
        written = bytearray()
        for index, group in enumerate(groups):
            self.granule += sum(map(samples, group))
            written += self._page(group, LAST if last and index == len(groups) - 1 else 0)
        return bytes(written)

    def _page(self, packets: Sequence[bytes], flags: int) -> bytes:
        table = b"".join(b"\xff" * (len(p) // 255) + bytes([len(p) % 255]) for p in packets)
        head = b"OggS\0" + bytes([flags]) + _le(self.granule, 8) + _le(self._serial, 4) + _le(self._number, 4)
        rest = bytes([len(table)]) + table + b"".join(packets)
        self._number += 1
        return head + _le(crc(head + bytes(4) + rest), 4) + rest


def _grouped(packets: Iterable[bytes]) -> Iterator[list[bytes]]:
    """As many packets as one page takes."""
    group: list[bytes] = []
    room = MAX_SEGMENTS
    for packet in packets:
        needs = len(packet) // 255 + 1
        if needs > room:
            yield group
            group, room = [], MAX_SEGMENTS
        group.append(packet)
        room -= needs
    if group:
        yield group


def _tags(tags: Mapping[str, str]) -> bytes:
    room = MAX_TAG_BYTES // max(1, len(tags))
    listed = [f"{name}={value}".encode("utf-8", "replace")[:room] for name, value in tags.items()]
    listed = [text.decode("utf-8", "ignore").encode() for text in listed]
    vendor = b"dispatchd"
    counted = b"".join(_le(len(text), 4) + text for text in listed)
    return b"OpusTags" + _le(len(vendor), 4) + vendor + _le(len(listed), 4) + counted


def _le(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")


# --- reading ----------------------------------------------------------------------------------------------------


class Page(NamedTuple):
    """One whole page. `end`: its last byte's place in the file, and one."""

    end: int
    flags: int
    granule: int
    packets: list[bytes]


class Packet(NamedTuple):
    """An Opus packet at `ts`, samples at 48 kHz since the first."""

    ts: int
    opus: bytes


def pages(file: BinaryIO) -> Iterator[Page]:
    """The whole pages from the beginning; ends without a word at the first that is torn or damaged."""
    end = 0
    while (page := _read_page(file, end)) is not None:
        end = page.end
        yield page


def _read_page(file: BinaryIO, start: int) -> Page | None:
    head = file.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES or head[:5] != b"OggS\0":
        return None
    table = file.read(head[26])
    body = file.read(sum(table))
    whole = len(table) == head[26] and len(body) == sum(table)
    if not whole or crc(head[:22] + bytes(4) + head[26:] + table + body) != int.from_bytes(
        head[22:26], "little"
    ):
        return None
    end = start + _HEAD_BYTES + len(table) + len(body)
    return Page(end, head[5], int.from_bytes(head[6:14], "little"), list(_packets(table, body)))


def _packets(table: bytes, body: bytes) -> Iterator[bytes]:
    at = size = 0
    for lacing in table:
        size += lacing
        if lacing < 255:
            yield body[at : at + size]
            at, size = at + size, 0


def read_tags(found: Iterator[Page]) -> dict[str, str]:
    """Take the two pages of the head. OggError if they are no head of ours."""
    head, tags = next(found, None), next(found, None)
    if head is None or tags is None or not head.packets[0].startswith(b"OpusHead"):
        raise OggError("this is no Ogg Opus file, or it ends before its sound begins")
    return dict(_comments(tags.packets[0]))


def _comments(packet: bytes) -> Iterator[tuple[str, str]]:
    at = 12 + int.from_bytes(packet[8:12], "little")
    count, at = int.from_bytes(packet[at : at + 4], "little"), at + 4
    for _ in range(min(count, MAX_SEGMENTS)):
        size, at = int.from_bytes(packet[at : at + 4], "little"), at + 4
        name, _, value = packet[at : at + size].decode("utf-8", "replace").partition("=")
        at += size
        yield name, value


def read(path: Path) -> Iterator[Packet]:
    """The packets with something to hear, each at its time: to be sent to a channel, or cut into a clip."""
    with path.open("rb") as file:
        found = pages(file)
        read_tags(found)
        ts = 0
        for page in found:
            for opus in page.packets:
                if not is_filler(opus):
                    yield Packet(ts, opus)
                ts += samples(opus)


class Whole(NamedTuple):
    """What is whole of a file: its tags, bytes, milliseconds of sound, and packets with something to hear.

    `ended`: it was closed; otherwise its end is missing.
    """

    tags: dict[str, str]
    bytes: int
    ms: int
    frames: int
    ended: bool = False


def mend(path: Path) -> Whole:
    """Cut a file that a dead process left behind its last whole page. OggError if nothing of it can be used."""
    with path.open("r+b") as file:
        found = pages(file)
        tags = read_tags(found)
        end = granule = frames = flags = 0
        for page in found:
            end, granule, flags = page.end, page.granule, page.flags
            frames += sum(not is_filler(opus) for opus in page.packets)
        if not end:
            raise OggError("no sound was written to it")
        file.truncate(end)
    return Whole(tags, end, granule * 1000 // CLOCK_HZ, frames, bool(flags & LAST))
