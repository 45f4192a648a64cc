"""`ctl say` and the sound of `ctl broadcast`: whom it is for, and errors in sentences."""

from pathlib import Path

import pytest

from dispatchd.ctl import errors
from dispatchd.ctl.verbs import said_to

from .conftest import Station

SITE = {
    "unit": [{"id": "north"}, {"id": "both"}],
    "patrol": [{"id": "p-n"}, {"id": "both"}],
    "talk_group": [{"id": "tg-s"}],
    "device": [{"id": "pil-n", "kind": "pillar"}, {"id": "t-n", "kind": "terminal"}],
}


@pytest.mark.parametrize(
    ("names", "target"),
    [
        (["all"], {"everybody": True}),
        (["全体", "north"], {"everybody": True, "units": ["north"]}),
        (["north", "pillars"], {"units": ["north"], "pillars": True}),
        (["pillars"], {"pillars": True, "devices": ["pil-n"]}),
        (["p-n", "tg-s", "t-n"], {"patrols": ["p-n"], "talk_groups": ["tg-s"], "devices": ["t-n"]}),
    ],
)
def test_a_name_is_what_it_is_in_the_site(names: list[str], target: dict[str, object]) -> None:
    assert said_to(names, SITE) == target


@pytest.mark.parametrize(("name", "words"), [("nobody", "is no unit, patrol"), ("both", "unit and patrol")])
def test_a_name_of_nothing_or_of_two_things_is_told(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        said_to([name], SITE)


def test_it_is_sent_and_followed(station: Station) -> None:
    sent = station.json("ctl", "say", "请集合", "--to", "p-s", "--no-wait", by="south")
    [doc] = station.json("ctl", "broadcasts", by="south")["items"]
    assert (doc["id"], doc["text"], doc["priority"]) == (sent["ids"]["broadcast"], "请集合", "normal")
    assert [one["device"] for one in doc["not_heard"]] == ["t-s"]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("say", "x", "--to", "p-s"), errors.USAGE, "is no unit, patrol, talk group or device of your site"),
        (("broadcast", "x", "--everybody", "--file", "/no/such.wav"), errors.BAD_FILE, "cannot be read"),
    ],
)
def test_errors_are_sentences(station: Station, args: tuple[str, ...], code: int, words: str) -> None:
    found, _, err = station.run("ctl", *args, "--lang", "en", by="north")
    assert (found, words in err) == (code, True), err


def test_a_file_that_is_too_large_is_not_sent(station: Station, tmp_path: Path) -> None:
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate(10 * 2**20 + 1)
    code, _, err = station.run("ctl", "broadcast", "x", "--everybody", "--file", str(large), "--lang", "en")
    assert code == errors.BAD_FILE
    assert "larger than 10 MB" in err


def test_where_no_clips_are_kept_a_file_is_refused_with_what_to_do(station: Station, tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(b"RIFF")
    code, _, err = station.run("ctl", "broadcast", "x", "--everybody", "--file", str(tmp_path / "x.wav"))
    assert code != errors.OK
    assert "语音合成不可用" in err
