"""The voice keys of one device, and how they are sealed to it alone.

The device makes a fresh P-256 pair for each `voice-join`; the daemon answers with `Keys`, sealed under what an
ephemeral pair of its own and that point have in common: ECDH → HKDF-SHA256 → AES-128-GCM. The HKDF's info holds both
points and the caller's context (device and nonce of the join), so that an answer opens only where and when it was
asked for. A pair lives in memory only; who forgets it has forgotten the keys. No key ever shows in a repr.
"""

from typing import Annotated, Final, Self

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import Meta, Struct

from .errors import ProtocolError
from .sframe import KEY_BYTES
from .types import Count, Id
from .voice import U32

PUBLIC_BYTES: Final = 65
MAX_GROUPS: Final = 100
MAX_ADDRESSES: Final = 4
MAX_KEYS_BYTES: Final = 16_000
"""Of encoded or sealed keys; more is refused unread. MAX_GROUPS of the longest names need 11 kB."""
_LABEL = b"dispatchd voice keys 1"
_CURVE = ec.SECP256R1()
_NONCE_BYTES = 12

SealKey = Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
Address = Annotated[str, Meta(pattern=r"^(?!.*\n)[^\s/@]{1,255}:[1-9][0-9]{0,4}$", description="host:port")]


class OwnKey(Struct, frozen=True):
    """A key between this device and the daemon."""

    kid: U32
    key: SealKey

    def __repr__(self) -> str:
        return f"OwnKey(kid={self.kid:#x})"


class GroupKey(Struct, frozen=True):
    """What opens the frames of one talk group. `epoch` grows whenever a member leaves."""

    group: Id
    epoch: Count
    kid: U32
    key: SealKey

    def __repr__(self) -> str:
        return f"GroupKey(group={self.group!r}, epoch={self.epoch}, kid={self.kid:#x})"


class Keys(Struct, frozen=True, omit_defaults=True):
    """Everything a device needs, always whole: what is not in it is to be forgotten.

    `start` names the start of the daemon's voice, `up` seals what the device sends, `down` opens pongs, `udp` is where
    datagrams go (nothing: there is no datagram carriage), the first that answers.
    """

    start: Count
    up: OwnKey | None = None
    down: OwnKey | None = None
    groups: Annotated[list[GroupKey], Meta(max_length=MAX_GROUPS)] = []
    udp: Annotated[list[Address], Meta(max_length=MAX_ADDRESSES)] = []


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Keys)


def encode(keys: Keys) -> bytes:
    """What is sealed."""
    return _encoder.encode(keys)


def decode(plain: bytes) -> Keys:
    """Of opened bytes; ProtocolError `bad-keys`."""
    if len(plain) > MAX_KEYS_BYTES:
        raise ProtocolError(
            "bad-keys", f"{len(plain)} bytes are more than voice keys have ({MAX_KEYS_BYTES})"
        )
    try:
        keys = _decoder.decode(plain)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise ProtocolError("bad-keys", f"no voice keys: {error}") from None
    for address in keys.udp:
        if int(address.rpartition(":")[2]) > 65_535:
            raise ProtocolError("bad-keys", f"{address} has no port that exists")
    return keys


def context(device: str, nonce: bytes) -> bytes:
    """What binds sealed keys to one device and one `voice-join`."""
    return device.encode() + b"/" + nonce


class KeyPair:
    """A private key and its point; made fresh, used for one join, never written down."""

    __slots__ = ("_private", "public")

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private
        self.public: Final = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    @classmethod
    def generate(cls) -> Self:
        return cls(ec.generate_private_key(_CURVE))

    def agree(self, public: bytes) -> bytes:
        """The secret in common with who has made `public`; ProtocolError `bad-key` if it is no point of P-256."""
        if len(public) != PUBLIC_BYTES:
            raise ProtocolError(
                "bad-key", f"an uncompressed P-256 point has {PUBLIC_BYTES} bytes, not {len(public)}"
            )
        try:
            return self._private.exchange(
                ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, public)
            )
        except ValueError:
            raise ProtocolError("bad-key", "these bytes are no point of P-256") from None


def seal_to(public: bytes, plain: bytes, context: bytes) -> tuple[bytes, bytes]:
    """An ephemeral point and what only the owner of `public` opens; ProtocolError `bad-key`."""
    pair = KeyPair.generate()
    key, nonce = _derive(pair.agree(public), pair.public, public, context)
    return pair.public, AESGCM(key).encrypt(nonce, plain, None)


def open_sealed(pair: KeyPair, ephemeral: bytes, sealed: bytes, context: bytes) -> bytes:
    """What `seal_to` sealed to `pair.public` for this `context`; ProtocolError `bad-key` or `forged`."""
    key, nonce = _derive(pair.agree(ephemeral), ephemeral, pair.public, context)
    try:
        return AESGCM(key).decrypt(nonce, sealed, None)
    except InvalidTag:
        raise ProtocolError("forged", "not sealed to this device for this join") from None


def _derive(shared: bytes, ephemeral: bytes, public: bytes, context: bytes) -> tuple[bytes, bytes]:
    """Key and nonce; both serve once, since the ephemeral point is fresh."""
    info = _LABEL + ephemeral + public + context
    made = HKDF(SHA256(), KEY_BYTES + _NONCE_BYTES, None, info).derive(shared)
    return made[:KEY_BYTES], made[KEY_BYTES:]
