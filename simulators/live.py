"""A city running on the screen: presses now and then, one status line, and a person's typed lines, until
he quits.
"""

import asyncio
import random
import signal
import sys
from collections import Counter
from typing import Final

from .fleet import Fleet
from .script import Lines, Script
from .words import Words

STATUS_EVERY_S: Final = 1.0


def status(fleet: Fleet, words: Words) -> str:
    """The one line."""
    terminals, pillars = fleet.online()
    bearers = fleet.city.bearers.values()
    mishaps = Counter(mishap for bearer in bearers for mishap in bearer.until)
    return words.status.format(
        terminals=terminals,
        all_terminals=len(bearers),
        pillars=pillars,
        all_pillars=len(fleet.devices) - len(bearers),
        called=sum(bool(bearer.call) for bearer in bearers),
        deaf=mishaps["deaf"] + mishaps["broken"],
        offline=mishaps["offline"],
        flat=mishaps["flat"],
        off_duty=mishaps["off-duty"],
    )


async def live(fleet: Fleet, words: Words, rng: random.Random, *, press_every_s: float | None) -> None:
    """Until `quit`, SIGINT or SIGTERM; the fleet must be running already."""
    script = Script(fleet, words, lambda: status(fleet, words))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, script.quit.set)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_typed(script), name="typed"),
            group.create_task(_status(fleet, words), name="status"),
        ]
        if press_every_s:
            tasks.append(group.create_task(_presses(fleet, rng, press_every_s), name="presses"))
        await script.quit.wait()
        for task in tasks:
            task.cancel()


async def _typed(script: Script) -> None:
    lines = Lines(sys.stdin)
    lines.start()
    while True:
        answer = script.do(await lines.next())
        if answer:
            print(answer, flush=True)


async def _presses(fleet: Fleet, rng: random.Random, every_s: float) -> None:
    """At random times, on average so often, at a random pillar."""
    while fleet.ids(pillars=True):
        await asyncio.sleep(rng.expovariate(1 / every_s))
        fleet.press(rng.choice(list(fleet.ids(pillars=True))))


async def _status(fleet: Fleet, words: Words) -> None:
    """On a screen the line is written over; elsewhere it is written when it changes."""
    screen, last = sys.stderr.isatty(), ""
    while True:
        line = status(fleet, words)
        if line != last:
            sys.stderr.write(f"\r\x1b[K{line}" if screen else line + "\n")
            sys.stderr.flush()
            last = line
        await asyncio.sleep(STATUS_EVERY_S)
