"""`dispatch-sim demo`: daemon, broker, store and a town, started together, and a word on what to try.

Exit codes: 0 ended in order (with --once: played to the end), 1 the daemon did not come up or went away,
2 wrong usage, 3 the scenario of --once could not be played to its end, 143 told to stop by SIGTERM before it was.
"""

import argparse
import asyncio
import random
import shlex
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from devices.hardware import MediaPart
from devices.shell import LogLine
from simulators import roster
from simulators.api import Api, ApiError
from simulators.assemble import Manner, assemble
from simulators.city import CALM, REAL
from simulators.enrol import enrol
from simulators.fleet import Fleet
from simulators.live import live
from simulators.town import streets
from simulators.words import language, words

from .daemon import Daemon, DaemonError, Ready
from .make import PILLARS, SITE_FILE, TERMINALS
from .once import Numbers, OnceError, play
from .spoken import Words, make
from .talk import Talk, TalkError

ONCE_PACE: Final = 6.0
FLEET_STOP_S: Final = 10.0
WORDS: Final = "words"
"""In the folder of the demo: what is said in it, as WAV files."""
TERMINATED: Final = 143
MARK: Final = ".dispatch-demo"
"""In a folder that a demo made: only such a one is emptied."""
EXAMPLE: Final = """examples:
  dispatch-sim demo                     a living town; type press p-03, status, quit
  dispatch-sim demo --once --json       one alarm, four spoken words, one broadcast; the numbers are one
                                        JSON object, last line

exit codes: 0 ended in order; 1 the daemon did not come up or went away; 2 wrong usage;
            3 the scenario of --once could not be played to its end; 143 told to stop before it was
"""


def add(parsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = parsers.add_parser(
        "demo",
        help="start everything and say what to try",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dir", type=Path, help="state (default .state/demo, with --once .state/demo-once)")
    parser.add_argument("--fresh", action="store_true", help="begin with an empty state; --once always does")
    parser.add_argument(
        "--once", action="store_true", help="play an alarm, four spoken words and a broadcast, then end"
    )
    parser.add_argument(
        "--json", action="store_true", help="with --once: the numbers as one JSON line at the end"
    )
    parser.add_argument("--seed", type=int, default=7, help="of everything that chance decides (default 7)")
    parser.add_argument(
        "--press-every", type=float, metavar="S", help="some pillar is pressed, on average every S s"
    )
    parser.add_argument(
        "--broker", choices=["auto", "amqtt", "mosquitto"], default="auto", help="default auto"
    )
    parser.add_argument(
        "--real", action="store_true", help="terminals go deaf and lose network by themselves"
    )
    parser.add_argument("--lang", choices=["zh", "en"], help="default by LANG")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    directory = (args.dir or Path(".state") / ("demo-once" if args.once else "demo")).absolute()
    numbers, code = None, 0
    try:
        prepare(directory, fresh=args.fresh or args.once)
        numbers = asyncio.run(_run(args, directory))
    except* (DaemonError, roster.RosterError, OSError) as errors:
        code = _failed(errors, 1)
    except* (OnceError, TalkError, ApiError) as errors:
        code = code or _failed(errors, 3)
    except* asyncio.CancelledError:
        code = TERMINATED
    if numbers is not None:
        show(numbers, as_json=args.json)
    return code


def _failed(errors: BaseExceptionGroup[Exception], code: int) -> int:
    """Each cause as a sentence on stderr; the code, for the way out."""
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            _failed(error, code)
        else:
            print(f"dispatch-sim demo: {error}", file=sys.stderr)
    return code


def prepare(directory: Path, *, fresh: bool) -> None:
    """An empty or well-known folder; OSError when it holds something that no demo made."""
    if directory.exists() and any(directory.iterdir()) and not (directory / MARK).exists():
        raise FileExistsError(f"{directory} was not made by a demo; name another folder with --dir.")
    if fresh and directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MARK).touch()


def show(numbers: Numbers, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(numbers).decode(), flush=True)
    else:
        print(msgspec.json.format(msgspec.json.encode(numbers)).decode(), flush=True)


class Talking(NamedTuple):
    """What the control room talks with."""

    daemon: Daemon
    words: Words


async def _run(args: argparse.Namespace, directory: Path) -> Numbers | None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    lang = language(args.lang)
    say = words(lang)
    print(say.starting.format(dir=directory), file=sys.stderr)
    async with _daemon(directory, args.broker) as (daemon, ready), asyncio.TaskGroup() as group:
        print(say.up.format(http=ready.http, mqtt=ready.mqtt), file=sys.stderr)
        watch = group.create_task(daemon.died(), name="watch the daemon")
        spoken = await make(directory / WORDS)
        await _warm_up()
        fleet = await _fleet(args, directory, ready)
        fleet.word = spoken.words["coming"].packets
        running = group.create_task(fleet.run(), name="fleet")
        numbers = await _show(args, Talking(daemon, spoken), ready, fleet)
        running.cancel()
        await asyncio.wait([running], timeout=FLEET_STOP_S)
        watch.cancel()
    return numbers


@asynccontextmanager
async def _daemon(directory: Path, broker: str) -> AsyncIterator[tuple[Daemon, Ready]]:
    daemon = Daemon(directory, broker)
    try:
        yield daemon, await daemon.start(SITE_FILE)
    finally:
        await daemon.stop()


async def _fleet(args: argparse.Namespace, directory: Path, ready: Ready) -> Fleet:
    """Credentials for everybody, then everybody."""
    site = roster.read_site(SITE_FILE)
    folder = directory / "credentials"
    lang = language(args.lang)
    async with _api(ready) as api:
        count = await enrol(api, site, folder, ready.mqtt, root=ready.root)
    print(words(lang).enrolled.format(count=count), file=sys.stderr)
    people = roster.read(folder, site, streets(), roster.Wanted(TERMINALS, PILLARS))
    manner = Manner(
        args.seed,
        ONCE_PACE if args.once else 1.0,
        REAL if args.real and not args.once else CALM,
        lang,
        directory / "logs",
        _sound(directory / WORDS / "pillar.wav"),
    )
    return assemble(people, manner)


def _sound(word: Path) -> Callable[[LogLine], MediaPart]:
    """A pillar's sound: at each press somebody says this. The library takes half a second to load."""
    from devices.voice.files import WavMicrophone
    from devices.voice.synthetic import NullSpeaker
    from devices.voice.webrtc import PillarMedia

    return lambda log: PillarMedia(WavMicrophone(word), NullSpeaker(), log)


async def _warm_up() -> None:
    """The first session of a process takes ten times as long as the next; no pillar of a town should pay for that."""
    from devices.voice.peer import Peer

    peer = Peer(1, lambda _: None)
    await peer.offer()
    await peer.close()


def _api(ready: Ready) -> Api:
    return Api(ready.http, Path(ready.admin_token_file).read_text(encoding="utf-8").strip())


async def _show(args: argparse.Namespace, talking: Talking, ready: Ready, fleet: Fleet) -> Numbers | None:
    rng = random.Random(args.seed)
    say = words(language(args.lang))
    named = _names(talking.daemon.directory)
    if args.once:
        numbers = await _once(talking, ready, fleet, rng)
        print(say.hear.format(count=numbers.voice.recordings, **named), file=sys.stderr)
        return numbers
    print(say.try_next.format(**named), flush=True)
    await live(fleet, say, rng, press_every_s=args.press_every)
    print(say.stopping.format(seconds=FLEET_STOP_S), file=sys.stderr)
    return None


async def _once(talking: Talking, ready: Ready, fleet: Fleet, rng: random.Random) -> Numbers:
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", file=sys.stderr)

    async with _api(ready) as api:
        talk = Talk(fleet, api, talking.daemon, talking.words, say)
        return await play(fleet, api, talk, rng, say)


def _names(directory: Path) -> dict[str, str]:
    """What the texts of words.py name: programs and folders, as one types them in a shell."""
    python = shlex.quote(sys.executable)
    return {
        "dispatchd": f"{python} -m dispatchd",
        "device": f"{python} -m devices.cli",
        "dir": shlex.quote(str(directory)),
        "recordings": shlex.quote(str(directory / "recordings")),
        "word": shlex.quote(str(directory / WORDS / "all-hands.wav")),
    }
