"""Parts of the voice benchmark against the outside: mumble's cipher, its messages, and what is counted as heard."""

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.voice import ears, mumble
from benchmarks.voice.cpu import cpu_s
from benchmarks.voice.ocb import Crypt, Forged, ocb2, ocb2_open

KEY = bytes(range(16))
# Of the OCB2 submission; mumble's own tests use them.
TAG_OF_NOTHING = "BF3108130773AD5EC70EC69E7875A7B0"
OF_40 = (
    "F75D6BC8B4DC8D66B836A2B08B32A6369F1CD3C5228D79FD6C267F5F6AA7B231C7DFB9D59951AE9C",
    "9DB0CDF880F73E3E10D4EB3217766688",
)


def blocks() -> Crypt:
    return Crypt(KEY, bytes(16), bytes(16))


def test_ocb2_is_that_of_the_published_vectors() -> None:
    encrypt = blocks()._encrypt
    assert ocb2(encrypt, KEY, b"")[1].hex().upper() == TAG_OF_NOTHING
    sealed, tag = ocb2(encrypt, KEY, bytes(range(40)))
    assert (sealed.hex().upper(), tag.hex().upper()) == OF_40
    assert ocb2_open(encrypt, blocks()._decrypt, KEY, sealed) == (bytes(range(40)), tag)


@given(st.lists(st.binary(max_size=100), max_size=5), st.integers(0, 3))
def test_what_is_sealed_opens_in_order_and_over_gaps(plains: list[bytes], lost: int) -> None:
    mine, server = blocks(), blocks()
    for _ in range(lost):
        mine.seal(b"lost")
    for plain in plains:
        assert server.open(mine.seal(plain)) == plain


def test_a_forged_datagram_is_refused() -> None:
    mine, server = blocks(), blocks()
    sealed = mine.seal(b"some words that are longer than a block")
    with pytest.raises(Forged):
        server.open(sealed[:-1] + bytes([sealed[-1] ^ 1]))


@given(st.dictionaries(st.integers(1, 30), st.integers(0, 2**40) | st.binary(max_size=300), max_size=5))
def test_control_messages_read_what_they_write(said: dict[int, int | bytes]) -> None:
    stream = mumble.message(9, *said.items()) + mumble.message(3)
    found = list(mumble.messages(stream + b"\0\1"))
    assert [(kind, mumble.fields(body)) for kind, body, _ in found] == [(9, said), (3, {})]
    assert found[-1][2] == len(stream)


@given(st.integers(0, 2**28 - 1), st.binary(min_size=1, max_size=100), st.integers(0, 2**14))
def test_a_voice_datagram_reads_what_the_server_adds(seq: int, opus: bytes, session: int) -> None:
    up = mumble.voice(seq, opus)
    assert mumble.heard(up[:1] + mumble.varint(session) + up[1:]) == (session, seq, opus)


def test_deliveries_are_counted_once_and_their_delay_is_from_the_kernel_to_the_kernel() -> None:
    sent = [[0, 20_000_000], [0, 20_000_000]]
    heard = [[(1_000_000, 0), (22_000_000, 1), (30_000_000, 1)], [(3_000_000, 0), (9, 7)]]
    found = ears.judge(sent, heard, [0, 1])
    assert (found.delivered, found.expected) == (3, 4)
    assert found.p50_ms == pytest.approx(2.0)


async def test_listeners_lie_still_and_are_stamped_by_the_kernel() -> None:
    with ears.ear() as mine, ears.ear() as talker:
        where = mine.getsockname()
        sent = await ears.talk([lambda n: talker.sendto(bytes([n]), where)], some := ears.Ears([mine]), 5)
        time.sleep(0.05)  # noqa: ASYNC251 - what a slow listener does
        heard = [(stamp, data[0]) for stamp, data in some.taken()[0]]
    assert [frame for _, frame in heard] == [0, 1, 2, 3, 4]
    assert ears.judge(sent, [heard], [0]).p99_ms < 50


def test_the_processor_clock_of_a_process_counts_what_it_does() -> None:
    before, own = cpu_s(os.getpid()), time.process_time()
    while time.process_time() < own + 0.05:
        pass
    assert cpu_s(os.getpid()) - before == pytest.approx(0.05, abs=0.02)
