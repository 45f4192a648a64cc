"""Who presses the keys of the device under check: a person at the desk, told what to do; or a test."""

import asyncio
import sys
from typing import Final, Protocol

from simulators.script import Lines

ASKS: Final = {
    "alarm": "press the alarm key once and let go (a terminal: hold the emergency key for two seconds)",
    "accept": "accept the call on the screen",
    "en-route": "say that you are on your way",
    "on-scene": "say that you are on the scene",
    "done": "say that you are done",
    "decline": "decline the call on the screen",
    "acknowledge": "acknowledge the broadcast on the screen",
}
"""What a point may ask for, and how a person is told."""


class Hands(Protocol):
    async def do(self, what: str) -> None:
        """Do it now; a key of ASKS."""

    async def confirm(self, question: str) -> bool | None:
        """A yes/no question about what the device showed or said; None when nobody is there to answer."""


class PersonHands:
    """Says on standard error what to do; asks questions only when somebody can type the answer."""

    def __init__(self) -> None:
        self._lines = Lines(sys.stdin)
        self._asks = sys.stdin.isatty()
        if self._asks:
            self._lines.start()

    async def do(self, what: str) -> None:
        print(f"\n>>> Now please {ASKS[what]}.", file=sys.stderr, flush=True)

    async def confirm(self, question: str) -> bool | None:
        if not self._asks:
            return None
        print(f"\n>>> {question} [y/n] ", end="", file=sys.stderr, flush=True)
        while (line := await self._answer()) is not None:
            if line[:1].lower() in ("y", "n"):
                return line[:1].lower() == "y"
        return None

    async def _answer(self) -> str | None:
        try:
            return await asyncio.wait_for(self._lines.next(), ANSWER_WITHIN_S)
        except TimeoutError:
            return None


ANSWER_WITHIN_S: Final = 120.0
"""A question that nobody has answered by then is left open."""
