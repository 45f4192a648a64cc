"""`python -m benchmarks NAME [--json] [--runs N]`: measure and print. Without a name: what there is.

Exit code 0 also when a goal is missed: a figure is no test. 2 for a wrong command line.
"""

import argparse
import importlib
import sys
from typing import Any

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from . import NAMES
from .machine import load, machine
from .metric import Report, Row

RUNS_DEFAULT = 5
RUNS_MAX = 100


def main(argv: list[str] | None = None) -> int:
    options = _options(argv)
    if options.name is None:
        sys.stdout.write("".join(f"{name:<12} {about}\n" for name, about in NAMES.items()))
        return 0
    _say(f"{options.name}: {options.runs} runs; {load()}")
    module: Any = importlib.import_module(f"benchmarks.{options.name}")
    report = Report(options.name, machine(), uvloop.run(module.measure(options.runs)))
    _say(load())
    if options.json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        Console().print(table(report))
    return 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description="Figures of dispatchd.",
        epilog="example: make bench ARGS='storm --json'",
    )
    parser.add_argument("name", nargs="?", choices=list(NAMES), help="without it: list them")
    parser.add_argument("--json", action="store_true", help="print one JSON object last instead of a table")
    parser.add_argument("--runs", type=_runs, default=RUNS_DEFAULT, help="paired runs (default %(default)s)")
    return parser.parse_args(argv)


def _runs(text: str) -> int:
    number = int(text)
    if not 1 <= number <= RUNS_MAX:
        raise argparse.ArgumentTypeError(f"give 1 to {RUNS_MAX}")
    return number


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def table(report: Report) -> Table:
    """For people."""
    shown = Table(title=f"{report.name} · {report.machine}")
    for heading in ("metric", "ours", "baseline", "ratio", "goal", "met"):
        shown.add_column(heading, justify="right" if heading in ("ours", "ratio") else "left")
    for row in report.rows:
        shown.add_row(*_cells(row))
    return shown


def _cells(row: Row) -> tuple[str, ...]:
    baseline = "" if row.baseline is None else f"{row.baseline:g} {row.unit} ({row.baseline_name})"
    ratio = "" if row.ratio is None else f"{row.ratio:g}"
    verdict = {None: "", True: "yes", False: "NO"}[row.met]
    return row.metric, f"{row.ours:g} {row.unit}", baseline, ratio, row.goal, verdict


if __name__ == "__main__":
    sys.exit(main())
