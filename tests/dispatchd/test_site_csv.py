"""Lists of a station: encodings, headers, separators, words, and every fault at once with its row."""

from pathlib import Path

import pytest

from dispatchd.site_csv import HEADERS, MAX_CSV_BYTES, VALUES, CsvError, markdown, parse
from protocols.site import TABLES

CHINESE = "编号,名称,所属单位,警种,上勤\np-1,一组,station-1,民警,是\np-2,二组,station-1,志愿者,否\n"
WANTED = [
    {"id": "p-1", "name": "一组", "unit": "station-1", "force": "police", "on_duty": True},
    {"id": "p-2", "name": "二组", "unit": "station-1", "force": "volunteer", "on_duty": False},
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_encodings_separators_and_newlines(encoding: str, separator: str, newline: str) -> None:
    raw = CHINESE.replace(",", separator).replace("\n", newline).encode(encoding)
    found = parse("patrol", raw)
    assert found.rows == WANTED
    assert found.numbers == [2, 3]
    assert found.encoding == ("gb18030" if encoding == "gb18030" else "utf-8")


def test_english_headers_in_any_spelling() -> None:
    raw = b"ID,Name EN,UNIT,force,On Duty\np-1,One,s,police,yes\n"
    assert parse("patrol", raw).rows == [
        {"id": "p-1", "name_en": "One", "unit": "s", "force": "police", "on_duty": True}
    ]


def test_numbers_lists_and_empty_cells() -> None:
    points = parse(
        "point", "编号,单位,点位号,纬度,经度,名称\nrp-1,s,017,26.8921,112.5712,\n\n,,,,,\n".encode()
    )
    assert points.rows == [{"id": "rp-1", "unit": "s", "number": "017", "lat": 26.8921, "lon": 112.5712}]
    groups = parse("talk_group", "编号,单位,成员单位\ntg-1,s,a、b;c\n".encode())
    assert groups.rows[0]["units"] == ["a", "b", "c"]
    devices = parse("device", "编号,类型,单位,集结点\npil-1,报警柱,s,rp-1\n".encode())
    assert devices.rows[0] == {"id": "pil-1", "kind": "pillar", "unit": "s", "point": "rp-1"}


def test_every_fault_at_once_with_its_row() -> None:
    raw = (
        "编号,名称,单位,警种,上勤\np-1,一组,s,民警,是\nP_2,二组,,军人,也许\np-1,三组,s,辅警,否,多余\n"
    ).encode()
    with pytest.raises(CsvError) as error:
        parse("patrol", raw)
    assert error.value.faults == [
        "row 3 P_2: id 'P_2': use 1 to 32 of a-z, 0-9 and '-'",
        "row 3 P_2: unit is missing",
        "row 3 P_2: force '军人': use one of police (民警、公安), auxiliary (辅警), volunteer (志愿者、群防、义警)",
        "row 3 P_2: on_duty '也许': write 是 or 否 (yes or no)",
        "row 4 p-1: has 6 cells, the header 5",
        "row 4 p-1: id p-1 stands in row 2 already",
    ]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "empty"),
        (b"id,unit\n", "no rows"),
        (b"name,unit\nx,s\n", "no column id"),
        (b"id,colour\nx,red\n", "no such field"),
        (b"id,unit,UNIT\nx,s,s\n", "already"),
        (b"id\n\xff\xff\xff\n", "neither UTF-8 nor GB18030"),
        (b"id,unit,number,lat,lon\nx,s,1,north,0\n", "row 2 x: lat 'north'"),
        (
            b"id,unit,number,lat,lon\nx,s,1,91,0\n",
            "row 2 x: lat '91': use a number of degrees from -90 to 90",
        ),
        (b"id,colour\nx,red\n", r"lat \(纬度\)"),
        (b"id,unit,number,lat,lon\nx,s,1,nan,0\n", "row 2 x: lat 'nan'"),
        (b"x" * (MAX_CSV_BYTES + 1), "longer"),
    ],
)
def test_what_is_no_list_is_told(raw: bytes, words: str) -> None:
    with pytest.raises(CsvError, match=words):
        parse("point", raw)


def test_an_unknown_table_names_the_known() -> None:
    with pytest.raises(CsvError, match="patrol"):
        parse("patrols", b"id\nx\n")


def test_headers_and_words_belong_to_real_fields() -> None:
    fields = {field for type_ in TABLES.values() for field in type_.__struct_fields__} - {"token_hash"}
    assert set(HEADERS) == fields
    assert set(VALUES) <= fields


def test_the_page_lists_every_header_and_word() -> None:
    page = (Path(__file__).parents[2] / "docs/operators.md").read_text("utf-8")
    assert markdown() in page, "run: python -m dispatchd.site_csv, and put it into docs/operators.md"
    assert "义警" in page
