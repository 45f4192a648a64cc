"""Broadcasts and schedules."""

from typing import Any

import msgspec

from dispatchd.core import facts as f
from dispatchd.core.index import Index
from dispatchd.core.state import Broadcast, Ladder, Place, State

from .ladder import drop_pending, open_ladder
from .table import count_id, folds


@folds(f.BroadcastOpened)
def _broadcast_opened(state: State, index: Index, fact: f.BroadcastOpened, now: int) -> None:
    count_id(state, fact.broadcast)
    names = (
        "broadcast",
        "by",
        "unit",
        "text",
        "target",
        "priority",
        "lang",
        "expires_ms",
        "ack",
        "drill",
        "clip",
        "live",
        "later",
        "replays",
    )
    state.broadcasts[fact.broadcast] = Broadcast(**{n: getattr(fact, n) for n in names}, opened_ms=now)
    fields = {n: getattr(fact, n) for n in ("broadcast", "text", "priority", "lang", "ack", "sender")}
    fields["expires_at"] = fact.expires_ms
    if fact.clip is not None:
        fields["clip"] = msgspec.to_builtins(fact.clip, builtin_types=(bytes,))
    if fact.live:
        fields["live"] = fact.live
    ladder = Ladder(
        fact.broadcast, "broadcast", fact.broadcast, now, fact.expires_ms, fields=fields, drill=fact.drill
    )
    open_ladder(state, index, ladder, [Place(d, p or None) for d, p in fact.addressees], now)


@folds(f.BroadcastCancelled)
def _broadcast_cancelled(state: State, index: Index, fact: f.BroadcastCancelled, now: int) -> None:
    broadcast = state.broadcasts.get(fact.broadcast)
    if broadcast is None:
        return
    count_id(state, fact.item)
    _shut(index, broadcast, "cancelled", now)
    broadcast.cancel_item = fact.item
    if (old := state.ladders.get(fact.broadcast)) is not None:
        old.superseded = True
        drop_pending(index, old)
    fields: dict[str, Any] = {"broadcast": fact.broadcast}
    ladder = Ladder(fact.item, "broadcast-cancel", fact.broadcast, now, fact.expires_ms, fields=fields)
    open_ladder(state, index, ladder, [Place(d) for d in fact.devices], now)


def _shut(index: Index, broadcast: Broadcast, how: str, now: int) -> None:
    broadcast.state, broadcast.closed_ms = how, now
    keep_ms = int(index.rules(broadcast.unit).keep_ended_s * 1000)
    index.arm(now + keep_ms, "forget", broadcast.broadcast)


@folds(f.LiveEnded)
def _live_ended(state: State, index: Index, fact: f.LiveEnded, now: int) -> None:
    if (broadcast := state.broadcasts.get(fact.broadcast)) is not None:
        broadcast.said_ms = now


@folds(f.BroadcastClosed)
def _broadcast_closed(state: State, index: Index, fact: f.BroadcastClosed, now: int) -> None:
    if (broadcast := state.broadcasts.get(fact.broadcast)) is not None:
        _shut(index, broadcast, fact.state, now)


@folds(f.ScheduleRan)
def _schedule_ran(state: State, index: Index, fact: f.ScheduleRan, now: int) -> None:
    """Of a schedule that was removed meanwhile nothing is remembered."""
    ran = state.schedules.get(fact.schedule)
    if ran is not None and fact.occurrence > ran.occurrence:
        ran.occurrence, ran.broadcast, ran.why = fact.occurrence, fact.broadcast, fact.why
