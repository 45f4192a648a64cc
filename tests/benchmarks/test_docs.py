"""docs/benchmarks.md explains every row, and the latest figures there are of these rows and goals."""

import importlib
import re
from pathlib import Path

import pytest

from benchmarks import NAMES
from benchmarks.metric import Metric

PAGE = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text("utf-8")
METRICS: list[Metric] = [m for name in NAMES for m in importlib.import_module(f"benchmarks.{name}").METRICS]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_is_explained(metric: Metric) -> None:
    explained = re.search(rf"^### `{metric.name}`\n\n(.+?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert explained, f"docs/benchmarks.md has no section `{metric.name}`"
    assert all(word in explained[1] for word in ("**What.**", "**How.**", "**Goal.**", "**Why.**"))
    assert not metric.baseline_name or "**Baseline.**" in explained[1]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_the_latest_run_has_it(metric: Metric) -> None:
    row = re.search(rf"^\| {metric.name} \|.*\| ?{re.escape(metric.goal)} \|", PAGE, re.MULTILINE)
    assert row, f"docs/benchmarks.md, latest run: no row {metric.name} with the goal {metric.goal!r}"


def test_nothing_is_explained_that_is_not_measured() -> None:
    assert set(re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE)) == {metric.name for metric in METRICS}
