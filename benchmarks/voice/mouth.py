"""From one mouth to another ear: two real agents, 50 ms of network and 5 % of the datagrams lost."""

import base64
import socket
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks.broker import HOST
from benchmarks.child import Child, child
from benchmarks.metric import Metric, Row
from dispatchd.config import Voice
from tests.sound.compare import lateness_ms
from tests.sound.relay import Weather, relay
from tests.sound.spoken import spoken

from .size import Size
from .stand import groups, stand

MOUTH: Final = Metric("mouth_to_ear_p95_ms", "ms", "<300")
METRICS: Final = (MOUTH,)
WAY: Final = Weather(loss=0.025, delay_ms=25)
"""Of each of the two ways that sound takes: 50 ms and 5 % from mouth to ear."""
SEED: Final = 20261122


async def measure(runs: int, size: Size) -> list[Row]:
    """The MQTT connection is not disturbed: the floor is another figure."""
    members = groups(1, 1)
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        async with relay((HOST, port), WAY, WAY, seed=SEED) as between:
            voice = Voice(udp=f"{HOST}:{port}", advertise=(f"{HOST}:{between.port}",))
            async with (
                stand(folder / "ours", members, spare=2, voice=voice) as on,
                child(folder, "-m", "benchmarks.voice.agents") as agents,
            ):
                talker, listener = msgspec.to_builtins(next(iter(members.values())))
                await agents.ask(do="start", url=f"mqtt://{HOST}:{on.port}", talker=talker, listener=listener)
                late = [await _p95(agents, size.words) for _ in range(runs)]
                assert between.counts["down"], "the sound went another way"
    return [MOUTH.row(late)]


async def _p95(agents: Child, words: int) -> float:
    """Over every 10 ms of speech in so many sentences."""
    sound = spoken()
    said = base64.b64encode(sound.tobytes()).decode()
    late: list[Any] = []
    for _ in range(words):
        answer = await agents.ask(do="say", pcm=said)
        heard = np.frombuffer(base64.b64decode(answer["pcm"]), dtype=np.int16)
        late.append(lateness_ms(sound, heard))
    return float(np.percentile(np.concatenate(late), 95))


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
