"""The site file and its rules: every fault at once with its place, nothing wrong let through."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import site
from protocols.rules import Override, Rules
from protocols.site import Site, SiteError, load

GOOD = """
name = "示范区"
root = "dispatch/v1"

[rules]
ring1_m = 400

[[override]]
unit = "station-1"
values = {accepts_wanted = 3, ring1_m = 600.5}

[[override]]
duty_level = "level-1"
values = {answer_within_s = 10}

[[unit]]
id = "top"
level = "分局"

[[unit]]
id = "station-1"
parent = "top"
duty_leaders = ["radio-1"]

[[unit]]
id = "room-1"
parent = "station-1"

[[point]]
id = "point-1"
unit = "room-1"
number = "001"
lat = 26.89
lon = 112.6

[[patrol]]
id = "patrol-1"
unit = "room-1"
force = "police"

[[device]]
id = "pillar-1"
kind = "pillar"
unit = "room-1"
point = "point-1"

[[device]]
id = "radio-1"
kind = "terminal"
unit = "room-1"
patrol = "patrol-1"

[[talk_group]]
id = "all"
unit = "top"
units = ["station-1"]
devices = ["pillar-1"]

[[operator]]
id = "desk"
unit = "top"
role = "operator"
"""
UNITS = [{"id": "top"}, {"id": "a", "parent": "top"}, {"id": "b", "parent": "a"}]


def faults(text: str) -> list[str]:
    with pytest.raises(SiteError) as caught:
        load(text)
    assert str(caught.value).splitlines() == caught.value.faults
    return caught.value.faults


def faults_of(**raw: Any) -> list[str]:
    return site.convert({"unit": UNITS, **raw})[1]


def test_a_good_file_is_read_whole_and_in_order() -> None:
    read = load(GOOD)
    assert [unit.id for unit in read.unit] == ["top", "station-1", "room-1"]
    assert read.rules.ring1_m == 400
    assert read.device[1].patrol == "patrol-1"
    assert msgspec.convert(msgspec.to_builtins(read), Site) == read


def test_all_faults_are_told_at_once() -> None:
    found = faults(
        GOOD
        + """
[[unit]]
id = "second-top"

[[point]]
id = "point-1"
unit = "nowhere"
number = "002"
lat = 91.0
lon = 112.6

[[point]]
id = "point-1"
unit = "nowhere"
number = "002"
lat = 1.0
lon = 112.6

[[patrol]]
id = "Patrol 2"
unit = "top"
force = "police"

[[device]]
id = "pillar-2"
kind = "pillar"
unit = "top"
patrol = "patrol-1"
lat = 1.0

[[device]]
id = "radio-2"
kind = "terminal"
unit = "top"
patrol = "patrol-9"
wings = 2

[[override]]
unit = "nowhere"
values = {ring1_patrols = 0}
"""
    )
    wanted = [
        "point row 2 point-1",
        "patrol row 2 Patrol 2",
        "device row 4 radio-2: there is no field wings; there are id, name",
        "point point-1: stands 2 times",
        "point point-1: unit 'nowhere' is no unit of this site",
        "device radio-2: patrol 'patrol-9' is no patrol of this site",
        "units need exactly one top",
        "device pillar-2: a pillar serves no patrol",
        "device pillar-2: give both lat and lon",
        "override 3: 'nowhere' is no unit",
        "override 3: ring1_patrols: use a number of at least 1",
    ]
    for sentence in wanted:
        assert sum(sentence in fault for fault in found) == 1, (sentence, found)
    assert len(found) == len(wanted)


def test_unknown_table_and_unknown_rule_are_refused() -> None:
    assert "ring9_m" in faults("[rules]\nring9_m = 3\n")[0]
    assert "unitz" in faults("[[unitz]]\nid = 'a'\n")[0]


def test_a_circle_of_units_is_named_for_each_that_is_in_it_or_below() -> None:
    found = faults_of(
        unit=[
            {"id": "top"},
            *({"id": a, "parent": b} for a, b in [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")]),
        ]
    )
    assert [fault for fault in found if "circle" in fault] == [
        f"unit {unit}: is its own superior (circle through {through})"
        for unit, through in [("a", "a"), ("b", "b"), ("c", "c"), ("d", "a")]
    ]


def test_a_unit_above_itself_is_a_circle() -> None:
    assert any(
        "circle through a" in fault for fault in faults_of(unit=[{"id": "top"}, {"id": "a", "parent": "a"}])
    )


def test_no_top_and_two_tops() -> None:
    assert any("exactly one top" in fault for fault in faults_of(unit=[{"id": "a", "parent": "a"}]))
    assert any("found 2: a, b" in fault for fault in faults_of(unit=[{"id": "a"}, {"id": "b"}]))


@given(st.lists(st.integers(0, 7), min_size=7, max_size=7))
def test_a_tree_is_faultless_exactly_when_everybody_reaches_the_top(parents: list[int]) -> None:
    """Unit 0 is the top; unit i has parent parents[i - 1]."""
    above = {0: None} | dict(enumerate(parents, 1))
    units = [{"id": f"u{n}"} | ({} if up is None else {"parent": f"u{up}"}) for n, up in above.items()]
    assert (faults_of(unit=units) == []) == all(reaches_top(above, n) for n in above)


def reaches_top(above: dict[int, int | None], number: int) -> bool:
    at: int | None = number
    for _ in above:
        at = None if at is None else above[at]
    return at is None


POINT = {"id": "p", "unit": "a", "number": "1", "lat": 1.0, "lon": 1.0}
DEVICE = {"id": "d", "kind": "terminal", "unit": "a"}
SCHEDULE = {"id": "s", "unit": "a", "text": "x", "at": ["10:00"]}
REFERRING: list[tuple[str, str, dict[str, Any]]] = [
    ("unit", "parent", {"id": "x", "parent": "nobody"}),
    ("unit", "duty_leaders", {"id": "x", "parent": "a", "duty_leaders": ["nobody"]}),
    ("point", "unit", {**POINT, "unit": "nobody"}),
    ("patrol", "unit", {"id": "x", "unit": "nobody", "force": "police"}),
    ("device", "unit", {**DEVICE, "unit": "nobody"}),
    ("device", "point", {**DEVICE, "point": "nobody"}),
    ("device", "patrol", {**DEVICE, "patrol": "nobody"}),
    ("talk_group", "unit", {"id": "x", "unit": "nobody"}),
    ("talk_group", "units", {"id": "x", "unit": "a", "units": ["a", "nobody"]}),
    ("talk_group", "devices", {"id": "x", "unit": "a", "devices": ["nobody"]}),
    ("operator", "unit", {"id": "x", "unit": "nobody", "role": "viewer"}),
    ("schedule", "unit", {**SCHEDULE, "unit": "nobody"}),
    ("schedule", "units", {**SCHEDULE, "units": ["a", "nobody"]}),
]


@pytest.mark.parametrize(("table", "field", "row"), REFERRING)
def test_an_unknown_reference_is_named(table: str, field: str, row: dict[str, Any]) -> None:
    rows = [*UNITS, row] if table == "unit" else [row]
    found = faults_of(**{table: rows})
    assert len(found) == 1
    assert found[0].startswith(f"{table} {row['id']}: {field} 'nobody' is no ")


def test_every_reference_of_the_table_is_tested() -> None:
    assert {(table, field) for table, field, _ in REFERRING} == {
        (table, field) for table, pairs in site.REFERENCES.items() for field, _ in pairs
    }


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"at": ["25:00"]}, "at '25:00': write a time of day as HH:MM"),
        ({"at": []}, "at is empty"),
        ({"days": [0, 8]}, "days 0: use 1 (Monday) to 7 (Sunday)"),
        ({"days": ["x"]}, "days ['x']: use a list; of each: use a whole number"),
        ({"from_day": "22.11.2026"}, "from_day '22.11.2026': write a date as YYYY-MM-DD"),
        ({"from_day": "2026-12-01", "until_day": "2026-11-01"}, "until_day 2026-11-01 lies before from_day"),
        ({"repeat_every_min": 30}, "repeat_every_min: give exactly two times"),
        ({"at": ["8:00", "9:00"], "repeat_every_min": 1}, "repeat_every_min 1: use at least 5"),
        ({"pillars": False}, "it is for nobody"),
        ({"text": ""}, "text '': use text of 1 to 1000 characters"),
        ({"lang": "fr"}, "lang 'fr': use one of"),
    ],
)
def test_a_schedule_that_cannot_run_is_told_in_words(fields: dict[str, Any], words: str) -> None:
    found = faults_of(unit=UNITS, schedule=[{**SCHEDULE, **fields}])
    assert any(words in fault for fault in found), found


def test_a_schedule_that_can_run_has_no_fault() -> None:
    rows = [
        SCHEDULE,
        {**SCHEDULE, "id": "t", "at": ["08:00", "20:00"], "repeat_every_min": 30, "days": [6, 7]},
    ]
    assert faults_of(unit=UNITS, schedule=rows) == []


@pytest.mark.parametrize("root", ["", "/a", "a/#", "+/v1", "a//b", "Dispatch/v1"])
def test_a_root_that_is_no_topic_is_refused(root: str) -> None:
    assert any(fault.startswith("root ") for fault in faults_of(root=root))


@pytest.mark.parametrize(
    "text", ["\ud800", "x = " + "[" * 5000, "x = 1" + "0" * 5000, "a = ", "[[unit]\n", "\x00"]
)
def test_what_is_no_toml_is_one_readable_fault(text: str) -> None:
    found = faults(text)
    assert len(found) == 1
    assert found[0].startswith("not readable as TOML: ")


def test_too_long_a_file_is_refused_unread() -> None:
    assert faults("#" * (site.MAX_SITE_BYTES + 1)) == ["the site file is longer than 16 MiB"]


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "true", "'5'", "1e9"])
def test_a_rule_out_of_its_bounds_is_refused(value: str) -> None:
    assert "ring1_m" in faults(f"[rules]\nring1_m = {value}\n")[0]


def test_every_rule_has_a_description_and_bounds_that_its_default_keeps() -> None:
    schema = msgspec.json.schema(Rules)["$defs"]["Rules"]["properties"]
    for name, form in schema.items():
        assert len(form["description"]) > 10, name
        assert form["minimum"] <= form["default"] <= form["maximum"], name
        assert "seconds" in form["description"] or not name.endswith("_s"), name
        assert "(metres)" in form["description"] or not name.endswith("_m"), name


def test_overrides_are_laid_over_in_order() -> None:
    over = [Override(values={"ring1_m": 600}), Override(values={"ring1_m": 700, "accepts_wanted": 4})]
    made = site.overridden(Rules(), over)
    assert (made.ring1_m, made.accepts_wanted) == (700, 4)
    assert site.overridden(Rules(), []) == Rules()
    assert msgspec.structs.replace(made, ring1_m=500, accepts_wanted=2) == Rules()


@pytest.mark.parametrize(
    "values", [{"ring1_patrols": 2.5}, {"ring1_m": -1}, {"no_rule": 1}, {"ring1_patrols": 51}]
)
def test_an_override_out_of_bounds_is_refused(values: dict[str, float]) -> None:
    found = faults_of(override=[{"values": {"accepts_wanted": 3}}, {"values": values}])
    assert len(found) == 1
    assert found[0].startswith("override 2: ")


def test_a_reference_that_is_no_text_is_a_fault_of_its_row_and_nothing_worse() -> None:
    found, faults = site.convert({"unit": [{"id": "top", "parent": [[]]}]})
    assert found is None or not found.unit
    assert any("parent" in fault for fault in faults)
