"""`dispatchd ctl groups`: talk groups, who talks in them, and what an operator changes of them (通话组); `ctl floor`.

The list is the command itself, the changes are below it. `--to` names whom by one word each, so that a group is opened
in one breath: all, or the id of a unit, patrol, talk group or device.
"""

import argparse
from argparse import Namespace
from collections.abc import Callable
from typing import Any, Final

from . import show
from .errors import OK, USAGE, CliError
from .shell import Shell
from .verbs import Fields, Flag, NoTarget, Verb, said_to

TO: Final = Flag(
    "--to",
    "all, or the id of a unit, patrol, talk group or device; may be repeated",
    {"action": "append", "required": True, "metavar": "WHOM"},
)
GROUP: Final = Flag("group", "id of the talk group, as `ctl groups` shows it")

VERBS: Final = (
    Verb(
        "open",
        "open a talk group for the moment",
        "ctl groups open 东街搜寻 --to p-7 --to station-2",
        (Flag("name", "as people will see it"), TO),
        lambda args: {"name": args.name},
        "group-open",
    ),
    Verb(
        "close",
        "close one that was opened by hand",
        "ctl groups close og1-31",
        (GROUP,),
        command="group-close",
    ),
    Verb(
        "add",
        "put terminals into a talk group",
        "ctl groups add og1-31 --to t-003",
        (GROUP, TO),
        command="group-add",
    ),
    Verb(
        "remove",
        "take terminals out; from the next word on they hear nothing",
        "ctl groups remove og1-31 --to t-003",
        (GROUP, TO),
        command="group-remove",
    ),
    Verb(
        "patch",
        "make one channel of several talk groups",
        "ctl groups patch station-1 station-2",
        (Flag("groups", "their ids, two or more", {"nargs": "+"}),),
        lambda args: {"groups": args.groups},
        "patch",
    ),
    Verb("unpatch", "take one out of its patch", "ctl groups unpatch station-2", (GROUP,), command="unpatch"),
    Verb(
        "members",
        "who is in it, and whether his radio has sound",
        "ctl groups members station-1",
        (GROUP,),
    ),
)
FLOOR_VERBS: Final = (
    Verb(
        "revoke",
        "take the floor from whoever talks",
        "ctl floor revoke station-1",
        (GROUP,),
        command="floor-revoke",
    ),
)


def run_list(shell: Shell) -> int:
    """`ctl groups`."""
    answer = shell.client.get("/groups")
    shell.say(show.table("groups", answer["items"], shell.lang))
    shell.give(answer)
    return OK


def runner(verb: Verb) -> Callable[[Shell], int]:
    """`ctl groups VERB`, `ctl floor VERB`."""
    if verb.name == "members":
        return _members
    return lambda shell: _ask(shell, verb)


def _members(shell: Shell) -> int:
    answer = shell.client.get(f"/groups/{shell.args.group}/members")
    shell.say(show.table("members", answer["items"], shell.lang))
    shell.give(answer)
    return OK


def _ask(shell: Shell, verb: Verb) -> int:
    answer = shell.client.command(verb.command, _fields(shell, verb))
    shell.say(show.done(answer, shell.lang))
    shell.give(answer)
    return OK


def _fields(shell: Shell, verb: Verb) -> Fields:
    args: Namespace = shell.args
    found: Fields = verb.fields(args) if verb.fields else {}
    if GROUP in verb.flags:
        found["group"] = args.group
    if TO in verb.flags:
        try:
            found["target"] = said_to(args.to, shell.client.get("/site"))
        except NoTarget as error:
            raise CliError(shell.t(error.zh, error.en), USAGE) from None
    return found


def add_flags(parser: argparse.ArgumentParser, verbs: tuple[Verb, ...], new: Any) -> None:
    """Put the verbs below `parser`, which runs by itself without one. `new` makes a subcommand."""
    below = parser.add_subparsers(dest="change", metavar="CHANGE")
    for verb in verbs:
        made = new(below, verb.name, verb.help, verb.example, runner(verb))
        for flag in verb.flags:
            made.add_argument(flag.name, help=flag.help, **flag.options)
