"""From samples to a row: medians, their ratio, and whether the goal is met.

`ratio` is the median of ours ÷ the median of the baseline. A goal is on the ratio where there is a baseline, else on
the figure itself; "" is no goal, only a figure to be known.
"""

import operator
from collections.abc import Callable, Sequence
from statistics import median
from typing import Final

from msgspec import Struct

SIGNS: Final[dict[str, Callable[[float, float], bool]]] = {
    "≤": operator.le,
    "<": operator.lt,
    "≥": operator.ge,
    "=": operator.eq,
}


class Row(Struct, frozen=True):
    """One line of the report; `baseline` and `ratio` are null without a baseline, `met` without a goal."""

    metric: str
    unit: str
    ours: float
    baseline: float | None
    baseline_name: str
    ratio: float | None
    goal: str
    met: bool | None


class Report(Struct, frozen=True):
    """What `--json` prints last."""

    name: str
    machine: str
    rows: list[Row]


class Metric(Struct, frozen=True):
    """What is measured and what it should be: `goal` is a sign of SIGNS and a number, as "≤1.3"."""

    name: str
    unit: str
    goal: str = ""
    baseline_name: str = ""

    def row(self, ours: Sequence[float], baseline: Sequence[float] = ()) -> Row:
        """Of one sample per run; as many of the baseline, or none."""
        assert bool(baseline) == bool(self.baseline_name), (
            f"{self.name}: a baseline has a name, and only then"
        )
        mine, other = median(ours), median(baseline) if baseline else None
        ratio = None if other is None else mine / other
        judged = mine if ratio is None else ratio
        return Row(
            self.name, self.unit, _short(mine), _maybe_short(other), self.baseline_name, _maybe_short(ratio),
            self.goal, met(self.goal, judged),
        )  # fmt: skip


def met(goal: str, value: float) -> bool | None:
    """Does `value` meet the goal? None without a goal."""
    return SIGNS[goal[0]](value, float(goal[1:])) if goal else None


def _maybe_short(value: float | None) -> float | None:
    return None if value is None else _short(value)


def _short(value: float) -> float:
    """Four digits that count; more would only look exact."""
    return float(f"{value:.4g}")
