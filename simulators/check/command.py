"""`dispatch-sim check-device`: is this pillar or terminal a profile A device? Point by point.

Exit codes: 0 every point passed, 1 a point failed, 2 wrong usage, 3 the check could not be made (broker, files).
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiomqtt
import msgspec

from devices.credentials import CredentialsError, split
from protocols.secret import new_secret
from protocols.topics import DEFAULT_ROOT, is_id
from simulators.enrol import write_credentials
from simulators.radio import Radio

from .bench import Bench
from .broker import TokenBroker
from .hands import PersonHands
from .point import Timing
from .run import ALL, BENCH_USER, Broker, Report, Result, check_device, readable

EXAMPLE: Final = """examples:
  dispatch-sim check-device --role pillar --listen 0.0.0.0:1884 --host 192.168.1.20
      a broker of its own; the device gets credentials.json (or its name, secret and url) and connects here
  dispatch-sim check-device --role terminal --listen 127.0.0.1:1884 --url mqtt://127.0.0.1:1883 --password-file p
      the same through a broker that runs already, where `dispatchd` may use every topic and the device its own
  dispatch-device pillar --credentials credentials.json
      our own pillar in this shell, to see a check pass

The check cuts the device's network several times, so the device always connects to --listen. It asks you to
press keys; with a terminal it also asks what you saw. A run takes about three minutes.

exit codes: 0 every point passed; 1 a point failed; 2 wrong usage; 3 the check could not be made
"""


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = parsers.add_parser(
        "check-device",
        help="check a real pillar or terminal, point by point",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--role", choices=["pillar", "terminal"], required=True, help="what it is")
    parser.add_argument("--device", default="check-device", help="its id (default check-device)")
    parser.add_argument("--listen", default="127.0.0.1:1884", metavar="HOST:PORT", help="where it connects")
    parser.add_argument(
        "--host", help="this machine's address as the device sees it (default: that of --listen)"
    )
    parser.add_argument("--url", help="mqtt://HOST:PORT of a broker to go through (default: one of its own)")
    parser.add_argument("--user", default=BENCH_USER, help=f"at that broker (default {BENCH_USER})")
    parser.add_argument("--password-file", type=Path, help="at that broker")
    parser.add_argument("--root", default=DEFAULT_ROOT, help=f"topic root (default {DEFAULT_ROOT})")
    parser.add_argument(
        "--credentials", type=Path, default=Path("credentials.json"), help="written for the maker"
    )
    parser.add_argument("--patience", type=float, default=60.0, metavar="S", help="for a person (default 60)")
    parser.add_argument(
        "--only",
        nargs="*",
        default=[],
        metavar="POINT",
        choices=[point.id for point in ALL],
        help="these points only, after hello (docs/simulators.md lists them)",
    )
    parser.add_argument("--json", action="store_true", help="the report as one JSON line at the end")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if not is_id(args.device):
        print(
            f"dispatch-sim check-device: {args.device!r} is no id: 1 to 32 of a-z, 0-9, '-'", file=sys.stderr
        )
        return 2
    reports: list[Report] = []
    code = 3
    try:
        reports.append(asyncio.run(_run(args)))
        code = 1 if reports[0].failed else 0
    except* (OSError, CredentialsError, aiomqtt.MqttError, ValueError) as errors:
        for error in _flat(errors):
            print(f"dispatch-sim check-device: {error}", file=sys.stderr)
    if args.json and reports:
        print(msgspec.json.encode(reports[0]).decode(), flush=True)
    return code


def _flat(errors: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        one
        for error in errors.exceptions
        for one in (_flat(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]


async def _run(args: argparse.Namespace) -> Report:
    host, _, port = args.listen.rpartition(":")
    secret = new_secret()
    async with (
        _broker(args, secret) as broker,
        Radio(broker.host, broker.port, (host or "127.0.0.1", int(port))) as radio,
    ):
        url = f"mqtt://{args.host or host or '127.0.0.1'}:{radio.port}"
        _tell_maker(args, url, secret)
        bench = Bench(args.device, args.root, radio)
        timing = Timing(patience_s=args.patience)
        report = await check_device(
            bench, broker, PersonHands(), args.role, timing, only=args.only, tell=_show(as_json=args.json)
        )
    last = f"{report.passed} passed, {report.failed} failed"
    print(last, file=sys.stderr if args.json else sys.stdout)
    return report


@asynccontextmanager
async def _broker(args: argparse.Namespace, secret: str) -> AsyncIterator[Broker]:
    """The one that was named, or one of our own that lets in the device and the bench."""
    if args.url:
        host, port, tls = split(args.url)
        if tls:
            raise CredentialsError(
                "check-device goes through plain mqtt:// only; take a broker on a bench network."
            )
        password = args.password_file.read_text().strip() if args.password_file else ""
        yield Broker(host, port, args.user, password)
        return
    password = new_secret()
    with tempfile.TemporaryDirectory(prefix="check-device-") as folder:
        tokens = {args.device: secret, BENCH_USER: password}
        async with TokenBroker(tokens, Path(folder)) as own:
            yield Broker("127.0.0.1", own.port, BENCH_USER, password)


def _tell_maker(args: argparse.Namespace, url: str, secret: str) -> None:
    """With a broker of our own the secret is ours to give; at another one the device has its own."""
    if args.url:
        print(
            f"Let the device connect to {url} as {args.device}, with its secret of that broker.",
            file=sys.stderr,
        )
        return
    write_credentials(args.credentials, args.device, args.role, url, secret, args.root)
    told = json.dumps(str(args.credentials))
    print(f"Let the device connect to {url} as {args.device}; its secret is in {told}.", file=sys.stderr)


def _show(*, as_json: bool) -> Callable[[Result], None]:
    def show(result: Result) -> None:
        print(readable(result), file=sys.stderr if as_json else sys.stdout, flush=True)

    return show
