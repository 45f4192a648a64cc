"""The scenarios' player, with a memory of what each device was told."""

from typing import TypeVar

from dispatchd.core.state import Incident
from protocols import down
from tests.scenarios.player import Player

T = TypeVar("T")


class Desk(Player):
    """Play script lines, then ask what came of them."""

    def __init__(self) -> None:
        self.told: dict[str, list[down.Down]] = {}
        super().__init__()

    def _hear(self, id_: str, message: down.Down) -> None:
        self.told.setdefault(id_, []).append(message)
        super()._hear(id_, message)

    def run(self, *lines: str) -> None:
        for line in lines:
            self.play(line)

    def at(self, number: int) -> Incident:
        """The number-th incident, from 0."""
        return list(self.ledger.core.state.incidents.values())[number]

    def merge(self, one: int, into: int) -> None:
        self.play(f"op boss merge incident={self.at(one).incident} into={self.at(into).incident}")

    def prompt(self, device: str) -> str:
        """The code of the newest prompt there."""
        return self.newest(device, down.Prompt).code

    def newest(self, device: str, kind: type[T]) -> T:
        return [message for message in self.told[device] if isinstance(message, kind)][-1]
