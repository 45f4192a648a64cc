"""`dispatchd ctl`: the operator's hands until the console exists."""

import argparse
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from . import groups, listen, live, recordings, show, talk, verbs, watch
from .errors import BAD_FILE, NOT_ALL_HEARD, OK, USAGE, CliError
from .shell import Shell, add_common
from .verbs import Verb

MAX_SOUND_BYTES: Final = 10 * 1024 * 1024  # as the API takes it
LISTS: Final = {
    "fleet": ("fleet", "devices with presence, ages and battery"),
    "patrols": ("patrols", "patrols and where they are"),
    "units": ("units", "units: on line / devices, free / on duty, unowned / open"),
    "broadcasts": ("broadcasts", "broadcasts and their ladders"),
    "tasks": ("tasks", "what a human must do"),
    "faults": ("faults", "the maintenance list"),
    "malformed": ("malformed", "messages nobody could read (admin)"),
}


def add(subparsers: Any) -> None:
    """Put `ctl` and all below it into the application."""
    ctl = subparsers.add_parser(
        "ctl",
        help="see and command: fleet, incidents, calls, broadcasts",
        description=__doc__,
        epilog="example: dispatchd ctl watch --token-file wang.token",
    )
    verbs_of = ctl.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    _new(verbs_of, "watch", "live screen until Ctrl-C", "ctl watch --lang en", _watch)
    incidents = _new(verbs_of, "incidents", "incidents in working order, or one", "ctl incidents", _incidents)
    incidents.add_argument("incident", nargs="?", help="only this one, with everything")
    incidents.add_argument("--all", action="store_true", help="ended ones too")
    for name, (path, text) in LISTS.items():
        _new(verbs_of, name, text, f"ctl {name}", _list(path))
    _new(verbs_of, "me", "who you are signed in as", "ctl me", _me)
    not_heard = _new(
        verbs_of,
        "not-heard",
        "who has not heard a broadcast or call, and why",
        "ctl not-heard b1-3",
        _not_heard,
    )
    not_heard.add_argument("item", help="id of the broadcast, call or order")
    not_heard.add_argument("--ack", action="store_true", help="who has not acknowledged, heard or not")
    replay = _new(verbs_of, "replay", "what happened, in order, and why", "ctl replay i1-4", _replay)
    replay.add_argument("id", help="incident or broadcast")
    recordings.add_flags(
        _new(
            verbs_of,
            "recordings",
            "what was said, newest first; one of them, also as a file (录音)",
            "ctl recordings r3-17 --out word.opus",
            recordings.run,
        )
    )
    talk_groups = _new(
        verbs_of,
        "groups",
        "talk groups: who talks, who waits, who listens (通话组)",
        "ctl groups",
        groups.run_list,
    )
    groups.add_flags(talk_groups, groups.VERBS, _new)
    floor = _new(
        verbs_of, "floor", "the floor of a talk group (话权)", "ctl floor revoke station-1", groups.run_list
    )
    groups.add_flags(floor, groups.FLOOR_VERBS, _new)
    talk.add_flags(
        _new(
            verbs_of,
            "talk",
            "say a sound file in a talk group (讲话)",
            "ctl talk station-1 word.wav",
            talk.run,
        )
    )
    listen.add_flags(
        _new(
            verbs_of,
            "listen",
            "keep what is said in talk groups as a WAV file (收听)",
            "ctl listen station-1 heard.wav --for 60",
            listen.run,
        )
    )
    broadcast = _new(
        verbs_of, "broadcast", "one word to many (广播)", 'ctl broadcast "集合" --unit station-1', _broadcast
    )
    verbs.add_flags(broadcast, (*verbs.BROADCAST, *verbs.SOUND, verbs.NO_WAIT))
    talk.add_live_flags(
        _new(
            verbs_of,
            "live",
            "your voice to many, now (现场广播)",
            "ctl live word.wav --to all",
            talk.run_live,
        )
    )
    say = _new(
        verbs_of, "say", "say something to somebody (语音广播)", 'ctl say "请到东门集合" --to station-1', _say
    )
    verbs.add_flags(say, (*verbs.SAY, verbs.NO_WAIT))
    for verb in verbs.VERBS:
        verbs.add_flags(_new(verbs_of, verb.name, verb.help, verb.example, _ask(verb)), verb.flags)


def _new(
    parent: Any, name: str, text: str, example: str, run: Callable[[Shell], int]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = parent.add_parser(
        name, help=text, description=text, epilog=f"example: dispatchd {example}"
    )
    add_common(parser)
    parser.set_defaults(run=run)
    return parser


def _ask(verb: Verb) -> Callable[[Shell], int]:
    def run(shell: Shell) -> int:
        try:
            fields = verbs.fields_of(verb, shell.args)
        except ValueError as error:
            raise CliError(str(error), USAGE) from None
        answer = shell.client.command(verb.command or verb.name, fields)
        shell.say(show.done(answer, shell.lang))
        shell.give(answer)
        return OK

    return run


def _list(path: str) -> Callable[[Shell], int]:
    def run(shell: Shell) -> int:
        answer = shell.client.get(f"/{path}")
        shell.say(show.table(path, answer["items"], shell.lang))
        shell.give(answer)
        return OK

    return run


def _incidents(shell: Shell) -> int:
    if shell.args.incident:
        doc = shell.client.get(f"/incidents/{shell.args.incident}")
        shell.say(show.table("incidents", [doc], shell.lang))
        shell.lines(f"  {key}: {value}" for key, value in doc.items() if value not in (None, "", [], False))
        shell.give(doc)
        return OK
    answer = shell.client.get("/incidents")
    docs = [doc for doc in answer["items"] if doc["open"] or shell.args.all]
    shell.say(show.table("incidents", docs, shell.lang))
    shell.give({**answer, "items": docs})
    return OK


def _me(shell: Shell) -> int:
    doc = shell.client.get("/operators/me")
    shell.lines(f"{key}: {value}" for key, value in doc.items())
    shell.give(doc)
    return OK


def _watch(shell: Shell) -> int:
    with suppress(KeyboardInterrupt):
        watch.watch(shell)
    return OK


def _not_heard(shell: Shell) -> int:
    rung = "?rung=acknowledged" if shell.args.ack else ""
    doc = shell.client.get(f"/items/{shell.args.item}/not-heard{rung}")
    shell.say(show.table("not-heard", doc["not_heard"], shell.lang, show.ladder(doc["ladder"])))
    shell.give(doc)
    return OK


def _replay(shell: Shell) -> int:
    found = shell.client.get(f"/incidents/{shell.args.id}/replay")
    for step in found["steps"]:
        shell.lines(show.step(step, shell.lang))
    shell.give(found)
    return OK


def _broadcast(shell: Shell) -> int:
    try:
        fields = verbs.broadcast(shell.args)
    except ValueError as error:
        raise CliError(str(error), USAGE) from None
    if shell.args.file:
        fields["clip"] = _clip(shell, Path(shell.args.file))
    return _send(shell, fields)


def _say(shell: Shell) -> int:
    """`ctl say TEXT --to WHOM`: a spoken broadcast, the short way."""
    args = shell.args
    try:
        target = verbs.said_to(args.to, shell.client.get("/site"))
    except verbs.NoTarget as error:
        raise CliError(shell.t(error.zh, error.en), USAGE) from None
    fields = {name: getattr(args, name) for name in ("text", "priority", "ack", "drill")}
    ttl = {} if args.ttl_s is None else {"ttl_s": args.ttl_s}
    return _send(shell, {**fields, **ttl, "lang": args.text_lang, "target": target})


def _clip(shell: Shell, path: Path) -> Any:
    """The clip of a sound file; CliError when it is none."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SOUND_BYTES + 1)
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}. Check the path.", BAD_FILE) from None
    if len(raw) > MAX_SOUND_BYTES:
        raise CliError(f"{path} is larger than {MAX_SOUND_BYTES // 2**20} MB. Cut it.", BAD_FILE)
    return shell.client.upload("/clips", raw)


def _send(shell: Shell, fields: dict[str, Any]) -> int:
    """Ask for the broadcast and follow it."""
    answer = shell.client.command("broadcast", fields)
    shell.say(show.done(answer, shell.lang))
    if shell.args.no_wait:
        shell.give(answer)
        return OK
    doc = live.follow(shell, shell.client, answer["ids"]["broadcast"])
    shell.give(doc)
    if doc["not_heard"]:
        title = shell.t("未收到", "not heard")
        shell.say(show.table("not-heard", doc["not_heard"], shell.lang, title))
    if doc["ack"] and doc["ladder"]["acknowledged"] < doc["ladder"]["queued"]:
        listed = shell.client.get(f"/items/{doc['id']}/not-heard?rung=acknowledged")
        title = shell.t("未确认", "not acknowledged")
        shell.say(show.table("not-heard", listed["not_heard"], shell.lang, title))
    return NOT_ALL_HEARD if doc["not_heard"] else OK
