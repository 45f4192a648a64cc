"""State + fact → state: total, in place, and the only way facts change anything.

Each fact kind has one function in a room of this package; it reads nothing but the state and the fact, so that replay
ends where life did. A fact about something the state no longer holds (forgotten) changes nothing.
"""

from dispatchd.core import facts as f
from dispatchd.core.index import Index
from dispatchd.core.state import State

from . import broadcast, incidents, ladder, owner, presence, rings, site, voice
from .table import FOLDS, key_text, settings_of

__all__ = ["FOLDS", "apply", "key_text", "settings_of"]
ROOMS = (site, presence, incidents, owner, rings, ladder, broadcast, voice)
"""Importing them filled the table."""


def apply(state: State, index: Index, fact: f.Fact, now: int) -> None:
    """Fold one fact that happened at core time `now`."""
    state.now_ms = max(state.now_ms, now)
    FOLDS[type(fact)](state, index, fact, now)
