"""From a roster and a seed to a fleet in a city, the same way for `city` and for `demo`."""

import asyncio
import errno
import random
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from devices.hardware import MediaPart
from devices.shell import LogLine

from .city import CALM, Rates, populate
from .fleet import Fleet
from .roster import Roster
from .town import streets

FILES_PER_DEVICE: Final = 6
"""Two ends of the radio, the link to the broker, the log, the datagrams of voice, one to spare."""


@dataclass(frozen=True)
class Manner:
    """How a city behaves. `pace` 1 = as people do; 8 = eight times as fast on foot and in speech.

    `sound` makes the sound of one pillar.
    """

    seed: int = 7
    pace: float = 1.0
    rates: Rates = CALM
    language: str = "zh"
    logs: Path | None = None
    sound: Callable[[LogLine], MediaPart] | None = None


def assemble(roster: Roster, manner: Manner) -> Fleet:
    """Everybody at a place of his own; must be called inside a running loop."""
    rng = random.Random(manner.seed)
    now_ms = round(asyncio.get_running_loop().time() * 1000)
    terminals = [(credentials.device, force) for credentials, force in roster.terminals]
    city = populate(streets(), terminals, rng, now_ms, manner.pace)
    city.rates = manner.rates
    asyncio.get_running_loop().set_exception_handler(unhandled)
    allow_files((len(roster.terminals) + len(roster.pillars)) * FILES_PER_DEVICE)
    return Fleet(roster, city, rng, manner.logs, language=manner.language, sound=manner.sound)


def unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """All but two that the MQTT library makes when a device is switched off: it looks at a log-in that was
    cancelled, and wants to write to a socket that it has closed.
    """
    error = context.get("exception")
    closed = isinstance(error, OSError) and error.errno == errno.EBADF
    if not closed and not isinstance(error, asyncio.CancelledError):
        loop.default_exception_handler(context)


def allow_files(wanted: int) -> None:
    """Raises this process's own limit of open files as far as it may; the rest shows as connection errors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ceiling = wanted + 256 if hard == resource.RLIM_INFINITY else min(hard, wanted + 256)
    if soft < ceiling:
        resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, hard))
