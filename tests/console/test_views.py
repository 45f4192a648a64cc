"""Documents of the state: ages counted once, and the order in which several incidents stand."""

import random

from dispatchd.console.incident_view import order
from dispatchd.console.views import View
from dispatchd.core import facts as f
from dispatchd.core.core import Core
from dispatchd.core.inputs import DeviceSaid
from dispatchd.core.state import Incident
from protocols import up
from protocols.types import Position

NOW = 1_800_000_000_000


def test_the_age_of_a_position_is_counted_once() -> None:
    """The device said how old it was; that is in `position_ms` already."""
    core = Core()
    core.apply(f.EntrySet("unit", "top", {"id": "top"}, "test"), NOW)
    core.apply(f.EntrySet("device", "t-1", {"id": "t-1", "kind": "terminal", "unit": "top"}, "test"), NOW)
    core.decide(DeviceSaid("t-1", up.State(1, Position(26.9, 112.6, age_ms=4_000))), NOW)
    doc = View(core.state, NOW + 1_000).device("t-1")
    assert doc is not None
    assert doc.position is not None
    assert doc.position.age_ms == 5_000


def test_several_incidents_stand_unaccepted_then_silent_then_emergency_then_one_key_then_oldest() -> None:
    right = [
        Incident("silent", "p-1", "one-key", "top", NOW + 5, silent=True),
        Incident("emergency", "t-1", "emergency", "top", NOW + 4),
        Incident("old", "p-2", "one-key", "top", NOW + 1),
        Incident("new", "p-3", "one-key", "top", NOW + 2),
        Incident("tamper", "p-4", "tamper", "top", NOW),
        Incident("taken silent", "p-5", "duress", "top", NOW, silent=True, owner="wang"),
        Incident("taken", "p-6", "one-key", "top", NOW, owner="wang"),
        Incident("ended", "p-7", "one-key", "top", NOW, ended_ms=NOW + 9),
    ]
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    mixed = random.Random(seed).sample(right, len(right))
    assert [i.incident for i in sorted(mixed, key=order)] == [i.incident for i in right]
