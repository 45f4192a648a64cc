"""Keys sealed to one device: who opens them, who does not, and what they look like inside."""

import hashlib
import hmac

import msgpack
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import ProtocolError
from protocols.voice_keys import (
    MAX_GROUPS,
    MAX_KEYS_BYTES,
    GroupKey,
    KeyPair,
    Keys,
    OwnKey,
    decode,
    encode,
    open_sealed,
    seal_to,
)

PAIR = KeyPair.generate()
OWN = OwnKey(0x1_0001, b"u" * 16)
KEYS = Keys(
    7, OWN, OwnKey(0x1_0002, b"d" * 16), [GroupKey("all", 3, 0x1_0003, b"g" * 16)], ["192.0.2.1:5005"]
)


def code_opening(pair: KeyPair, ephemeral: bytes, sealed: bytes, context: bytes) -> str:
    with pytest.raises(ProtocolError) as error:
        open_sealed(pair, ephemeral, sealed, context)
    return error.value.code


@given(st.binary(max_size=2000), st.binary(max_size=64))
def test_only_the_addressee_opens_it_and_only_for_this_join(plain: bytes, context: bytes) -> None:
    ephemeral, sealed = seal_to(PAIR.public, plain, context)
    assert len(ephemeral) == len(PAIR.public) == 65
    assert open_sealed(PAIR, ephemeral, sealed, context) == plain
    assert code_opening(KeyPair.generate(), ephemeral, sealed, context) == "forged"
    assert code_opening(PAIR, ephemeral, sealed, context + b"x") == "forged"
    assert code_opening(PAIR, KeyPair.generate().public, sealed, context) == "forged"


def test_every_sealing_is_fresh() -> None:
    made = [seal_to(PAIR.public, b"same", b"") for _ in range(20)]
    assert len({ephemeral for ephemeral, _ in made}) == len({sealed for _, sealed in made}) == 20


def test_derived_as_documented() -> None:
    """The same by hand: a device maker's implementation in another language does these steps."""
    ephemeral, sealed = seal_to(PAIR.public, b"plain", b"t-01 nonce")
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), ephemeral)
    shared = PAIR._private.exchange(ec.ECDH(), point)
    info = b"dispatchd voice keys 1" + ephemeral + PAIR.public + b"t-01 nonce"
    made = hmac.digest(hmac.digest(bytes(32), shared, hashlib.sha256), info + b"\1", hashlib.sha256)[:28]
    assert AESGCM(made[:16]).decrypt(made[16:], sealed, b"") == b"plain"


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_any_bytes_are_refused_with_a_code(ephemeral: bytes, sealed: bytes) -> None:
    assert code_opening(PAIR, ephemeral, sealed, b"") == "bad-key"
    assert code_opening(PAIR, KeyPair.generate().public, sealed, b"") == "forged"


@pytest.mark.parametrize(
    "public",
    [b"", bytes(65), b"\4" + bytes(64), b"\4" + b"\xff" * 64, PAIR.public[:64], b"\2" + PAIR.public[1:33]],
    ids=["nothing", "zeros", "origin", "off the curve", "cut", "compressed"],
)
def test_what_is_no_point(public: bytes) -> None:
    with pytest.raises(ProtocolError) as error:
        seal_to(public, b"x", b"")
    assert error.value.code == "bad-key"


def test_keys_on_the_wire_are_a_map() -> None:
    assert decode(encode(KEYS)) == KEYS
    assert msgpack.unpackb(encode(KEYS)) == {
        "start": 7,
        "up": {"kid": 0x1_0001, "key": b"u" * 16},
        "down": {"kid": 0x1_0002, "key": b"d" * 16},
        "groups": [{"group": "all", "epoch": 3, "kid": 0x1_0003, "key": b"g" * 16}],
        "udp": ["192.0.2.1:5005"],
    }
    assert msgpack.unpackb(encode(Keys(1))) == {"start": 1}
    assert decode(msgpack.packb({"start": 1, "later": [1], "up": {"kid": 1, "key": b"u" * 16, "more": 2}})).up


def test_the_fullest_list_fits_its_envelope() -> None:
    groups = [GroupKey(f"{n:032}", 2**53, 2**32 - 1, b"g" * 16) for n in range(MAX_GROUPS)]
    full = encode(Keys(2**53, OWN, OWN, groups, ["h" * 255 + ":65535"] * 4))
    assert len(seal_to(PAIR.public, full, b"")[1]) <= MAX_KEYS_BYTES
    assert len(decode(full).groups) == MAX_GROUPS


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"start": -1},
        {"start": 1, "up": {"kid": 1, "key": b"short"}},
        {"start": 1, "up": {"kid": 2**32, "key": b"u" * 16}},
        {"start": 1, "groups": [{"group": "No", "epoch": 1, "kid": 1, "key": b"u" * 16}]},
        {"start": 1, "groups": [{"group": "a", "epoch": 1, "kid": 1, "key": b"u" * 16}] * 101},
        {"start": 1, "udp": ["h:1"] * 5},
        {"start": 1, "udp": ["no port"]},
        {"start": 1, "udp": ["h:0"]},
        {"start": 1, "udp": ["h:65536"]},
        {"start": 1, "udp": ["h:1\n"]},
        {"start": 1, "later": b"x" * MAX_KEYS_BYTES},
    ],
)
def test_what_are_no_keys(wrong: dict[str, object]) -> None:
    with pytest.raises(ProtocolError) as error:
        decode(msgpack.packb(wrong))
    assert error.value.code == "bad-keys"


@given(st.binary(max_size=200))
def test_any_plain_bytes_are_keys_or_refused(plain: bytes) -> None:
    try:
        keys = decode(plain)
    except ProtocolError as error:
        code = error.code
    else:
        code = "bad-keys"
        assert isinstance(keys, Keys)
    assert code == "bad-keys"


def test_no_key_shows_when_printed() -> None:
    shown = f"{KEYS} {KEYS!r} {KEYS.groups} {PAIR!r}"
    assert "uuuu" not in shown
    assert "dddd" not in shown
    assert "gggg" not in shown
    assert "all" in shown
