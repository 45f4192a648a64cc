"""OCB2-AES128 as mumble's datagrams need it: both directions of one client's crypt state.

A datagram is the low byte of the counter, three bytes of tag, then the ciphertext. The counter is a 128 bit nonce,
little-endian, raised before each datagram. This is a load client: it opens what a good server sends in order, and
raises Forged for all else. OCB2 is broken as an authenticated cipher; mumble works around that on its side.
"""

from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK: Final = 16
HEAD_BYTES: Final = 4
_FIELD: Final = 1 << 128
_POLYNOMIAL: Final = 0x87


class Forged(Exception):
    """The tag does not fit."""


class Crypt:
    """One client's keys; nonces as the server's CryptSetup gives them."""

    def __init__(self, key: bytes, client_nonce: bytes, server_nonce: bytes) -> None:
        cipher = Cipher(algorithms.AES128(key), modes.ECB())  # OCB2 is made of single blocks
        self._encrypt, self._decrypt = cipher.encryptor().update, cipher.decryptor().update
        self.sent = int.from_bytes(client_nonce, "little")
        self.heard = int.from_bytes(server_nonce, "little")

    def seal(self, plain: bytes) -> bytes:
        self.sent = (self.sent + 1) % _FIELD
        nonce = self.sent.to_bytes(BLOCK, "little")
        sealed, tag = ocb2(self._encrypt, nonce, plain)
        return nonce[:1] + tag[:3] + sealed

    def open(self, datagram: bytes) -> bytes:
        """The counter may have moved on by up to 255 since the last one that was opened."""
        counter = self.heard + 1 + (datagram[0] - self.heard - 1) % 256
        plain, tag = ocb2_open(self._encrypt, self._decrypt, counter.to_bytes(BLOCK, "little"), datagram[4:])
        if tag[:3] != datagram[1:4]:
            raise Forged
        self.heard = counter
        return plain


Blocks = Callable[[bytes], bytes]


def ocb2(encrypt: Blocks, nonce: bytes, plain: bytes) -> tuple[bytes, bytes]:
    """Ciphertext and tag of 16 bytes. All whole blocks but the last go through the cipher in one call."""
    whole = max(len(plain) - 1, 0) // BLOCK
    deltas = _deltas(_number(encrypt(nonce)), whole + 1)
    blocks = [_number(plain[BLOCK * n : BLOCK * (n + 1)]) for n in range(whole)]
    mixed = encrypt(b"".join(_block(block ^ delta) for block, delta in zip(blocks, deltas, strict=False)))
    out = [_number(mixed[BLOCK * n : BLOCK * (n + 1)]) ^ deltas[n] for n in range(whole)]
    rest = plain[BLOCK * whole :]
    pad = encrypt(_block(len(rest) * 8 ^ deltas[whole]))
    last = rest + pad[len(rest) :]
    sealed = bytes(a ^ b for a, b in zip(rest, pad, strict=False))
    return b"".join(map(_block, out)) + sealed, encrypt(_block(_final(deltas[whole]) ^ _sum(blocks, last)))


def ocb2_open(encrypt: Blocks, decrypt: Blocks, nonce: bytes, sealed: bytes) -> tuple[bytes, bytes]:
    """Plaintext and the tag it should have had."""
    whole = max(len(sealed) - 1, 0) // BLOCK
    deltas = _deltas(_number(encrypt(nonce)), whole + 1)
    blocks = []
    for n in range(whole):
        mixed = _block(_number(sealed[BLOCK * n : BLOCK * (n + 1)]) ^ deltas[n])
        blocks.append(_number(decrypt(mixed)) ^ deltas[n])
    rest = sealed[BLOCK * whole :]
    pad = encrypt(_block(len(rest) * 8 ^ deltas[whole]))
    plain = bytes(a ^ b for a, b in zip(rest, pad, strict=False))
    tag = encrypt(_block(_final(deltas[whole]) ^ _sum(blocks, plain + pad[len(rest) :])))
    return b"".join(map(_block, blocks)) + plain, tag


def _deltas(first: int, count: int) -> list[int]:
    """`first` doubled once, twice, … in GF(2^128)."""
    found = []
    for _ in range(count):
        first = _double(first)
        found.append(first)
    return found


def _double(value: int) -> int:
    value <<= 1
    return value ^ (_FIELD | _POLYNOMIAL) if value & _FIELD else value


def _final(delta: int) -> int:
    return delta ^ _double(delta)


def _sum(blocks: list[int], last: bytes) -> int:
    total = _number(last)
    for block in blocks:
        total ^= block
    return total


def _number(block: bytes) -> int:
    return int.from_bytes(block, "big")


def _block(value: int) -> bytes:
    return value.to_bytes(BLOCK, "big")
