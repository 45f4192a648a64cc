"""One decision in the making: the state it reads, the facts it records (folded at once), the effects it wants."""

from msgspec import Struct

from protocols.down import Down, Receipt, Receipted
from protocols.rules import Rules
from protocols.types import Key

from .commands import Done, Refusal
from .effects import Effect, Send
from .facts import Fact
from .fold import apply
from .index import Index
from .state import Incident, State

RECEIPT_TTL_MS = 60_000
"""A receipt that comes later than this is dropped by the device, which then repeats and gets a new one."""


class Decision(Struct):
    """What one input came to. `effects` may leave only after `facts` are on disk."""

    facts: list[Fact]
    effects: list[Effect]
    result: Done | Refusal | None = None


class Turn:
    """Handed to every room; lives for one input."""

    def __init__(self, state: State, index: Index, now: int) -> None:
        self.state = state
        self.index = index
        self.now = now
        self.facts: list[Fact] = []
        self.effects: list[Effect] = []

    def record(self, fact: Fact) -> None:
        """It happened: into the journal, and into the state at once."""
        self.facts.append(fact)
        apply(self.state, self.index, fact, self.now)

    def do(self, effect: Effect) -> None:
        self.effects.append(effect)

    def send(self, device: str, message: Down, ttl_ms: int) -> None:
        self.effects.append(Send(device, message, ttl_ms))

    def receipt(self, device: str, key: Key, incident: str = "", refused: str = "") -> None:
        """Tell the device that this key is settled."""
        item = Receipted(key, "refused" if refused else "committed", incident or None, refused)
        self.send(device, Receipt([item]), RECEIPT_TTL_MS)

    def next_id(self, letter: str) -> str:
        """A new id, unique on this site across restores. The fold of the fact that carries it counts it."""
        return f"{letter}{self.state.gen}-{self.state.counter + 1}"

    def rules(self, incident: Incident) -> Rules:
        return self.index.rules(incident.unit)
