"""What a point of the check is, and what it may use."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from msgspec import Struct

from protocols import up
from protocols.types import Key

from .bench import Bench, Heard, MissedError
from .hands import Hands


class Timing(Struct, frozen=True):
    """Seconds. `patience_s`: for a person; `soon_s`: for the device by itself; `quiet_s`: proves that
    nothing comes.
    """

    patience_s: float = 60.0
    soon_s: float = 6.0
    repeats_s: float = 12.0
    cut_s: float = 3.0
    back_s: float = 60.0
    quiet_s: float = 17.0


class Check:
    """One run against one device."""

    def __init__(self, bench: Bench, hands: Hands, role: str, timing: Timing) -> None:
        self.bench = bench
        self.hands = hands
        self.role = role
        self.timing = timing

    async def wait(self, kind: str, *, mark: int = 0, within_s: float = 0, **fields: Any) -> Heard:
        """The first message of this kind with these fields; MissedError when none comes."""
        what = " ".join([kind, *(f"{name}={value}" for name, value in fields.items())])
        return await self.bench.expect(
            what, lambda heard: fits(heard, kind, fields), within_s or self.timing.soon_s, mark=mark
        )

    async def press(self) -> Heard:
        """The alarm that a press makes."""
        mark = self.bench.mark()
        await self.hands.do("alarm")
        return await self.bench.expect("alarm", is_press, self.timing.patience_s, mark=mark)

    async def alive(self) -> None:
        """It still reports its state; MissedError when not."""
        await self.wait("state", mark=self.bench.mark())

    async def by_person(self, question: str) -> str:
        """A remark on the answer; MissedError when it is no."""
        answer = await self.hands.confirm(question)
        if answer is False:
            raise MissedError(f"the person says no to: {question}")
        return "" if answer else " (not confirmed by a person)"


def is_press(heard: Heard) -> bool:
    return isinstance(heard.message, up.Alarm) and heard.message.kind in ("one-key", "duress", "emergency")


def fits(heard: Heard, kind: str, fields: dict[str, Any]) -> bool:
    if heard.kind != kind or heard.message is None:
        return False
    return all(getattr(heard.message, name, None) == value for name, value in fields.items())


def require(true: bool, seen: str) -> None:
    """MissedError with what was seen unless it is true."""
    if not true:
        raise MissedError(seen)


def name(key: Key | None) -> str:
    return "no key" if key is None else f"{key.boot}/{key.seq}"


Body = Callable[[Check], Awaitable[str]]


class Point(Struct, frozen=True):
    """`body` returns what was seen, or raises MissedError. `roles` it is for."""

    id: str
    expected: str
    roles: tuple[str, ...]
    body: Body


BOTH: Final = ("pillar", "terminal")


class Points:
    """A list that is filled by a decorator, in the order of the file."""

    def __init__(self) -> None:
        self.all: list[Point] = []

    def point(self, id_: str, expected: str, *roles: str) -> Callable[[Body], Body]:
        def add(body: Body) -> Body:
            self.all.append(Point(id_, expected, roles or BOTH, body))
            return body

        return add
