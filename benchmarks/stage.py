"""Broker, daemon and clients, put together: what broadcast and storm, and later voice, are played on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from dispatchd.config import Broker
from dispatchd.links.broker.access import DAEMON_USER

from . import town
from .broker import HOST, broker
from .child import Child, child
from .daemon import Hand, daemon


class Stage(NamedTuple):
    """`hand` commands the daemon, `fleet` the clients (orders: fleet.py); `folder` holds the daemon's store."""

    hand: Hand
    fleet: Child
    who: list[town.Somebody]
    port: int
    folder: Path


@asynccontextmanager
async def stage(pillars: int, terminals: int, folder: Path) -> AsyncIterator[Stage]:
    """A fresh site in `folder` with everybody on line."""
    who = town.devices(pillars, terminals)
    async with (
        broker(folder / "broker", who) as port,
        daemon(folder / "daemon", _address(folder, port)) as hand,
        child(folder, "-m", "benchmarks.fleet") as fleet,
    ):
        await hand.command("site", site=town.site(who))
        await fleet.ask(do="start", port=port, devices=msgspec.to_builtins(who))
        yield Stage(hand, fleet, who, port, folder / "daemon")


def _address(folder: Path, port: int) -> Broker:
    return Broker("url", "", f"mqtt://{HOST}:{port}", DAEMON_USER, str(folder / "broker" / DAEMON_USER))
