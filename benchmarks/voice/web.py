"""One talker, listeners by WebRTC: operators' screens at our daemon, against a track per listener in aiortc.

Fewer listeners than elsewhere, for both alike: the daemon has 64 sessions, and each listener costs its own ciphers.
"""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from websockets.asyncio.client import ClientConnection, connect

from benchmarks.child import Child, child
from benchmarks.metric import Metric, Row
from dispatchd.config import Voice
from dispatchd.console.signin import token_hash

from . import tracks
from .cost import us_each
from .cpu import cpu_s
from .datagram import WARM_UP
from .ears import HOST, LINGER_S, Ears, Heard, ear, talk
from .packets import packet
from .size import Size
from .stand import Stand, groups, stand

CPU: Final = Metric("webrtc_cpu_vs_track", "µs/frame", "≤0.5", tracks.NAME)
METRICS: Final = (CPU,)
SCREENS_OF_OPERATOR: Final = 4
"""The daemon lets an operator have so many, and offer so many at once."""
PORTS: Final = "43000-43127"
ANSWER_TIMEOUT_S: Final = 30.0


async def measure(runs: int, size: Size) -> list[Row]:
    mine, theirs = [], []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        async with AsyncExitStack() as stack:
            folder = Path(name)
            (folder / "theirs").mkdir()
            ours = await stack.enter_async_context(_ours(folder / "ours", size.web))
            other = await stack.enter_async_context(_tracks(folder / "theirs", size.web))
            for _ in range(WARM_UP + runs):
                mine.append(await _say_ours(ours, size))
                theirs.append(await _say_tracks(other, size))
    return [CPU.row(mine[WARM_UP:], theirs[WARM_UP:])]


# --- ours -------------------------------------------------------------------------------------------------------


class Ours(NamedTuple):
    """The daemon with a talker by datagram, and screens that hear him."""

    on: Stand
    peers: Child


@asynccontextmanager
async def _ours(folder: Path, listeners: int) -> AsyncIterator[Ours]:
    folder.mkdir()
    members = groups(1, 1)
    operators = [f"operator-{n}" for n in range(-(-listeners // SCREENS_OF_OPERATOR))]
    async with AsyncExitStack() as stack:
        on = await stack.enter_async_context(
            stand(
                folder,
                members,
                voice=Voice(webrtc_ports=PORTS),
                operators=[_operator(one) for one in operators],
            )
        )
        peers = await stack.enter_async_context(child(folder, "-m", "benchmarks.voice.peers"))
        offers = (await peers.ask(do="offer", listeners=listeners))["offers"]
        screens = [
            await stack.enter_async_context(_screen(on, operators[n // SCREENS_OF_OPERATOR]))
            for n in range(listeners)
        ]
        group = next(iter(members))
        answers = [await _offer(one, sdp, group) for one, sdp in zip(screens, offers, strict=True)]
        await peers.ask(do="answer", answers=answers)
        yield Ours(on, peers)


def _operator(name: str) -> dict[str, str]:
    return {"id": name, "unit": "top", "role": "operator", "token_hash": token_hash(_token(name))}


def _token(operator: str) -> str:
    return f"token-of-{operator}-which-is-long-and-secret"


@asynccontextmanager
async def _screen(on: Stand, operator: str) -> AsyncIterator[ClientConnection]:
    url = on.hand.ready.http.replace("http", "ws", 1) + "/api/v1/voice"
    headers = {"Authorization": f"Bearer {_token(operator)}"}
    async with connect(url, additional_headers=headers, proxy=None) as socket:
        yield socket


async def _offer(screen: ClientConnection, sdp: str, group: str) -> str:
    """The answer to it, and its slot hears the group."""
    await screen.send(json.dumps({"type": "offer", "sdp": sdp}))
    answer = await _told(screen, "answer")
    await screen.send(json.dumps({"type": "hear", "slots": [group]}))
    await _told(screen, "hearing")
    return str(answer["sdp"])


async def _told(screen: ClientConnection, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(ANSWER_TIMEOUT_S):
        while True:
            message: dict[str, Any] = json.loads(await screen.recv())
            assert message["type"] != "error", message
            if message["type"] == kind:
                return message


async def _say_ours(ours: Ours, size: Size) -> float:
    await ours.on.radios.ask(do="prepare")
    await ours.peers.ask(do="begin")
    before = cpu_s(ours.on.daemon_pid)
    await ours.on.radios.ask(do="talk", frames=size.frames)
    spent_s = cpu_s(ours.on.daemon_pid) - before
    heard = await ours.peers.ask(do="count")
    await ours.on.radios.ask(do="release")
    return us_each(spent_s, Heard(heard["heard"], size.frames * size.web, 0.0, 0.0))


# --- the baseline -----------------------------------------------------------------------------------------------


class Tracks(NamedTuple):
    """The plain server, which takes frames at `port`."""

    server: Child
    peers: Child
    port: int


@asynccontextmanager
async def _tracks(folder: Path, listeners: int) -> AsyncIterator[Tracks]:
    async with (
        child(folder, "-m", "benchmarks.voice.tracks") as server,
        child(folder, "-m", "benchmarks.voice.peers") as peers,
    ):
        port = (await server.ask(do="open"))["port"]
        offers = (await peers.ask(do="offer", listeners=listeners))["offers"]
        answers = (await server.ask(do="answer", offers=offers))["answers"]
        await peers.ask(do="answer", answers=answers)
        yield Tracks(server, peers, port)


async def _say_tracks(other: Tracks, size: Size) -> float:
    opus = packet()
    await other.peers.ask(do="begin")
    before = cpu_s(other.server.pid)
    with ear() as talker:
        await talk([lambda _: talker.sendto(opus, (HOST, other.port))], Ears([]), size.frames)
    await asyncio.sleep(LINGER_S)
    spent_s = cpu_s(other.server.pid) - before
    heard = await other.peers.ask(do="count")
    return us_each(spent_s, Heard(heard["heard"], size.frames * size.web, 0.0, 0.0))
