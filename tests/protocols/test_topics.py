"""Topics: what is built is parsed back, and no id smuggles a separator, a wildcard or another's topic."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import kinds, topics
from protocols.errors import ProtocolError
from tests.protocols.messages import ID_ALPHABET

ROOT = topics.DEFAULT_ROOT
IDS = st.text(ID_ALPHABET, min_size=1, max_size=32)
ROOTS = st.lists(IDS, min_size=1, max_size=8).map("/".join)
BAD_IDS = [
    "",
    "a/b",
    "+",
    "#",
    "a+",
    "A",
    "é",
    "a b",
    "a\n",
    "\na",
    "a\x00",
    "a" * 33,
    "$sys",
    "..",
    "_",
    "ａ",
    "a\r",
]
UP = sorted(kind.name for kind in kinds.ALL if kind.way == "up")
DOWN = sorted(kind.name for kind in kinds.ALL if kind.way == "down")


@given(ROOTS, IDS, st.sampled_from(UP))
def test_up_topics_parse_back(root: str, device: str, kind: str) -> None:
    assert topics.is_root(root)
    assert topics.parse_up(root, topics.up(root, device, kind)) == (device, kind)
    assert topics.parse_up(root, topics.presence(root, device)) == (device, "presence")


@given(ROOTS, IDS, st.sampled_from(DOWN))
def test_down_topics_parse_back(root: str, to: str, kind: str) -> None:
    assert topics.parse_down(root, topics.down(root, to, kind)) == (to, kind, False)
    assert topics.parse_down(root, topics.group_down(root, to, kind)) == (to, kind, True)


BUILDERS: list[Callable[[str], str]] = [
    lambda id_: topics.up(ROOT, id_, "alarm"),
    lambda id_: topics.down(ROOT, id_, "call"),
    lambda id_: topics.group_down(ROOT, id_, "broadcast"),
    lambda id_: topics.presence(ROOT, id_),
    lambda id_: topics.device_filter(ROOT, id_),
    lambda id_: topics.group_filter(ROOT, id_),
]


@pytest.mark.parametrize("bad", BAD_IDS, ids=ascii)
def test_no_builder_takes_a_bad_id_and_no_parser_gives_one(bad: str) -> None:
    assert not topics.is_id(bad)
    for build in BUILDERS:
        with pytest.raises(ProtocolError) as caught:
            build(bad)
        assert caught.value.code == "bad-id"
    for parse, topic in (
        (topics.parse_up, f"{ROOT}/d/{bad}/up/alarm"),
        (topics.parse_down, f"{ROOT}/d/{bad}/down/call"),
    ):
        with pytest.raises(ProtocolError) as caught:
            parse(ROOT, topic)
        assert caught.value.code == "bad-topic"


@pytest.mark.parametrize(
    "topic",
    [
        "",
        ROOT,
        f"{ROOT}/",
        f"{ROOT}/d/a/up",
        f"{ROOT}/d/a/up/alarm/x",
        f"{ROOT}x/d/a/up/alarm",
        "d/a/up/alarm",
        f"/{ROOT}/d/a/up/alarm",
        f"{ROOT}/g/a/up/alarm",
        f"{ROOT}/d/a/down/call",
        f"{ROOT}/d/a/presence/x",
    ],
)
def test_what_is_no_up_topic_is_refused_with_its_name(topic: str) -> None:
    with pytest.raises(ProtocolError, match="topic") as caught:
        topics.parse_up(ROOT, topic)
    assert caught.value.code == "bad-topic"


def test_a_long_bad_topic_does_not_fill_the_log() -> None:
    with pytest.raises(ProtocolError) as caught:
        topics.parse_up(ROOT, "x" * 60_000)
    assert len(caught.value.why) < 250


@pytest.mark.parametrize(
    "root", ["", "/", "a/", "/a", "a//b", "a/#", "+", "A", "a b", "a\n", "a/" * 8 + "a", "$SYS"]
)
def test_what_cannot_be_a_root(root: str) -> None:
    assert not topics.is_root(root)


def matches(filter_: str, topic: str) -> bool:
    """MQTT 3.1.1, 4.7, without `$`."""
    wanted, got = filter_.split("/"), topic.split("/")
    if wanted[-1] == "#":
        return got[: len(wanted) - 1] == wanted[:-1]
    return len(wanted) == len(got) and all(a in ("+", b) for a, b in zip(wanted, got, strict=True))


@given(IDS, IDS)
def test_filters_take_their_own_topics_and_no_others(one: str, other: str) -> None:
    for kind in DOWN:
        assert matches(topics.device_filter(ROOT, one), topics.down(ROOT, one, kind))
        assert matches(topics.device_filter(ROOT, one), topics.down(ROOT, other, kind)) == (one == other)
        assert matches(topics.group_filter(ROOT, one), topics.group_down(ROOT, other, kind)) == (one == other)
    up, presence = topics.daemon_filters(ROOT)
    assert all(matches(up, topics.up(ROOT, one, kind)) for kind in UP)
    assert matches(presence, topics.presence(ROOT, one))
    assert not matches(up, topics.down(ROOT, one, "call"))
