"""Medians, ratios, goals and the report's form."""

import io
import json
import re
import subprocess
import sys

import msgspec
import pytest
from rich.console import Console

from benchmarks import NAMES
from benchmarks.__main__ import main, table
from benchmarks.machine import machine
from benchmarks.metric import Metric, Report, Row, met

PAIRED = Metric("paired", "ms", "≤1.3", "a bare loop")
ALONE = Metric("alone", "bytes", "<250")


def test_ratio_is_of_the_medians() -> None:
    row = PAIRED.row([30.0, 10.0, 1000.0], [20.0, 5.0, 400.0])
    assert (row.ours, row.baseline, row.ratio, row.met) == (30.0, 20.0, 1.5, False)


def test_an_even_number_of_runs_takes_the_mean_of_the_middle() -> None:
    row = PAIRED.row([10.0, 12.0], [10.0, 10.0])
    assert (row.ours, row.ratio, row.met) == (11.0, 1.1, True)


def test_without_a_baseline_the_goal_is_on_the_figure() -> None:
    row = ALONE.row([249.0, 10_000.0, 2.0])
    assert (row.ours, row.baseline, row.ratio, row.met) == (249.0, None, None, True)


def test_without_a_goal_nothing_is_met() -> None:
    assert Metric("plain", "s").row([1.0]).met is None


def test_a_baseline_has_a_name_and_only_then() -> None:
    with pytest.raises(AssertionError):
        ALONE.row([1.0], [1.0])
    with pytest.raises(AssertionError):
        PAIRED.row([1.0])


@pytest.mark.parametrize(
    ("goal", "value", "expected"),
    [("≤1.3", 1.3, True), ("≤1.3", 1.31, False), ("<3", 3.0, False), ("≥1.0", 1.0, True), ("=0", 1.0, False)],
)
def test_goals(goal: str, value: float, expected: bool) -> None:
    assert met(goal, value) is expected


def test_figures_have_four_digits() -> None:
    assert Metric("plain", "s").row([1.234567]).ours == 1.235


def test_the_table_says_what_was_missed() -> None:
    out = io.StringIO()
    rows = [PAIRED.row([30.0], [20.0]), ALONE.row([1.0])]
    Console(file=out, width=160).print(table(Report("name", "machine", rows)))
    lines = out.getvalue().splitlines()
    assert any(
        re.search(r"paired .* 30 ms .* 20 ms \(a bare loop\) .* 1\.5 .* ≤1\.3 .* NO", x) for x in lines
    )
    assert any(re.search(r"alone .* 1 bytes .* <250 .* yes", x) for x in lines)


def test_the_report_has_the_agreed_fields() -> None:
    report = json.loads(msgspec.json.encode(Report("name", machine(), [ALONE.row([1.0])])))
    assert list(report) == ["name", "machine", "rows"]
    assert list(report["rows"][0]) == [
        "metric", "unit", "ours", "baseline", "baseline_name", "ratio", "goal", "met",
    ]  # fmt: skip
    assert report["rows"][0]["baseline"] is None
    assert Row.__struct_fields__ == tuple(report["rows"][0])


def test_without_a_name_all_are_listed() -> None:
    ran = subprocess.run([sys.executable, "-m", "benchmarks"], capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in ran.stdout.splitlines()] == list(NAMES)


def test_a_wrong_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["no-such", "--json"])
    assert ended.value.code == 2
    assert "no-such" in capsys.readouterr().err
