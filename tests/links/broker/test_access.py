"""The access list: the rule itself, its disk form, and mosquitto's files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatchd.links.broker.access import (
    Access,
    Grant,
    allowed,
    decode_access,
    encode_access,
    may_retain,
)
from dispatchd.links.broker.mosquitto import render_acl, render_config, render_passwords
from protocols.secret import hash_secret, verify_secret
from tests.links.broker.harness import GRANTS, ROOT, cast
from tests.links.broker.table import PUBLISH, RECEIVE

AWKWARD = ["a/b", "+", "#", "pillar-1/#", "", "A", "a b", "a" * 33, "dispatchd", "a\n"]


@pytest.mark.parametrize(("user", "topic", "may"), PUBLISH)
def test_the_rule_for_publishing_is_the_table(user: str, topic: str, may: bool) -> None:
    assert allowed(cast(), user, topic, "publish") is may


@pytest.mark.parametrize(("user", "topic_filter", "topic", "may"), RECEIVE)
def test_the_rule_for_hearing_is_the_table(user: str, topic_filter: str, topic: str, may: bool) -> None:
    assert (
        allowed(cast(), user, topic_filter, "subscribe") and allowed(cast(), user, topic, "receive")
    ) is may


@pytest.mark.parametrize("user", ["nobody", "", "pillar-1/#", "+", "#", "d/pillar-1"])
def test_an_unknown_user_may_do_nothing(user: str) -> None:
    for topic in (f"{ROOT}/d/{user}/up/alarm", f"{ROOT}/d/pillar-1/up/alarm", f"{ROOT}/#"):
        assert not any(allowed(cast(), user, topic, action) for action in ("publish", "receive", "subscribe"))


def test_a_wildcard_is_never_published_or_received() -> None:
    assert not allowed(cast(), "pillar-1", f"{ROOT}/d/pillar-1/up/+", "publish")
    assert not allowed(cast(), "dispatchd", f"{ROOT}/#", "receive")


def test_a_device_keeps_only_its_presence_at_the_broker() -> None:
    assert may_retain(cast(), "pillar-1", f"{ROOT}/d/pillar-1/presence")
    assert not may_retain(cast(), "pillar-1", f"{ROOT}/d/pillar-1/up/alarm")


@given(st.text(max_size=80))
def test_a_secret_verifies_against_its_own_stored_form_only(secret: str) -> None:
    stored = hash_secret(secret)
    assert verify_secret(secret, stored)
    assert not verify_secret(secret + "x", stored)
    assert secret not in stored or len(secret) < 4


@pytest.mark.parametrize(
    "stored", ["", "plain", "$7$101$AAAA", "$6$salt$hash", "$7$0$QUFBQUFBQUE=$" + "A" * 88]
)
def test_a_malformed_stored_form_verifies_nothing_and_is_refused(stored: str) -> None:
    assert not verify_secret("", stored)
    with pytest.raises(ValueError, match="hash_secret"):
        Grant(stored)


@pytest.mark.parametrize("device", AWKWARD)
def test_an_id_that_could_escape_its_topics_is_refused(device: str) -> None:
    with pytest.raises(ValueError, match="device id"):
        Access(ROOT, GRANTS["dispatchd"], {device: GRANTS["pillar-1"]})


@pytest.mark.parametrize("group", ["a/b", "+", "#", "tg 1", "tg\n"])
def test_a_talk_group_id_that_could_escape_is_refused(group: str) -> None:
    with pytest.raises(ValueError, match="talk group id"):
        Grant(GRANTS["pillar-1"].secret_hash, (group,))


@pytest.mark.parametrize("root", ["", "/", "a//b", "a/#", "a b", "a/%u", "$SYS", "a\nuser x"])
def test_a_root_that_could_escape_is_refused(root: str) -> None:
    with pytest.raises(ValueError, match="topic root"):
        Access(root, GRANTS["dispatchd"], {})


def test_the_list_survives_the_disk() -> None:
    assert decode_access(encode_access(cast())) == cast()


def test_a_bad_entry_on_disk_is_named() -> None:
    with pytest.raises(ValueError, match="pillar/1"):
        decode_access(encode_access(cast()).replace(b'"pillar-1"', b'"pillar/1"'))


def test_mosquitto_gets_every_user_and_every_membership() -> None:
    access = cast({"terminal-1": ("tg-1", "tg-2")})
    users = [line.split(":")[0] for line in render_passwords(access).splitlines()]
    assert users == ["dispatchd", "pillar-1", "terminal-1", "terminal-2"]
    assert (
        f"user terminal-1\ntopic read {ROOT}/g/tg-1/down/#\ntopic read {ROOT}/g/tg-1/voice\n"
        f"topic read {ROOT}/g/tg-2/down/#\ntopic read {ROOT}/g/tg-2/voice\n" in render_acl(access)
    )


def test_mosquitto_is_configured_closed(tmp_path) -> None:  # type: ignore[no-untyped-def]
    lines = render_config(tmp_path, "127.0.0.1", 1883, None).splitlines()
    assert {"allow_anonymous false", "listener 1883 127.0.0.1", "use_username_as_clientid true"} <= set(lines)
    assert not [line for line in lines if line.startswith("user ")]
