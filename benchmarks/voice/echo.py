"""An echo client on the broker: what a device says below BARE_ROOT comes back to it. `python -m benchmarks.voice.echo`.

join   log in at `port` and subscribe
"""

import asyncio

from benchmarks.broker import BARE_ROOT, BARE_USER, HOST, PASSWORD
from benchmarks.wire import Wire
from protocols import topics

from .orders import serve


class Echo(Wire):
    """As light as a client can be: no queue, no task, one write."""

    def received(self, topic: str, payload: bytes) -> bytes:
        where = topics.parse_up(BARE_ROOT, topic)
        return self.publish(topics.down(BARE_ROOT, where.device, where.kind).encode(), payload)


class Load:
    """The orders."""

    async def join(self, port: int) -> dict[str, bool]:
        self._echo = Echo(BARE_USER, PASSWORD, [f"{BARE_ROOT}/d/+/up/#"])
        await asyncio.get_running_loop().create_connection(lambda: self._echo, HOST, port)
        await self._echo.subscribed
        return {"joined": True}


if __name__ == "__main__":
    serve(Load)
