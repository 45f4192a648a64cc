"""The table of folds, and the few things several rooms of it share."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from dispatchd.core import facts as f
from dispatchd.core.index import Index
from dispatchd.core.state import Incident, Settings, State
from protocols.types import Key

F = TypeVar("F", bound=f.Fact)
Fold = Callable[[State, Index, Any, int], None]
FOLDS: Final[dict[type[f.Fact], Fold]] = {}
"""Fact kind → its fold(state, index, fact, now)."""


def folds(kind: type[F]) -> Callable[[Callable[[State, Index, F, int], None]], Callable[..., None]]:
    """Registers the fold of a kind."""

    def register(function: Callable[[State, Index, F, int], None]) -> Callable[..., None]:
        FOLDS[kind] = function
        return function

    return register


def folds_into_incident(
    kind: type[F],
) -> Callable[[Callable[[State, Index, Incident, F, int], None]], Callable[..., None]]:
    """Registers the fold of a fact about an incident that the state still holds; otherwise it changes nothing."""

    def register(function: Callable[[State, Index, Incident, F, int], None]) -> Callable[..., None]:
        def fold(state: State, index: Index, fact: F, now: int) -> None:
            incident = state.incidents.get(getattr(fact, "incident"))  # noqa: B009
            if incident is not None:
                function(state, index, incident, fact, now)

        FOLDS[kind] = fold
        return function

    return register


def count_id(state: State, id_: str) -> None:
    """An id was given: the next is higher."""
    state.counter = max(state.counter, int(id_.rpartition("-")[2]))


def key_text(key: Key) -> str:
    return f"{key.boot}/{key.seq}"


def settings_of(state: State, device: str) -> Settings:
    return state.settings.setdefault(device, Settings())
