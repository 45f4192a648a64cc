"""Points about the alarm: durable, repeated until receipted, never twice under one key."""

import asyncio
from itertools import pairwise

from protocols.types import Key

from .bench import Heard
from .point import Check, Points, is_press, name, require

POINTS = Points()
AGE_SLACK_MS = 1500


@POINTS.point("alarm", "a press is an alarm with a key, QoS 1, at once and not retained")
async def alarm(check: Check) -> str:
    heard = await check.press()
    await check.bench.receipt(_key(heard))
    require(heard.qos == 1, f"QoS {heard.qos}")
    require(not heard.error, heard.error)
    return f"{heard.message.kind}, key {name(heard.key)}, age {heard.message.age_ms} ms"


@POINTS.point("alarm-repeated", "without a receipt it is repeated under its key; a PUBACK changes nothing")
async def alarm_repeated(check: Check) -> str:
    with _Withheld(check):
        first = await check.press()
        await asyncio.sleep(check.timing.repeats_s)
        came = _presses(check, check.bench.heard.index(first))
        await check.bench.receipt(*{_key(heard) for heard in came})
    require(len(came) >= 3, f"came {len(came)} times in {check.timing.repeats_s:g} s")
    keys = {name(heard.key) for heard in came}
    require(len(keys) == 1, f"came under {len(keys)} keys: {', '.join(sorted(keys))}")
    gaps = ", ".join(f"{b.at_s - a.at_s:.1f}" for a, b in pairwise(came))
    return f"came {len(came)} times under {keys.pop()}, {gaps} s apart"


@POINTS.point("growing-age", "the age of a repeated alarm grows with the time since the press")
async def growing_age(check: Check) -> str:
    with _Withheld(check):
        first = await check.press()
        again = await check.bench.expect(
            "repeat of the alarm",
            lambda heard: is_press(heard) and heard is not first,
            check.timing.repeats_s,
            mark=check.bench.heard.index(first),
        )
        await check.bench.receipt(_key(first), _key(again))
    _require_age(first, again)
    return f"{first.message.age_ms} ms, then {again.message.age_ms} ms"


@POINTS.point("alarm-survives-cut", "after a broken connection the alarm comes again: same key, right age")
async def alarm_survives_cut(check: Check) -> str:
    with _Withheld(check):
        first = await check.press()
        await check.bench.cut(check.timing.cut_s)
        mark = check.bench.mark()
        again = await check.bench.expect("alarm after the cut", is_press, check.timing.back_s, mark=mark)
        await check.bench.receipt(_key(first), _key(again))
    require(first.key == again.key, f"{name(first.key)} before, {name(again.key)} after")
    _require_age(first, again)
    return f"{name(again.key)} again, age {again.message.age_ms} ms"


@POINTS.point("receipt-ends-it", "after the receipt the alarm does not come again")
async def receipt_ends_it(check: Check) -> str:
    with _Withheld(check):
        first = await check.press()
        await check.bench.receipt(_key(first))
        await asyncio.sleep(0.5)
        mark = check.bench.mark()
        await asyncio.sleep(check.timing.quiet_s)
        came = _presses(check, mark)
    require(not came, f"came {len(came)} times more within {check.timing.quiet_s:g} s")
    return f"silent for {check.timing.quiet_s:g} s"


@POINTS.point("keys-are-new", "every press has a key of its own; no key is used for two messages")
async def keys_are_new(check: Check) -> str:
    first = await check.press()
    await check.bench.receipt(_key(first))
    await asyncio.sleep(1.0)
    second = await check.press()
    await check.bench.receipt(_key(second))
    require(first.key != second.key, f"two presses under {name(first.key)}")
    used: dict[Key, set[str]] = {}
    for heard in check.bench.heard:
        if heard.key is not None:
            used.setdefault(heard.key, set()).add(_what(heard))
    twice = [name(key) for key, whats in used.items() if len(whats) > 1]
    require(not twice, f"used for different messages: {', '.join(twice[:5])}")
    return f"{name(first.key)}, {name(second.key)}; {len(used)} keys in all"


def _key(heard: Heard) -> Key:
    assert heard.key is not None
    return heard.key


def _presses(check: Check, mark: int) -> list[Heard]:
    return [heard for heard in check.bench.heard[mark:] if is_press(heard)]


def _require_age(first: Heard, again: Heard) -> None:
    """Within a second and a half of the time that went by on the bench's clock."""
    before, after = first.message.age_ms, again.message.age_ms
    require(before is not None and after is not None, f"ages {before} and {after}: unknown without a reboot")
    passed_ms = (again.at_s - first.at_s) * 1000
    grown_ms = after - before
    seen = f"age grew by {grown_ms} ms in {passed_ms:.0f} ms"
    require(abs(grown_ms - passed_ms) <= AGE_SLACK_MS and grown_ms > 0, seen)


def _what(heard: Heard) -> str:
    """What a message says apart from its age."""
    fields = {field: getattr(heard.message, field) for field in heard.message.__struct_fields__}
    return heard.kind + repr({k: v for k, v in fields.items() if k not in ("age_ms", "position")})


class _Withheld:
    """No receipt for alarms meanwhile."""

    def __init__(self, check: Check) -> None:
        self._receipts = check.bench.receipts

    def __enter__(self) -> None:
        self._receipts.discard("alarm")

    def __exit__(self, *_: object) -> None:
        self._receipts.add("alarm")
