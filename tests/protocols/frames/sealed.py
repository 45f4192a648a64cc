"""Where the golden vectors of sealed sound come from: keys, points and counters fixed, each step by hand.

HKDF is two lines of hmac here, MessagePack the independent package, and only AES-GCM and the curve are those of
`cryptography`, so that our own code is held to these bytes and not to itself. The keys serve nothing else.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

FILE = Path(__file__).parent / "sealed.txt"
HEAD = """\
# Golden vectors of sealed sound, for makers of devices: docs/wire.md, "Voice keys" and "Sealed frames".
# One block per vector, lines of `name value`; bytes in hex, one line each, `-` for none; numbers in decimal.
#   kind   frame: a frame, ping or pong sealed under a base key    keys: voice keys sealed to one device
#          refused: what must not open (same `base` and `kid`); `error` is the reason we count it by
#   base   the 16 bytes given by voice-keys    kid, ctr  as in the header    header  also the additional data
#   key, salt, nonce, shared, info              the steps between, so that a wrong one is found at once
#   plain  what is sealed                       sealed    what goes over the wire
#   gives  what is inside, as JSON; bin as "hex:..."
# Written by REWRITE_VECTORS=1 python -m pytest tests/protocols/test_sealed_vectors.py.
"""
BASE = bytes(range(0x10, 0x20))
KID = 0x0007_0001
OPUS = bytes.fromhex("480be4c136ecc58d8c49469904c5aaed92e7634a3ac5")
DEVICE_SCALAR = int.from_bytes(hashlib.sha256(b"device of the golden vectors").digest(), "big")
DAEMON_SCALAR = int.from_bytes(hashlib.sha256(b"daemon of the golden vectors").digest(), "big")
DEVICE, NONCE = "t-017", bytes(range(0xA0, 0xB0))
KEYS: dict[str, Any] = {
    "start": 7,
    "up": {"kid": KID, "key": BASE},
    "down": {"kid": 0x0007_0002, "key": bytes(range(0x20, 0x30))},
    "groups": [
        {"group": "all", "epoch": 1, "kid": 0x0007_0003, "key": bytes(range(0x30, 0x40))},
        {"group": "inc-n-1", "epoch": 4, "kid": 0x0007_0009, "key": bytes(range(0x40, 0x50))},
    ],
    "udp": ["192.0.2.10:7788"],
}
FRAMES: list[tuple[str, int, int, list[Any]]] = [
    ("first frame of a burst: counter 0 in the config byte", KID, 0, [0, 902, 0, 0, OPUS, 0]),
    ("second: counter 1", KID, 1, [0, 902, 1, 960, OPUS, 0]),
    ("counter 7, the last in the config byte", KID, 7, [0, 902, 7, 6720, OPUS, 0]),
    ("counter 8, the first with a byte of its own", KID, 8, [0, 902, 8, 7680, OPUS, 0]),
    ("counter of two bytes", KID, 300, [0, 902, 300, 288_000, OPUS, 0]),
    ("counter of five bytes, largest numbers", KID, 2**32, [0, 2**32 - 1, 2**32 - 1, 2**32 - 1, OPUS, 0]),
    ("a short KID in the config byte", 5, 0, [0, 1, 0, 0, OPUS, 0]),
    ("the largest KID of this version", 2**32 - 1, 9, [0, 1, 0, 0, OPUS, 0]),
    ("last frame, empty", KID, 9, [0, 902, 9, 8640, b"", 1]),
    ("said before you came", KID, 10, [0, 902, 3, 2880, OPUS, 2]),
    ("flags left out", KID, 11, [0, 902, 10, 9600, OPUS]),
    ("an element of a later version", KID, 12, [0, 902, 11, 10_560, OPUS, 0, "later"]),
    ("the longest Opus packet", KID, 13, [0, 902, 12, 11_520, bytes(range(256)) * 2 + bytes(128), 0]),
    ("ping", KID, 14, [1, 17]),
    ("pong", 0x0007_0002, 0, [2, 17]),
]


def hkdf(secret: bytes, info: bytes, size: int) -> bytes:
    """HKDF-SHA256 without salt, for at most one block (RFC 5869)."""
    extracted = hmac.digest(bytes(32), secret, hashlib.sha256)
    return hmac.digest(extracted, info + b"\1", hashlib.sha256)[:size]


def header(kid: int, ctr: int) -> bytes:
    def field(value: int) -> tuple[int, bytes]:
        if value < 8:
            return value, b""
        size = (value.bit_length() + 7) // 8
        return 8 | size - 1, value.to_bytes(size, "big")

    (k, kid_bytes), (c, ctr_bytes) = field(kid), field(ctr)
    return bytes([k << 4 | c]) + kid_bytes + ctr_bytes


def frame(base: bytes, kid: int, ctr: int, plain: bytes) -> dict[str, Any]:
    suffix = kid.to_bytes(8, "big") + b"\0\4"
    key = hkdf(base, b"SFrame 1.0 Secret key " + suffix, 16)
    salt = hkdf(base, b"SFrame 1.0 Secret salt " + suffix, 12)
    nonce = bytes(a ^ b for a, b in zip(salt, ctr.to_bytes(12, "big"), strict=True))
    head = header(kid, ctr)
    sealed = head + AESGCM(key).encrypt(nonce, plain, head)
    return {
        "base": base, "kid": kid, "key": key, "salt": salt, "ctr": ctr, "header": head, "nonce": nonce,
        "plain": plain, "sealed": sealed,
    }  # fmt: skip


def keys() -> dict[str, Any]:
    device, daemon = (
        ec.derive_private_key(scalar, ec.SECP256R1()) for scalar in (DEVICE_SCALAR, DAEMON_SCALAR)
    )
    public, ephemeral = (
        one.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        for one in (device, daemon)
    )
    shared = device.exchange(ec.ECDH(), daemon.public_key())
    info = b"dispatchd voice keys 1" + ephemeral + public + DEVICE.encode() + b"/" + NONCE
    made = hkdf(shared, info, 28)
    plain: bytes = msgpack.packb(KEYS)
    return {
        "device": DEVICE, "join-nonce": NONCE, "private": DEVICE_SCALAR.to_bytes(32, "big"), "public": public,
        "daemon-private": DAEMON_SCALAR.to_bytes(32, "big"), "daemon-public": ephemeral, "shared": shared,
        "info": info, "key": made[:16], "nonce": made[16:], "plain": plain,
        "sealed": AESGCM(made[:16]).encrypt(made[16:], plain, None),
    }  # fmt: skip


def refused() -> Iterator[tuple[str, bytes, str]]:
    good = frame(BASE, KID, 20, msgpack.packb([0, 902, 20, 19_200, OPUS, 0]))["sealed"]
    yield "empty", b"", "sframe-short"
    yield "header only", good[:5], "sframe-short"
    yield "one byte less than a tag", good[: 5 + 15], "sframe-short"
    yield "a bit of the tag turned over", good[:-1] + bytes([good[-1] ^ 1]), "sframe-forged"
    yield (
        "a bit of the header's counter turned over",
        good[:4] + bytes([good[4] ^ 1]) + good[5:],
        "sframe-forged",
    )
    yield "under another key's number", frame(BASE, KID + 1, 20, b"\x92\x01\x01")["sealed"], "sframe-kid"
    yield "721 bytes", good + bytes(721 - len(good)), "oversize"
    for name, plain in {
        "a map inside": {"burst": 1},
        "a first element that says nothing": [9, 1],
        "seq over 32 bits": [0, 1, 2**32, 0, OPUS, 0],
        "opus of 641 bytes": [0, 1, 0, 0, bytes(641), 0],
        "opus as text": [0, 1, 0, 0, "opus", 0],
    }.items():
        yield name, frame(BASE, KID, 20, msgpack.packb(plain))["sealed"], "bad-frame"
    yield "bytes after the array", frame(BASE, KID, 20, msgpack.packb([1, 1]) + b"\0")["sealed"], "bad-frame"


def blocks() -> Iterator[dict[str, Any]]:
    for name, kid, ctr, inside in FRAMES:
        base = KEYS["down"]["key"] if inside[0] == 2 else BASE
        yield {
            "name": name, "kind": "frame", **frame(base, kid, ctr, msgpack.packb(inside)), "gives": _json(inside)
        }  # fmt: skip
    yield {"name": "voice keys for one device", "kind": "keys", **keys(), "gives": _json(KEYS)}
    for name, sealed, error in refused():
        yield {"name": name, "kind": "refused", "base": BASE, "kid": KID, "sealed": sealed, "error": error}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=lambda raw: "hex:" + raw.hex())


def text() -> str:
    return HEAD + "".join("\n" + _block(block) for block in blocks())


def _block(block: dict[str, Any]) -> str:
    return "".join(f"{name:<14} {_value(value)}\n" for name, value in block.items())


def _value(value: Any) -> str:
    return (value.hex() or "-") if isinstance(value, bytes) else str(value)


def read() -> list[dict[str, str]]:
    """Of the file: name → value as it stands there."""
    parts = FILE.read_text(encoding="utf-8").split("\n\n")[1:]
    return [dict(line.split(maxsplit=1) for line in part.strip().splitlines()) for part in parts]
