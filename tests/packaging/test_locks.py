"""The locks answer pyproject.toml, carry hashes, agree with one another and name no registry."""

import pytest
from packaging.utils import canonicalize_name

from tests.packaging.locks import LOCKS, direct_requirements, read_lock, requirements_by_lock
from tests.packaging.tree import ROOT


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_with_hashes(name: str) -> None:
    pins = read_lock(name)
    assert pins, f"requirements/{name}.txt locks nothing"
    assert not [package for package, pin in pins.items() if pin.hashes == 0]


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_answered(name: str) -> None:
    pins = read_lock(name)
    for asked in requirements_by_lock()[name]:
        pin = pins.get(canonicalize_name(asked.name))
        assert pin, f"requirements/{name}.txt lacks {asked}; run make lock"
        assert asked.specifier.contains(pin.version, prereleases=True), f"{asked} is locked at {pin.version}"


def test_a_package_has_one_version_in_all_locks() -> None:
    seen: dict[str, set[str]] = {}
    for name in LOCKS:
        for package, pin in read_lock(name).items():
            seen.setdefault(package, set()).add(str(pin.version))
    assert {package: versions for package, versions in seen.items() if len(versions) > 1} == {}


def test_every_lock_is_tested_here() -> None:
    assert sorted(LOCKS) == sorted(path.stem for path in (ROOT / "requirements").glob("*.txt"))


@pytest.mark.parametrize("name", LOCKS)
def test_no_lock_names_a_registry_or_a_folder(name: str) -> None:
    text = (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8")
    options = [line for line in text.splitlines() if line.startswith("-")]
    assert options == [], (
        "options such as an index or a find-links folder belong to the machine, not the lock"
    )
    assert "://" not in text
    assert " @ " not in text


def documented() -> dict[str, str]:
    """Package → version in the tables of docs/dependencies.md."""
    page = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("| ")
    ]
    assert all(len(row) == 6 and all(row) for row in rows), "a row without licence, date, size or reason"
    return {canonicalize_name(row[0]): row[1] for row in rows if row[0] != "package"}


def test_every_direct_dependency_is_documented_and_nothing_else() -> None:
    assert set(documented()) == direct_requirements()


def test_documented_versions_are_the_locked_ones() -> None:
    locked = {package: str(pin.version) for name in LOCKS for package, pin in read_lock(name).items()}
    old = {name: (version, locked[name]) for name, version in documented().items() if version != locked[name]}
    assert old == {}, "docs/dependencies.md has old rows: (documented, locked)"
