"""Lines that a person types while the city runs, and what they do: `press p-03`, `offline t-005`, `quit` …"""

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Final, TextIO

from .fleet import Fleet
from .words import Words

MAX_LINES: Final = 100
"""Typed ahead and not done yet; more are dropped with a word about it."""
MAX_LINE: Final = 200


class Lines:
    """Lines of a stream as they come, read by a thread of its own, for a pipe, a terminal and a file
    alike.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._queue: asyncio.Queue[str] = asyncio.Queue(MAX_LINES)

    def start(self) -> None:
        """The thread ends with the stream or with the process."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(loop,), name="stdin", daemon=True).start()

    async def next(self) -> str:
        """The next line; waits for ever after the end of the stream."""
        return await self._queue.get()

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while line := self._stream.readline(MAX_LINE):
                loop.call_soon_threadsafe(self._put, line.strip())
        except (RuntimeError, ValueError):
            return  # the loop or the stream is closed: the run is over

    def _put(self, line: str) -> None:
        if self._queue.full():
            print("typed too far ahead; the line is dropped", file=sys.stderr)
        else:
            self._queue.put_nowait(line)


class Script:
    """`do(line)` answers with what was done, in words; `quit` is set when the person has had enough."""

    def __init__(self, fleet: Fleet, words: Words, status: Callable[[], str]) -> None:
        self.quit = asyncio.Event()
        self._fleet = fleet
        self._words = words
        self._status = status

    def do(self, line: str) -> str:
        verb, _, device = line.strip().partition(" ")
        device = device.strip()
        match verb:
            case "":
                return ""
            case "quit" | "exit" | "q":
                self.quit.set()
                return self._words.bye
            case "status":
                return self._status()
            case "press" | "duress":
                return self._known(verb, device, pillar=True) or self._press(verb, device)
            case "talk":
                return self._known(verb, device, pillar=False) or self._talk(device)
            case "emergency" | "offline" | "deaf" | "flat" | "broken" | "off-duty":
                return self._known(verb, device, pillar=False) or self._terminal(verb, device)
        return self._words.help

    def _known(self, verb: str, device: str, *, pillar: bool) -> str:
        """What is wrong with the id, "" when nothing is."""
        ids = self._fleet.ids(pillars=pillar)
        return "" if device in ids else self._words.unknown(verb, device, ids)

    def _press(self, verb: str, device: str) -> str:
        self._fleet.press(device, "duress" if verb == "duress" else "alarm")
        return self._words.done(verb, device)

    def _talk(self, device: str) -> str:
        if self._fleet.talk(device):
            return self._words.done("talk", device)
        return self._words.off.format(device=device)

    def _terminal(self, verb: str, device: str) -> str:
        if verb == "emergency":
            self._fleet.emergency(device)
        else:
            self._fleet.befall(device, verb)  # type: ignore[arg-type]  # the verbs are the mishaps
        return self._words.done(verb, device)
