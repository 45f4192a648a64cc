"""The documents cannot drift: asyncapi.yaml is what the code prints, wire.md has its tables."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import msgpack
import pytest
import yaml

from protocols import asyncapi, fields, kinds, limits, schemas, tables, topics
from protocols import yaml as our_yaml
from protocols.envelope import Envelope
from protocols.voice import MAX_SEALED_BYTES
from tests.protocols import vectors

DOCS = Path(__file__).parents[2] / "docs"
COMMITTED = (DOCS / "asyncapi.yaml").read_text(encoding="utf-8")
DOCUMENT: dict[str, Any] = yaml.safe_load(COMMITTED)
WIRE = (DOCS / "wire.md").read_text(encoding="utf-8")


def test_committed_document_is_what_the_command_prints() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "protocols.asyncapi"], capture_output=True, check=True, timeout=60
    )
    assert made.stdout.decode() == COMMITTED, "run `make docs` and review the difference"


def test_our_yaml_reads_back_as_the_same_values() -> None:
    assert json.loads(json.dumps(asyncapi.document())) == DOCUMENT


@pytest.mark.parametrize(
    "value",
    [
        "",
        "yes",
        "null",
        "1",
        "1.5",
        "a: b",
        "# no",
        "- x",
        "中文",
        'q"uote',
        "line\nbreak",
        "~",
        "0x1f",
        "a b",
        "NaN",
        "2026-11-22",
        " lead",
        "trail ",
        "{a}",
        "[1]",
        "*a",
        "&a",
        "!t",
        "%",
        "@",
        "`",
        "a #b",
        "on",
        "\x85",
        "1e3",
    ],
)
def test_our_yaml_quotes_what_needs_it(value: str) -> None:
    assert yaml.safe_load(our_yaml.to_yaml({value: [value, {"k": value}]})) == {value: [value, {"k": value}]}


def test_yaml_of_empty_and_scalar_values() -> None:
    value: Any = {
        "list": [],
        "map": {},
        "none": None,
        "number": 2.0,
        "half": 0.5,
        "deep": [[1, [2]], {"a": [True]}],
    }
    assert yaml.safe_load(our_yaml.to_yaml(value)) == value


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [inner if key == "$ref" else "" for key, inner in value.items()] + [
            found for inner in value.values() for found in references(inner)
        ]
    return [found for inner in value for found in references(inner)] if isinstance(value, list) else []


def test_every_reference_points_at_something() -> None:
    found = {reference for reference in references(DOCUMENT) if reference}
    assert len(found) > 50
    for reference in found:
        at: Any = DOCUMENT
        for word in reference.removeprefix("#/").split("/"):
            at = at[word]
        assert at


def test_every_kind_has_a_channel_an_operation_and_a_message() -> None:
    addresses = {channel["address"] for channel in DOCUMENT["channels"].values()}
    assert addresses == {asyncapi.address(kind) for kind in kinds.ALL} | {bare.address for bare in kinds.BARE}
    every = len(kinds.ALL) + len(kinds.BARE)
    assert len(DOCUMENT["operations"]) == len(DOCUMENT["components"]["messages"]) == every


def test_bare_frames_are_octets_on_the_topics_that_are_built() -> None:
    built = {
        "up-voice": topics.up("r", "t-1", "voice"),
        "group-voice": topics.group_voice("r", "g-1"),
        "down-voice": topics.down("r", "t-1", "voice"),
    }
    for name, topic in built.items():
        channel = DOCUMENT["channels"][name]
        assert channel["address"].format(root="r", device="t-1", talkgroup="g-1") == topic
        message = DOCUMENT["components"]["messages"][name]
        assert message["contentType"] == "application/octet-stream"
        assert message["payload"]["maxLength"] == MAX_SEALED_BYTES


def test_qos_and_retain_are_as_designed() -> None:
    mqtt = {name: operation["bindings"]["mqtt"] for name, operation in DOCUMENT["operations"].items()}
    assert {name for name, binding in mqtt.items() if binding["qos"] == 0} == {
        "send-up-state",
        "send-up-voice",
        "receive-group-voice",
        "receive-down-voice",
    }
    assert {name for name, binding in mqtt.items() if binding["retain"]} == {"send-presence"}


def test_what_is_durable_is_receipted_and_the_rest_of_up_is_not() -> None:
    sent = {
        name: operation for name, operation in DOCUMENT["operations"].items() if name.startswith("send-up-")
    }
    durable = {name.removeprefix("send-up-") for name, operation in sent.items() if operation["x-durable"]}
    assert durable == {"alarm", "answer", "rung", "cancel", "reply", "duty", "applied"}
    for name in durable:
        assert sent[f"send-up-{name}"]["reply"] == {"channel": {"$ref": "#/channels/down-receipt"}}


def test_every_field_is_described_and_no_description_is_left_over() -> None:
    used = set()
    for type_ in schemas.structs():
        properties = DOCUMENT["components"]["schemas"][schemas.schema_name(type_)]["properties"]
        for field in type_.__struct_fields__:
            assert len(properties[field]["description"]) > 5, f"{type_.__name__}.{field}"
            special = f"{type_.__name__}.{field}"
            used.add(special if special in fields.MEANING else field)
    assert set(fields.MEANING) == used


def test_every_number_with_a_unit_in_its_name_says_it() -> None:
    units = {"_ms": "ms", "_s": "s", "_m": "m", "_pct": "%", "_deg": "degrees clockwise from north"}
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for field, form in schema["properties"].items():
            for ending, unit in units.items():
                if field.endswith(ending):
                    assert form["x-unit"] == unit, f"{name}.{field}"


def test_known_values_are_printed() -> None:
    alarm = DOCUMENT["components"]["schemas"]["Alarm"]["properties"]["kind"]
    assert alarm["x-known-values"][0] == "one-key"
    assert "enum" not in alarm, "unknown values are kept"


def checker() -> Any:
    """JSON schema in which a `format: binary` string is bytes."""
    types = jsonschema.Draft7Validator.TYPE_CHECKER.redefine(
        "string", lambda _, value: isinstance(value, (str, bytes))
    )
    return jsonschema.validators.extend(jsonschema.Draft7Validator, type_checker=types)


@pytest.mark.parametrize(
    "vector",
    [v for v in vectors.read() if not v.error and "salvaged" not in v.name],
    ids=lambda v: f"{v.to} {v.name}",
)
def test_good_vectors_fit_the_schemas(vector: vectors.Vector) -> None:
    way, _, kind = vector.to.partition(" ")
    types = {f"{k.way} {k.name}": k.type for k in kinds.ALL}
    type_ = types.get(f"{way} {kind or way}", Envelope)
    schema = {**DOCUMENT, "$ref": f"#/components/schemas/{schemas.schema_name(type_)}"}
    checker()(schema).validate(msgpack.unpackb(vector.data))


def test_wire_md_holds_the_tables_of_today() -> None:
    assert WIRE.endswith(tables.tables()), "replace the end of docs/wire.md by `python -m protocols.tables`"


@pytest.mark.parametrize("kind", kinds.ALL, ids=lambda kind: f"{kind.way} {kind.name}")
def test_every_kind_is_explained_in_the_text_of_wire_md(kind: kinds.Kind) -> None:
    text = WIRE[: WIRE.index("## Tables")]
    assert re.search(rf"(?<![a-z-]){kind.name}(?![a-z-])", text), f"docs/wire.md says nothing of {kind.name}"


@pytest.mark.parametrize("bare", kinds.BARE, ids=lambda bare: bare.id)
def test_every_bare_topic_is_explained_in_the_text_of_wire_md(bare: kinds.Bare) -> None:
    ending = (
        bare.address.removeprefix("{root}/").replace("{talkgroup}", "{group}").removeprefix("d/{device}/")
    )
    assert f"`{ending}`" in WIRE[: WIRE.index("## Tables")]


def test_wire_md_points_at_limits_that_exist() -> None:
    names = {row.name for row in limits.TABLE} | set(fields.MEANING)
    text = WIRE[: WIRE.index("## Tables")]
    assert set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text)) <= names


def test_limits_are_named_once_and_have_a_unit() -> None:
    assert len({row.name for row in limits.TABLE}) == len(limits.TABLE)
    assert all(row.unit and row.value > 0 for row in limits.TABLE)
