"""What every subcommand shares: the common flags, where output goes, the reader's language."""

import argparse
import sys
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .client import Client, open_client
from .errors import REFUSED, CliError

DEFAULT_DIR: Final = ".state"
PIPE_WIDTH: Final = 200  # columns, where no terminal says how many it has


class Shell:
    """One run of one subcommand. People read tables, scripts read one JSON value with --json."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.lang: str = args.lang
        self.json: bool = args.json
        self.console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)

    def close(self) -> None:
        if "client" in self.__dict__:
            self.client.close()

    @property
    def directory(self) -> Path:
        return Path(self.args.dir).expanduser()

    @cached_property
    def client(self) -> Client:
        token_file = self.args.token_file
        return open_client(self.directory, self.args.url, Path(token_file) if token_file else None, self.lang)

    def renew(self) -> None:
        """The next use of `client` looks anew where the daemon is and what the token says."""
        self.close()
        self.__dict__.pop("client", None)

    def t(self, zh: str, en: str) -> str:
        return zh if self.lang == "zh" else en

    def say(self, what: str | Table | Text) -> None:
        """For people; nothing with --json."""
        if not self.json:
            self.console.print(what, markup=False, soft_wrap=isinstance(what, str))

    def lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.say(line)

    def give(self, value: Any) -> None:
        """For scripts; nothing without --json."""
        if self.json:
            sys.stdout.write(msgspec.json.encode(value).decode() + "\n")

    def confirm(self, question: str) -> None:
        """CliError unless a human says yes; without a terminal he must have said --yes."""
        if not sys.stdin.isatty():
            raise CliError(
                self.t("没有终端可确认:请加 --yes。", "Nobody is here to confirm: add --yes."), REFUSED
            )
        answer = input(question + " [y/N] ")
        if answer.strip().lower() not in ("y", "yes", "是"):
            raise CliError(self.t("未改动。", "Nothing was changed."), REFUSED)


def add_common(parser: argparse.ArgumentParser) -> None:
    """--json, --lang, --dir, --url, --token-file, --debug."""
    group = parser.add_argument_group("common")
    group.add_argument("--json", action="store_true", help="one JSON value on stdout, for scripts")
    group.add_argument(
        "--lang", choices=("zh", "en"), default="zh", help="language of the output (default zh)"
    )
    group.add_argument(
        "--dir",
        default=DEFAULT_DIR,
        help=f"the daemon's folder: says where it listens (default {DEFAULT_DIR})",
    )
    group.add_argument("--url", help="the daemon's address, instead of what --dir says")
    group.add_argument("--token-file", help="file with your token (default: admin.token in --dir)")
    group.add_argument("--debug", action="store_true", help="show the traceback of an error")
