"""The thin shell round an agent: MQTT, clock, outbox and hardware. Everything that decides is in the agent.

For simulators, kept stable:

    outbox = MemoryOutbox("boot-1")                    # or devices.outbox_file.FileOutbox(path)
    agent = TerminalAgent.restore(outbox.records, outbox.boot, rng=random.Random(7))
    await run_device(agent, credentials, hardware, outbox, log)      # until cancelled

`hardware` is anything with the parts of devices/hardware.py, `log` a callable that takes the fields of one line.
Hundreds of devices run in one process: three tasks each, no thread.
"""

from collections.abc import Callable
from typing import Any

from devices.agent import Agent
from devices.credentials import Credentials
from devices.hardware import Hardware
from devices.outbox import Outbox

LogLine = Callable[[dict[str, Any]], None]


async def run_device(
    agent: Agent, credentials: Credentials, hardware: Hardware, outbox: Outbox, log: LogLine
) -> None:
    """Runs one device until it is cancelled; then it says goodbye (presence death) and disconnects.

    Network trouble of any kind is lived through; only a bug or a failing part of the hardware ends it.
    """
    raise NotImplementedError
