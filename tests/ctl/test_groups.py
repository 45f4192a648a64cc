"""`ctl groups` and its relatives against a real console: what is shown, what is changed, what is refused."""

from dispatchd.core.commands import SetEntry
from dispatchd.core.inputs import DeviceSaid, MediaHeard, VoiceJoined
from dispatchd.ctl import errors
from protocols import up
from tests.console.desk import Desk

from .conftest import Station


async def radios(at: Desk) -> None:
    for device in ("t-n", "t-v", "t-s"):
        await at.online(device)
        await at.engine.tell(VoiceJoined(device, "datagram"))


async def talk(at: Desk) -> None:
    """t-n talks in north-a, t-v waits."""
    await at.engine.tell(DeviceSaid("t-n", up.FloorRequest("north-a", 1)))
    await at.engine.tell(DeviceSaid("t-v", up.FloorRequest("north-a", 1)))
    await at.engine.tell(MediaHeard("north-a", at.engine._ledger.core.state.floors["north-a"].burst))


def test_the_list_says_who_talks_and_who_waits(station: Station) -> None:
    station.do(radios)
    station.do(talk)
    out = station.run("ctl", "groups", "--lang", "en", by="north")[1]
    line = next(line for line in out.splitlines() if line.strip().startswith("north-a"))
    assert "2/2/2" in line
    assert line.index("t-n") < line.index("t-v")
    assert "正在讲话" in station.run("ctl", "groups", by="north")[1]
    docs = {doc["id"]: doc for doc in station.json("ctl", "groups", by="north")["items"]}
    assert docs["north-a"]["floor"]["talker"] == "t-n"
    assert "tg-s" not in docs
    assert station.run("ctl", "floor", "revoke", "north-a", by="north")[0] == 0
    assert station.json("ctl", "groups", by="north")["items"][0]["floor"] is None
    code, _, err = station.run("ctl", "floor", "revoke", "north", by="north")
    assert code == errors.REFUSED
    assert "没有人讲话" in err


def test_a_group_from_its_opening_to_its_close(station: Station) -> None:
    station.do(radios)
    made = station.json("ctl", "groups", "open", "东街搜寻", "--to", "p-n", "--to", "t-s", by="chief")
    group = made["ids"]["group"]
    assert made["counts"]["members"] == 2
    assert station.run("ctl", "groups", "add", group, "--to", "t-v", by="chief")[0] == 0
    assert station.run("ctl", "groups", "remove", group, "--to", "south", by="chief")[0] == 0
    members = station.json("ctl", "groups", "members", group, by="chief")["items"]
    assert {one["device"] for one in members} == {"t-n", "t-v"}
    assert "数据报" in station.run("ctl", "groups", "members", group, by="chief")[1]
    assert "东街搜寻" in station.run("ctl", "groups", by="chief")[1]
    assert station.run("ctl", "groups", "patch", group, "tg-s", by="chief")[0] == 0
    docs = {doc["id"]: doc for doc in station.json("ctl", "groups", by="chief")["items"]}
    assert docs["tg-s"]["patched"] == [group]
    assert station.run("ctl", "groups", "unpatch", "tg-s", by="chief")[0] == 0
    assert "没有与别的组并接" in station.run("ctl", "groups", "unpatch", "tg-s", by="chief")[2]
    assert station.run("ctl", "groups", "close", group, by="chief")[0] == 0
    assert group not in station.run("ctl", "groups", by="chief")[1]
    assert station.run("ctl", "groups", "close", "tg-s", by="chief")[0] == errors.REFUSED


def test_mute_and_unmute(station: Station) -> None:
    station.do(radios)
    assert station.run("ctl", "mute", "t-n", by="north")[0] == 0
    assert "禁言" in station.run("ctl", "groups", "members", "north-a", by="north")[1]
    assert station.run("ctl", "unmute", "t-n", by="north")[0] == 0
    assert "禁言" not in station.run("ctl", "groups", "members", "north-a", by="north")[1]


def test_the_sound_of_a_pillar(station: Station) -> None:
    entry = {"id": "pil-n", "kind": "pillar", "unit": "north", "point": "rp-1", "profile": "C"}
    station.do(lambda at: at.done("admin", SetEntry("device", entry)))
    assert station.run("ctl", "microphone", "pil-n", by="north")[0] == errors.NOT_ALLOWED
    assert station.run("ctl", "microphone", "pil-n", "on", "--reason", "群众反映", by="chief")[0] == 0
    assert station.run("ctl", "microphone", "pil-n", "off", by="chief")[0] == 0
    incident = station.do(lambda at: at.press("pil-n"))
    assert station.run("ctl", "accept", incident, by="north")[0] == 0
    for verb in ("talk-back", "patch-in"):
        for state in ("on", "off"):
            assert station.run("ctl", verb, incident, state, by="north")[0] == 0, (verb, state)
    assert station.run("ctl", "silent", incident, by="north")[0] == 0
    code, _, err = station.run("ctl", "talk-back", incident, by="north")
    assert code == errors.REFUSED
    assert "静默" in err


def test_a_name_that_is_nothing_is_said_before_anything_is_done(station: Station) -> None:
    for lang, words in (("en", "is no unit, patrol, talk group or device"), ("zh", "不是本站点的单位")):
        code, _, err = station.run("ctl", "groups", "open", "x", "--to", "nosuch", "--lang", lang, by="north")
        assert code == errors.USAGE
        assert f"'nosuch' {words}" in err
