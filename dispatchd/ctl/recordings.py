"""`dispatchd ctl recordings`: what was said, by whom and when; one of them as a file."""

import argparse
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from . import show
from .errors import BAD_FILE, OK, USAGE, CliError
from .shell import Shell

FILTERS: Final = {
    "group": "said in this talk group (or @up/PILLAR, @back/PILLAR)",
    "talker": "said by this device, or by @OPERATOR",
    "incident": "of this incident",
    "unit": "of this unit",
    "from": "from then on: 2026-11-22T08:30 in the site's time, or ms since 1970",
    "to": "before then",
    "limit": "at most so many, newest first (default 200, up to 1000)",
}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Of the command; the common ones stand beside."""
    parser.add_argument("recording", nargs="?", help="only this one, with everything")
    parser.add_argument(
        "--out", help="write its sound to this file (Ogg Opus); - is stdout. It goes on record"
    )
    for name, text in FILTERS.items():
        parser.add_argument(f"--{name}", help=text, dest=f"by_{name}")


def run(shell: Shell) -> int:
    if shell.args.recording:
        return _one(shell, shell.args.recording)
    if shell.args.out:
        raise CliError(shell.t("--out 需要录音编号。", "--out needs the id of a recording."), USAGE)
    asked = {name: value for name in FILTERS if (value := getattr(shell.args, f"by_{name}"))}
    answer = shell.client.get("/recordings" + ("?" + urlencode(asked) if asked else ""))
    shell.say(show.table("recordings", answer["items"], shell.lang))
    shell.give(answer)
    return OK


def _one(shell: Shell, id_: str) -> int:
    doc: dict[str, Any] = shell.client.get(f"/recordings/{id_}")
    if shell.args.out:
        _save(shell, id_, shell.args.out)
    if shell.args.out != "-":
        shell.say(show.table("recordings", [doc], shell.lang))
        shell.lines(f"  {key}: {value}" for key, value in doc.items() if value not in (None, "", [], False))
        shell.give(doc)
    return OK


def _save(shell: Shell, id_: str, out: str) -> None:
    """Whole, or the file is as it was: `download` writes beside it first."""
    try:
        size = shell.client.download(f"/recordings/{id_}/sound", None if out == "-" else Path(out))
    except OSError as error:
        zh, en = f"写不了 {out}:{error.strerror}。", f"{out} cannot be written: {error.strerror}."
        raise CliError(shell.t(zh, en), BAD_FILE) from None
    if out != "-":
        shell.say(shell.t(f"已写入 {out}({size} 字节)", f"written: {out} ({size} bytes)"))
