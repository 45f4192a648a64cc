"""The amqtt broker as a process of its own: `python -m dispatchd.links.broker.amqtt_child CONFIG`.

CONFIG is a JSON file (ChildConfig). The line `reload` on stdin, or SIGHUP, makes it read the access list
again, which it answers with the line `reloaded` (or `failed`, keeping the old list) on stdout. End of
stdin, SIGTERM and SIGINT end it: it never outlives its parent. Logs go to stderr, `LEVEL text` a line; no
secret is in them.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path

import msgspec
from amqtt.errors import BrokerError

from dispatchd.links.broker.access import Access, decode_access
from dispatchd.links.broker.amqtt_broker import GuardedBroker
from dispatchd.links.broker.amqtt_config import FAILED, READY, RELOAD, RELOADED, ChildConfig

log = logging.getLogger("dispatchd.broker")


class Child:
    """The broker, told what to do by lines and signals."""

    def __init__(self, config: ChildConfig) -> None:
        self._config = config
        self._broker = GuardedBroker(config.host, config.port, self._read_access())

    def _read_access(self) -> Access:
        return decode_access(Path(self._config.access_path).read_bytes())

    def reload(self) -> None:
        """Take the list on disk; an unreadable one is refused and said, the old one stays in force."""
        try:
            self._broker.reload(self._read_access())
        except (OSError, ValueError) as error:
            log.error("%s cannot be used, the old access list stays: %s", self._config.access_path, error)
            print(FAILED, flush=True)
        else:
            print(RELOADED, flush=True)

    async def run(self) -> None:
        """Serve until stdin ends or a signal says so."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        await self._broker.start()
        log.info("%s %s:%d", READY, self._config.host, self._config.port)
        async with asyncio.TaskGroup() as tasks:
            commands = tasks.create_task(self._obey(stop), name="broker-commands")
            await stop.wait()
            commands.cancel()
        await self._broker.shutdown()

    async def _obey(self, stop: asyncio.Event) -> None:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
        while line := await reader.readline():
            if line.strip() == RELOAD:
                self.reload()
        stop.set()


def main() -> int:
    """Exit codes: 0 ended in order, 1 could not start."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    for noisy in ("amqtt", "transitions"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        config = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=ChildConfig)
        _run(_serve(config))
    except (OSError, ValueError, BrokerError) as error:
        log.error("the embedded broker cannot run: %s: %s", type(error).__name__, error)
        return 1
    return 0


def _run(main: Coroutine[None, None, None]) -> None:
    """Under uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


async def _serve(config: ChildConfig) -> None:
    await Child(config).run()


if __name__ == "__main__":
    sys.exit(main())
