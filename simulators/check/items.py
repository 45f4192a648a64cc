"""Points about what comes down: once each, in the right order of rungs, not when its life is over, never
a crash.
"""

import asyncio

import msgspec

from protocols import codec, down
from protocols.envelope import seal

from .bench import GEN, TTL_MS, Bench, now_ms
from .point import Check, Points, require

POINTS = Points()
GARBAGE = (b"", b"\xc1", b"\x81", bytes(range(256)), b"\xff" * 300, b"\xdf\xff\xff\xff\xff", b"\x91" * 2000)
"""No MessagePack, cut off, promising too much, nested too deep."""


def _item(check: Check, item: str) -> down.Broadcast | down.Prompt:
    """Something harmless that this kind of device presents."""
    if check.role == "terminal":
        return down.Broadcast(item, item, f"检查:请忽略 {item}", "normal", ack=True)
    text, text_en = f"检查:请忽略 {item}", f"A check, please ignore {item}"
    return down.Prompt(item, "check-incident", "wait", text, text_en, "double-blink")


def _rungs(bench: Bench, mark: int, item: str) -> list[str]:
    return [one.message.rung for one in bench.since(mark, "rung") if one.message and one.message.item == item]


@POINTS.point("rungs", "an item is reported delivered, then presented, each under a key, in this order")
async def rungs(check: Check) -> str:
    item, mark = check.bench.item(), check.bench.mark()
    await check.bench.send(_item(check, item))
    await check.wait("rung", mark=mark, item=item, rung="presented", within_s=check.timing.patience_s)
    seen = _rungs(check.bench, mark, item)
    require(seen[0] == "delivered", f"rungs in this order: {', '.join(seen)}")
    return ", ".join(dict.fromkeys(seen))


@POINTS.point("rung-repeated", "a rung without a receipt is repeated under its key")
async def rung_repeated(check: Check) -> str:
    check.bench.receipts.discard("rung")
    try:
        item, mark = check.bench.item(), check.bench.mark()
        await check.bench.send(_item(check, item))
        first = await check.wait("rung", mark=mark, item=item, rung="delivered")
        at = check.bench.heard.index(first) + 1
        again = await check.wait("rung", mark=at, key=first.key, within_s=check.timing.repeats_s)
    finally:
        check.bench.receipts.add("rung")
        keys = {one.key for one in check.bench.since(mark, "rung") if one.key is not None}
        if keys:
            await check.bench.receipt(*keys)
    return f"again after {again.at_s - first.at_s:.1f} s"


@POINTS.point("item-once", "an item that comes twice is reported twice and acted on once")
async def item_once(check: Check) -> str:
    item, mark = check.bench.item(), check.bench.mark()
    await check.bench.send(_item(check, item))
    await check.wait("rung", mark=mark, item=item, rung="presented", within_s=check.timing.patience_s)
    at = check.bench.mark()
    await check.bench.send(_item(check, item))
    await check.wait("rung", mark=at, item=item)
    await asyncio.sleep(1.0)
    remark = await check.by_person("Was the last text said or shown only once?")
    return f"{len(_rungs(check.bench, mark, item))} reports{remark}"


@POINTS.point("expired", "what comes after its life is over is reported as expired and not presented")
async def expired(check: Check) -> str:
    item, mark = check.bench.item(), check.bench.mark()
    await check.bench.send(_item(check, item), ttl_ms=1000, sent_at=now_ms() - 60_000)
    heard = await check.wait("rung", mark=mark, item=item, rung="failed")
    await asyncio.sleep(2.0)
    seen = _rungs(check.bench, mark, item)
    require(heard.message.reason == "expired", f"reason {heard.message.reason!r}")
    require("presented" not in seen, f"rungs: {', '.join(seen)}")
    return "failed: expired"


@POINTS.point("old-generation", "an envelope of a lower site generation is not acted on")
async def old_generation(check: Check) -> str:
    item, mark = check.bench.item(), check.bench.mark()
    await check.bench.send(_item(check, item), gen=GEN - 1)
    await asyncio.sleep(3.0)
    seen = _rungs(check.bench, mark, item)
    require(not seen, f"rungs: {', '.join(seen)}")
    return "nothing"


@POINTS.point("wrong-nonce", "an answer to a hello that it did not say does not set its clock")
async def wrong_nonce(check: Check) -> str:
    await check.bench.send(down.Hello(b"not-your-nonce", now_ms() + 10 * TTL_MS, state_every_s=1))
    item, mark = check.bench.item(), check.bench.mark()
    await check.bench.send(_item(check, item))
    await check.wait("rung", mark=mark, item=item, rung="presented", within_s=check.timing.patience_s)
    return "an item of now is still presented"


@POINTS.point("unknown-field", "a field that it does not know is ignored, the rest of the message counts")
async def unknown_field(check: Check) -> str:
    item, mark = check.bench.item(), check.bench.mark()
    message = _item(check, item)
    fields = {**msgspec.to_builtins(message), "from-the-future": {"x": [1, 2, 3]}, "zz": None}
    await check.bench.say(codec.DOWN_KIND[type(message)], msgspec.msgpack.encode(fields))
    await check.wait("rung", mark=mark, item=item, rung="delivered")
    return "delivered"


@POINTS.point("unknown-kind", "a kind of message that it does not know is ignored")
async def unknown_kind(check: Check) -> str:
    return await _unmoved(check, [("from-the-future", seal(GEN, 0, TTL_MS, now_ms(), b"\x80"))])


@POINTS.point("garbage", "bytes that are no message are survived without a new connection")
async def garbage(check: Check) -> str:
    kinds = ("prompt", "call", "hello", "receipt")
    raw = [(kind, data) for kind in kinds for data in GARBAGE]
    sealed = [(kind, seal(GEN, 10**6 + at, TTL_MS, now_ms(), data)) for at, (kind, data) in enumerate(raw)]
    return await _unmoved(check, [*raw, *sealed])


async def _unmoved(check: Check, messages: list[tuple[str, bytes]]) -> str:
    """Sends them and demands that the device goes on as if nothing had been."""
    mark = check.bench.mark()
    for kind, payload in messages:
        await check.bench.raw(kind, payload)
    await asyncio.sleep(1.0)
    await check.alive()
    hellos = check.bench.since(mark, "hello")
    require(not hellos, f"it connected anew {len(hellos)} times")
    return f"{len(messages)} messages, still there"
