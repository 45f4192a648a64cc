"""Every decoder is total: any bytes or text give a message or the one error, soon, and with little memory.

Hypothesis prints the smallest failing input and how to repeat it; FUZZ_EXAMPLES=1000 looks longer.
"""

import os
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import codec, envelope, kinds, salvage, site, topics, up
from protocols.errors import ProtocolError
from tests.protocols import messages, vectors

TARGETS = [
    "presence",
    "envelope",
    *(f"{kind.way} {kind.name}" for kind in kinds.ALL if kind.way != "presence"),
    "up nothing",
    "down nothing",
]
TYPES: dict[str, Any] = {"envelope": envelope.Envelope, "presence": up.Presence} | {
    f"{kind.way} {kind.name}": kind.type for kind in kinds.ALL if kind.way != "presence"
}
GOLDEN = [vector.data for vector in vectors.read() if len(vector.data) < 600]
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "30"))
fuzz = settings(max_examples=EXAMPLES, deadline=None)
fuzz_longer = settings(max_examples=5 * EXAMPLES, deadline=None)
DECODE_WITHIN_S = 0.5
"""Of one message of the greatest size, on a slow and busy machine; measured 0.03 s at most."""
DECODE_WITHIN_BYTES = 4 * 2**20


def total(to: str, data: bytes) -> None:
    """A message that encodes again, or a ProtocolError with a code and a sentence."""
    message, error = tried(lambda: vectors.decode(to, data))
    if error is None:
        assert vectors.decode(to, codec.encode(message)) == message
    else:
        assert error.code in {"malformed", "oversize", "unknown-kind", "bad-envelope"}
        assert str(error) == error.why != ""


def tried(work: Callable[[], Any]) -> tuple[Any, Any]:
    """What came of it, or the error; any other error goes through."""
    try:
        return work(), None
    except (ProtocolError, site.SiteError) as error:
        return None, error


@pytest.mark.parametrize("to", TARGETS)
@fuzz
@given(st.data())
def test_any_bytes_give_a_message_or_a_protocol_error(to: str, data: st.DataObject) -> None:
    packed = messages.VALUES.map(msgpack.packb)
    total(to, data.draw(st.binary(max_size=200) | messages.mutated(GOLDEN) | packed, label="bytes"))


@pytest.mark.parametrize("to", TYPES)
@fuzz
@given(st.data())
def test_any_values_under_the_right_names_give_a_message_or_a_protocol_error(
    to: str, data: st.DataObject
) -> None:
    total(to, msgpack.packb(data.draw(messages.maps_like(TYPES[to]), label="fields")))


@pytest.mark.parametrize("to", TYPES)
@fuzz
@given(st.data())
def test_what_is_encoded_decodes_to_itself(to: str, data: st.DataObject) -> None:
    message = data.draw(messages.of(TYPES[to]), label="message")
    assert vectors.decode(to, codec.encode(message)) == message


@fuzz_longer
@given(messages.mutated([data for data in GOLDEN if data[:1] >= b"\x80"]) | st.binary(max_size=100))
def test_salvage_gives_an_alarm_of_whatever_begins_as_a_map(data: bytes) -> None:
    why = ProtocolError("malformed", "no alarm: for the test")
    begins_as_map = salvage.fields(data) is not None
    alarm, error = tried(lambda: codec.salvage_alarm(data, why))
    assert error is (None if begins_as_map else why)
    if begins_as_map:
        assert codec.decode_up("alarm", codec.encode(alarm)) == alarm


@fuzz_longer
@given(messages.maps_like(up.Alarm))
def test_salvage_splits_what_msgpack_packed(fields: dict[str, Any]) -> None:
    split = salvage.fields(msgpack.packb(fields))
    assert split == {msgpack.packb(name): msgpack.packb(value) for name, value in fields.items()}


@fuzz_longer
@given(messages.of(up.Alarm), st.integers(0, 10_000), st.binary(min_size=1, max_size=20))
def test_an_alarm_with_one_broken_field_keeps_all_the_others(alarm: up.Alarm, pick: int, junk: bytes) -> None:
    fields = msgspec.to_builtins(alarm)
    whole = {name: value for name, value in fields.items() if name != "key"}
    for broken in list(whole)[pick % max(len(whole), 1) :][:1]:
        fields[broken] = {"junk": junk}
    salvaged = codec.decode_up("alarm", msgpack.packb(fields))
    assert isinstance(salvaged, up.Alarm)
    assert salvaged.key == alarm.key
    for name in whole:
        expected = (
            up.Alarm(key=alarm.key) if isinstance(fields[name], dict) and "junk" in fields[name] else alarm
        )
        assert getattr(salvaged, name) == getattr(expected, name)


@fuzz_longer
@given(st.text(max_size=60) | st.text("dispatch/v1ugn+#-\n", max_size=60).map("dispatch/v1/".__add__))
def test_any_topic_parses_or_is_refused(topic: str) -> None:
    for parse in (topics.parse_up, topics.parse_down):
        parsed, error = tried(partial(parse, topics.DEFAULT_ROOT, topic))
        assert topics.is_id(parsed[0]) if error is None else error.code == "bad-topic"


SITE_WORDS = st.sampled_from(
    [
        "[[unit]]",
        "[[point]]",
        "[[device]]",
        "[rules]",
        "[[override]]",
        "id = 'a'",
        "unit = 'a'",
        "lat = nan",
        "parent = 'a'",
        "x = 1e999",
        "values = {ring1_m = 5}",
        "name = 3",
        "x = [[",
        "root = 'a/#'",
        "a.b.c = 1",
    ]
)


@fuzz_longer
@given(st.text(st.characters(), max_size=200) | st.lists(SITE_WORDS, max_size=12).map("\n".join))
def test_any_text_gives_a_site_or_its_faults(text: str) -> None:
    made, error = tried(lambda: site.load(text))
    assert isinstance(made, site.Site) if error is None else error.faults and all(error.faults)


TABLES = ["root", "rules", "override", "name", *site.TABLES]
ROWS = st.lists(messages.VALUES | messages.maps_like(site.Device) | messages.maps_like(site.Unit), max_size=3)


@fuzz_longer
@given(st.dictionaries(st.sampled_from(TABLES), messages.VALUES | ROWS, max_size=5))
def test_any_values_give_a_site_or_its_faults(raw: dict[str, Any]) -> None:
    made, faults = site.convert(raw)
    assert made is not None or faults


def hostile() -> dict[str, bytes]:
    """Full-size payloads that make a careless decoder recurse, allocate or start over."""
    size = codec.MAX_UP_BYTES - 40
    head = b"\x82" + msgpack.packb("key") + msgpack.packb({"boot": "b", "seq": 1}) + msgpack.packb("x")
    return {
        "nested lists": head + b"\x91" * size,
        "nested maps": head + b"\x81\xa1x" * (size // 3),
        "declared lists": head + b"\xdd\xff\xff\xff\xff" * (size // 5),
        "declared maps": head + b"\xdf\xff\xff\xff\xff" * (size // 5),
        "declared bytes": head + b"\xc6\xff\xff\xff\xff" * (size // 5),
        "many fields": b"\xde\x1f\xf0" + b"\xa1x\xc0" * (size // 3),
        "many equal keys": b"\xde\x0f\xf0" + b"\xa3key\xc0" * (size // 5),
        "long name": b"\x81\xda\x3f\x00" + b"k" * 0x3F00 + b"\xc0",
    }


@pytest.mark.parametrize("name", hostile())
@pytest.mark.parametrize("to", ["up alarm", "up state", "down membership", "envelope"])
def test_hostile_payloads_take_bounded_time_and_memory(name: str, to: str) -> None:
    data = hostile()[name]
    assert within(lambda: total(to, data)) < DECODE_WITHIN_S
    tracemalloc.start()
    try:
        total(to, data)
        assert tracemalloc.get_traced_memory()[1] < DECODE_WITHIN_BYTES
    finally:
        tracemalloc.stop()


def within(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
