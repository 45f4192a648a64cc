"""The generated part of docs/wire.md: tables of kinds, limits, light patterns and prompts, as Markdown."""

from typing import Any

from . import kinds, limits, prompts
from .asyncapi import address, first_sentence, sends
from .kinds import Bare, Kind


def tables() -> str:
    """All four, in order."""
    return f"{_kinds_table()}\n{_limits_table()}\n{_lights_table()}\n{_prompts_table()}"


def _markdown(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def _kinds_table() -> str:
    head = ("topic", "who", "QoS", "retained", "durable", "repeated until", "what")
    rows = [*map(_kind_row, kinds.ALL), *map(_bare_row, kinds.BARE)]
    return "### Messages\n\n" + _markdown(head, rows)


def _kind_row(kind: Kind) -> tuple[Any, ...]:
    who = f"{'from' if sends(kind) else 'to'} {' and '.join(kind.who)}"
    flags = ("yes" if kind.retain else "no", "yes" if kind.durable else "no")
    return (f"`{address(kind)}`", who, kind.qos, *flags, kind.ended_by, first_sentence(kind.type))


def _bare_row(bare: Bare) -> tuple[Any, ...]:
    who = f"{'from' if bare.sent else 'to'} {' and '.join(bare.who)}"
    return (f"`{bare.address}`", who, 0, "no", "no", "nothing; it is not repeated", bare.what)


def _limits_table() -> str:
    head = ("name", "value", "unit", "who keeps it", "meaning")
    rows = [(f"`{row.name}`", f"{row.value:g}", row.unit, row.who, row.meaning) for row in limits.TABLE]
    return "### Times, retries, keep-alives and sizes\n\n" + _markdown(head, rows)


def _lights_table() -> str:
    rows = [(f"`{name}`", _blink(pattern)) for name, pattern in prompts.LIGHT_PATTERNS.items()]
    return "### Light patterns\n\n" + _markdown(("name", "ms on, off, on, off … repeated"), rows)


def _blink(pattern: tuple[int, ...]) -> str:
    return {0: "dark", 1: "always on"}.get(len(pattern), ", ".join(map(str, pattern)))


def _prompts_table() -> str:
    rows = [(f"`{code}`", text.zh, text.en, f"`{text.light}`") for code, text in prompts.PROMPTS.items()]
    return "### Prompts\n\n" + _markdown(("code", "中文", "English", "light"), rows)


if __name__ == "__main__":
    print(tables(), end="")
