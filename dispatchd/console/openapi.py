"""OpenAPI 3.1 of the route table and its structs, made once at import: it cannot drift from what is
served."""

import re
from typing import Any, Final

import msgspec

from dispatchd import __version__

from .errors import Problem
from .examples import EXAMPLES
from .routes import PREFIX, ROUTES, Route

STATUSES: Final = {
    206: "the range that was asked for",
    401: "no token, or one that no operator has",
    403: "the operator's role is not enough",
    404: "it does not exist, or lies beyond the operator's level",
    409: "refused, under a stable code",
    410: "it is no longer there; `why` says since when",
    413: "the body is too large",
    416: "there is no such range",
    422: "a field is wrong; `field` says which",
    429: "too many wrong tokens from this address",
    503: "starting, or the store or link is down",
    507: "the disk is full; nothing was done",
}
_REF: Final = "#/components/schemas/{name}"


def _document() -> dict[str, Any]:
    types = [t for route in ROUTES for t in (route.answer, route.body) if t is not None] + [Problem]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = {_key(type_): schema for type_, schema in zip(types, schemas, strict=True)}
    for route in ROUTES:
        if route.body is not None:
            _drop_tag(components[route.body.__name__])
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(PREFIX + route.path, {})[route.method.lower()] = _operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "dispatchd",
            "version": __version__,
            "description": "What operators see and ask. The live feed is a WebSocket at /api/v1/feed (docs/api.md).",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _key(type_: Any) -> str:
    return str(type_)


def _drop_tag(schema: dict[str, Any]) -> None:
    """The command's name is in the path; in the body it may be left out."""
    schema["required"] = [name for name in schema.get("required", []) if name != "command"]


def _operation(route: Route, by_type: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "responses": _responses(route, by_type),
    }
    if route.role:
        operation["security"] = [{"token": []}]
        operation["description"] = f"Needs the role {route.role} or a higher one."
    if "{id}" in route.path:
        schema: dict[str, Any] = {"type": "string", "maxLength": 32}
        operation["parameters"] = [{"name": "id", "in": "path", "required": True, "schema": schema}]
    for name, values in route.query.items():
        schema = (
            {"type": "string", "enum": list(values), "default": values[0]} if values else {"type": "string"}
        )
        operation.setdefault("parameters", []).append(
            {"name": name, "in": "query", "required": False, "schema": schema}
        )
    if route.body is not None:
        content = {"schema": by_type[_key(route.body)], "example": EXAMPLES[route.body]}
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    if route.takes:
        content = {"schema": {"type": "string", "format": "binary"}}
        operation["requestBody"] = {"required": True, "content": {route.takes: content}}
    return operation


def _operation_id(route: Route) -> str:
    return route.method.lower() + re.sub(r"[^a-z0-9]+", "_", route.path.lower()).rstrip("_")


def _responses(route: Route, by_type: dict[str, Any]) -> dict[str, Any]:
    ok = {"description": "done" if route.body else "the answer"}
    sound: dict[str, Any] = {route.media: {}}  # the bytes themselves have no schema
    content = sound if route.answer is bytes else {route.media: {"schema": by_type[_key(route.answer)]}}
    found: dict[str, Any] = {"200": {**ok, "content": content}}
    problem = {"application/json": {"schema": by_type[_key(Problem)]}}
    for status in sorted(_statuses(route)):
        body = found["200"]["content"] if route.path == "/ready" or status == 206 else problem
        found[str(status)] = {"description": STATUSES[status], "content": body}
        if status == 416:
            del found["416"]["content"]
    return found


def _statuses(route: Route) -> set[int]:
    signed_in = {401, 403, 429, 503} if route.role else set()
    named = {404} if "{id}" in route.path or route.body is not None else set()
    return signed_in | named | set(route.statuses)


DOCUMENT: Final = msgspec.json.encode(_document())
"""As served."""
