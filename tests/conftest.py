"""What holds for every test run: no skips, seeds printed, and a platform's missing parts named.

- A test that this platform cannot run carries a marker of `NEEDS`; where the need is missing it is deselected
  and its name printed. With `STRICT=1` or `CI=true` a missing need is an error instead.
- A skipped or xfailed test fails the run: a test that does not run proves nothing, and nobody sees it.
- Hypothesis always runs from one seed that the header prints; in CI it is the same every time.
- `--rewrite` lets tests that compare with a committed text write that text anew, to be reviewed as a diff.
"""

import importlib.util
import os
import secrets
import shutil
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

CI_SEED = 20261122
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"  # where Debian keeps brokers; an ordinary user's PATH lacks it


def find_program(name: str) -> str | None:
    """Full path of a program, looked for in PATH and then in the system's sbin folders."""
    return shutil.which(name) or shutil.which(name, path=SBIN)


def find_audio() -> str | None:
    """PulseAudio's path when PyAudio, too, is there, and ALSA's way to PulseAudio; None when anything is missing."""
    plugin = any(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so"))
    return find_program("pulseaudio") if plugin and importlib.util.find_spec("pyaudio") else None


@dataclass(frozen=True)
class Need:
    """Something a platform may lack: how to find it (None when missing), and how to get it."""

    find: Callable[[], str | None]
    remedy: str


NEEDS = {
    "audio": Need(
        find_audio,
        "apt-get install pulseaudio libasound2-plugins portaudio19-dev gcc, then make audio",
    ),
    "chromium": Need(lambda: find_program("chromium"), "apt-get install chromium"),
    "mosquitto": Need(lambda: find_program("mosquitto"), "apt-get install mosquitto mosquitto-clients"),
    "systemd": Need(lambda: find_program("systemd-analyze"), "apt-get install systemd"),
}


def is_strict() -> bool:
    """Whether a missing need is an error: in CI, and wherever STRICT is set to other than 0."""
    return os.environ.get("STRICT", "") not in {"", "0"} or os.environ.get("CI", "").lower() == "true"


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is one of pytest-xdist's workers."""
    return hasattr(config, "workerinput")


settings.register_profile("dispatchd", deadline=None, print_blob=True)
settings.load_profile("dispatchd")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite",
        action="store_true",
        help="write committed expectations (scenarios, lists) anew instead of comparing; review the diff",
    )


@pytest.fixture
def rewrite(request: pytest.FixtureRequest) -> bool:
    """True when committed expectations are to be written anew (`--rewrite`)."""
    return bool(request.config.getoption("--rewrite"))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Platform(), "dispatchd-platform")
    config.pluginmanager.register(NoSkips(), "dispatchd-no-skips")
    if config.option.hypothesis_seed is None:  # before Hypothesis reads it; xdist hands it to the workers
        config.option.hypothesis_seed = str(CI_SEED if is_strict() else secrets.randbelow(2**32))


def pytest_report_header(config: pytest.Config) -> list[str]:
    found = [f"{name}: {need.find() or 'missing; ' + need.remedy}" for name, need in NEEDS.items()]
    seed = config.option.hypothesis_seed
    return [f"hypothesis: seed {seed}; repeat with --hypothesis-seed={seed}", *found]


class Platform:
    """Deselects, by name, what this platform cannot run, and says so at the end."""

    def __init__(self) -> None:
        self.missing = {name: need for name, need in NEEDS.items() if need.find() is None}
        self.deselected: dict[str, list[str]] = {}

    @pytest.hookimpl(trylast=True)  # after -m and -k: only what would have run is named
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        if is_strict():
            return
        for name in self.missing:
            lacking = [item for item in items if item.get_closest_marker(name)]
            if lacking:
                self.deselected[name] = [item.nodeid for item in lacking]
                config.hook.pytest_deselected(items=lacking)
                items[:] = [item for item in items if item not in lacking]

    def pytest_runtest_setup(self, item: pytest.Item) -> None:  # reached only when strict
        for name, need in self.missing.items():
            if item.get_closest_marker(name):
                pytest.fail(f"{name} is missing, an error with STRICT=1: {need.remedy}", pytrace=False)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if is_worker(session.config):
            output: dict[str, Any] = session.config.workeroutput  # type: ignore[attr-defined]
            output["deselected"] = self.deselected

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # xdist's hook, on the controller
        self.deselected.update(getattr(node, "workeroutput", {}).get("deselected", {}))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for name, tests in self.deselected.items():
            terminalreporter.section(f"deselected by name: {name} is missing here ({len(tests)} tests)")
            for test in tests:
                terminalreporter.line(test)
            terminalreporter.line(f"to run them: {NEEDS[name].remedy}")


class NoSkips:
    """Fails the run when a test was skipped or xfailed, at collection or later."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped or hasattr(report, "wasxfail"):
            self.skipped.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.skipped.append(report.nodeid)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        if self.skipped and not is_worker(session.config):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return (yield)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.skipped:
            terminalreporter.section("skips are forbidden", red=True)
            for test in sorted(set(self.skipped)):
                terminalreporter.line(f"{test}: skipped or xfailed; mend it, or mark what it needs", red=True)
