"""Frames sealed in the form of RFC 9605 (SFrame), cipher suite AES_128_GCM_SHA256_128, without metadata.

    sealed = header ‖ AES-GCM(key, nonce = salt XOR CTR, aad = header, plain)
    header = config byte (X KKK Y CCC) ‖ KID, if it is over 7 ‖ CTR, if it is over 7

Key and salt come from a base key and its KID by HKDF. What must hold: a counter never repeats under a key (a
`Sealer` is never copied or stored, and its base key serves no second one), and an `Opener` gives each frame once,
whatever arrives in whatever order. The replay window moves only for a frame that is genuine, so that forged counters
shut nobody out.
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .errors import ProtocolError
from .voice import MAX_SEALED_BYTES

KEY_BYTES: Final = 16
SALT_BYTES: Final = 12
TAG_BYTES: Final = 16
SUITE: Final = 4
"""AES_128_GCM_SHA256_128 in the registry of RFC 9605, 8.1."""
MAX_KID: Final = 2**64 - 1
MAX_COUNTER: Final = 2**48
"""Frames under one key; then sealing ends. At 50 frames a second that takes 178,000 years."""
WINDOW_FRAMES: Final = 512
"""10 s of one talker. A frame that comes later than that counts as replayed."""
MAX_PLAIN_BYTES: Final = MAX_SEALED_BYTES - (1 + 8 + 8) - TAG_BYTES


class CounterExhausted(RuntimeError):
    """This key has sealed MAX_COUNTER frames; only a new key can go on."""


class Sealer:
    """Seals frames under one key, counting from 0. For one thread."""

    __slots__ = ("_encrypt", "_headers", "_next", "_salt")

    def __init__(self, kid: int, key: bytes) -> None:
        """ProtocolError `bad-key` unless the key has KEY_BYTES and the KID fits 64 bits."""
        derived, salt = derive(kid, key)
        self._encrypt = AESGCM(derived).encrypt
        self._salt = int.from_bytes(salt, "big")
        self._headers = Headers(kid)
        self._next = 0

    def seal(self, plain: bytes) -> bytes:
        """What to send. CounterExhausted; ProtocolError `oversize` for more than MAX_PLAIN_BYTES."""
        counter = self._next
        if counter >= MAX_COUNTER:
            raise CounterExhausted(f"this voice key has sealed {MAX_COUNTER} frames; take a new one")
        if len(plain) > MAX_PLAIN_BYTES:
            raise ProtocolError(
                "oversize", f"{len(plain)} bytes are more than a frame has ({MAX_PLAIN_BYTES})"
            )
        self._next = counter + 1
        header = self._headers.of(counter)
        return header + self._encrypt((self._salt ^ counter).to_bytes(SALT_BYTES, "big"), plain, header)


class Opener:
    """Opens what one `Sealer` sealed, each frame once, in any order within `window` frames. For one thread."""

    __slots__ = ("_decrypt", "_kid", "_mask", "_newest", "_salt", "_seen")

    def __init__(self, kid: int, key: bytes, window: int = WINDOW_FRAMES) -> None:
        """ProtocolError `bad-key` as of Sealer."""
        derived, salt = derive(kid, key)
        self._decrypt = AESGCM(derived).decrypt
        self._salt = int.from_bytes(salt, "big")
        self._kid = kid
        self._mask = (1 << window) - 1
        self._newest = -1  # counter of the newest genuine frame
        self._seen = 0  # bit n: the frame n before the newest was opened

    def open(self, sealed: bytes) -> bytes:
        """What was sealed; ProtocolError `oversize`, `sframe-short`, `sframe-kid` (another key's), `sframe-replayed`
        (also: later than the window), `sframe-forged`.
        """
        if len(sealed) > MAX_SEALED_BYTES:
            raise ProtocolError(
                "oversize", f"{len(sealed)} bytes are more than a frame has ({MAX_SEALED_BYTES})"
            )
        kid, counter, start = read_header(sealed)
        if kid != self._kid:
            raise ProtocolError("sframe-kid", f"sealed under key {kid:#x}, not {self._kid:#x}")
        return self.open_read(sealed, counter, start)

    def open_read(self, sealed: bytes, counter: int, start: int) -> bytes:
        """The same for one whose header is read: it is not too long, it names this key, `counter` and `start` are of
        `read_header`.
        """
        ahead = counter - self._newest
        if ahead <= 0 and (self._mask >> -ahead == 0 or self._seen >> -ahead & 1):
            raise ProtocolError("sframe-replayed", f"frame {counter} came before, or is too late to know")
        nonce = (self._salt ^ counter).to_bytes(SALT_BYTES, "big")
        try:
            plain = self._decrypt(nonce, sealed[start:], sealed[:start])
        except InvalidTag:
            raise ProtocolError(
                "sframe-forged", f"frame {counter} was not sealed by key {self._kid:#x}"
            ) from None
        self._note(counter, ahead)
        return plain

    def _note(self, counter: int, ahead: int) -> None:
        if ahead <= 0:
            self._seen |= 1 << -ahead
            return
        self._seen = (self._seen << ahead | 1) & self._mask if self._mask >> ahead else 1
        self._newest = counter


def kid_of(sealed: bytes) -> int:
    """Whose key this asks for, genuine or not; ProtocolError `sframe-short` if it cannot be a frame."""
    return read_header(sealed)[0]


def derive(kid: int, key: bytes) -> tuple[bytes, bytes]:
    """`sframe_key` and `sframe_salt` of RFC 9605, 4.4.2; ProtocolError `bad-key`."""
    if len(key) != KEY_BYTES or not 0 <= kid <= MAX_KID:
        raise ProtocolError("bad-key", f"a voice key has {KEY_BYTES} bytes and a KID of at most 64 bits")
    suffix = kid.to_bytes(8, "big") + SUITE.to_bytes(2, "big")
    return (
        HKDF(SHA256(), KEY_BYTES, None, b"SFrame 1.0 Secret key " + suffix).derive(key),
        HKDF(SHA256(), SALT_BYTES, None, b"SFrame 1.0 Secret salt " + suffix).derive(key),
    )


class Headers:
    """The headers of one KID, made beforehand as far as they do not change."""

    __slots__ = ("_prefixes", "_small")

    def __init__(self, kid: int) -> None:
        size = _bytes_of(kid)
        config, tail = (0x80 | size - 1 << 4, kid.to_bytes(size, "big")) if kid > 7 else (kid << 4, b"")
        self._small = [bytes([config | counter]) + tail for counter in range(8)]
        self._prefixes = [bytes([config | 0x08 | length]) + tail for length in range(8)]

    def of(self, counter: int) -> bytes:
        """In the shortest form, as RFC 9605 wants it."""
        if counter < 8:
            return self._small[counter]
        size = _bytes_of(counter)
        return self._prefixes[size - 1] + counter.to_bytes(size, "big")


def _bytes_of(value: int) -> int:
    return (value.bit_length() + 7) >> 3


def read_header(sealed: bytes) -> tuple[int, int, int]:
    """KID, CTR, and where the ciphertext begins; ProtocolError `sframe-short` unless a tag can follow."""
    if not sealed:
        raise ProtocolError("sframe-short", "an empty frame")
    config = sealed[0]
    kid, counter = config >> 4 & 7, config & 7
    middle = 2 + kid if config & 0x80 else 1
    start = middle + 1 + counter if config & 0x08 else middle
    if len(sealed) < start + TAG_BYTES:
        raise ProtocolError("sframe-short", f"{len(sealed)} bytes are too few for header and tag")
    if config & 0x80:
        kid = int.from_bytes(sealed[1:middle], "big")
    if config & 0x08:
        counter = int.from_bytes(sealed[middle:start], "big")
    return kid, counter, start
