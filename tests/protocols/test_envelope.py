"""The envelope: what a signature covers is unambiguous, life ends when it says, size is bounded."""

import dataclasses
import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import envelope
from protocols.envelope import Envelope
from protocols.errors import ProtocolError
from tests.protocols import messages

ENVELOPES = messages.of(Envelope)
TOPICS = st.text("abcd/-", min_size=1, max_size=40)
SAMPLE = Envelope(gen=1, n=2, ttl_ms=3, sent_at=4, body=b"body", sig=b"")


@given(ENVELOPES)
def test_what_is_sealed_is_unsealed(one: Envelope) -> None:
    data = envelope.seal(one.gen, one.n, one.ttl_ms, one.sent_at, one.body)
    assert envelope.unseal(data) == msgspec.structs.replace(one, sig=b"")


@given(TOPICS, ENVELOPES)
def test_signed_bytes_can_be_taken_apart_again(topic: str, one: Envelope) -> None:
    """So two different messages never have the same signed bytes."""
    data = envelope.signed_bytes(topic, one)
    length = int.from_bytes(data[:2])
    numbers = [int.from_bytes(data[at : at + 8]) for at in range(2 + length, 34 + length, 8)]
    assert data[2 : 2 + length].decode() == topic
    assert numbers == [one.gen, one.n, one.ttl_ms, one.sent_at]
    assert data[34 + length :] == one.body


def test_every_field_but_the_signature_is_signed() -> None:
    changes = {"gen": 9, "n": 9, "ttl_ms": 9, "sent_at": 9, "body": b"bodz"}
    assert set(changes) | {"sig"} == set(Envelope.__struct_fields__)
    signed = {
        envelope.signed_bytes("a/b", msgspec.structs.replace(SAMPLE, **{k: v})) for k, v in changes.items()
    }
    assert len(signed | {envelope.signed_bytes("a/b", SAMPLE), envelope.signed_bytes("a/c", SAMPLE)}) == 7
    assert envelope.signed_bytes("t", SAMPLE) == envelope.signed_bytes(
        "t", msgspec.structs.replace(SAMPLE, sig=b"x")
    )


def test_moving_the_border_between_topic_and_body_changes_the_signed_bytes() -> None:
    parts = [(topic, body) for topic, body in itertools.product(["a", "ab", "abc"], [b"", b"b", b"bc", b"c"])]
    signed = {
        envelope.signed_bytes(topic, msgspec.structs.replace(SAMPLE, body=body)) for topic, body in parts
    }
    assert len(signed) == len(parts)


def test_signed_bytes_in_full() -> None:
    assert envelope.signed_bytes("r/d/p", SAMPLE).hex() == (
        "0005"
        + b"r/d/p".hex()
        + "0000000000000001"
        + "0000000000000002"
        + "0000000000000003"
        + "0000000000000004"
        + b"body".hex()
    )


@pytest.mark.parametrize(
    ("ttl_ms", "site_time", "expired"),
    [
        (0, 10**15, False),
        (100, 1100, False),
        (100, 1101, True),
        (100, 999, False),
        (1, 1001, False),
        (1, 1002, True),
    ],
)
def test_expiry_by_site_time(ttl_ms: int, site_time: int, expired: bool) -> None:
    one = Envelope(gen=1, n=1, ttl_ms=ttl_ms, sent_at=1000, body=b"")
    assert envelope.expired(one, site_time) is expired


def test_size_is_bounded_to_the_byte() -> None:
    overhead = len(envelope.seal(1, 1, 1, 1, b"x" * 65_000)) - 65_000
    full = envelope.seal(1, 1, 1, 1, b"x" * (envelope.MAX_DOWN_BYTES - overhead))
    assert len(envelope.unseal(full).body) == envelope.MAX_DOWN_BYTES - overhead
    with pytest.raises(ProtocolError) as caught:
        envelope.unseal(full + b"x")
    assert caught.value.code == "oversize"


def test_envelope_is_plain_data() -> None:
    assert not dataclasses.is_dataclass(Envelope)
    with pytest.raises(AttributeError):
        SAMPLE.gen = 5  # type: ignore[misc]
