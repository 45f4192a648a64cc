"""The client is written from the document: it imports nothing of ours and finds all it needs there."""

import ast
import sys
from pathlib import Path

import jsonschema
import pytest

from tests.contract import client
from tests.contract.client import Contract

MAY_IMPORT = {"jsonschema", "msgpack", "paho", "yaml"}


def test_client_imports_nothing_of_ours() -> None:
    tree = ast.parse(Path(client.__file__).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    relative = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    foreign = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    assert relative == []
    assert foreign == MAY_IMPORT


def test_topics_flags_and_limits_are_in_the_document() -> None:
    contract = Contract()
    assert contract.topic("up-alarm", root="r/v1", device="p-1") == "r/v1/d/p-1/up/alarm"
    assert contract.channel_of("r/v1/d/p-1/down/call", "r/v1") == "down-call"
    assert contract.channel_of("r/v1/g/all/down/broadcast", "r/v1") == "group-broadcast"
    assert contract.binding("up-state")["qos"] == 0
    assert contract.binding("presence") == {"qos": 1, "retain": True}
    assert contract.durable("up-alarm")
    assert contract.limit("retry_first_s") == 1


@pytest.mark.parametrize("topic", ["r/v1/d/p-1/down/reboot", "r/v1/d/p/1/down/call", "r/v2/d/p-1/down/call"])
def test_a_topic_outside_the_document_is_noticed(topic: str) -> None:
    with pytest.raises(ValueError, match="no channel"):
        Contract().channel_of(topic, "r/v1")


@pytest.mark.parametrize(
    "message", [{}, {"key": {"boot": "A", "seq": 1}}, {"key": {"boot": "a", "seq": -1}}, {"key": "a-1"}]
)
def test_a_message_outside_the_schema_is_not_sent(message: client.Body) -> None:
    with pytest.raises(jsonschema.ValidationError):
        Contract().check_sent("up-alarm", message)
