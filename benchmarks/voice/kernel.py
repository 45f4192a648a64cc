"""A bare kernel send loop (send_loop.c, built when it is wanted) and its load: `python -m benchmarks.voice.kernel`.

join   `listeners` sockets and one talker; answers with their ports
talk   one word of `frames` datagrams of `size` bytes to `port`: ears.Heard
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

from .ears import HOST, Ears, ear, judge, talk
from .orders import serve

SOURCE: Final = Path(__file__).with_name("send_loop.c")
COMPILERS: Final = ("cc", "gcc", "clang")
NAME: Final = "a bare kernel send loop (C, sendmmsg)"


class NoCompiler(Exception):
    """The send loop is C and there is no compiler."""


class Loop(NamedTuple):
    """Where it takes datagrams, and its process."""

    port: int
    pid: int


async def build(folder: Path) -> Path:
    """The program; NoCompiler when there is none."""
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise NoCompiler("no C compiler for the bare send loop: apt-get install gcc libc6-dev")
    program = folder / "send_loop"
    process = await asyncio.create_subprocess_exec(compiler, "-O2", "-o", str(program), str(SOURCE))
    if await process.wait():
        raise NoCompiler(f"{compiler} could not build {SOURCE.name}")
    return program


@asynccontextmanager
async def send_loop(program: Path, listeners: list[int]) -> AsyncIterator[Loop]:
    """Runs while the context lasts."""
    with ear() as probe:
        port = int(probe.getsockname()[1])
    process = await asyncio.create_subprocess_exec(
        str(program), str(port), *map(str, listeners), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"ready\n"
        yield Loop(port, process.pid)
    finally:
        process.kill()
        await process.wait()


class Load:
    """The orders."""

    async def join(self, listeners: int) -> dict[str, list[int]]:
        self._sockets = [ear() for _ in range(listeners)]
        self._ears = Ears(self._sockets)
        self._talker = ear()
        return {"ports": [one.getsockname()[1] for one in self._sockets]}

    async def talk(self, port: int, frames: int, size: int) -> dict[str, float]:
        send, rest = self._talker.sendto, bytes(size - 4)
        sent = await talk([lambda n: send(n.to_bytes(4, "big") + rest, (HOST, port))], self._ears, frames)
        heard = [
            [(stamp, int.from_bytes(data[:4], "big")) for stamp, data in one] for one in self._ears.taken()
        ]
        return judge(sent, heard, [0] * len(heard))._asdict()


if __name__ == "__main__":
    serve(Load)
