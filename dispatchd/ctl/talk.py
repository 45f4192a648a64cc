"""`dispatchd ctl talk GROUP FILE`: a sound file said in a talk group, as an operator with the floor.

PyAV and aiortc are imported only when it runs: they take half a second, and most commands need neither.
"""

import asyncio
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from protocols.types import PRIORITIES
from protocols.voice import FRAME_MS

from .errors import BAD_FILE, OK, REFUSED, USAGE, CliError
from .shell import Shell
from .verbs import NoTarget, said_to

AFTER_S: Final = 0.1
"""From the last packet to the release: it travels by another road."""
REF: Final = 1
JOIN_S: Final = 1.0
"""From opening a group until its terminals have its key; one that needs longer gets the recording."""

CAUSES: Final = {
    "too-long": ("讲话时间已到", "the talk time is over"),
    "pre-empted": ("被更高优先级抢占", "somebody with priority took the floor"),
    "no-permission": ("没有话权", "you have no floor"),
    "unreadable": ("声音无法识别", "the sound cannot be read"),
    "other": ("话权被指挥员收回", "an operator took the floor"),
}
"""Cause of a *revoke* → what it means."""


def add_flags(parser: ArgumentParser) -> None:
    parser.add_argument("group", help="talk group, as `ctl groups` shows it")
    parser.add_argument("file", help="any sound file: WAV, MP3, Ogg, FLAC …")
    parser.add_argument("--priority", choices=PRIORITIES, default="normal", help="how urgent")


def add_live_flags(parser: ArgumentParser) -> None:
    parser.add_argument("file", help="any sound file: WAV, MP3, Ogg, FLAC …")
    parser.add_argument("--to", action="append", required=True, metavar="WHOM", help="as for `ctl say`")
    parser.add_argument("--text", default="", help="what a screen shows meanwhile")
    parser.add_argument("--priority", choices=PRIORITIES, default="normal", help="how urgent")
    parser.add_argument("--drill", action="store_true", help="an exercise")


def run_live(shell: Shell) -> int:
    """`ctl live`: a live broadcast with a file for a voice; who has not heard it gets the recording."""
    args = shell.args
    packets = _packets(shell)
    try:
        target = said_to(args.to, shell.client.get("/site"))
    except NoTarget as error:
        raise CliError(shell.t(error.zh, error.en), USAGE) from None
    fields = {name: getattr(args, name) for name in ("text", "priority", "drill")}
    opened = shell.client.command("broadcast-live", {**fields, "target": target})
    broadcast, args.group = opened["ids"]["broadcast"], opened["ids"]["group"]
    shell.say(
        shell.t(f"现场广播 {broadcast},通话组 {args.group}", f"Live broadcast {broadcast} in {args.group}")
    )
    time.sleep(JOIN_S)
    try:
        with asyncio.Runner() as runner:
            report = runner.run(_talk(shell, packets))
    finally:
        shell.client.command("live-end", {"broadcast": broadcast})
    shell.say(_sentence(shell, report))
    shell.give({"broadcast": broadcast, **report})
    return OK if report["ended"] == "released" else REFUSED


def run(shell: Shell) -> int:
    packets = _packets(shell)
    with asyncio.Runner() as runner:
        report = runner.run(_talk(shell, packets))
    shell.say(_sentence(shell, report))
    shell.give(report)
    return OK if report["ended"] == "released" else REFUSED


def _packets(shell: Shell) -> list[bytes]:
    """Of the sound file; CliError when it is none."""
    from . import sound_file

    path = Path(shell.args.file)
    try:
        return sound_file.packets(path)
    except sound_file.NoSound as error:
        raise CliError(
            shell.t(
                f"{path} 不能播讲:{error}。请换一个声音文件。",
                f"{path} cannot be said: {error}. Give a sound file.",
            ),
            BAD_FILE,
        ) from None


async def _talk(shell: Shell, packets: list[bytes]) -> dict[str, Any]:
    from . import voice_session

    group = shell.args.group
    async with voice_session.session(shell.client, shell.lang) as voice:
        await voice.open([], lambda *_: None)
        asked_s = asyncio.get_running_loop().time()
        await voice.ask_floor(group, REF, shell.args.priority)
        granted, position = await _granted(shell, voice, group)
        waited_ms = int((asyncio.get_running_loop().time() - asked_s) * 1000)
        listeners = await asyncio.to_thread(_listeners, shell, group)
        shell.say(shell.t(f"已得话权,{listeners} 个听者", f"You have the floor; {listeners} listen"))
        sending = asyncio.create_task(_send(voice, packets), name="talk-send")
        ended = await _until_over(voice, group, granted["burst"], sending)
        await voice.say("floor-release", group=group, ref=REF)
    return {
        "group": group,
        "burst": granted["burst"],
        "listeners": listeners,
        "waited_ms": waited_ms,
        "queue_position": position,
        "frames": len(packets),
        "frames_sent": voice.microphone.pushed,
        "seconds": round(voice.microphone.pushed * FRAME_MS / 1000, 2),
        "ended": ended,
    }


async def _granted(shell: Shell, voice: Any, group: str) -> tuple[dict[str, Any], int]:
    """The grant, and the first place in the queue (0 = no wait). CliError when it is denied."""
    first = 0
    while True:
        message = await voice.next()
        if message.get("group") != group or message.get("ref") != REF:
            continue
        if message["type"] == "floor-granted":
            return message, first
        if message["type"] == "floor-deny":
            raise voice.error(message["cause"], message.get("text_en") or message["cause"])
        if message["type"] == "floor-queue-position-info":
            first = first or message["position"]
            place = f"{message['position']}/{message['waiting']}"
            shell.say(shell.t(f"他人讲话,排队 {place}", f"Somebody talks; you are {place} in the queue"))


def _listeners(shell: Shell, group: str) -> int:
    """Devices with sound, and operators who listen, in all groups that share the floor."""
    me = shell.client.get("/operators/me")["id"]
    doc = shell.client.get(f"/groups/{group}")
    docs = [doc, *(shell.client.get(f"/groups/{name}") for name in doc["patched"])]
    operators = {name for one in docs for name in one["hearing"]} - {me}
    if len(docs) == 1:
        return int(doc["voice"]) + len(operators)
    members = [m for one in docs for m in shell.client.get(f"/groups/{one['id']}/members")["items"]]
    return len({m["device"] for m in members if m["carriage"]}) + len(operators)


async def _send(voice: Any, packets: list[bytes]) -> int:
    """In real time: 50 a second."""
    from .voice_session import FRAME_TS

    loop = asyncio.get_running_loop()
    start_s = loop.time()
    for n, opus in enumerate(packets):
        await asyncio.sleep(max(0, start_s + n * FRAME_MS / 1000 - loop.time()))
        voice.microphone.push(n * FRAME_TS, opus)
    await asyncio.sleep(AFTER_S)
    return len(packets)


async def _until_over(voice: Any, group: str, burst: int, sending: "asyncio.Task[int]") -> str:
    """`released` when all was said; else the cause of the revoke, or how the floor ended."""
    while True:
        told = asyncio.create_task(voice.next(), name="talk-told")
        try:
            await asyncio.wait({told, sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not told.done():
                told.cancel()
        if sending.done():
            sending.result()
            return "released"
        message = told.result()
        mine = message.get("group") == group and message.get("burst") == burst
        if mine and message["type"] in ("floor-revoke", "floor-idle"):
            sending.cancel()
            return str(message.get("cause") or message.get("why") or "revoked")


def _sentence(shell: Shell, report: dict[str, Any]) -> str:
    seconds, listeners = report["seconds"], report["listeners"]
    if report["ended"] == "released":
        return shell.t(f"讲完 {seconds} 秒,{listeners} 个听者", f"Said {seconds} s to {listeners} listeners")
    zh, en = CAUSES.get(report["ended"], (report["ended"], report["ended"]))
    return shell.t(
        f"讲了 {seconds} 秒后中断:{zh}。可再次发起。",
        f"Cut off after {seconds} s: {en}. Ask again to say the rest.",
    )
