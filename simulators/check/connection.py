"""Points about connecting: presence, will, hello, state."""

from itertools import pairwise

from protocols import down, up

from .point import Check, Points, name, require

POINTS = Points()


@POINTS.point("hello", "says hello after connecting, with a nonce of 8 to 32 bytes, its boot and its role")
async def hello(check: Check) -> str:
    heard = await check.wait("hello", within_s=check.timing.patience_s)
    message = heard.message
    require(message.role == check.role, f"role {message.role!r}, to be checked as {check.role!r}")
    require(heard.qos == 1, f"hello came with QoS {heard.qos}")
    firmware = message.firmware or "no firmware named"
    return f"conn {message.conn}, boot {message.boot}, profile {message.profile}, {firmware}"


@POINTS.point("birth", "its retained presence says online, with the connection number of its hello")
async def birth(check: Check) -> str:
    hello = await check.wait("hello")
    heard = await check.wait("presence", online=True, conn=hello.message.conn)
    await check.bench.retained_presence()
    return f"online, conn {heard.message.conn}, retained"


@POINTS.point("hello-again", "an unanswered hello is said again within 16 s, each time with a fresh nonce")
async def hello_again(check: Check) -> str:
    bench = check.bench
    bench.answers_hello = False
    mark = bench.mark()
    try:
        await bench.cut(0.2)
        first = await check.wait("hello", mark=mark, within_s=check.timing.back_s)
        nonce = first.message.nonce
        second = await bench.expect(
            "second hello", lambda heard: heard.kind == "hello" and heard is not first, 16.0, mark=mark
        )
        require(second.message is not None and second.message.nonce != nonce, "the same nonce twice")
    finally:
        bench.answers_hello = True
    last = bench.since(mark, "hello")[-1]
    await bench.hello(last.message.nonce)
    return f"said again after {second.at_s - first.at_s:.1f} s with another nonce"


@POINTS.point("state", "state comes as often as the answer to hello asks (1 s here), QoS 0, with its conn")
async def state(check: Check) -> str:
    hello = check.bench.since(0, "hello")[-1]
    mark = check.bench.mark()
    states = []
    for _ in range(4):
        heard = await check.wait("state", mark=mark, within_s=3.0)
        mark = check.bench.heard.index(heard, mark) + 1
        states.append(heard)
    gaps = [b.at_s - a.at_s for a, b in pairwise(states)]
    message = states[-1].message
    require(max(gaps) < 2.0, f"gaps of {', '.join(f'{gap:.1f}' for gap in gaps)} s")
    require(message.conn == hello.message.conn, f"conn {message.conn}, its hello said {hello.message.conn}")
    require(states[-1].qos == 0, f"QoS {states[-1].qos}")
    told = [field for field in up.State.__struct_fields__ if getattr(message, field) not in (None, "")]
    return f"every {sum(gaps) / len(gaps):.1f} s with {', '.join(told)}"


@POINTS.point("will", "its will says offline with the same connection number when its network breaks")
async def will(check: Check) -> str:
    hello = check.bench.since(0, "hello")[-1]
    mark = check.bench.mark()
    await check.bench.cut(check.timing.cut_s)
    heard = await check.wait("presence", mark=mark, online=False, within_s=15.0)
    require(
        heard.message.conn == hello.message.conn, f"conn {heard.message.conn} instead of {hello.message.conn}"
    )
    return f"offline, conn {heard.message.conn}"


@POINTS.point("growing-conn", "it comes back by itself, with a higher connection number and another nonce")
async def growing_conn(check: Check) -> str:
    before = check.bench.since(0, "hello")[-1].message
    mark = check.bench.mark()
    await check.bench.cut(0.2)
    after = (await check.wait("hello", mark=mark, within_s=check.timing.back_s)).message
    require(after.conn > before.conn, f"conn {after.conn} after {before.conn}")
    require(after.nonce != before.nonce, "the same nonce again")
    await check.wait("presence", mark=mark, online=True, conn=after.conn)
    return f"conn {before.conn}, then {after.conn}"


@POINTS.point("applied", "config and membership are answered by `applied` with their version")
async def applied(check: Check) -> str:
    mark = check.bench.mark()
    await check.bench.send(down.Config(3, {"volume_pct": 70}))
    config = await check.wait("applied", mark=mark, what="config", version=3)
    await check.bench.send(down.Membership(4, "check-patrol" if check.role == "terminal" else None, True))
    member = await check.wait("applied", mark=mark, what="membership", version=4)
    require(config.message.ok, f"config refused: {config.message.error}")
    require(member.message.ok, f"membership refused: {member.message.error}")
    return f"config under {name(config.key)}, membership under {name(member.key)}"
