"""Pillars and terminals of another maker against the daemon: press, repeat, replay, call, answers, broadcast.

All that the daemon sends here is checked against docs/asyncapi.yaml by the client.
"""

import time

import msgpack
import pytest

from tests.contract.client import Body, Contract, Device, Received, anything, connected
from tests.contract.conftest import DEVICES, PILLAR_AT, QUIET_S, Daemon

Radios = tuple[Device, Device]


def the_incident(daemon: Daemon) -> Body:
    """The only open one."""
    (incident,) = daemon.incidents().values()
    return incident


def called(radio: Device, incident: str) -> Received:
    """The call to this incident, reported delivered and presented."""
    call = radio.wait("down-call", lambda m: m["incident"] == incident)
    radio.rung(call.body["item"], "delivered")
    radio.rung(call.body["item"], "presented", volume_pct=80)
    return call


def answer(radio: Device, call: Received, word: str) -> Body:
    return radio.say("up-answer", call=call.body["call"], patrol=call.body["patrol"], answer=word)


# ----------------------------------------------------------------------------------------------- hello
@pytest.mark.parametrize("device", DEVICES)
def test_hello_is_answered_with_its_nonce_and_the_site_time(
    daemon: Daemon, contract: Contract, device: str
) -> None:
    with connected(contract, daemon.credentials(device), next(daemon.conn)) as one:
        hello = one.hello()
    assert abs(hello["site_time"] - time.time() * 1000) < 5_000
    assert 1 <= hello.get("state_every_s", 5) <= 60


def test_a_terminal_is_told_its_patrol_and_says_that_it_applied_it(daemon: Daemon, radios: Radios) -> None:
    membership = radios[0].wait("down-membership").body
    assert membership["patrol"] == radios[0].patrol == "patrol-1"
    receipt = radios[0].say("up-applied", what="membership", version=membership["version"])
    assert receipt.get("outcome", "committed") == "committed"


# ----------------------------------------------------------------------------------------------- press
def test_a_press_is_receipted_and_is_an_incident(daemon: Daemon, pillar: Device) -> None:
    receipt = pillar.say("up-alarm", kind="one-key", age_ms=0)
    assert receipt.get("outcome", "committed") == "committed"
    incident = the_incident(daemon)
    assert receipt["incident"] == incident["id"]
    assert (incident["device"], incident["press_count"]) == (pillar.id, 1)


def test_a_press_sent_five_times_is_one_alarm_and_each_is_receipted(daemon: Daemon, pillar: Device) -> None:
    key = pillar.key()
    receipts = []
    for age_ms in (0, 1000, 2000, 3000, 4000):
        before = pillar.now()
        pillar.publish("up-alarm", {"key": key, "kind": "one-key", "age_ms": age_ms})
        receipts.append(pillar.receipt(key, after=before))
    assert len({receipt["incident"] for receipt in receipts}) == 1
    assert the_incident(daemon)["press_count"] == 1


def test_presses_in_the_wrong_order_all_count_once(daemon: Daemon, pillar: Device) -> None:
    keys = [pillar.key() for _ in range(4)]
    for key in (keys[2], keys[0], keys[3], keys[1], keys[0], keys[2]):
        pillar.publish("up-alarm", {"key": key, "kind": "one-key", "age_ms": 0})
    incidents = {pillar.receipt(key)["incident"] for key in keys}
    assert incidents == {the_incident(daemon)["id"]}
    assert the_incident(daemon)["press_count"] == 4


def test_a_press_replayed_after_the_end_opens_nothing(daemon: Daemon, pillar: Device) -> None:
    key = pillar.key()
    payload = pillar.publish("up-alarm", {"key": key, "kind": "one-key", "age_ms": 0})
    first = pillar.receipt(key)
    daemon.end_all()
    before = pillar.now()
    pillar.publish_raw("up-alarm", payload)
    again = pillar.receipt(key, after=before)
    assert again.get("outcome", "committed") == "committed"
    assert again["incident"] == first["incident"]
    assert daemon.incidents() == {}


def test_a_press_replayed_after_a_crash_is_still_the_same(
    daemon: Daemon, contract: Contract, pillar: Device
) -> None:
    alarm: Body = {"key": pillar.key(), "kind": "one-key"}
    pillar.publish("up-alarm", alarm)
    first = pillar.receipt(alarm["key"])
    pillar.close()
    daemon.kill()
    daemon.start()
    with connected(contract, daemon.credentials(pillar.id), next(daemon.conn)) as again:
        again.publish("up-alarm", alarm)
        assert again.receipt(alarm["key"])["incident"] == first["incident"]
    assert the_incident(daemon)["press_count"] == 1


def test_a_press_with_the_same_number_at_another_pillar_is_another(
    daemon: Daemon, contract: Contract, pillar: Device
) -> None:
    with connected(contract, daemon.credentials("pillar-2"), next(daemon.conn)) as other:
        other.boot = pillar.boot
        one, two = (device.say("up-alarm", kind="one-key") for device in (pillar, other))
        assert one["key"] == two["key"]
        assert one["incident"] != two["incident"]
    assert len(daemon.incidents()) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "flood"},
        {"kind": 7},
        {"position": {"lat": 200.0, "lon": 0.0}},
        {"age_ms": -1},
        {"colour": "red", "extra": [{"deep": [None]}]},
    ],
    ids=str,
)
def test_an_alarm_of_another_version_or_partly_broken_is_an_alarm(
    daemon: Daemon, pillar: Device, fields: Body
) -> None:
    key = pillar.key()
    pillar.publish_raw("up-alarm", msgpack.packb({"key": key, **fields}))
    receipt = pillar.receipt(key)
    assert receipt["incident"] == the_incident(daemon)["id"]


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xc1", b"text", b"\x91" * 5000, b"\x93\x01\x02\x03"],
    ids=["empty", "never-used", "text", "deep", "array"],
)
def test_what_is_no_alarm_does_no_harm(daemon: Daemon, pillar: Device, payload: bytes) -> None:
    pillar.publish_raw("up-alarm", payload)
    assert pillar.say("up-alarm", kind="one-key")["incident"] == the_incident(daemon)["id"]
    assert the_incident(daemon)["press_count"] == 1


def test_nobody_speaks_for_another(daemon: Daemon, contract: Contract, pillar: Device) -> None:
    """A broker may drop it or the connection; in neither case is there an alarm of the other."""
    key = pillar.key()
    pillar.publish_raw("up-alarm", msgpack.packb({"key": key}), device="pillar-2")
    with connected(contract, daemon.credentials("radio-1"), next(daemon.conn)) as other:
        other.say("up-alarm", kind="emergency")
    assert {incident["device"] for incident in daemon.incidents().values()} == {"radio-1"}


# ---------------------------------------------------------------------------------------------- prompts
def test_the_pillar_is_told_when_an_operator_takes_the_alarm(daemon: Daemon, pillar: Device) -> None:
    incident = pillar.say("up-alarm", kind="one-key")["incident"]
    daemon.command("accept", incident=incident)
    prompt = pillar.wait("down-prompt", lambda m: m["code"] in ("accepted", "police-accepted")).body
    assert prompt["incident"] == incident
    assert prompt["text"]
    assert prompt["text_en"]
    for rung in ("delivered", "presented"):
        assert pillar.rung(prompt["item"], rung)["key"]


def test_a_duress_alarm_gives_the_pillar_nothing_away(daemon: Daemon, pillar: Device) -> None:
    incident = pillar.say("up-alarm", kind="duress")["incident"]
    after = pillar.now()  # until the receipt came it could still be told the end of an earlier incident
    daemon.command("accept", incident=incident)
    pillar.none("down-prompt", lambda m: m["code"] != "silent", within_s=2, after=after)
    pillar.none("down-prompt", lambda m: m["incident"] == incident and m["code"] != "silent", 0, after=0)
    pillar.none("down-lamp", anything, within_s=0, after=0)
    assert the_incident(daemon)["silent"]


# ------------------------------------------------------------------------------------- call and answers
def test_a_call_says_where_and_comes_again_until_it_is_reported(
    daemon: Daemon, pillar: Device, radios: Radios
) -> None:
    incident = pillar.say("up-alarm", kind="one-key")["incident"]
    first = radios[0].wait("down-call", lambda m: m["incident"] == incident)
    assert first.body["patrol"] == "patrol-1"
    assert first.body["point"] == "001"
    assert first.body["position"]["lat"] == pytest.approx(PILLAR_AT[0])
    assert first.body["distance_m"] == pytest.approx(56, abs=3)
    assert first.body["bearing_deg"] == pytest.approx(180, abs=2)
    again = radios[0].wait("down-call", lambda m: m["item"] == first.body["item"], after=radios[0].now())
    assert again.envelope["n"] > first.envelope["n"]
    radios[0].rung(first.body["item"], "delivered")
    after = radios[0].now()
    radios[0].none("down-call", lambda m: m["item"] == first.body["item"], QUIET_S, after)


def test_accept_en_route_on_scene_done(daemon: Daemon, pillar: Device, radios: Radios) -> None:
    one, two = radios
    incident = pillar.say("up-alarm", kind="one-key")["incident"]
    call, other_call = called(one, incident), called(two, incident)
    assert call.body["call"]
    assert answer(one, call, "accept").get("outcome", "committed") == "committed"
    assert pillar.wait("down-prompt", lambda m: m["code"] == "coming").body["incident"] == incident
    seen = two.wait("down-call", lambda m: "patrol-1" in m.get("accepted_by", []))
    assert seen.body.get("rev", 0) > other_call.body.get("rev", 0)
    for word in ("en-route", "on-scene", "done"):
        assert answer(one, call, word).get("outcome", "committed") == "committed"
    assert answer(two, other_call, "decline").get("outcome", "committed") == "committed"


def test_an_answer_repeated_is_receipted_again(daemon: Daemon, pillar: Device, radios: Radios) -> None:
    call = called(radios[0], pillar.say("up-alarm", kind="one-key")["incident"])
    fields = {"call": call.body["call"], "patrol": "patrol-1", "answer": "accept"}
    message = {"key": radios[0].key(), **fields}
    for _ in range(3):
        before = radios[0].now()
        radios[0].publish("up-answer", message)
        assert radios[0].receipt(message["key"], after=before)["key"] == message["key"]


def test_the_end_stands_the_called_patrols_down(daemon: Daemon, pillar: Device, radios: Radios) -> None:
    incident = pillar.say("up-alarm", kind="one-key")["incident"]
    calls = [called(radio, incident) for radio in radios]
    answer(radios[0], calls[0], "accept")
    daemon.end_all()
    for radio, call in zip(radios, calls, strict=True):
        stand_down = radio.wait("down-stand-down", lambda m: m["incident"] == incident).body
        assert stand_down["call"] == call.body["call"]
        radio.rung(stand_down["item"], "delivered")


def test_a_drill_is_marked_all_the_way(daemon: Daemon, pillar: Device, radios: Radios) -> None:
    incident = pillar.say("up-alarm", kind="one-key", drill=True)["incident"]
    assert called(radios[0], incident).body["drill"] is True


def test_a_duress_alarm_calls_silently(daemon: Daemon, pillar: Device, radios: Radios) -> None:
    incident = pillar.say("up-alarm", kind="duress")["incident"]
    assert called(radios[0], incident).body["silent"] is True


# -------------------------------------------------------------------------------------------- broadcast
def test_a_broadcast_climbs_its_ladder(daemon: Daemon, radios: Radios) -> None:
    daemon.command("broadcast", text="请各组报告位置", target={"everybody": True}, ack=True, ttl_s=600)
    items = {climb(radio, "请各组报告位置") for radio in radios}
    assert len(items) == 1
    counts = [radio.now() for radio in radios]
    for radio, count, within_s in zip(radios, counts, (QUIET_S, 0), strict=True):
        radio.none("down-broadcast", lambda m: m["item"] in items, within_s, count)


def climb(radio: Device, text: str) -> str:
    """All rungs of the broadcast with this text, each receipted; its item."""
    told = radio.wait("down-broadcast", lambda m: m["text"] == text)
    assert told.body["ack"] is True
    assert 0 < told.envelope["ttl_ms"] <= 600_000
    for rung in ("delivered", "presented", "acknowledged"):
        assert radio.rung(told.body["item"], rung).get("outcome", "committed") == "committed"
    return str(told.body["item"])


def test_a_broadcast_waits_for_a_terminal_that_is_away(daemon: Daemon, contract: Contract) -> None:
    daemon.command("broadcast", text="回来后请联系", target={"devices": ["radio-2"]}, ttl_s=600)
    with connected(contract, daemon.credentials("radio-2"), next(daemon.conn)) as radio:
        told = radio.wait("down-broadcast", lambda m: m["text"] == "回来后请联系").body
        assert radio.rung(told["item"], "failed", reason="player-failed")["key"]


def test_a_cancelled_broadcast_is_taken_back(daemon: Daemon, radios: Radios) -> None:
    made = daemon.command("broadcast", text="暂停集结", target={"devices": ["radio-1"]})
    told = radios[0].wait("down-broadcast", lambda m: m["text"] == "暂停集结").body
    radios[0].rung(told["item"], "delivered")
    daemon.command("broadcast-cancel", broadcast=made["ids"]["broadcast"])
    taken = radios[0].wait("down-broadcast-cancel", lambda m: m["broadcast"] == told["broadcast"]).body
    assert radios[0].rung(taken["item"], "delivered")["key"]
