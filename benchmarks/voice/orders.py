"""A load process: one JSON line in, one method called, one JSON line out (benchmarks.child is the other end).

An error ends the process, and with it the benchmark: a client that fails makes no figure.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
import uvloop


class Load(Protocol):
    """Every public coroutine is an order: its keywords are the line's, what it returns is the answer."""


def serve(load: type[Load]) -> None:
    """Orders from stdin until it ends."""
    uvloop.run(_serve(load))


async def _serve(load: type[Load]) -> None:
    loop, orders = asyncio.get_running_loop(), load()
    loop.set_exception_handler(_end)
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        order: dict[str, Any] = msgspec.json.decode(line)
        answer: Mapping[str, Any] = await getattr(orders, order.pop("do"))(**order)
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()


def _end(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    loop.default_exception_handler(context)
    os._exit(1)
