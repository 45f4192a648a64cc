"""Reads the locks in requirements/*.txt and the requirements in pyproject.toml that they answer."""

import re
from typing import NamedTuple

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.packaging.tree import ROOT, pyproject

LOCKS = ("runtime", "audio", "build", "dev", "uv")
PIN = re.compile(r"^([a-z0-9][a-z0-9-]*)==([^\s;\\]+)( ; [^\\]+)?( \\)?$")


class Pinned(NamedTuple):
    """One locked package: its version and how many file hashes follow it."""

    version: Version
    hashes: int


def read_lock(name: str) -> dict[str, Pinned]:
    """The packages of requirements/{name}.txt by canonical name; ValueError at a line of no known form.

    Of several versions of one package the one for this Python counts.
    """
    pins: dict[str, Pinned] = {}
    elsewhere: dict[str, Pinned] = {}
    current, into = "", pins
    for line in (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8").splitlines():
        if match := PIN.match(line):
            current = canonicalize_name(match[1])
            into = elsewhere if current in pins and not _is_for_us(match[3]) else pins
            into[current] = Pinned(Version(match[2]), 0)
        elif line.startswith("    --hash=sha256:"):
            into[current] = into[current]._replace(hashes=into[current].hashes + 1)
        elif not line.lstrip().startswith("#"):
            raise ValueError(f"requirements/{name}.txt holds an unknown line: {line}")
    return pins


def _is_for_us(marker: str | None) -> bool:
    return marker is None or Marker(marker.removeprefix(" ; ")).evaluate()


def requirements_by_lock() -> dict[str, list[Requirement]]:
    """What pyproject.toml and uv.in ask for, by the lock that must answer it."""
    project, groups = pyproject()["project"], pyproject()["dependency-groups"]
    uv = (ROOT / "requirements/uv.in").read_text(encoding="utf-8").splitlines()
    asked = {
        "runtime": project["dependencies"],
        "audio": project["dependencies"] + project["optional-dependencies"]["audio"],
        "build": groups["build"] + pyproject()["build-system"]["requires"],
        "dev": [line for line in groups["dev"] if isinstance(line, str)] + groups["build"],
        "uv": [line for line in uv if line and not line.startswith("#")],
    }
    return {name: [Requirement(line) for line in lines] for name, lines in asked.items()}


def direct_requirements() -> set[str]:
    """Canonical names of every package that the project itself asks for, in whatever lock."""
    return {canonicalize_name(req.name) for reqs in requirements_by_lock().values() for req in reqs}
