"""A child process that turns bytes into bytes: bounded in time and in what it says, ended by its id when nobody waits.

What must hold: when `run` returns or raises, also by cancelling, the child is gone and was waited for.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

STDERR_MAX_BYTES: Final = 4_000
"""Of what it says went wrong; the rest is read and thrown away."""
_PIECE: Final = 64 * 1024


class ChildFailed(Exception):
    """It ended badly, took too long, said too much or could not be started; the text says which, in a sentence."""

    def __init__(self, why: str, code: int | None = None) -> None:
        super().__init__(why)
        self.code = code


async def run(command: Sequence[str], given: bytes, *, max_bytes: int, timeout_s: float) -> bytes:
    """Its stdout for `given` on stdin. ChildFailed."""
    try:
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise ChildFailed(f"{command[0]} cannot be started: {error.strerror}") from None
    try:
        async with asyncio.timeout(timeout_s):
            said, wrong = await _talk(child, given, max_bytes)
            code = await child.wait()
    except TimeoutError:
        raise ChildFailed(f"{command[0]} took longer than {timeout_s:g} s") from None
    finally:
        await _gone(child)
    if len(said) > max_bytes:
        raise ChildFailed(f"{command[0]} made more than {max_bytes} bytes")
    if code:
        text = wrong.decode("utf-8", "replace").strip().splitlines()
        raise ChildFailed(text[-1][:300] if text else f"{command[0]} ended with code {code}", code)
    return said


async def _talk(child: asyncio.subprocess.Process, given: bytes, max_bytes: int) -> tuple[bytes, bytes]:
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    async with asyncio.TaskGroup() as tasks:
        said = tasks.create_task(_read(child.stdout, max_bytes + 1), name="child stdout")
        wrong = tasks.create_task(_read(child.stderr, STDERR_MAX_BYTES), name="child stderr")
        tasks.create_task(_write(child.stdin, given), name="child stdin")
    return said.result(), wrong.result()


async def _read(stream: asyncio.StreamReader, most: int) -> bytes:
    """The first `most` bytes; the rest is read too, so that the child comes to its end."""
    found = bytearray()
    while piece := await stream.read(_PIECE):
        found += piece[: most - len(found)]
    return bytes(found)


async def _write(stream: asyncio.StreamWriter, given: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it had enough; its exit code says why
        stream.write(given)
        await stream.drain()
    stream.close()


async def _gone(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
