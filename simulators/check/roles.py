"""Points of one kind of device: the pillar's prompts and lamp, the terminal's calls and broadcasts."""

from protocols import down

from .point import Check, Points, require

POINTS = Points()


@POINTS.point("prompt", "a prompt is presented: said, shown and lit; its successor too", "pillar")
async def prompt(check: Check) -> str:
    for code, light in (("accepted", "steady"), ("coming", "long-blink")):
        item, mark = check.bench.item(), check.bench.mark()
        await check.bench.send(down.Prompt(item, "check-incident", code, light=light))
        await check.wait("rung", mark=mark, item=item, rung="presented", within_s=check.timing.patience_s)
    remark = await check.by_person("Did it say and light both: taken, then a patrol is coming?")
    return f"both presented{remark}"


@POINTS.point("lamp", "the police lamp obeys and says so", "pillar")
async def lamp(check: Check) -> str:
    for pattern in ("flash", "off"):
        item, mark = check.bench.item(), check.bench.mark()
        await check.bench.send(down.Lamp(item, pattern))
        await check.wait("rung", mark=mark, item=item, rung="presented")
    return f"flash, then off{await check.by_person('Did the lamp flash and go out?')}"


@POINTS.point("ended", "the end of an incident puts the light out", "pillar")
async def ended(check: Check) -> str:
    item, mark = check.bench.item(), check.bench.mark()
    await check.bench.send(down.Prompt(item, "check-incident", "ended", light="off"))
    await check.wait("rung", mark=mark, item=item, rung="delivered")
    return f"delivered{await check.by_person('Is its light out?')}"


@POINTS.point("broadcast-ack", "the acknowledge key makes the rung acknowledged, after presented", "terminal")
async def broadcast_ack(check: Check) -> str:
    item, mark = check.bench.item(), check.bench.mark()
    await check.bench.send(down.Broadcast(item, item, "检查:请确认", ack=True))
    presented = await check.wait(
        "rung", mark=mark, item=item, rung="presented", within_s=check.timing.patience_s
    )
    require(presented.message.volume_pct is not None, "presented without a volume")
    await check.hands.do("acknowledge")
    await check.wait("rung", mark=mark, item=item, rung="acknowledged", within_s=check.timing.patience_s)
    return f"presented at {presented.message.volume_pct} %, acknowledged"


@POINTS.point(
    "call-accepted", "a call is presented; accept, en-route, on-scene, done are answers", "terminal"
)
async def call_accepted(check: Check) -> str:
    call = await _call(check, "check-call-1")
    for answer in ("accept", "en-route", "on-scene", "done"):
        mark = check.bench.mark()
        await check.hands.do(answer)
        heard = await check.wait(
            "answer", mark=mark, call=call.call, answer=answer, within_s=check.timing.patience_s
        )
        require(heard.message.patrol == call.patrol, f"{answer} for patrol {heard.message.patrol!r}")
    return "accept, en-route, on-scene, done"


@POINTS.point("call-declined", "decline is an answer", "terminal")
async def call_declined(check: Check) -> str:
    call = await _call(check, "check-call-2")
    mark = check.bench.mark()
    await check.hands.do("decline")
    await check.wait("answer", mark=mark, call=call.call, answer="decline", within_s=check.timing.patience_s)
    return "decline"


@POINTS.point("stand-down", "a stand-down takes the call away and is presented", "terminal")
async def stand_down(check: Check) -> str:
    call = await _call(check, "check-call-3")
    item, mark = check.bench.item(), check.bench.mark()
    await check.bench.send(down.StandDown(item, call.call, call.incident))
    await check.wait("rung", mark=mark, item=item, rung="presented", within_s=check.timing.patience_s)
    return f"presented{await check.by_person('Is the call gone from the screen?')}"


async def _call(check: Check, id_: str) -> down.Call:
    """Sends a call and waits until it was presented."""
    item, mark = check.bench.item(), check.bench.mark()
    call = down.Call(
        item, id_, "check-incident", "check-patrol", "one-key",
        point="7", place="检查点", distance_m=120.0, bearing_deg=45.0,
    )  # fmt: skip
    await check.bench.send(call)
    await check.wait("rung", mark=mark, item=item, rung="presented", within_s=check.timing.patience_s)
    return call
