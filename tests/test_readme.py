"""What the pages tell people to type or to open is there: commands, flags, targets, modules, files, headings."""

import argparse
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices import cli as device_cli
from dispatchd import cli as daemon_cli
from simulators import cli as simulator_cli

ROOT = Path(__file__).parent.parent
FRONT = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = pytest.mark.parametrize(
    "page", [*FRONT, *DOCS, ROOT / "deploy/README.md"], ids=lambda page: page.name
)

PARSERS = {
    "dispatchd": daemon_cli.parser(),
    "dispatch-device": device_cli._parser(),
    "dispatch-sim": simulator_cli.parser(),
}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
OURS = {"dispatchd", "devices", "protocols", "simulators", "benchmarks", "tests"}
FILE = re.compile(
    rf"(?<![\w/.-])(?:{'|'.join(sorted(OURS | {'docs', 'deploy', 'requirements'}))})"
    r"/[\w/.-]*\.(?:py|md|toml|txt|yaml|service|conf|acl)\b"
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
ENDS = {"|", "&&", "||", ";", "&", ">", ">>", "<", "2>&1"}

BEFORE = ENDS | {"--", "exec", "sudo"}
"""After one of these, or at the start, stands a program; elsewhere `dispatchd` is a user or a service."""


def blocks(text: str) -> list[str]:
    return FENCED.findall(text)


def headings(text: str) -> list[tuple[int, str]]:
    return [(len(m[1]), m[2]) for m in re.finditer(r"^(#+) (.+)$", FENCED.sub("", text), re.MULTILINE)]


def anchor(heading: str) -> str:
    """As GitHub and most readers make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def commands(text: str) -> Iterator[list[str]]:
    """The words of every command of ours, in code blocks and in code within a line."""
    lines = [line for block in blocks(text) for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", FENCED.sub("", text))
    for line in lines:
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue  # an apostrophe of prose, half a JSON: no command
        for start, word in enumerate(words):
            first = start == 0 or words[start - 1] in BEFORE
            if first and word.rpartition("/")[2] in {*PARSERS, "make"}:
                rest = words[start + 1 :]
                end = next((n for n, other in enumerate(rest) if other in ENDS), len(rest))
                yield [word.rpartition("/")[2], *rest[:end]]


def fault(command: list[str]) -> str:
    """What is wrong with it; "" if nothing."""
    program, *words = command
    if program == "make":
        targets = [word for word in words if re.fullmatch(r"[a-z-]+", word)]
        return next((f"no make target {target}" for target in targets if target not in TARGETS), "")
    parser = PARSERS[program]
    for word in words:
        flag = word.strip("[]()").partition("=")[0]
        inner = _subcommands(parser)
        if flag.startswith("--") and flag not in parser._option_string_actions:
            return f"{parser.prog} has no {flag}"
        if inner and not flag.startswith("-"):
            if flag not in inner:
                return (
                    "" if flag.isupper() or not flag.isascii() else f"{parser.prog} has no subcommand {flag}"
                )
            parser = inner[flag]
    return ""


def _subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


@PAGES
def test_every_command_is_there(page: Path) -> None:
    assert [(c, why) for c in commands(page.read_text("utf-8")) if (why := fault(c))] == []


@pytest.mark.parametrize(
    "planted",
    [
        "dispatchd ctl acept i1-1",
        "dispatchd ctl watch --langg en",
        "sudo /opt/dispatchd/bin/dispatchd start | tail",
        "make demonstration",
        "dispatch-sim demo --twice",
        "dispatch-device pillar --credential x",
    ],
)
def test_a_wrong_command_would_be_seen(planted: str) -> None:
    assert any(fault(c) for c in commands(f"```\n{planted}\n```\n"))
    assert any(fault(c) for c in commands(f"say `{planted}`"))


def test_commands_are_found_at_all() -> None:
    assert all(len(list(commands(page.read_text("utf-8")))) > 25 for page in FRONT)


@PAGES
def test_every_module_is_there(page: Path) -> None:
    named = re.findall(r"python -m ([\w.]+)", page.read_text("utf-8"))
    missing = [m for m in named if m.split(".")[0] in OURS and importlib.util.find_spec(m) is None]
    assert missing == []


@PAGES
def test_every_file_is_there(page: Path) -> None:
    named = set(FILE.findall(page.read_text("utf-8")))
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


@PAGES
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text("utf-8")):
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if fragment:
            assert fragment in [anchor(text) for _, text in headings(target.read_text("utf-8"))], link


def shape(page: Path) -> list[int]:
    return [level for level, _ in headings(page.read_text("utf-8"))]


def said(page: Path) -> list[list[str]]:
    """Its commands in blocks, but for the reader's language and words in quotes."""
    text = re.sub(r" --lang(?:uage)? en|'[^']*'", "", "\n".join(blocks(page.read_text("utf-8"))))
    return list(commands(f"```\n{text}\n```\n"))


def test_both_front_pages_have_the_same_sections_commands_and_links() -> None:
    english, chinese = FRONT
    assert shape(english) == shape(chinese)
    assert said(english) == said(chinese)
    links = [{link for link in LINK.findall(page.read_text("utf-8")) if "#" not in link} for page in FRONT]
    assert links[0] - {chinese.name} == links[1] - {english.name}
    assert FILE.findall(english.read_text("utf-8")) == FILE.findall(chinese.read_text("utf-8"))


def test_every_page_is_in_the_list_of_documents() -> None:
    linked = set(LINK.findall((ROOT / "docs/README.md").read_text("utf-8")))
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert pages - linked == {"README.md"}
