"""Every operator command of `dispatchd ctl` that is one question to the daemon: a table of flags and fields.

The daemon's commands are the measure: a test finds each of them here, or in the list of those done elsewhere.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from protocols.types import OUTCOMES, PRIORITIES

Fields = dict[str, Any]


class Flag(NamedTuple):
    """An argument: positional without leading dashes."""

    name: str
    help: str
    options: Mapping[str, Any] = MappingProxyType({})


class Verb(NamedTuple):
    """`ctl NAME`: asks `command` (of the API) with the fields that `fields` makes of the arguments."""

    name: str
    help: str
    example: str
    flags: tuple[Flag, ...] = ()
    fields: Callable[[Namespace], Fields] | None = None
    command: str = ""


INCIDENT: Final = Flag("incident", "id of the incident, as `ctl incidents` shows it")
DEVICE: Final = Flag("device", "the device")
ON: Final = Flag("state", "on or off", {"choices": ("on", "off"), "nargs": "?", "default": "on"})
TARGETS: Final = (
    Flag("--everybody", "all patrol terminals of your unit and below", {"action": "store_true"}),
    Flag("--unit", "a unit and all below it; may be repeated", {"action": "append", "default": []}),
    Flag("--patrol", "a patrol; may be repeated", {"action": "append", "default": []}),
    Flag("--talk-group", "members of a talk group; may be repeated", {"action": "append", "default": []}),
    Flag("--device", "a device by name; may be repeated", {"action": "append", "default": []}),
    Flag("--circle", "LAT,LON,METRES around a place", {"type": str}),
    Flag("--polygon", "LAT,LON;LAT,LON;… inside these corners", {"type": str}),
    Flag("--pillars", "pillars too", {"action": "store_true"}),
)


def target(args: Namespace) -> Fields:
    """The API's Target of the flags in TARGETS. ValueError for what is no place."""
    found: Fields = {
        "everybody": args.everybody,
        "units": args.unit,
        "patrols": args.patrol,
        "talk_groups": args.talk_group,
        "devices": args.device,
        "pillars": args.pillars,
    }
    if args.circle:
        lat, lon, radius_m = _numbers(args.circle, 3)
        found["circle"] = {"lat": lat, "lon": lon, "radius_m": radius_m}
    if args.polygon:
        found["polygon"] = [_numbers(corner, 2) for corner in args.polygon.split(";") if corner.strip()]
    return {name: value for name, value in found.items() if value}


def _numbers(text: str, count: int) -> list[float]:
    try:
        found = [float(part) for part in text.replace(",", ",").split(",")]
    except ValueError:
        found = []
    if len(found) != count:
        raise ValueError(
            f"{text!r} is not {count} numbers with commas, like 26.89,112.57" + ",300" * (count - 2)
        )
    return found


def _names(*names: str) -> Callable[[Namespace], Fields]:
    """The arguments of these names, as fields of the same names; those not given are left out."""
    return lambda args: {
        name: value for name in names if (value := getattr(args, name)) is not None and value != ""
    }


def _switch(*also: str) -> Callable[[Namespace], Fields]:
    return lambda args: {"on": args.state == "on", **{name: getattr(args, name) for name in also}}


def broadcast(args: Namespace) -> Fields:
    return {
        **_names("text", "priority", "ttl_s", "ack", "drill")(args),
        "lang": args.text_lang,
        "target": target(args),
        "speak": not args.no_speech,
    }


BROADCAST: Final = (
    Flag("text", "what they are to hear"),
    *TARGETS,
    Flag("--priority", "how urgent", {"choices": PRIORITIES, "default": "normal"}),
    Flag("--ttl-s", "not presented after so many seconds", {"type": int}),
    Flag("--ack", "ask each human to acknowledge", {"action": "store_true"}),
    Flag("--drill", "marked as a drill", {"action": "store_true"}),
    Flag("--text-lang", "language of the text, for speech", {"default": "zh"}),
)
SOUND: Final = (
    Flag("--file", "a sound to play instead of speech: WAV, MP3, Ogg or FLAC, 10 MB, 5 minutes"),
    Flag("--no-speech", "text only: devices show it, or say it by their own means", {"action": "store_true"}),
)
SAY: Final = (
    Flag("text", "what they are to hear"),
    Flag(
        "--to",
        "all, pillars, or the id of a unit, patrol, talk group or device; may be repeated",
        {"action": "append", "required": True},
    ),
    *BROADCAST[-5:],
)
NO_WAIT: Final = Flag("--no-wait", "do not follow the ladder", {"action": "store_true"})
WORDS_TO: Final = {"all": "everybody", "全体": "everybody", "pillars": "pillars", "报警柱": "pillars"}
TABLES_TO: Final = {"unit": "units", "patrol": "patrols", "talk_group": "talk_groups", "device": "devices"}


class NoTarget(ValueError):
    """A name of `--to` that cannot be sent to; `zh` and `en` say why."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh, self.en = zh, en


def said_to(names: list[str], site: Fields) -> Fields:
    """The API's Target of `--to`. NoTarget for a name that is nothing, or several things, in this site."""
    found: Fields = {}
    for name in names:
        if name in WORDS_TO:
            found[WORDS_TO[name]] = True
            continue
        tables = [table for table in TABLES_TO if any(e["id"] == name for e in site.get(table, []))]
        if len(tables) != 1:
            raise _no_target(name, tables)
        found.setdefault(TABLES_TO[tables[0]], []).append(name)
    if found.get("pillars") and set(found) == {"pillars"}:
        found["devices"] = [e["id"] for e in site.get("device", []) if e["kind"] == "pillar"]
    return found


def _no_target(name: str, tables: list[str]) -> NoTarget:
    what = " and ".join(tables) or "no unit, patrol, talk group or device"
    zh = f"同时是 {'、'.join(tables)} 的编号" if tables else "不是本站点的单位、巡逻组、通话组或设备"
    return NoTarget(
        f"--to {name!r} {zh}:看 dispatchd site show,或改用 ctl broadcast。",
        f"--to {name!r} is {what} of your site; see `dispatchd site show`, or use ctl broadcast",
    )


def _text(name: str = "text") -> Flag:
    return Flag(name, "the words")


VERBS: Final = (
    Verb("accept", "take ownership of an incident (接警)", "ctl accept i1-4", (INCIDENT,)),
    Verb(
        "call",
        "call patrols of your choice, also those committed elsewhere (呼叫)",
        "ctl call i1-4 --patrol p-7 --patrol p-9",
        (INCIDENT, *TARGETS),
        lambda args: {"target": target(args)},
    ),
    Verb("ring", "start the rings now, or again", "ctl ring i1-4", (INCIDENT,)),
    Verb(
        "stand-down",
        "release patrols, or all (解除)",
        "ctl stand-down i1-4 --patrol p-7",
        (INCIDENT, Flag("--patrol", "only this one; may be repeated", {"action": "append", "default": []})),
        lambda args: {"patrols": args.patrol},
    ),
    Verb(
        "silent",
        "silent approach on or off (静默)",
        "ctl silent i1-4 off --confirm",
        (INCIDENT, ON, Flag("--confirm", "needed to leave silence", {"action": "store_true"})),
        _switch("confirm"),
    ),
    Verb(
        "hazard",
        "weapon, violence or fire: volunteers keep away",
        "ctl hazard i1-4",
        (INCIDENT, ON),
        _switch(),
    ),
    Verb(
        "note",
        "write into the record",
        'ctl note i1-4 "caller waits inside"',
        (INCIDENT, _text()),
        _names("text"),
    ),
    Verb(
        "ask",
        "a yes/no question to the citizen",
        'ctl ask i1-4 "您受伤了吗?" --text-en "Are you hurt?"',
        (INCIDENT, _text(), Flag("--text-en", "the same in English", {"default": ""})),
        _names("text", "text_en"),
    ),
    Verb(
        "hand-off",
        "to 110, 120, 119 or another service",
        "ctl hand-off i1-4 --to 120 --means phone --reference A-118",
        (
            INCIDENT,
            Flag("--to", "which service", {"required": True}),
            Flag("--means", "by phone, in person …", {"required": True}),
            Flag("--reference", "their number for it", {"default": ""}),
        ),
        _names("to", "means", "reference"),
    ),
    Verb(
        "confirm-hand-off",
        "the other service has taken it",
        "ctl confirm-hand-off i1-4 h1-9 --reference A-118",
        (
            INCIDENT,
            Flag("handoff", "id of the hand-off"),
            Flag("--reference", "their number", {"default": ""}),
        ),
        _names("handoff", "reference"),
    ),
    Verb(
        "hand-over",
        "give the incident up, to somebody or to the next level",
        "ctl hand-over i1-4 --to wang",
        (INCIDENT, Flag("--to", "operator who is to take it")),
        _names("to"),
    ),
    Verb(
        "end",
        "end an incident with its outcome",
        "ctl end i1-4 genuine",
        (
            INCIDENT,
            Flag("outcome", "what it was", {"choices": OUTCOMES}),
            Flag("--note", "words", {"default": ""}),
        ),
        _names("outcome", "note"),
    ),
    Verb(
        "hold",
        "keep everything of an incident until this hold is released (留存)",
        "ctl hold i1-4 case-118 --reason 办案",
        (
            INCIDENT,
            Flag("hold", "a name for it, to release it by; several may hold one incident"),
            Flag("--reason", "why", {"default": ""}),
            Flag("--release", "end this hold", {"action": "store_true"}),
        ),
        lambda args: {"hold": args.hold, "on": not args.release, "reason": args.reason},
    ),
    Verb(
        "split",
        "make a press that joined an incident of its own",
        "ctl split i1-4 a1-7",
        (INCIDENT, Flag("alarm", "id of the alarm")),
        _names("alarm"),
    ),
    Verb(
        "merge",
        "it is the same as another",
        "ctl merge i1-5 i1-4",
        (INCIDENT, Flag("into", "the other")),
        _names("into"),
    ),
    Verb(
        "lamp",
        "the police lamp of a pillar",
        "ctl lamp pillar-3 flash --for-s 600",
        (
            Flag("device", "the pillar"),
            Flag("pattern", "how", {"choices": ("off", "steady", "flash")}),
            Flag("--for-s", "seconds", {"type": int, "default": 600}),
        ),
        _names("device", "pattern", "for_s"),
    ),
    Verb(
        "verify-first",
        "核实优先 on a pillar that is played with; --for-s 0 ends it",
        "ctl verify-first pillar-3 --reason 学生玩耍 --for-s 3600",
        (
            Flag("device", "the pillar"),
            Flag("--reason", "why", {"required": True}),
            Flag("--for-s", "seconds, at most 7200", {"type": int, "default": 3600}),
        ),
        _names("device", "reason", "for_s"),
    ),
    Verb(
        "drill",
        "raise a drill alarm at a pillar (演练)",
        "ctl drill pillar-3",
        (Flag("device", "the pillar"),),
        _names("device"),
    ),
    Verb(
        "relieve",
        "shift change: offer your open incidents to a successor",
        "ctl relieve wang",
        (Flag("successor", "operator who takes over"),),
        _names("successor"),
    ),
    Verb(
        "take-relief",
        "take over from somebody who offered it",
        "ctl take-relief li",
        (Flag("predecessor", "operator who goes"),),
        _names("predecessor"),
    ),
    Verb("sign-out", "end your shift; refused while you own open incidents", "ctl sign-out"),
    Verb(
        "broadcast-cancel",
        "take a broadcast back",
        "ctl broadcast-cancel b1-3",
        (Flag("broadcast", "its id"),),
        _names("broadcast"),
    ),
    Verb(
        "resend",
        "next route now for all who have not heard",
        "ctl resend b1-3",
        (Flag("item", "broadcast or call"),),
        _names("item"),
    ),
    Verb(
        "task-done",
        "you did what no machine could",
        "ctl task-done t1-2",
        (Flag("task", "its id"),),
        _names("task"),
    ),
    Verb(
        "duty",
        "clock a patrol in or out",
        "ctl duty p-7 off",
        (Flag("patrol", "the patrol"), ON),
        lambda args: {"patrol": args.patrol, "on": args.state == "on"},
    ),
    Verb(
        "mute",
        "this device may listen but not talk; its emergency key still works (禁言)",
        "ctl mute t-004",
        (DEVICE,),
        lambda args: {"device": args.device, "on": True},
    ),
    Verb(
        "unmute",
        "it may talk again",
        "ctl unmute t-004",
        (DEVICE,),
        lambda args: {"device": args.device, "on": False},
        "mute",
    ),
    Verb(
        "microphone",
        "hear a pillar without an alarm: it sounds a tone and is lit",
        "ctl microphone pillar-3 on --reason 群众反映",
        (Flag("device", "the pillar"), ON, Flag("--reason", "why", {"default": ""})),
        lambda args: {"device": args.device, "on": args.state == "on", "reason": args.reason},
    ),
    Verb(
        "talk-back",
        "owner: your voice sounds at the pillar of this incident",
        "ctl talk-back i1-4 on",
        (INCIDENT, ON),
        _switch(),
    ),
    Verb(
        "patch-in",
        "owner: the incident's talk group hears the pillar, and is heard at it",
        "ctl patch-in i1-4 on",
        (INCIDENT, ON),
        _switch(),
    ),
    Verb(
        "duty-level",
        "勤务等级 of a unit",
        "ctl duty-level station-1 二级",
        (Flag("unit", "the unit"), Flag("level", "its duty level")),
        lambda args: {"unit": args.unit, "duty_level": args.level},
    ),
    Verb(
        "confirm-device",
        "press, sound, picture and lamp were tried on site",
        "ctl confirm-device pillar-3",
        (
            Flag("device", "the device"),
            Flag("--out-of-service", "take it out instead", {"action": "store_true"}),
        ),
        lambda args: {"device": args.device, "in_service": not args.out_of_service},
    ),
    Verb(
        "clear-fault",
        "repaired: off the maintenance list",
        "ctl clear-fault pillar-3-tamper",
        (Flag("fault", "its id"),),
        _names("fault"),
    ),
    Verb(
        "config",
        "set values of a device",
        "ctl config pillar-3 volume_pct=80",
        (Flag("device", "the device"), Flag("values", "NAME=VALUE", {"nargs": "+"})),
        lambda args: {"device": args.device, "values": dict(map(_assignment, args.values))},
    ),
)


def _assignment(text: str) -> tuple[str, int | bool | str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise ValueError(f"{text!r} is not NAME=VALUE")
    if value in ("true", "false"):
        return name, value == "true"
    return name, int(value) if value.lstrip("-").isdecimal() else value


ELSEWHERE: Final = {"broadcast", "set", "remove", "site", "secret", "listened"}
"""Commands with a subcommand of their own: ctl broadcast, site, device add, operator add, ctl recordings --out."""

BY_VOICE: Final = {"floor-request", "floor-release", "broadcast-live", "live-end"}
"""Commands that mean nothing without a microphone: ctl talk and ctl live send them with a voice session."""


def add_flags(parser: ArgumentParser, flags: tuple[Flag, ...]) -> None:
    for flag in flags:
        parser.add_argument(flag.name, help=flag.help, **flag.options)


def fields_of(verb: Verb, args: Namespace) -> Fields:
    """The body of the command. ValueError for an argument that is none."""
    own = verb.fields(args) if verb.fields else {}
    return {"incident": args.incident, **own} if INCIDENT in verb.flags else own
