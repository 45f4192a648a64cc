"""A site of talk groups: broker, daemon and our terminals, everybody joined."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks import town
from benchmarks.broker import HOST, running
from benchmarks.child import Child, child
from benchmarks.daemon import VOICE, Hand, daemon
from dispatchd.config import Broker, Voice
from dispatchd.links.broker.access import DAEMON_USER
from protocols.secret import hash_secret

Groups = dict[str, list[town.Somebody]]
"""Talk group → its terminals, the talker first."""


class Stand(NamedTuple):
    """`radios` takes the orders of radios.py."""

    hand: Hand
    radios: Child
    broker_pid: int
    port: int

    @property
    def daemon_pid(self) -> int:
        return self.hand.process.pid


def groups(count: int, listeners: int) -> Groups:
    """`count` talk groups of a talker and `listeners` each."""
    return {
        f"group-{g}": [_terminal(n) for n in range(g * (listeners + 1), (g + 1) * (listeners + 1))]
        for g in range(count)
    }


def _terminal(number: int) -> town.Somebody:
    return town.Somebody(f"terminal-{number}", f"secret-of-terminal-{number}", "terminal", *town.SOUTH_WEST)


def site(of: Groups) -> dict[str, Any]:
    """A unit for each talk group, a patrol for each terminal."""
    who = [one for members in of.values() for one in members]
    whole = town.site(who)
    unit_of = {one.id: unit for unit, members in of.items() for one in members}
    whole["unit"] = [{"id": "top"}, *({"id": unit, "parent": "top"} for unit in of)]
    for device in whole["device"]:
        device["unit"] = unit_of[device["id"]]
    for patrol in whole["patrol"]:
        patrol["unit"] = unit_of[patrol["id"].replace("patrol", "terminal")]
    whole["talk_group"] = [{"id": name, "unit": name, "units": [name]} for name in of]
    return whole


@asynccontextmanager
async def stand(
    folder: Path,
    of: Groups,
    carriage: str = "datagram",
    spare: int = 0,
    voice: Voice = VOICE,
    operators: Sequence[dict[str, str]] = (),
) -> AsyncIterator[Stand]:
    """A fresh site in `folder`. The last `spare` terminals of each group stay away."""
    who = [one for members in of.values() for one in members]
    may_hear = {one.id: (name,) for name, members in of.items() for one in members}
    async with running(folder / "broker", who, may_hear) as broker:
        address = Broker(
            "url", "", f"mqtt://{HOST}:{broker.port}", DAEMON_USER, str(folder / "broker" / DAEMON_USER)
        )
        async with (
            daemon(folder / "daemon", address, voice=voice) as hand,
            child(folder, "-m", "benchmarks.voice.radios") as radios,
        ):
            await hand.command("site", site={**site(of), "operator": list(operators)})
            for one in who:
                await hand.command("secret", device=one.id, secret_hash=hash_secret(one.secret))
            here = {
                name: msgspec.to_builtins(members[: len(members) - spare]) for name, members in of.items()
            }
            await radios.ask(do="join", port=broker.port, groups=here, carriage=carriage)
            yield Stand(hand, radios, broker.pid, broker.port)
