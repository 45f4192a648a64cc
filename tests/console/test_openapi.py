"""The served document: every route in it, valid as JSON Schema 2020-12, every example accepted by schema and parser."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from dispatchd.console import openapi
from dispatchd.console.api import parse
from dispatchd.console.examples import EXAMPLES
from dispatchd.console.routes import COMMANDS, PREFIX, ROUTES, Route
from dispatchd.core.commands import Command

from .desk import desk
from .test_recordings import archive, row

DOCUMENT: dict[str, Any] = json.loads(openapi.DOCUMENT)
REGISTRY: Registry[Any] = Registry().with_resource(
    "urn:api", Resource.from_contents(DOCUMENT, default_specification=DRAFT202012)
)


def operation(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][PREFIX + route.path][route.method.lower()]
    return found


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    absolute = json.loads(json.dumps(schema).replace('"#/', '"urn:api#/'))
    return Draft202012Validator(absolute, registry=REGISTRY)


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


async def test_it_is_what_the_daemon_serves() -> None:
    async with desk() as at, at.client(None) as client:
        assert (await client.get("/openapi.json")).json() == DOCUMENT
    assert DOCUMENT["openapi"].startswith("3.1")


def test_every_command_has_a_route_and_an_example() -> None:
    assert set(COMMANDS.values()) == set(Command.__args__) == set(EXAMPLES)


def test_every_schema_is_one_and_every_reference_leads_somewhere() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        assert name.isidentifier()
    for reference in references(DOCUMENT):
        assert reference.startswith("#/components/schemas/")
        assert reference.rpartition("/")[2] in DOCUMENT["components"]["schemas"], reference


def test_operations_are_named_once() -> None:
    names = [op["operationId"] for path in DOCUMENT["paths"].values() for op in path.values()]
    assert len(names) == len(set(names)) == len(ROUTES)


@pytest.mark.parametrize("route", [r for r in ROUTES if r.body], ids=lambda r: r.path)
def test_examples_pass_schema_and_parser(route: Route) -> None:
    content = operation(route)["requestBody"]["content"]["application/json"]
    validator(content["schema"]).validate(content["example"])
    parse(route, json.dumps(content["example"]).encode())


async def test_answers_pass_their_schema(tmp_path: Path) -> None:
    async with archive(tmp_path, row("r1", "north")) as at:
        await at.online("t-n", (26.8905, 112.5702))
        incident = await at.press("pil-n")
        await at.press("pil-s", "tamper")
        sent = await at.command("chief", "broadcast", text="集合", target={"everybody": True})
        ids = {
            "incidents": incident,
            "broadcasts": sent.json()["ids"]["broadcast"],
            "items": sent.json()["ids"]["broadcast"],
            "groups": "north",
            "recordings": "r1",
        }
        for route in ROUTES:
            if route.method != "GET" or route.path == "/openapi.json" or route.media != "application/json":
                continue
            path = route.path.replace("{id}", ids.get(route.path.split("/")[1], ""))
            answer = await at.get("admin", path)
            schema = operation(route)["responses"][str(answer.status_code)]["content"]["application/json"][
                "schema"
            ]
            validator(schema).validate(answer.json())
            assert answer.status_code == 200, (path, answer.text)
