"""The same word by MQTT: our broker and daemon together, against a bare broker that is told the same bytes."""

import tempfile
from pathlib import Path
from typing import Final

from benchmarks.child import child
from benchmarks.metric import Metric, Row

from . import fanout
from .cost import word
from .datagram import SEALED_BYTES, WARM_UP
from .size import Size
from .stand import groups, stand

CPU: Final = Metric("mqtt_cpu_vs_mosquitto", "µs/frame", "≤1.4", fanout.NAME)
METRICS: Final = (CPU,)


async def measure(runs: int, size: Size) -> list[Row]:
    mine, theirs = [], []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        async with (
            stand(folder / "ours", groups(1, size.listeners), "mqtt") as ours,
            fanout.bare(folder) as bare,
            child(folder, "-m", "benchmarks.voice.fanout") as load,
        ):
            await load.ask(do="join", port=bare.port, listeners=size.listeners)
            for _ in range(WARM_UP + runs):
                await ours.radios.ask(do="prepare")
                pids = [ours.daemon_pid, ours.broker_pid]
                mine.append((await word(pids, ours.radios, frames=size.frames)).us)
                await ours.radios.ask(do="release")
                theirs.append((await word([bare.pid], load, frames=size.frames, size=SEALED_BYTES)).us)
    return [CPU.row(mine[WARM_UP:], theirs[WARM_UP:])]
