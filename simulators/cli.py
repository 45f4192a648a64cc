"""`dispatch-sim`: city, demo, check-device. Every command has --help with an example and its exit codes."""

import argparse
import sys
from collections.abc import Sequence

from . import city_command
from .demo import command as demo_command


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="dispatch-sim",
        description="Simulated pillars and terminals: the real device software, the hardware is not there.",
    )
    commands = made.add_subparsers(metavar="COMMAND", required=True)
    city_command.add(commands)
    demo_command.add(commands)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes are each command's own; 2 for wrong usage, 130 when interrupted."""
    args = parser().parse_args(argv)
    try:
        code: int = args.run(args)
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
