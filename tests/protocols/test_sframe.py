"""Sealed frames: the published vectors, a second implementation from the text, and what an attacker can do.

The vectors are those of RFC 9605, appendix C (C.1 headers; C.3 for suite 4), from the editors' copy of the final
text. Theirs carries metadata and ours never does, so our whole ciphertext equals theirs but for the tag; the tag is
checked by an implementation of its own below, from hashlib and AES-GCM alone.
"""

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from protocols import sframe, voice
from protocols.errors import ProtocolError
from protocols.sframe import Headers, Opener, Sealer, derive, kid_of, read_header
from protocols.voice import MAX_SEALED_BYTES

BASE_KEY = bytes(range(16))
KID, CTR = 0x123, 0x4567
PLAIN = bytes.fromhex("64726166742d696574662d736672616d652d656e63")
SEALED = bytes.fromhex("9901234567b7412c2513a1b66dbb48841bbaf17f598751176ad847681a69c6d0b091c07018ce4adb34eb")
METADATA = bytes.fromhex("4945544620534672616d65205747")
KIDS = st.integers(0, 2**64 - 1)
KEYS = st.binary(min_size=16, max_size=16)


def refused(code: str, opener: Opener, sealed: bytes) -> None:
    with pytest.raises(ProtocolError) as error:
        opener.open(sealed)
    assert error.value.code == code


def sealed_by_the_text(kid: int, counter: int, key: bytes, plain: bytes, metadata: bytes = b"") -> bytes:
    """RFC 9605, 4.3 and 4.4, once more and plainly: HKDF from hmac, the header bit by bit."""

    def field(value: int) -> tuple[str, bytes]:
        if value < 8:
            return f"0{value:03b}", b""
        raw = value.to_bytes(8, "big").lstrip(b"\0")
        return f"1{len(raw) - 1:03b}", raw

    (kid_bits, kid_raw), (counter_bits, counter_raw) = field(kid), field(counter)
    head = bytes([int(kid_bits + counter_bits, 2)]) + kid_raw + counter_raw
    secret = hmac.digest(b"", key, hashlib.sha256)
    tail = kid.to_bytes(8, "big") + b"\0\4"
    aes_key = hmac.digest(secret, b"SFrame 1.0 Secret key " + tail + b"\1", hashlib.sha256)[:16]
    salt = hmac.digest(secret, b"SFrame 1.0 Secret salt " + tail + b"\1", hashlib.sha256)[:12]
    nonce = bytes(a ^ b for a, b in zip(salt, counter.to_bytes(12, "big"), strict=True))
    return head + AESGCM(aes_key).encrypt(nonce, plain, head + metadata)


def sealer_at(kid: int, key: bytes, counter: int) -> Sealer:
    sealer = Sealer(kid, key)
    sealer._next = counter
    return sealer


# --------------------------------------------------------------------------------------------------- published


@pytest.mark.parametrize(
    ("kid", "counter", "expected"),
    [
        (0x1000000, 0x0, "b001000000"),
        (0x1000000, 0x1, "b101000000"),
        (0x1000000, 0xFF, "b801000000ff"),
        (0x1000000, 0x10000, "ba01000000010000"),
        (0xFFFFFFFF, 0xFFFF, "b9ffffffffffff"),
        (0xFFFFFFFF, 0xFFFFFFFFFFFFFF, "beffffffffffffffffffffff"),
        (0x100000000, 0xFFFFFF, "ca0100000000ffffff"),
        (0x10000000000, 0x100000000, "dc0100000000000100000000"),
        (0xFFFFFFFFFFFF, 0xFF, "d8ffffffffffffff"),
        (0xFFFFFFFFFFFFFF, 0x0, "e0ffffffffffffff"),
        (0x100000000000000, 0x10000000000, "fd0100000000000000010000000000"),
        (0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF, "ffffffffffffffffffffffffffffffffff"),
    ],
)
def test_headers_as_published(kid: int, counter: int, expected: str) -> None:
    head = Headers(kid).of(counter)
    assert head.hex() == expected
    assert read_header(head + bytes(16)) == (kid, counter, len(head))


def test_key_salt_and_ciphertext_as_published() -> None:
    key, salt = derive(KID, BASE_KEY)
    assert key.hex() == "d34f547f4ca4f9a7447006fe7fcbf768"
    assert salt.hex() == "75234edefe07819026751816"
    assert sealed_by_the_text(KID, CTR, BASE_KEY, PLAIN, METADATA) == SEALED
    ours = sealer_at(KID, BASE_KEY, CTR).seal(PLAIN)
    assert ours[:-16] == SEALED[:-16]


@given(KIDS, st.integers(0, sframe.MAX_COUNTER - 1), KEYS, st.binary(max_size=100))
def test_sealed_as_a_second_implementation_does(kid: int, counter: int, key: bytes, plain: bytes) -> None:
    sealed = sealer_at(kid, key, counter).seal(plain)
    assert sealed == sealed_by_the_text(kid, counter, key, plain)
    assert kid_of(sealed) == kid
    assert Opener(kid, key).open(sealed) == plain


# ------------------------------------------------------------------------------------------------------ counter


def test_counter_starts_at_zero_never_repeats_and_ends() -> None:
    sealer = Sealer(7, BASE_KEY)
    counters = [read_header(sealer.seal(b"same"))[1] for _ in range(1000)]
    assert counters == list(range(1000))
    last = sealer_at(7, BASE_KEY, sframe.MAX_COUNTER - 1)
    assert Opener(7, BASE_KEY).open(last.seal(b"last")) == b"last"
    for _ in range(2):
        with pytest.raises(sframe.CounterExhausted):
            last.seal(b"one too many")


def test_the_longest_voice_frame_fits() -> None:
    top = 2**32 - 1
    longest = voice.encode(voice.Frame(top, top, top, bytes(voice.MAX_OPUS_BYTES), 255))
    assert len(sealer_at(2**64 - 1, BASE_KEY, sframe.MAX_COUNTER - 1).seal(longest)) <= MAX_SEALED_BYTES


def test_too_long_a_frame_is_refused_at_both_ends() -> None:
    longest = Sealer(2**64 - 1, BASE_KEY).seal(bytes(sframe.MAX_PLAIN_BYTES))
    assert len(longest) <= MAX_SEALED_BYTES
    with pytest.raises(ProtocolError) as error:
        Sealer(1, BASE_KEY).seal(bytes(sframe.MAX_PLAIN_BYTES + 1))
    assert error.value.code == "oversize"
    refused("oversize", Opener(1, BASE_KEY), bytes(MAX_SEALED_BYTES + 1))


@pytest.mark.parametrize(
    ("kid", "key"), [(1, b""), (1, bytes(15)), (1, bytes(32)), (-1, BASE_KEY), (2**64, BASE_KEY)]
)
def test_a_key_that_is_none_is_refused(kid: int, key: bytes) -> None:
    for made in (Sealer, Opener):
        with pytest.raises(ProtocolError) as error:
            made(kid, key)
        assert error.value.code == "bad-key"


# ------------------------------------------------------------------------------------------------------- attack


@given(st.binary(max_size=MAX_SEALED_BYTES + 20))
def test_any_bytes_are_refused_with_a_code(data: bytes) -> None:
    for kid in (0, 5, data[1] if len(data) > 1 else 0):
        with pytest.raises(ProtocolError) as error:
            Opener(kid, BASE_KEY).open(data)
        assert error.value.code in {"oversize", "sframe-short", "sframe-kid", "sframe-forged"}


@given(st.data())
def test_one_changed_bit_anywhere_is_noticed(data: st.DataObject) -> None:
    sealed = bytearray(sealer_at(0x1_0005, BASE_KEY, 300).seal(b"one frame"))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ProtocolError):
        Opener(0x1_0005, BASE_KEY).open(bytes(sealed))


@given(st.integers(0, 41))
def test_a_cut_frame_is_refused(length: int) -> None:
    with pytest.raises(ProtocolError):
        Opener(KID, BASE_KEY).open(sealed_by_the_text(KID, CTR, BASE_KEY, PLAIN)[:length])


def test_forged_counters_do_not_move_the_window() -> None:
    opener, sealer = Opener(9, BASE_KEY), Sealer(9, BASE_KEY)
    refused("sframe-forged", opener, Headers(9).of(2**40) + bytes(40))
    assert opener.open(sealer.seal(b"still heard")) == b"still heard"
    genuine = sealer.seal(b"next")
    refused("sframe-forged", opener, genuine[:-1] + bytes([genuine[-1] ^ 1]))
    assert opener.open(genuine) == b"next"


def test_another_key_of_the_same_number_and_another_number() -> None:
    sealed = Sealer(9, BASE_KEY).seal(b"x")
    refused("sframe-forged", Opener(9, bytes(16)), sealed)
    refused("sframe-kid", Opener(10, BASE_KEY), sealed)


def test_window_to_the_frame() -> None:
    opener, sealer = Opener(9, BASE_KEY, window=4), Sealer(9, BASE_KEY)
    frames = [sealer.seal(bytes([n])) for n in range(10)]
    assert opener.open(frames[5]) == b"\5"
    assert opener.open(frames[2]) == b"\2"
    refused("sframe-replayed", opener, frames[1])
    assert opener.open(frames[9]) == b"\x09"
    refused("sframe-replayed", opener, frames[5])
    assert opener.open(frames[6]) == b"\6"


@given(st.lists(st.integers(0, 60), max_size=150), st.integers(1, 70))
def test_each_frame_once_in_whatever_order(order: list[int], window: int) -> None:
    """Against a plain model: opened unless opened before or `window` or more behind the newest."""
    sealer, opener = Sealer(1, BASE_KEY), Opener(1, BASE_KEY, window)
    frames = [sealer.seal(bytes([n])) for n in range(61)]
    opened: set[int] = set()
    for n in order:
        if n in opened or (opened and n <= max(opened) - window):
            refused("sframe-replayed", opener, frames[n])
        else:
            assert opener.open(frames[n]) == bytes([n])
            opened.add(n)


def test_a_long_gap_costs_nothing_and_forgets_rightly() -> None:
    opener = Opener(1, BASE_KEY)
    first, far = sealer_at(1, BASE_KEY, 0).seal(b"a"), sealer_at(1, BASE_KEY, 2**47).seal(b"b")
    assert opener.open(first) == b"a"
    assert opener.open(far) == b"b"
    refused("sframe-replayed", opener, far)
    refused("sframe-replayed", opener, first)
    assert opener.open(sealer_at(1, BASE_KEY, 2**47 - 511).seal(b"c")) == b"c"
    refused("sframe-replayed", opener, sealer_at(1, BASE_KEY, 2**47 - 512).seal(b"d"))
