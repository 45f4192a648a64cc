"""A daemon process with its broker, a bad network before both of its doors, and terminals beyond it."""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.e2e.process import Daemon, daemon
from tests.e2e.voice.line import Line, line
from tests.e2e.voice.network import Network, network
from tests.e2e.voice.radio import Terminal
from tests.sound.relay import CLEAR, Weather

GROUP: Final = "all"
SEED: Final = 20261122
"""Of every network here; a test that fails prints it."""
PORTS: Final = range(20_000, 30_000)
PORT_TRIES: Final = 20


def site(radios: int, **rules: Any) -> dict[str, Any]:
    """So many terminals, all in GROUP, with these rules."""
    numbers = range(1, radios + 1)
    return {
        "name": "voice test",
        "rules": {"retry_first_s": 0.5, "retry_max_s": 2, **rules},
        "unit": [{"id": "top"}],
        "patrol": [{"id": f"patrol-{n}", "unit": "top", "force": "police"} for n in numbers],
        "device": [
            {"id": f"radio-{n}", "kind": "terminal", "unit": "top", "patrol": f"patrol-{n}"} for n in numbers
        ],
        "talk_group": [{"id": GROUP, "unit": "top", "units": ["top"]}],
    }


@dataclass
class Stand:
    """`relay` carries the datagrams of all terminals, `line` the TCP of those that are switched on at its port."""

    daemon: Daemon
    relay: Network
    line: Line
    radios: list[Terminal] = field(default_factory=list)

    def switch_on(self, device: str, port: int | None = None) -> Terminal:
        made = Terminal(device, port or self.daemon.port, self.daemon.secrets[device])
        self.radios.append(made)
        return made

    async def counts(self) -> dict[str, float]:
        """What became of frames, of /metrics: name → how often."""
        start = 'dispatchd_voice_total{what="'
        metrics = await self.daemon.metrics()
        return {name[len(start) : -2]: n for name, n in metrics.items() if name.startswith(start)}

    async def everybody_ready(self) -> None:
        """All have keys, and the daemon knows how each of them listens."""
        for one in self.radios:
            await one.ready()
        async with asyncio.timeout(10):
            while await self._deaf():
                await asyncio.sleep(0.02)

    async def _deaf(self) -> bool:
        group = await self.daemon.get(f"/groups/{GROUP}")
        return bool(group["voice"] < len(self.radios))


@contextlib.asynccontextmanager
async def stand(
    folder: Path,
    radios: int = 2,
    broker: str = "amqtt",
    *,
    datagrams: bool = True,
    on: bool = True,
    up: Weather = CLEAR,
    down: Weather = CLEAR,
    seed: int = SEED,
    **rules: Any,
) -> AsyncIterator[Stand]:
    """Everybody is on line and can hear when it begins; with `on` False nobody is."""
    print(f"network seed {seed}")
    udp = _free_udp_port()
    async with contextlib.AsyncExitStack() as stack:
        between = await stack.enter_async_context(network(("127.0.0.1", udp), up, down, seed))
        voice: dict[str, Any] = {"udp": f"127.0.0.1:{udp}", "advertise": [f"127.0.0.1:{between.port}"]}
        at = await stack.enter_async_context(
            daemon(folder, broker, site(radios, **rules), more={"voice": voice if datagrams else {"udp": ""}})
        )
        here = Stand(at, between, await stack.enter_async_context(line(at.port)))
        try:
            for n in range(1, radios + 1) if on else ():
                here.switch_on(f"radio-{n}")
            await here.everybody_ready()
            yield here
        finally:
            for one in here.radios:
                await one.off()


def _free_udp_port() -> int:
    """Below those that the kernel gives away by itself: it must stay free until the daemon has it."""
    for _ in range(PORT_TRIES):
        port = secrets.choice(PORTS)
        with socket.socket(type=socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError(f"no free UDP port in {PORTS}")
