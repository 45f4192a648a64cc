"""Who is there."""

from typing import Final

from dispatchd.core import facts as f
from dispatchd.core.index import Index
from dispatchd.core.state import Live, State

from .table import folds

PRESENCE_LOOK_MS: Final = 5000
"""First look at a device that came; no site may call one dead earlier."""


@folds(f.DeviceOnline)
def _online(state: State, index: Index, fact: f.DeviceOnline, now: int) -> None:
    live = state.live.setdefault(fact.device, Live())
    live.online, live.heard_ms, live.changed_ms = True, now, now
    if fact.boot != live.boot:
        live.floor_ref, live.released_ref = 0, -1
    live.conn, live.boot, live.firmware = fact.conn, fact.boot, fact.firmware or live.firmware
    if not live.watching:
        live.watching = True
        index.arm(now + PRESENCE_LOOK_MS, "presence", fact.device)


@folds(f.DeviceOffline)
def _offline(state: State, index: Index, fact: f.DeviceOffline, now: int) -> None:
    live = state.live.setdefault(fact.device, Live())
    live.online, live.changed_ms, live.carriage = False, now, ""
