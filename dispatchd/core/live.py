"""现场广播: the operator's own voice as a broadcast, with the same ladder.

It is said in a talk group made for it, of the terminals that are addressed; each reports *presented* when a burst of it
was played to its end there. When it has been said the group closes, and whoever has not heard it, pillars too, gets the
recording as a broadcast of its own (`replays`), with all the ways a broadcast has; not who heard it on another terminal
of the patrol. An end that never comes is the end
of its life.
"""

from typing import Final

import msgspec

from . import broadcasts, talk_groups
from . import commands as c
from . import facts as f
from . import inputs as i
from . import ladder as ladders
from . import voice_facts as v
from .commands import Done, Refusal
from .levels import commands_unit
from .state import PRESENTED, Broadcast
from .turn import Turn

NAME: Final = "现场广播"


def begin(turn: Turn, by: str, asked: c.BroadcastLive) -> Done | Refusal:
    """The talk group, and the word to everybody that something is said there now."""
    chosen, unplaced, refusal = broadcasts.resolve(turn, by, asked.target)
    if refusal is not None:
        return refusal
    terminals = [d for d in chosen if d.kind == "terminal"]
    if not terminals:
        return Refusal("nobody", "this target holds no terminal of your unit")
    entry = turn.state.site.operator[by]
    group = turn.next_id("og")
    members = sorted(d.id for d in terminals)
    turn.record(v.TalkGroupOpened(group, NAME, entry.unit, by, "", members, asked.drill))
    talk_groups.refresh(turn, members)
    id_ = turn.next_id("b")
    opened = f.BroadcastOpened(
        id_, by, entry.unit, asked.text or NAME, msgspec.to_builtins(asked.target), asked.priority, asked.lang,
        turn.now + asked.ttl_s * 1000, False, asked.drill, broadcasts.addressees_of(terminals), unplaced,
        entry.name or by, live=group,
        later=broadcasts.addressees_of([d for d in chosen if d.kind == "pillar"]),
    )  # fmt: skip
    broadcasts.open_(turn, opened)
    return Done({"broadcast": id_, "group": group}, {"addressees": len(chosen), "unplaced": len(unplaced)})


def end(turn: Turn, by: str, asked: c.EndLive) -> Done | Refusal:
    """It has been said; the voice room's recording of it is awaited."""
    broadcast = turn.state.broadcasts.get(asked.broadcast)
    if broadcast is None or not commands_unit(turn, by, broadcast.unit):
        return Refusal(
            "unknown-broadcast", f"there is no broadcast {asked.broadcast} in your unit; see `broadcasts`"
        )
    if not broadcast.live or broadcast.said_ms or broadcast.state != "open":
        return Refusal("not-live", f"broadcast {asked.broadcast} is not being said live")
    said(turn, broadcast, by)
    return Done({"broadcast": asked.broadcast, "group": broadcast.live})


def said(turn: Turn, broadcast: Broadcast, by: str) -> None:
    """The talk group closes, and with it his turn."""
    if broadcast.live and not broadcast.said_ms:
        turn.record(f.LiveEnded(broadcast.broadcast, broadcast.live, by))
        if broadcast.live in turn.state.talk:
            talk_groups.close(turn, broadcast.live, "", by)


def recorded(turn: Turn, told: i.LiveRecorded) -> None:
    """Its recording is there: to everybody who has not heard it. Without one they stay on the list, with the reason."""
    broadcast = turn.state.broadcasts.get(told.broadcast)
    if broadcast is None or not broadcast.said_ms or broadcast.state != "open":
        return
    ladder = turn.state.ladders[told.broadcast]
    unheard = ladders.unheard(ladder)
    turn.record(f.BroadcastClosed(told.broadcast, "closed", len(unheard)))
    heard = {p.patrol for p in ladder.places.values() if p.rung >= PRESENTED and p.patrol}
    missed = [(p.device, p.patrol or "") for p in unheard if not p.left and p.patrol not in heard]
    addressees = missed + list(broadcast.later)
    if told.clip is None or not addressees:
        return
    entry = turn.state.site.operator.get(broadcast.by)
    opened = f.BroadcastOpened(
        turn.next_id("b"), broadcast.by, broadcast.unit, broadcast.text, broadcast.target, broadcast.priority,
        broadcast.lang, max(broadcast.expires_ms, turn.now + 600_000), False, broadcast.drill, addressees,
        sender=(entry.name if entry else "") or broadcast.by, clip=told.clip, replays=told.broadcast,
    )  # fmt: skip
    broadcasts.open_(turn, opened)
