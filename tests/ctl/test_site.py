"""`dispatchd site`, `device add`, `operator add`: differences, lists, secrets that stay where they were made."""

import json
import stat
import tomllib
from pathlib import Path

import pytest

from dispatchd import cli
from dispatchd.console.signin import token_hash
from dispatchd.ctl import errors
from dispatchd.ctl.site import difference, to_toml
from protocols.secret import verify_secret
from protocols.site import load

from .conftest import Station


def test_show_gives_a_file_that_changes_nothing(station: Station, tmp_path: Path) -> None:
    _, text, _ = station.run("site", "show")
    file = tmp_path / "site.toml"
    file.write_text(text, "utf-8")
    assert load(text).name == "示范区"
    assert station.json("site", "apply", str(file))["difference"] == {
        "added": [],
        "changed": [],
        "removed": [],
    }


def test_apply_shows_the_difference_and_asks(station: Station, tmp_path: Path) -> None:
    site = tomllib.loads(station.run("site", "show")[1])
    site["patrol"] = [p for p in site["patrol"] if p["id"] != "p-v"]
    site["device"] = [d for d in site["device"] if d["id"] != "t-v"]
    site["unit"][1]["name"] = "北站"
    site["point"].append({"id": "rp-2", "unit": "south", "number": "18", "lat": 26.0, "lon": 112.0})
    file = tmp_path / "site.toml"
    file.write_text(to_toml(site), "utf-8")
    code, out, err = station.run("site", "apply", str(file))
    assert code == errors.REFUSED
    assert "--yes" in err
    for line in ("+ point rp-2", "~ unit north: name 北所 → 北站", "- patrol p-v", "- device t-v"):
        assert line in out
    assert {p["id"] for p in station.json("ctl", "patrols")["items"]} == {"p-n", "p-v", "p-s"}
    assert station.run("site", "apply", str(file), "--yes")[0] == 0
    assert {p["id"] for p in station.json("ctl", "patrols")["items"]} == {"p-n", "p-s"}
    assert station.run("ctl", "fleet", by="north")[0] == 0, "tokens outlive an applied site"


def test_a_faulty_site_file_names_every_fault(station: Station, tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(
        '[[unit]]\nid = "a"\n[[unit]]\nid = "B!"\n[[patrol]]\nid = "p"\nunit = "x"\nforce = "army"\n'
    )
    code, _, err = station.run("site", "apply", str(file), "--yes")
    assert code == errors.BAD_FILE
    assert "unit row 2" in err
    assert "patrol row 1 p: force 'army': use one of auxiliary, police, volunteer" in err
    assert "patrol p: unit 'x' is no unit of this site" in err
    assert "regex" not in err


def test_import_takes_a_list_as_a_station_has_it(station: Station, tmp_path: Path) -> None:
    file = tmp_path / "巡逻组.csv"
    file.write_bytes(
        "编号,名称,单位,警种,上勤\np-n,一组,north,民警,否\np-9,九组,south,志愿者,是\n".encode("gb18030")
    )
    code, out, _ = station.run("site", "import", "patrol", str(file), "--yes")
    assert code == 0
    assert "+ patrol p-9" in out
    found = {p["id"]: p for p in station.json("ctl", "patrols")["items"]}
    assert (found["p-9"]["force"], found["p-n"]["unit"], found["p-n"]["on_duty"]) == (
        "volunteer",
        "north",
        False,
    )
    assert "p-v" in found, "what the list lacks stays"


def test_a_list_with_a_fault_anywhere_applies_nothing(station: Station, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("id,unit,force\np-8,south,police\np-9,nowhere,police\n", "utf-8")
    code, _, err = station.run("site", "import", "patrol", str(file), "--yes")
    assert code == errors.BAD_FILE
    assert "row 3 patrol p-9: unit 'nowhere' is no unit" in err
    assert "p-8" not in {p["id"] for p in station.json("ctl", "patrols")["items"]}


def test_faults_of_cells_and_of_the_site_are_shown_together(station: Station, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("id,unit,force\np-7,nowhere,police\np-8,elsewhere,军人\np-9,south,义警\n", "utf-8")
    code, _, err = station.run("site", "import", "patrol", str(file), "--yes")
    assert code == errors.BAD_FILE
    assert [line.split(":")[0].strip() for line in err.splitlines()[1:]] == [
        "row 2 patrol p-7",
        "row 3 p-8",
        "row 3 patrol p-8",
    ]
    assert "volunteer (志愿者、群防、义警)" in err


def test_a_device_gets_one_private_file_and_the_daemon_only_a_hash(station: Station) -> None:
    shown = station.json("device", "add", "pil-9", "--kind", "pillar", "--point", "rp-1")
    file = Path(shown["file"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    found = json.loads(file.read_text())
    assert set(found) == {"device", "kind", "root", "urls", "secret", "patrol"}
    assert (found["device"], found["kind"], found["urls"]) == ("pil-9", "pillar", ["mqtt://127.0.0.1:1883"])
    assert len(found["secret"]) >= 43

    async def stored(at: object) -> str:
        async with station.desk.engine.settled() as state:
            assert state.site.device["pil-9"].unit == "north", "its point's unit"
            return state.site.secret["pil-9"]

    secret_hash = station.do(stored)
    assert verify_secret(found["secret"], secret_hash)
    journal = b"".join(row.body for row in station.desk.store.rows())
    assert found["secret"].encode() not in journal
    again = station.json("device", "add", "pil-9")
    assert json.loads(Path(again["file"]).read_text())["secret"] != found["secret"]


def test_a_new_device_is_in_service_only_after_a_human_confirmed_it(station: Station) -> None:
    def in_service(device: str) -> bool:
        return (
            next(d for d in station.json("ctl", "fleet")["items"] if d["id"] == device)["in_service"] is True
        )

    station.json("device", "add", "pil-9", "--kind", "pillar", "--point", "rp-1")
    assert not in_service("pil-9")
    station.json("ctl", "confirm-device", "pil-9")
    assert in_service("pil-9")
    station.json("device", "add", "pil-9")
    assert in_service("pil-9"), "new credentials change nothing of that"
    station.json("device", "add", "pil-8", "--kind", "pillar", "--point", "rp-1", "--confirmed")
    assert in_service("pil-8")


def test_a_new_device_needs_a_unit(station: Station) -> None:
    code, _, err = station.run("device", "add", "pil-9", "--kind", "pillar")
    assert code == errors.REFUSED
    assert "--unit" in err


def test_a_new_device_at_an_unknown_place_is_told_so(station: Station) -> None:
    for flag, name in (("--point", "point"), ("--patrol", "patrol")):
        code, _, err = station.run("device", "add", "pil-9", flag, "x-404", "--lang", "en")
        assert code == errors.REFUSED
        assert f"There is no {name} 'x-404'" in err
    assert "没有集结点 x-404" in station.run("device", "add", "pil-9", "--point", "x-404")[2]


def test_an_operator_gets_a_token_once(station: Station, tmp_path: Path) -> None:
    out = tmp_path / "wang.token"
    station.json("operator", "add", "wang", "--unit", "south", "--role", "operator", "--out", str(out))
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    secret = out.read_text().strip()
    me = station.json("ctl", "me", by="wang")
    assert (me["id"], me["unit"], me["role"]) == ("wang", "south", "operator")
    journal = b"".join(row.body for row in station.desk.store.rows())
    assert secret.encode() not in journal
    assert token_hash(secret).encode() in journal
    shown = station.json("operator", "add", "wang")
    assert len(shown["token"]) >= 43
    assert station.run("ctl", "me", by="wang")[0] == errors.NOT_ALLOWED, "the old token is gone"


def test_check_reads_settings_and_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = tmp_path / "site.toml"
    good.write_text('name = "x"\n[[unit]]\nid = "top"\n', "utf-8")
    assert cli.main(["check", "--site", str(good), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["unit"] == 1
    bad = tmp_path / "settings.toml"
    bad.write_text('[http]\naddress = "0.0.0.0:80"\n')
    assert cli.main(["check", "--config", str(bad)]) == errors.BAD_FILE
    assert "this machine only" in capsys.readouterr().err


def test_the_difference_ignores_hashes_the_file_does_not_name_and_who_applies() -> None:
    old = {"operator": [{"id": "a", "unit": "t", "token_hash": "x"}, {"id": "me", "unit": "t"}]}
    new = {"operator": [{"id": "a", "unit": "t"}]}
    assert not difference(old, new, "me")
    assert difference(old, new).removed == ["operator me"]
    assert difference(old, {"operator": [{"id": "a", "unit": "u"}]}, "me").changed == [
        "operator a: unit t → u"
    ]


def test_toml_round_trip_of_awkward_text() -> None:
    site = {
        "name": '引号"\\反斜\n\t\x7f',
        "override": [{"values": {"ring1_m": 5.5}, "unit": "a b"}],
        "unit": [{"id": "a", "x": [True, 1]}],
    }
    assert tomllib.loads(to_toml(site)) == site
