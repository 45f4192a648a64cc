"""`dispatchd`: one application with subcommands. The cause of an error goes to stderr as a sentence with the
next step; a traceback only with --debug. Exit codes: dispatchd/ctl/errors.py, told in docs/operators.md.
"""

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dispatchd import __version__
from dispatchd.ctl import errors, operate
from dispatchd.ctl.errors import CliError
from dispatchd.ctl.shell import Shell, add_common
from protocols.site import TABLES


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    args = parser().parse_args(argv)
    shell = Shell(args)
    try:
        code: int = args.run(shell)
    except KeyboardInterrupt:
        return errors.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # who read us has gone; there is nobody to tell
        return errors.OK
    except CliError as error:
        return _failed(args, str(error), error.code)
    except Exception as error:  # noqa: BLE001 -- the last resort: our own bug, told as such
        why = f"This is a mistake in dispatchd ({type(error).__name__}: {error}). Repeat with --debug and report it."
        return _failed(args, why, errors.INTERNAL)
    finally:
        shell.close()
    return code


def _failed(args: argparse.Namespace, why: str, code: int) -> int:
    if args.debug:
        traceback.print_exc()
    sys.stderr.write(f"dispatchd: {why}\n")
    return code


def parser() -> argparse.ArgumentParser:
    app = argparse.ArgumentParser(
        prog="dispatchd",
        description="One call, a hundred responses (一呼百应): the dispatch server and its operators' hands.",
        epilog="example: dispatchd run --dir .state --site demo.toml",
    )
    app.add_argument("--version", action="version", version=f"dispatchd {__version__}")
    subparsers = app.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(subparsers)
    _add_check(subparsers)
    _add_site(subparsers)
    _add_people(subparsers)
    _add_replay(subparsers)
    operate.add(subparsers)
    return app


def _new(parent: Any, name: str, text: str, example: str, run: Any) -> argparse.ArgumentParser:
    found: argparse.ArgumentParser = parent.add_parser(
        name, help=text, description=text, epilog=f"example: dispatchd {example}"
    )
    add_common(found)
    found.set_defaults(run=run)
    return found


# --- run and check ---


def _add_run(parent: Any) -> None:
    run = _new(
        parent,
        "run",
        "start the daemon; one JSON line on stdout when it can take alarms",
        "run --dir .state --site demo.toml --http 127.0.0.1:8080",
        _run,
    )
    run.add_argument("--config", help="settings file (docs/settings.md); the flags here come over it")
    run.add_argument("--site", help="site file applied at the first start")
    run.add_argument("--http", metavar="HOST:PORT", help="where to serve console and API; loopback only")
    run.add_argument("--broker", metavar="auto|amqtt|mosquitto|URL", help="which broker (default auto)")
    run.set_defaults(dir=None)


def _run(shell: Shell) -> int:
    from dispatchd import app, log
    from dispatchd.config import ConfigError
    from dispatchd.console.server import ListenError
    from dispatchd.store.base import StoreError

    config = _config(shell)
    log.configure(config.log.level, config.log.format)
    try:
        app.run(config)
    except (app.StartError, ListenError, StoreError, ConfigError) as error:
        raise CliError(str(error), errors.BAD_FILE) from error
    except ExceptionGroup as group:
        if all(isinstance(error, app.StartError) for error in _leaves(group)):
            raise CliError(" ".join(str(error) for error in _leaves(group)), errors.BAD_FILE) from group
        causes = "; ".join(f"{error} ({type(error).__name__})" for error in _leaves(group))
        raise CliError(f"The daemon stopped: {causes}", errors.INTERNAL) from group
    return errors.OK


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]


def _config(shell: Shell) -> Any:
    from dispatchd.config import ConfigError, broker_overlay, load

    args = shell.args
    overlay: dict[str, Any] = {}
    if args.dir is not None:
        overlay["dir"] = args.dir
    if getattr(args, "site", None):
        overlay["site"] = args.site
    if getattr(args, "http", None):
        overlay["http"] = {"address": args.http}
    if getattr(args, "broker", None):
        overlay["broker"] = broker_overlay(args.broker)
    try:
        return load(Path(args.config) if args.config else None, overlay)
    except ConfigError as error:
        raise CliError(str(error), errors.BAD_FILE) from None


def _add_check(parent: Any) -> None:
    check = _new(
        parent, "check", "read settings and site file and say what is wrong", "check --site demo.toml", _check
    )
    check.add_argument("--config", help="settings file")
    check.add_argument("--site", help="site file")
    check.set_defaults(dir=None)


def _check(shell: Shell) -> int:
    from dispatchd.console.server import ListenError, parse_address
    from dispatchd.ctl.site import read_site

    config = _config(shell)
    try:
        parse_address(config.http.address)
    except ListenError as error:
        raise CliError(str(error), errors.BAD_FILE) from None
    counts: dict[str, int] = {}
    if config.site:
        site = read_site(Path(config.site))
        counts = {table: len(getattr(site, table)) for table in TABLES}
    shell.say(" · ".join([shell.t("没有错误", "no faults"), *(f"{k} {n}" for k, n in counts.items())]))
    shell.give({"ok": True, "counts": counts})
    return errors.OK


# --- site, devices, operators, replay ---


def _add_site(parent: Any) -> None:
    from dispatchd.ctl import site

    group = parent.add_parser(
        "site",
        help="the site: units, points, patrols, devices, operators",
        epilog="example: dispatchd site apply demo.toml",
    )
    commands = group.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    apply = _new(commands, "apply", "make the site what a file says", "site apply demo.toml", site.apply)
    apply.add_argument("file", help="site file (TOML)")
    apply.add_argument("--yes", action="store_true", help="do not ask")
    _new(commands, "show", "your part of the site as TOML", "site show > site.toml", site.show)
    imported = _new(
        commands,
        "import",
        "add or replace rows of a table from a CSV list",
        "site import patrol 巡逻组.csv",
        site.import_csv,
    )
    imported.add_argument("table", choices=tuple(TABLES))
    imported.add_argument("file", help="CSV: UTF-8 or GB18030, headers in Chinese or English")
    imported.add_argument("--yes", action="store_true", help="do not ask")


def _add_people(parent: Any) -> None:
    from dispatchd.ctl import people

    device = parent.add_parser(
        "device",
        help="devices and their credentials",
        epilog="example: dispatchd device add pillar-3 --kind pillar --unit station-1 --point rp-017",
    )
    devices = device.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    add = _new(
        devices,
        "add",
        "register a device, or give it new credentials",
        "device add pillar-3 --kind pillar --unit station-1 --point rp-017",
        people.add_device,
    )
    add.add_argument("id")
    add.add_argument("--kind", choices=("pillar", "terminal"))
    add.add_argument("--profile", choices=("A", "B", "C"))
    add.add_argument(
        "--confirmed",
        action="store_true",
        help="press, sound, picture and lamp were confirmed on site: in service at once",
    )
    for flag in ("--unit", "--patrol", "--point", "--name", "--name-en"):
        add.add_argument(flag)
    add.add_argument("--lat", type=float)
    add.add_argument("--lon", type=float)
    add.add_argument("--mqtt", help="broker address for the device, instead of what --dir says")
    add.add_argument("--out", help="where to write the credentials (default: DIR/credentials/ID.json)")
    operator = parent.add_parser(
        "operator",
        help="operators and their tokens",
        epilog="example: dispatchd operator add wang --unit station-1 --role operator --out wang.token",
    )
    operators = operator.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    person = _new(
        operators,
        "add",
        "add an operator, or give him a new token",
        "operator add wang --unit station-1 --role operator",
        people.add_operator,
    )
    person.add_argument("id")
    person.add_argument("--role", choices=("viewer", "operator", "duty-leader", "admin"))
    for flag in ("--unit", "--name", "--name-en"):
        person.add_argument(flag)
    person.add_argument("--police", action="store_true", help="the citizen is told 民警")
    person.add_argument("--out", help="write the token to this file (0600) instead of showing it")


def _add_replay(parent: Any) -> None:
    from dispatchd.ctl import offline

    replay = _new(
        parent,
        "replay",
        "what happened to an incident or broadcast, from the store of a stopped daemon",
        "replay i1-4 --dir .state",
        offline.run,
    )
    replay.add_argument("id", help="incident or broadcast")
    replay.add_argument("--store", help="sqlite:PATH, instead of the store in --dir")


if __name__ == "__main__":
    sys.exit(main())
