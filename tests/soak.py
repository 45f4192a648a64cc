"""`python -m tests.soak --kills N --seed S` (or `make soak ARGS="…"`): hundreds of kills, outside any gate.

Runs of RUN_KILLS kills each, on amqtt and mosquitto in turn, each with a fresh daemon and a seed of its own derived
from S; one line a run and one JSON object last. Exit code 1 when anything was lost, doubled or shown differently.
"""

import argparse
import asyncio
import json
import random
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from tests.conftest import find_program
from tests.e2e.killing import Report, kill_and_compare

RUN_KILLS: Final = 50
"""Kills of one daemon's folder; then everything is compared and the next run begins."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tests.soak", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--kills", type=int, default=300, help="in all (default 300)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="repeats the same plan")
    parser.add_argument("--broker", choices=["amqtt", "mosquitto"], help="only this one")
    args = parser.parse_args()
    brokers = (
        [args.broker] if args.broker else ["amqtt", *(["mosquitto"] if find_program("mosquitto") else [])]
    )
    print(f"seed {args.seed}; brokers {', '.join(brokers)}", flush=True)
    totals = _runs(args.kills, args.seed, brokers)
    print(json.dumps(totals))
    return 1 if totals["faults"] else 0


def _runs(kills: int, seed: int, brokers: list[str]) -> dict[str, Any]:
    chance, start = random.Random(seed), time.monotonic()
    totals: dict[str, Any] = {
        "seed": seed,
        "kills": 0,
        "between": 0,
        "presses": 0,
        "broadcasts": 0,
        "faults": 0,
    }
    for number, first in enumerate(range(0, kills, RUN_KILLS)):
        broker, own = brokers[number % len(brokers)], chance.getrandbits(32)
        report = _run(broker, min(RUN_KILLS, kills - first), own)
        print(f"{broker} seed {own}: {report.text()}", flush=True)
        for fault in report.faults[:20]:
            print(f"  {fault}", file=sys.stderr, flush=True)
        totals["kills"] += len(report.kills)
        for name in ("between", "presses", "broadcasts"):
            totals[name] += getattr(report, name)
        totals["faults"] += len(report.faults)
    return {**totals, "took_s": round(time.monotonic() - start, 1)}


def _run(broker: str, kills: int, seed: int) -> Report:
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        return asyncio.run(kill_and_compare(Path(folder), broker, kills, seed))


if __name__ == "__main__":
    sys.exit(main())
