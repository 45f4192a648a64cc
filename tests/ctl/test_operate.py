"""`dispatchd ctl` against a real console: verbs reach their commands, errors are sentences."""

import asyncio
import os
import re
from pathlib import Path

import pytest

import dispatchd
from dispatchd import cli
from dispatchd.console.routes import COMMANDS
from dispatchd.core.facts import BroadcastOpened
from dispatchd.core.floor_rights import DENY_TEXT
from dispatchd.ctl import errors, groups
from dispatchd.ctl.verbs import BY_VOICE, ELSEWHERE, VERBS
from dispatchd.ctl.zh import SENTENCES
from dispatchd.engine import Committed
from tests.console.desk import Desk

from .conftest import Station


def test_every_command_of_the_daemon_has_a_verb() -> None:
    every = (*VERBS, *groups.VERBS, *groups.FLOOR_VERBS)
    named = {verb.command or verb.name for verb in every if verb.name != "members"}
    assert named | ELSEWHERE | BY_VOICE == set(COMMANDS)
    assert not named & (ELSEWHERE | BY_VOICE)


def test_an_alarm_from_press_to_end(station: Station) -> None:
    station.do(lambda at: at.online("t-n", (26.8905, 112.5702)))
    incident = station.do(lambda at: at.press("pil-n"))
    code, out, _ = station.run("ctl", "incidents", by="north")
    assert code == 0
    assert incident in out
    assert "无人接警" in out
    assert "解放路口" in out
    assert station.json("ctl", "accept", incident, by="north")["ids"]["incident"] == incident
    for args in (
        ("note", incident, "报警人在屋内"),
        ("hazard", incident),
        ("silent", incident),
        ("silent", incident, "off", "--confirm"),
        ("hand-off", incident, "--to", "120", "--means", "电话"),
        ("lamp", "pil-n", "flash"),
        ("stand-down", incident),
    ):
        assert station.run("ctl", *args, by="north")[0] == 0, args
    doc = station.json("ctl", "incidents", incident, by="north")
    assert (doc["owner"], doc["hazard"], doc["silent"], doc["handoffs"][0]["to"]) == (
        "north",
        True,
        False,
        "120",
    )
    handoff = doc["handoffs"][0]["handoff"]
    assert station.run("ctl", "confirm-hand-off", incident, handoff, "--reference", "A-1", by="north")[0] == 0
    assert station.run("ctl", "end", incident, "genuine", by="north")[0] == 0
    assert station.json("ctl", "incidents", by="north")["items"] == []
    assert station.json("ctl", "incidents", "--all", by="north")["items"][0]["outcome"] == "genuine"


def test_replay_says_why_each_ring_was_chosen(station: Station) -> None:
    station.do(lambda at: at.online("t-n", (26.8905, 112.5702)))
    incident = station.do(lambda at: at.press("pil-n"))
    code, out, _ = station.run("ctl", "replay", incident, "--lang", "en", by="north")
    assert code == 0
    assert "ring 1 calls 1 (p-n): within 500 m, 2 accepts wanted" in out
    assert re.search(r"p-n \(police\) chosen; 5\d m away, position \d\.\d s old, terminals t-n", out)
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\+08:00  \[\d+\.\d{3}\]  ", out, re.MULTILINE)
    assert "选中" in station.run("ctl", "replay", incident, by="north")[1]


async def opened(at: Desk) -> str:
    """The first broadcast, once it is committed."""
    found = asyncio.get_running_loop().create_future()

    def look(batch: Committed) -> None:
        for _, _, fact in batch.rows:
            if isinstance(fact, BroadcastOpened) and not found.done():
                found.set_result(fact.broadcast)

    stop = at.engine.listen(look)
    try:
        async with asyncio.timeout(10):
            return str(await found)
    finally:
        stop()


def test_a_broadcast_is_followed_until_all_have_heard(station: Station) -> None:
    station.do(lambda at: at.online("t-s"))

    async def hear(at: Desk) -> None:
        await at.rung("t-s", await opened(at), "presented")

    station.later(hear)
    doc = station.json("ctl", "broadcast", "集合", "--unit", "south", by="south")
    assert doc["ladder"] == {"queued": 1, "delivered": 1, "presented": 1, "acknowledged": 0}
    assert doc["not_heard"] == []


def test_a_broadcast_that_somebody_missed_says_who_and_exits_7(station: Station) -> None:
    async def expire(at: Desk) -> None:
        await opened(at)
        await at.skip(61)

    station.later(expire)
    code, out, _ = station.run("ctl", "broadcast", "集合", "--patrol", "p-s", "--ttl-s", "60", by="south")
    assert code == errors.NOT_ALL_HEARD
    assert "t-s" in out
    sent = station.json("ctl", "broadcast", "集合", "--patrol", "p-s", "--no-wait", by="south")
    listed = station.json("ctl", "not-heard", sent["ids"]["broadcast"], by="south")
    assert [(e["device"], e["reason"]) for e in listed["not_heard"]] == [("t-s", "offline")]
    assert "离线" in station.run("ctl", "not-heard", sent["ids"]["broadcast"], by="south")[1]


def test_who_heard_and_has_not_acknowledged_is_named(station: Station) -> None:
    station.do(lambda at: at.online("t-s"))
    sent = station.json("ctl", "broadcast", "集合", "--unit", "south", "--ack", "--no-wait", by="south")
    item = sent["ids"]["broadcast"]
    station.do(lambda at: at.rung("t-s", item, "presented"))
    assert station.json("ctl", "not-heard", item, by="south")["not_heard"] == []
    listed = station.json("ctl", "not-heard", item, "--ack", by="south")["not_heard"]
    assert [(e["device"], e["rung"], e["reason"]) for e in listed] == [("t-s", "presented", "")]
    station.do(lambda at: at.rung("t-s", item, "acknowledged"))
    assert station.json("ctl", "not-heard", item, "--ack", by="south")["not_heard"] == []


def test_shift_change(station: Station) -> None:
    incident = station.do(lambda at: at.press("pil-n"))
    assert station.run("ctl", "accept", incident, by="north")[0] == 0
    code, _, err = station.run("ctl", "sign-out", by="north")
    assert code == errors.REFUSED
    assert err.startswith("dispatchd: ")
    assert station.run("ctl", "relieve", "chief", by="north")[0] == 0
    assert station.run("ctl", "take-relief", "north", by="chief")[0] == 0
    assert station.json("ctl", "incidents", incident, by="chief")["owner"] == "chief"
    assert station.run("ctl", "sign-out", by="north")[0] == 0


def test_lists_speak_both_languages(station: Station) -> None:
    for name in ("fleet", "patrols", "units"):
        zh, en = (station.run("ctl", name, "--lang", lang)[1] for lang in ("zh", "en"))
        assert "编号" in zh
        assert "编号" not in en
    for name in ("broadcasts", "tasks", "faults", "malformed"):
        assert "(无)" in station.run("ctl", name)[1]
        assert "(none)" in station.run("ctl", name, "--lang", "en")[1]


@pytest.mark.parametrize(
    ("args", "by", "code", "words"),
    [
        (("accept", "i9-9"), "north", errors.REFUSED, "not-found"),
        (("accept", "NO/../ID"), "north", errors.REFUSED, "$.incident"),
        (("drill", "pil-n"), "north", errors.NOT_ALLOWED, "duty-leader"),
        (("broadcast", "x", "--circle", "1,2"), "north", errors.USAGE, "3 numbers"),
        (("config", "pil-n", "volume"), "admin", errors.USAGE, "NAME=VALUE"),
    ],
)
def test_errors_are_sentences_with_exit_codes(
    station: Station, args: tuple[str, ...], by: str, code: int, words: str
) -> None:
    found, out, err = station.run("ctl", *args, by=by)
    assert found == code
    assert words in err
    assert "Traceback" not in err
    assert out == ""


def test_debug_shows_the_traceback(station: Station) -> None:
    assert "Traceback" in station.run("ctl", "accept", "i9-9", "--debug")[2]


def test_no_daemon_and_no_token_say_what_to_do(
    station: Station, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["ctl", "fleet", "--dir", f"{tmp_path}/nowhere"]) == errors.UNREACHABLE
    assert "dispatchd run" in capsys.readouterr().err
    assert (
        cli.main(["ctl", "fleet", "--dir", str(tmp_path), "--token-file", "/nowhere"]) == errors.NOT_ALLOWED
    )
    assert "--token-file" in capsys.readouterr().err
    (station.directory / "old.token").write_text("a-token-of-old\n")
    code, _, err = station.run("ctl", "fleet", "--lang", "en", by="old")
    assert code == errors.NOT_ALLOWED
    assert "This token is not known here" in err
    assert f"The token was read from {station.directory}/old.token" in err
    assert "a-token-of-old" not in err
    assert "令牌无效" in station.run("ctl", "fleet", by="old")[2]
    station.stop()
    code, _, err = station.run("ctl", "fleet", "--lang", "en")
    assert code == errors.UNREACHABLE
    assert "Is it running" in err
    assert "守护进程没有应答" in station.run("ctl", "fleet")[2]


def test_a_folder_one_may_not_read_is_not_one_without_a_daemon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    was, nobody = os.geteuid(), 65534
    if was == 0:
        tmp_path.chmod(0o755)
        os.seteuid(nobody)
    try:
        code = cli.main(["ctl", "fleet", "--dir", str(closed), "--lang", "en"])
    finally:
        os.seteuid(was)
        closed.chmod(0o700)
    err = capsys.readouterr().err
    assert code == errors.NOT_ALLOWED
    assert "You may not read" in err
    assert "--token-file" in err


def test_what_is_not_there_is_called_by_its_name(station: Station) -> None:
    for args in (("confirm-device", "nosuch"), ("lamp", "nosuch", "off")):
        assert "no device 'nosuch'" in station.run("ctl", *args, "--lang", "en")[2]
    assert "查无此项" in station.run("ctl", "confirm-device", "nosuch")[2]


def test_every_refusal_has_a_chinese_sentence() -> None:
    said: set[str] = set()
    for file in Path(dispatchd.__file__).parent.rglob("*.py"):
        said |= set(
            re.findall(
                r'(?:Refused\(|m\.error\(|Refusal\(|Problem\(|ApiError\(\s*\d+,)\s*"([a-z-]+)"',
                file.read_text("utf-8"),
            )
        )
    assert len(said) > 30
    assert said <= set(SENTENCES)
    assert set(DENY_TEXT) <= set(SENTENCES), "causes that refuse a floor"


def test_an_alarm_whose_rings_wait_says_so_and_how_to_go_on(station: Station) -> None:
    station.run("ctl", "confirm-device", "pil-n", "--out-of-service")
    incident = station.do(lambda at: at.press("pil-n"))
    out = station.run("ctl", "incidents", "--lang", "en", by="north")[1]
    assert "commissioning" in out
    assert f"ctl ring {incident}" in out
    assert "ctl confirm-device pil-n" in out
    assert "未投用" in station.run("ctl", "incidents", by="north")[1]
    assert "waits-commissioning" in station.json("ctl", "incidents", incident)["attention"]


def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    paths = [["ctl", verb.name] for verb in VERBS]
    paths += [["ctl", "groups"], *(["ctl", "groups", verb.name] for verb in groups.VERBS)]
    paths += [["ctl", "floor", verb.name] for verb in groups.FLOOR_VERBS]
    paths += [
        ["ctl", name] for name in ("watch", "fleet", "incidents", "broadcast", "not-heard", "replay", "me")
    ]
    paths += [["run"], ["check"], ["site", "apply"], ["site", "show"], ["site", "import"], ["device", "add"]]
    paths += [["operator", "add"], ["replay"]]
    paths += [["ctl"], ["site"], ["device"], ["operator"]]
    for path in paths:
        with pytest.raises(SystemExit) as ended:
            cli.main([*path, "--help"])
        assert ended.value.code == 0
        assert f"example: dispatchd {' '.join(path)}" in " ".join(capsys.readouterr().out.split()), path
