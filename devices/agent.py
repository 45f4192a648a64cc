"""What every device does: hello, durable messages with retry and receipt, items once each, expiry by site time."""

import random
from collections.abc import Iterable
from typing import Self

from devices.events import Action, Event
from devices.outbox import Boot, Record


class Agent:
    """A state machine without I/O. `now_ms` comes from one monotonic clock and never steps back."""

    role = "terminal"

    @classmethod
    def restore(
        cls, records: Iterable[Record], boot: Boot, *, rng: random.Random, language: str = "zh"
    ) -> Self:
        """The agent as it wakes: what its outbox holds is sent again."""
        raise NotImplementedError

    def handle(self, event: Event, now_ms: int) -> list[Action]:
        """What to do now, in this order."""
        raise NotImplementedError

    def deadline(self) -> int | None:
        """When (ms, monotonic) the next Tick is due."""
        raise NotImplementedError
