"""Settings: defaults, bounds, unknown keys, secrets from files, and documents that do not drift."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from dispatchd import config
from dispatchd.config import Config, ConfigError, broker_overlay, load, read_secret
from dispatchd.ctl import errors
from protocols.rules import Rules


@pytest.mark.parametrize("name", sorted(config.DOCS))
def test_the_page_is_the_generated_one(name: str, request: pytest.FixtureRequest, rewrite: bool) -> None:
    page = request.config.rootpath / "docs" / f"{name}.md"
    if rewrite:
        page.write_text(config.DOCS[name](), "utf-8")
    assert page.read_text("utf-8") == config.DOCS[name](), (
        f"python -m dispatchd.config --docs {name} > docs/{name}.md"
    )


def test_every_setting_and_rule_is_described() -> None:
    settings = config.settings_markdown()
    sections: list[type[msgspec.Struct]] = [Config, *config._sections().values()]
    for section in sections:
        for field in msgspec.structs.fields(section):
            assert f"| `{field.name}` |" in settings or f"## [{field.name}]" in settings, field.name
    for field in msgspec.structs.fields(Rules):
        assert f"| `{field.name}` |" in config.rules_markdown(), field.name


def test_exit_codes_are_documented(request: pytest.FixtureRequest) -> None:
    page = (request.config.rootpath / "docs" / "operators.md").read_text("utf-8")
    codes = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    documented = {
        int(line.split("|")[1]) for line in page.splitlines() if line.startswith("| ") and line[2].isdigit()
    }
    assert documented == codes


def test_a_file_and_flags_over_it(tmp_path: Path) -> None:
    file = tmp_path / "d.toml"
    file.write_text('dir = "here"\n[broker]\nmode = "amqtt"\n[log]\nlevel = "debug"\n', "utf-8")
    found = load(
        file, {"dir": "there", "http": {"address": "127.0.0.1:0"}, "broker": {"listen": "127.0.0.1:0"}}
    )
    assert (found.dir, found.http.address, found.log.level) == ("there", "127.0.0.1:0", "debug")
    assert (found.broker.mode, found.broker.listen) == ("amqtt", "127.0.0.1:0")
    assert found.store_url == f"sqlite:{Path('there').resolve()}/dispatch.db"
    assert load() == Config()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour = 1", "colour"),
        ("[http]\nport = 1", "port"),
        ('[voice]\nudp = "5004"', "voice.udp"),
        ('[voice]\nudp = "0.0.0.0:5004"', "voice.advertise"),
        ('[voice]\nudp = "[::]:5004"', "voice.advertise"),
        ('[voice]\nadvertise = ["host:0"]', "voice.advertise"),
        ('[voice]\nadvertise = ["a:1", "b:1", "c:1", "d:1", "e:1"]', "advertise"),
        ('[voice]\nwebrtc_ports = "40099-40000"', "voice.webrtc_ports"),
        ('[log]\nlevel = "loud"', "loud"),
        ("[limits]\nbatch_inputs = 0", "batch_inputs"),
        ("[limits]\nqueue_inputs = 99", "queue_inputs"),
        ('[broker]\nmode = "url"', "broker.url"),
        ('[broker]\nurl = "mqtt://x:1"', "broker.mode"),
        ('[broker]\nmode = "url"\nurl = "mqtt://x:1"\nusername = "u"', "password_file"),
        ('[store]\nurl = "postgres:x"', "store.url"),
        ("dir = ", "TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "d.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=words) as error:
        load(file)
    assert "d.toml" in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.toml")
    binary = tmp_path / "b.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="TOML"):
        load(binary)
    binary.write_bytes(b"#" * (config.MAX_CONFIG_BYTES + 1))
    with pytest.raises(ConfigError, match="longer"):
        load(binary)


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [("auto", {"mode": "auto"}), ("mqtt://b:1883", {"mode": "url", "url": "mqtt://b:1883"})],
)
def test_the_broker_flag(choice: str, wanted: dict[str, Any]) -> None:
    assert broker_overlay(choice) == wanted
    assert load(None, {"broker": broker_overlay(choice)}).broker.mode == wanted["mode"]


def test_a_secret_is_one_line_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "s"
    file.write_text("  hush\n")
    assert read_secret(file) == "hush"
    for text, words in (("", "empty"), ("x" * 5000, "too long")):
        file.write_text(text)
        with pytest.raises(ConfigError, match=words):
            read_secret(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_secret(tmp_path / "none")
