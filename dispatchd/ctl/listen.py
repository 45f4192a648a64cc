"""`dispatchd ctl listen GROUP … OUT.wav`: what is said in talk groups, kept as one WAV file, and who said it.

aiortc is imported late, as in talk.py.
"""

import asyncio
import signal
import wave
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from protocols.voice import RATE_HZ

from .errors import BAD_FILE, OK, CliError
from .shell import Shell

MAX_S: Final = 4 * 3600
"""Of one recording (460 MB); then it ends by itself."""
MAX_GROUPS: Final = 8
"""As many channels as a voice session has."""
MAX_TALKERS: Final = 10_000
"""Bursts that are named at the end; later ones are still recorded."""


def add_flags(parser: ArgumentParser) -> None:
    parser.add_argument(
        "groups", nargs="+", metavar="GROUP", help=f"talk groups, at most {MAX_GROUPS}, mixed into one file"
    )
    parser.add_argument(
        "out", metavar="OUT.wav", help="the file: 16 kHz, 16 bit, mono, from the first sound on"
    )
    parser.add_argument(
        "--for", dest="for_s", type=float, metavar="S", help="end after so many seconds (default: Ctrl-C)"
    )


def run(shell: Shell) -> int:
    out = Path(shell.args.out)
    if len(shell.args.groups) > MAX_GROUPS:
        raise CliError(
            shell.t(f"最多同时听 {MAX_GROUPS} 个组。", f"At most {MAX_GROUPS} groups at once."), BAD_FILE
        )
    beside = out.with_name(out.name + ".new")
    try:
        with beside.open("wb") as raw, wave.open(raw, "wb") as file:
            file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
            with asyncio.Runner() as runner:
                report = runner.run(_listen(shell, file.writeframesraw))
        beside.replace(out)
    except OSError as error:
        en = f"{out} cannot be written: {error.strerror}. Choose another place."
        raise CliError(shell.t(f"写不了 {out}:{error.strerror}。请换个位置。", en), BAD_FILE) from None
    finally:
        beside.unlink(missing_ok=True)
    report = {"file": str(out), **report}
    shell.say(_sentence(shell, report))
    shell.give(report)
    return OK


async def _listen(shell: Shell, write: Callable[[bytes], object]) -> dict[str, Any]:
    from . import tape, voice_session

    groups: list[str] = shell.args.groups
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    mix = tape.Mix(write)
    ears = [tape.Ear(mix.place) for _ in groups]

    def heard(slot: int, seq: int, ts: int, opus: bytes) -> None:
        ears[slot].put(seq, ts, opus, int((loop.time() - start_s) * RATE_HZ))

    talkers: list[dict[str, Any]] = []
    async with voice_session.session(shell.client, shell.lang) as voice:
        await voice.open(groups, heard)
        shell.say(
            shell.t(
                f"正在收听 {' '.join(groups)},Ctrl-C 结束", f"Listening to {' '.join(groups)}; Ctrl-C ends it"
            )
        )
        me = shell.client.get("/operators/me")["id"]
        await _until_end(shell, _follow(shell, voice, talkers, me))
    for ear in ears:
        ear.end()
    mix.end()
    return {
        "groups": groups,
        "length_s": round(mix.samples / RATE_HZ, 2),
        "seconds": round(sum(ear.frames for ear in ears) / 50, 2),
        "frames": sum(ear.frames for ear in ears),
        "lost": sum(ear.lost for ear in ears),
        "unreadable": sum(ear.unreadable for ear in ears),
        "talkers": talkers,
    }


async def _until_end(shell: Shell, follow: Any) -> None:
    """The time asked for, Ctrl-C, or an error of the session."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
    except (RuntimeError, ValueError, NotImplementedError):
        pass  # not the main thread: whoever runs us ends us
    limit_s = min(shell.args.for_s or MAX_S, MAX_S)
    following = asyncio.create_task(follow, name="listen-follow")
    stopping = asyncio.create_task(stop.wait(), name="listen-stop")
    try:
        done, _ = await asyncio.wait(
            {following, stopping}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED
        )
        if following in done:
            following.result()
    finally:
        for task in (following, stopping):
            task.cancel()
        await asyncio.gather(following, stopping, return_exceptions=True)


async def _follow(shell: Shell, voice: Any, talkers: list[dict[str, Any]], me: str) -> None:
    """Say who talks, and remember it. Nobody hears himself, whichever window he talks in: that is said and left out."""
    while True:
        message = await voice.next()
        if message["type"] == "floor-taken" and len(talkers) < MAX_TALKERS:
            found = {name: message.get(name, "") for name in ("group", "burst", "talker", "name")}
            if found["talker"] == me:
                shell.say(
                    shell.t(
                        "您自己正在讲话:收不进文件,见 ctl recordings",
                        "you talk yourself: not in the file, see ctl recordings",
                    )
                )
                continue
            if any(one["burst"] == found["burst"] for one in talkers):
                continue
            talkers.append(found)
            name = found["name"] or found["talker"]
            shell.say(shell.t(f"{found['group']}:{name} 正在讲话", f"{found['group']}: {name} talks"))


def _sentence(shell: Shell, report: dict[str, Any]) -> str:
    names = "、".join(dict.fromkeys(one["name"] or one["talker"] for one in report["talkers"])) or "–"
    return shell.t(
        f"{report['file']}:{report['length_s']} 秒,其中语音 {report['seconds']} 秒,丢 {report['lost']} 帧,"
        f"讲话人 {names}",
        f"{report['file']}: {report['length_s']} s, {report['seconds']} s of speech, {report['lost']} frames lost, "
        f"talkers {names}",
    )
