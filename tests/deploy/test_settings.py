"""The example settings are what the daemon takes, and name everything there is to set."""

import re

import msgspec
import pytest
from msgspec.structs import fields

from dispatchd import config
from tests.packaging.tree import ROOT

EXAMPLE = ROOT / "deploy/dispatchd.toml"
TEXT = EXAMPLE.read_text("utf-8")
SECTIONS: dict[str, type[msgspec.Struct]] = {
    "http": config.Http,
    "broker": config.Broker,
    "store": config.Store,
    "log": config.Log,
    "limits": config.Limits,
    "recordings": config.Recordings,
}
# `# name = value`: a default, or an example of a setting that needs others
OPTIONAL = re.compile(r"^# (?=\w+ = )", re.MULTILINE)


def test_it_loads_without_a_fault() -> None:
    found = config.load(EXAMPLE)
    assert found.dir == "/var/lib/dispatchd"
    assert found.site == "/etc/dispatchd/site.toml"
    assert found.broker == config.Broker()


@pytest.mark.parametrize("section", SECTIONS)
def test_it_names_every_setting(section: str) -> None:
    named = set(re.findall(r"^(?:# )?(\w+) = ", _part(section), re.MULTILINE))
    assert named == {field.name for field in fields(SECTIONS[section])}


@pytest.mark.parametrize("section", SECTIONS)
def test_what_it_calls_a_default_is_one(section: str) -> None:
    part = _part(section).split('# mode = "url"')[0]
    shown = OPTIONAL.sub("", part)
    assert msgspec.toml.decode(shown, type=SECTIONS[section]) == SECTIONS[section]()
    assert shown != part


def test_the_part_for_a_broker_of_its_own_loads_too() -> None:
    before, after = TEXT.split('# mode = "url"')
    own, rest = after.split("[store]")
    text = before + 'mode = "url"' + OPTIONAL.sub("", own) + "[store]" + rest
    assert list(config.check(_of(text))) == []
    assert _of(text).broker.mode == "url"


def _part(section: str) -> str:
    return TEXT.split(f"\n[{section}]\n")[1].split("\n[")[0]


def _of(text: str) -> config.Config:
    return msgspec.toml.decode(text, type=config.Config)
