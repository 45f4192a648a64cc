"""Decisions in short readable form: one line per fact, one per message with everybody who gets it."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from dispatchd.core import facts as f
from dispatchd.core.commands import Done
from dispatchd.core.effects import Effect, Send, SendGroup
from protocols import codec, down
from protocols.types import Key

HIDDEN: Final = frozenset({"DeviceOnline", "MembershipSet", "Applied", "RungReached", "Started"})
"""Facts a script must ask for (`show RungReached`), because they would bury the rule."""
QUIET: Final = (down.Hello, down.Membership, down.Config)
DROPPED: Final = frozenset(
    {
        "expires_ms",
        "text_en",
        "passed",
        "position",
        "site_version",
        "code",
        "looked_at",
        "received_ms",
        "said_kind",
    }
)


def fact(made: f.Fact, now: int, hidden: set[str]) -> str:
    """`Kind name=value …`; times as seconds from now."""
    kind = type(made).__name__
    if kind in hidden:
        return ""
    parts = [f"{k}={_value(k, v, now)}" for k, v in _fields(made).items() if k not in DROPPED]
    if isinstance(made, f.RingOpened):
        parts += [_candidates(made)]
    return " ".join([kind, *parts])


def _fields(made: f.Fact) -> dict[str, Any]:
    """Those that are not at their defaults."""
    fields: dict[str, Any] = msgspec.to_builtins(made)
    return {k: v for k, v in fields.items() if v not in (None, "", [], {}, False)}


def _value(name: str, value: Any, now: int) -> str:
    if (name.endswith("_ms") or name == "until") and isinstance(value, int) and value > 1_000_000_000_000:
        return f"{(value - now) / 1000:+.1f}s"
    if name.endswith("_ms"):
        return f"{value / 1000:.1f}s"
    if name == "key":
        return f"{value['boot']}/{value['seq']}"
    if name == "position":
        return "known"
    if name == "sha256":
        return "…"
    if isinstance(value, list):
        return "[" + " ".join(map(str, value)) + "]"
    if isinstance(value, dict):
        return "{" + " ".join(f"{k}={_value(k, v, now)}" for k, v in value.items()) + "}"
    return str(value)


def _candidates(made: f.RingOpened) -> str:
    chosen = " ".join(f"{c.patrol}({c.force} {_metres(c)})" for c in made.looked_at if c.chosen)
    others = " ".join(
        f"{c.patrol}({_metres(c)}{' ' + c.why if c.why else ''})" for c in made.looked_at if not c.chosen
    )
    return f"chosen: {chosen or 'nobody'} | not: {others or 'nobody'}"


def _metres(c: f.Candidate) -> str:
    return "? m" if c.distance_m is None else f"{c.distance_m:.0f} m"


def whole_call(all_: list[Effect]) -> Iterator[str]:
    """Every field of the calls among these, as the terminal gets them."""
    for effect in all_:
        if isinstance(effect, Send) and isinstance(effect.message, down.Call):
            fields = msgspec.structs.asdict(effect.message)
            yield f"{effect.device} reads: " + " ".join(f"{k}={_value(k, v, 0)}" for k, v in fields.items())


def effects(all_: list[Effect], alarms: set[tuple[str, Key]]) -> Iterator[str]:
    """Messages that say the same to several in one line. Receipts are shown for `alarms` and for refusals."""
    to: dict[str, list[str]] = defaultdict(list)
    for effect in all_:
        if isinstance(effect, Send) and not _small(effect.device, effect.message, alarms):
            to[_message(effect.message)].append(effect.device)
        elif isinstance(effect, SendGroup):
            to[_message(effect.message)].append(f"group {effect.group}")
    for text, receivers in to.items():
        yield f"→ {' '.join(receivers)}: {text}"


def _small(device: str, message: down.Down, alarms: set[tuple[str, Key]]) -> bool:
    """Settings, greetings and the receipts of rungs and answers."""
    if isinstance(message, down.Receipt):
        return all((device, item.key) not in alarms and item.outcome == "committed" for item in message.items)
    return isinstance(message, QUIET)


def _message(message: down.Down) -> str:
    kind = codec.DOWN_KIND[type(message)]
    if isinstance(message, down.Receipt):
        return "; ".join(
            f"receipt {i.key.boot}/{i.key.seq} {i.outcome} {i.incident or i.reason}".rstrip()
            for i in message.items
        )
    shown = (
        "item",
        "code",
        "reason",
        "order",
        "rev",
        "accepted_by",
        "pattern",
        "text",
        "count",
        "silent",
        "drill",
    )
    fields = [(name, getattr(message, name, None)) for name in shown]
    if isinstance(message, down.Broadcast) and message.clip is not None:
        fields.append(("clip", message.clip.clip))
    return " ".join(
        [kind, *(f"{n}={_value(n, v, 0)}" for n, v in fields if v not in (None, "", [], False, "respond", 0))]
    )


def done(result: Done) -> str:
    parts = [f"{k}={v}" for k, v in {**result.ids, **result.counts}.items()]
    return " ".join(["done", *parts, result.note]).rstrip()
