"""`dispatch-sim city`: terminals and pillars on line against a running daemon, until somebody quits.

Exit codes: 0 ended in order, 1 the devices cannot take part (the error says why), 2 wrong usage.
"""

import argparse
import asyncio
import random
import sys
from pathlib import Path
from typing import Final

from . import roster
from .assemble import Manner, assemble
from .city import CALM, REAL
from .demo.make import SITE_FILE
from .live import live
from .town import streets
from .words import language, words

STOP_WITHIN_S: Final = 15.0
"""What has not said goodbye by then is cut off."""
EXAMPLE: Final = """example:
  dispatch-sim city --terminals 100 --pillars 12 --credentials .state/demo/credentials --press-every 60
  type meanwhile: press p-03, duress p-03, emergency t-017, offline t-005, deaf t-006, flat t-007,
  status, quit

larger towns, in several processes:
  python -m simulators.demo.make --terminals 1000 > big.toml      (and apply it to the daemon)
  dispatch-sim city --terminals 1000 --site big.toml --shard 0/2 & dispatch-sim city ... --shard 1/2

exit codes: 0 ended in order; 1 the devices cannot take part; 2 wrong usage
"""


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = parsers.add_parser(
        "city",
        help="run the devices of a town against a daemon",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--terminals", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--pillars", type=int, default=12, help="how many (default 12)")
    parser.add_argument("--seed", type=int, default=7, help="of everything that chance decides (default 7)")
    parser.add_argument(
        "--credentials",
        type=Path,
        default=Path(".state/demo/credentials"),
        help="folder with ID.json files as `dispatchd device add` writes them",
    )
    parser.add_argument("--site", type=Path, default=SITE_FILE, help="site file (default: the demo site)")
    parser.add_argument(
        "--http", help="with --token-file: make missing credentials through this daemon's API"
    )
    parser.add_argument("--token-file", type=Path, help="an admin's token")
    parser.add_argument("--mqtt", help="with --http: the broker's url for new credentials")
    parser.add_argument(
        "--press-every", type=float, metavar="S", help="some pillar is pressed, on average every S seconds"
    )
    parser.add_argument("--calm", action="store_true", help="nothing befalls the terminals by itself")
    parser.add_argument("--pace", type=float, default=1.0, help="people are that much faster (default 1)")
    parser.add_argument(
        "--shard", type=_shard, default=(0, 1), metavar="I/N", help="run part I (from 0) of N"
    )
    parser.add_argument("--log", type=Path, metavar="DIR", help="devices' own logs, DIR/ID.jsonl")
    parser.add_argument("--lang", choices=["zh", "en"], help="default by LANG")
    parser.set_defaults(run=run)


def _shard(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    if not (part.isdigit() and parts.isdigit() and int(part) < int(parts)):
        raise argparse.ArgumentTypeError(f"{text!r} is not I/N with I from 0 to N-1, such as 0/2")
    return int(part), int(parts)


def run(args: argparse.Namespace) -> int:
    try:
        asyncio.run(_run(args))
    except roster.RosterError as error:
        print(f"dispatch-sim city: {error}", file=sys.stderr)
        return 1
    return 0


async def _run(args: argparse.Namespace) -> None:
    site = roster.read_site(args.site)
    if args.http:
        await _enrol(args)
    people = roster.read(
        args.credentials, site, streets(), roster.Wanted(args.terminals, args.pillars, args.shard)
    )
    rates = CALM if args.calm else REAL
    lang = language(args.lang)
    fleet = assemble(people, Manner(args.seed, args.pace, rates, lang, args.log))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(fleet.run(), name="fleet")
        await live(fleet, words(lang), random.Random(args.seed), press_every_s=args.press_every)
        print(words(lang).stopping.format(seconds=STOP_WITHIN_S), file=sys.stderr)
        running.cancel()
        await asyncio.wait([running], timeout=STOP_WITHIN_S)


async def _enrol(args: argparse.Namespace) -> None:
    """Credentials for the devices of the site that have none here yet."""
    from .api import Api, ApiError
    from .enrol import enrol

    if args.token_file is None or args.mqtt is None:
        raise roster.RosterError(
            "--http needs --token-file (an admin's token) and --mqtt (the broker's url) too."
        )
    try:
        async with Api(args.http, args.token_file.read_text().strip()) as api:
            await enrol(api, roster.read_site(args.site), args.credentials, args.mqtt)
    except (ApiError, OSError) as error:
        raise roster.RosterError(str(error)) from error
