"""`python -m tests.simulation --seed N [--inputs M]`: episodes from seed N on until M inputs were decided.

Without --inputs one episode is run, which is how a failure is repeated. Exit 0: all rules held; 1: one did not.
"""

import argparse
import sys
import time

from .runner import Run, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first episode")
    parser.add_argument("--inputs", type=int, default=1, help="go on until so many inputs were decided")
    parser.add_argument(
        "--keep-going", action="store_true", help="count the violations by name, do not stop at one"
    )
    options = parser.parse_args()
    started = time.perf_counter()
    result = run(options.seed, options.inputs, keep_going=options.keep_going)
    _report(result, time.perf_counter() - started)
    return 1 if result.failures else 0


def _report(result: Run, took_s: float) -> None:
    for failure in result.failures:
        print(failure)
    print(
        f"{result.inputs} inputs in {result.episodes} episodes, {took_s:.1f} s ({result.inputs / took_s:.0f}/s)"
    )
    print("facts:", dict(sorted(result.made.items())))
    print("world:", dict(sorted(result.counts.items())))


if __name__ == "__main__":
    sys.exit(main())
