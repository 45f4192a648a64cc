"""What no committed file may hold: machine paths, registry hosts, skipped tests, too much weight."""

import re
from pathlib import PurePosixPath

from tests.packaging.tree import ROOT, project_files

MAX_FILE_BYTES = 1_000_000

# Written so that this file does not match itself.
MACHINE_PATHS = re.compile(
    r"(?<![\w}.-])/(?:[w]ork|[r]oot|[o]pt/wheels|[o]pt/pypi)(?:/[\w.]|\b(?=['\"\s`]))|[f]ile:///"
)
REGISTRIES = re.compile(
    r"[p]ypi\.org|[p]ythonhosted\.|[r]egistry\.npmjs|[n]pmjs\.(?:com|org)|[d]eb\.debian|[d]ebian\.org/debian|"
    r"[r]egistry\.yarnpkg|[c]rates\.io|[p]roxy\.golang|[i]ndex-url\s*=|[f]ind-links\s*="
)
SKIPS = re.compile(r"[p]ytest\.(?:skip|importorskip|xfail)\b|mark\.(?:[s]kip|[s]kipif|[x]fail)\b|[S]kipTest")


def texts() -> dict[str, str]:
    """Every committed file that is UTF-8 text, by path."""
    found = {}
    for path in project_files():
        data = (ROOT / path).read_bytes()
        if b"\0" not in data:
            found[path] = data.decode("utf-8")
    return found


def hits(pattern: re.Pattern[str], paths: tuple[str, ...] = ("",)) -> list[str]:
    """`path:line: text` of every line that matches, in files below one of `paths`."""
    return [
        f"{path}:{number}: {line.strip()[:100]}"
        for path, text in texts().items()
        if path.startswith(paths)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_the_patterns_find_what_they_are_for() -> None:
    assert MACHINE_PATHS.search("see " + "/wo" + "rk/main")
    assert MACHINE_PATHS.search('"/ro' + 'ot"')
    assert not MACHINE_PATHS.search("{root}/d/x; docs/work; networks/working")
    assert REGISTRIES.search("https://py" + "pi.org/simple")
    assert SKIPS.search("@py" + "test.mark.ski" + "pif(True)")


def test_no_machine_paths() -> None:
    assert hits(MACHINE_PATHS) == []


def test_no_registry_hosts() -> None:
    assert hits(REGISTRIES) == []


def test_no_test_is_skipped() -> None:
    assert hits(SKIPS, ("tests/", "benchmarks/")) == []


def test_text_has_unix_line_ends_and_a_last_one() -> None:
    assert [
        path for path, text in texts().items() if "\r" in text or (text and not text.endswith("\n"))
    ] == []


def test_no_heavy_file() -> None:
    assert [path for path in project_files() if (ROOT / path).stat().st_size > MAX_FILE_BYTES] == []


def test_no_lock_that_records_a_registry() -> None:
    assert [path for path in project_files() if PurePosixPath(path).name in {"uv.lock", "poetry.lock"}] == []


def test_every_folder_of_python_is_a_package() -> None:
    rooms = {PurePosixPath(path).parent for path in project_files() if path.endswith(".py")}
    assert [str(room) for room in sorted(rooms) if f"{room}/__init__.py" not in project_files()] == []
