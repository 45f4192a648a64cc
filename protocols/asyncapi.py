"""docs/asyncapi.yaml, made from the structs: `python -m protocols.asyncapi > docs/asyncapi.yaml`.

AsyncAPI 3.0 as a device sees it: it sends what goes up and receives what comes down. The output
depends on nothing but this package.
"""

import re
import sys
from typing import Any, Final

from msgspec import Struct

from . import kinds, limits, prompts, topics
from .kinds import Bare, Kind
from .schemas import REF, schema_name, schemas
from .types import ID_PATTERN
from .voice import MAX_SEALED_BYTES
from .yaml import to_yaml

CONTENT_TYPE: Final = "application/msgpack"
SEALED_TYPE: Final = "application/octet-stream"
"""Of a bare sealed frame."""
_ADDRESS: Final = {
    "up": "{root}/d/{device}/up/",
    "down": "{root}/d/{device}/down/",
    "group": "{root}/g/{talkgroup}/down/",
    "presence": "{root}/d/{device}/",
}
_PARAMETERS: Final = {
    "root": {"description": "first levels of every topic of a site; told when a device is enrolled"},
    "device": {"description": f"id of the device, {ID_PATTERN}; the one it signs in with"},
    "talkgroup": {"description": f"id of the talk group, {ID_PATTERN}, as `membership` named it"},
}


def document() -> dict[str, Any]:
    """The whole AsyncAPI document as plain values."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "dispatchd, wire version 1",
            "version": "1",
            "license": {"name": "Apache-2.0"},
            "description": "MQTT 3.1.1 between the dispatch server and pillars and terminals, as a device"
            " sees it: `send` is what a device publishes, `receive` what it is sent. Payloads are MessagePack"
            " maps with the field names below; unknown fields are ignored, unknown enum values"
            " (x-known-values) are kept. Every down payload is an Envelope whose body is the message."
            " Three topics carry bare sealed frames of sound (application/octet-stream) and no envelope."
            " docs/wire.md has the order of messages and the profiles.",
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {"site": _server()},
        "channels": {
            **{_id(kind): _channel(_id(kind), address(kind)) for kind in kinds.ALL},
            **{bare.id: _channel(bare.id, bare.address) for bare in kinds.BARE},
        },
        "operations": {
            **{_operation_id(kind): _operation(kind) for kind in kinds.ALL},
            **{f"{_action(bare.sent)}-{bare.id}": _bare_operation(bare) for bare in kinds.BARE},
        },
        "components": {
            "messages": {
                **{_id(kind): _message(kind) for kind in kinds.ALL},
                **{bare.id: _bare_message(bare) for bare in kinds.BARE},
            },
            "parameters": _parameters(),
            "schemas": dict(schemas()),
        },
        "x-limits": {row.name: _limit(row) for row in limits.TABLE},
        "x-light-patterns": {name: list(pattern) for name, pattern in prompts.LIGHT_PATTERNS.items()},
    }


def _server() -> dict[str, Any]:
    return {
        "host": "{broker}",
        "protocol": "mqtt",
        "protocolVersion": "3.1.1",
        "description": "clean session; QoS 0 and 1; user name = client id = device id; one subscription"
        " {root}/d/{device}/down/# and one {root}/g/{talkgroup}/down/# per talk group; while sound comes by MQTT"
        " one {root}/g/{talkgroup}/voice per talk group too",
        "variables": {"broker": {"description": "host:port, told when a device is enrolled"}},
        "bindings": {"mqtt": {"cleanSession": True, "keepAlive": limits.KEEP_ALIVE_S, "lastWill": _will()}},
    }


def _will() -> dict[str, Any]:
    return {"topic": address(kinds.ALL[0]), "qos": 1, "retain": True}


def _id(kind: Kind) -> str:
    return kind.name if kind.way == "presence" else f"{kind.way}-{kind.name}"


def _operation_id(kind: Kind) -> str:
    return f"{_action(sends(kind))}-{_id(kind)}"


def _action(sent: bool) -> str:
    return "send" if sent else "receive"


def sends(kind: Kind) -> bool:
    return kind.way in ("up", "presence")


def address(kind: Kind) -> str:
    return _ADDRESS[kind.way] + kind.name


def _channel(id_: str, topic: str) -> dict[str, Any]:
    return {
        "address": topic,
        "parameters": {
            name: {"$ref": f"#/components/parameters/{name}"} for name in re.findall(r"{(\w+)}", topic)
        },
        "messages": {id_: {"$ref": f"#/components/messages/{id_}"}},
    }


def _operation(kind: Kind) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "action": _action(sends(kind)),
        "channel": {"$ref": f"#/channels/{_id(kind)}"},
        "summary": first_sentence(kind.type),
        "bindings": {"mqtt": {"qos": kind.qos, "retain": kind.retain}},
        "x-devices": list(kind.who),
        "x-durable": kind.durable,
        "x-repeated-until": kind.ended_by,
    }
    answer = _answered_on(kind)
    if answer:
        operation["reply"] = {"channel": {"$ref": f"#/channels/{answer}"}}
    return operation


def _bare_operation(bare: Bare) -> dict[str, Any]:
    return {
        "action": _action(bare.sent),
        "channel": {"$ref": f"#/channels/{bare.id}"},
        "summary": bare.what,
        "bindings": {"mqtt": {"qos": 0, "retain": False}},
        "x-devices": list(bare.who),
        "x-durable": False,
        "x-repeated-until": "nothing; it is not repeated",
    }


def _bare_message(bare: Bare) -> dict[str, Any]:
    form = {"type": "string", "format": "binary", "maxLength": MAX_SEALED_BYTES}
    return {"name": bare.id, "title": bare.what, "contentType": SEALED_TYPE, "payload": form}


def _answered_on(kind: Kind) -> str:
    if kind.durable:
        return "down-receipt"
    if kind.item:
        return "up-rung"
    return {
        ("up", "hello"): "down-hello",
        ("up", "floor-request"): "down-floor-granted",
        ("up", "floor-queue-position-request"): "down-floor-queue-position-info",
        ("up", "voice-join"): "down-voice-keys",
        ("up", "clip-request"): "down-clip-part",
        ("up", "webrtc-offer"): "down-webrtc-answer",
        ("down", "config"): "up-applied",
        ("down", "membership"): "up-applied",
    }.get((kind.way, kind.name), "")


def _message(kind: Kind) -> dict[str, Any]:
    body = {"$ref": REF + schema_name(kind.type)}
    message = {"name": _id(kind), "title": first_sentence(kind.type), "contentType": CONTENT_TYPE}
    if sends(kind):
        return {**message, "payload": body}
    envelope = {"$ref": REF + "Envelope"}
    return {**message, "payload": envelope, "x-body": {"contentType": CONTENT_TYPE, "schema": body}}


def _parameters() -> dict[str, Any]:
    return {
        name: {**words, **({"default": topics.DEFAULT_ROOT} if name == "root" else {})}
        for name, words in _PARAMETERS.items()
    }


def _limit(row: limits.Limit) -> dict[str, Any]:
    return {"value": row.value, "unit": row.unit, "who": row.who, "meaning": row.meaning}


def first_sentence(type_: type[Struct]) -> str:
    """The first sentence of a struct's docstring."""
    return " ".join((type_.__doc__ or "").split()).split(". ")[0].rstrip(".")


def text() -> str:
    """The file, whole."""
    head = "# Generated by `make docs` from protocols/; edit the structs, not this file.\n"
    return head + to_yaml(document())


if __name__ == "__main__":
    sys.stdout.write(text())
