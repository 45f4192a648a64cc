"""话权: who may talk in a talk group. Floor control as in 3GPP TS 24.380, its server side (6.3).

A floor belongs to one talk group, or to several that are patched together, and is in one of four states:

    idle        nobody talks, or only a pillar is heard (`ambient`), which anybody's request ends
    granted     somebody was told to talk, no sound has come yet; he is told again (T20), then the floor is free
    taken       his sound comes; it ends with his release, with his last frame, by silence (T1), or after T2 by revoke
    revoking    he was told to stop; his sound still counts for a grace (T3), then the floor is free

The tables at the end say what a request and what time do in each state. The rules behind them:

One talker: a burst number names one talker's turn. `SetFloor` tells the voice room whose frames of which burst are
passed on; all others are dropped there, and their sender is told.

Order: emergency before imminent peril before normal, then rank (command before police before auxiliary before
volunteer), then who asked first. Two requests in the same instant are two inputs: the first has the floor, the second
waits. A higher priority takes the floor at once, without grace; so does, at the same priority, a rank that is higher
by at least PREEMPT_RANKS, which only the command centre is. Everybody else waits in a bounded queue, each at most
`queue_for_s`.

Every hold ends: release, last frame, T1, T2, grace, T20, leaving the group, a closed group, a restart. After a restart
of the daemon all floors are idle: keys are new, so nobody's sound could be read; who still holds his key asks again.

A message may come twice, late or never: a request repeats its `ref` until answered, a release names the `ref` it ends,
and a request whose ref was released already is answered by nothing. A newer ref of the talker ends his older one.
"""

from collections.abc import Callable
from typing import Final

from protocols import down

from . import floor_rights as rights
from . import floor_tell as tell
from . import voice_facts as f
from .effects import SetFloor
from .floor_rights import Request
from .fold.voice import PRIORITY_RANK
from .state import Floor
from .turn import Turn

PREEMPT_RANKS: Final = 4
"""So much higher in rank takes the floor at the same priority: command over terminals, never terminal over terminal."""
LEFT_SILENT_MS: Final = 1_500
"""A talker whose link to the broker died keeps the floor while his sound still comes at least this often."""
AMBIENT_LOOK_MS: Final = 5_000
"""Who is too near a pillar that is heard is looked at so often."""


def state_of(floor: Floor) -> str:
    if not floor.burst or floor.ambient:
        return "idle"
    if floor.revoke_ms:
        return "revoking"
    return "taken" if floor.heard_ms else "granted"


# --- events: request --------------------------------------------------------------------------------------------


def asked(turn: Turn, request: Request) -> str:
    """One request; what became of it: granted, queued, repeated, or a cause of *deny*."""
    cause = rights.refused(turn, request)
    if cause:
        tell.deny(turn, request, cause)
        return cause
    floor = rights.floor_of(turn, request.group)
    if floor.talker == request.talker and floor.burst and not floor.ambient:
        return _own_again(turn, floor, request)
    return _REQUEST[state_of(floor)](turn, floor, request)


def _own_again(turn: Turn, floor: Floor, request: Request) -> str:
    """The talker himself: the same press repeated, or a new one whose release was lost."""
    if request.ref == floor.ref and not floor.revoke_ms:
        tell.granted(turn, floor)
        return "repeated"
    free(turn, floor, "released")
    return asked(turn, request)


def _grant(turn: Turn, floor: Floor, request: Request) -> str:
    """Nobody talks: his."""
    if floor.ambient:
        _record_freed(turn, floor, "revoked")
    rules = rights.rules(turn, request.group)
    groups = rights.groups_of(turn, floor)
    queued = next((a for a in floor.queue if a.talker == request.talker), None)
    turn.record(
        f.FloorTaken(
            floor.group, turn.state.burst + 1, request.talker, request.ref, request.group, groups, request.priority,
            request.rank, turn.now + int(rules.talk_s * 1000), rights.incident_of(turn, request.group),
            rights.listeners(turn, groups, request.talker), turn.now - queued.since_ms if queued else 0,
        )
    )  # fmt: skip
    tell.granted(turn, turn.state.floors[floor.group])  # before a hundred others are told
    tell.announce(turn, turn.state.floors[floor.group])
    return "granted"


def _contend(turn: Turn, floor: Floor, request: Request) -> str:
    """Somebody talks: take it, or wait."""
    if _preempts(floor, request):
        revoke(turn, floor, "pre-empted", request.talker, 0)
        _record_freed(turn, floor, "revoked")
        return _grant(turn, turn.state.floors[floor.group], request)
    return _wait(turn, floor, request)


def _preempts(floor: Floor, request: Request) -> bool:
    mine, his = PRIORITY_RANK.get(request.priority, 0), PRIORITY_RANK.get(floor.priority, 0)
    return mine > his or (mine == his and request.rank - floor.rank >= PREEMPT_RANKS)


def _wait(turn: Turn, floor: Floor, request: Request) -> str:
    known = next((a for a in floor.queue if a.talker == request.talker), None)
    if known is None and len(floor.queue) >= rights.rules(turn, request.group).queue_max:
        tell.deny(turn, request, "queue-full")
        return "queue-full"
    if known is None or (known.ref, known.priority) != (request.ref, request.priority):
        turn.record(
            f.FloorQueued(
                floor.group, request.talker, request.ref, request.group, request.priority, request.rank,
                floor.incident,
            )
        )  # fmt: skip
    tell.positions(turn, turn.state.floors[floor.group])
    return "queued"


# --- events: the talker's own ------------------------------------------------------------------------------------


def released(turn: Turn, talker: str, group: str, ref: int) -> None:
    """The key was let go: whatever he has or waits for under this ref, or an older one, ends."""
    rights.remember_release(turn, talker, ref)
    floor = rights.floor_of(turn, group)
    if floor.burst and floor.talker == talker and not floor.ambient and floor.ref <= ref:
        free(turn, floor, "released")
    elif any(a.talker == talker and a.ref <= ref for a in floor.queue):
        _unqueue(turn, floor, talker, "released")


def heard(turn: Turn, floor: Floor, last: bool) -> None:
    """His sound comes (volatile), or says of itself that it is over."""
    floor.heard_ms = turn.now
    if last:
        free(turn, floor, "released")


def left(turn: Turn, talker: str, *, at_once: bool) -> None:
    """He is gone (his link died: as long as sound comes he is not), removed, or nobody's session any more."""
    for floor in list(turn.state.floors.values()):
        if any(a.talker == talker for a in floor.queue):
            _unqueue(turn, floor, talker, "left")
        if floor.talker != talker or not floor.burst:
            continue
        if at_once or not floor.heard_ms:
            free(turn, turn.state.floors[floor.group], "left")
        else:
            silent_ms = int(rights.rules(turn, floor.via).end_of_media_s * 1000) - LEFT_SILENT_MS
            floor.heard_ms = min(floor.heard_ms, turn.now - silent_ms)
            turn.index.arm(turn.now + LEFT_SILENT_MS, "floor", floor.group)


def hush(turn: Turn) -> None:
    """An incident became silent, or is so no more, or is over: who may not hear who talks now is another."""
    for floor in list(turn.state.floors.values()):
        if floor.burst and rights.deaf(turn, floor) != floor.not_for:
            tell.announce(turn, floor)


def expel(turn: Turn) -> None:
    """Whoever talks where he is a member no more (the site changed, his group was closed) talks no more."""
    for floor in list(turn.state.floors.values()):
        if floor.burst and not floor.ambient and rights.is_outside(turn, floor.talker, floor.via):
            revoke(turn, floor, "no-permission", "site", 0)
            free(turn, turn.state.floors[floor.group], "left")


# --- events: time -----------------------------------------------------------------------------------------------


def due(turn: Turn, group: str) -> None:
    """Timer of one floor: what its state waits for, and who has waited too long."""
    floor = turn.state.floors.get(group)
    if floor is None:
        return
    for asking in list(floor.queue):
        wait_ms = int(rights.rules(turn, asking.via).queue_for_s * 1000)
        if turn.now >= asking.since_ms + wait_ms:
            _unqueue(turn, floor, asking.talker, "timeout")
            tell.deny(turn, rights.again(asking), "another-talks")
    _DUE["ambient" if floor.ambient else state_of(floor)](turn, floor)
    _arm(turn, group)


def _nothing(turn: Turn, floor: Floor) -> None:
    """Idle: nothing is due."""


def _granted_due(turn: Turn, floor: Floor) -> None:
    """T20: said again, and after C20 times the floor is free."""
    rules = rights.rules(turn, floor.via)
    step_ms = int(rules.grant_repeat_s * 1000)
    floor.next_ms = floor.next_ms or floor.granted_ms + step_ms
    if turn.now < floor.next_ms:
        return
    if floor.repeats >= rules.grant_repeats:
        free(turn, floor, "no-media")
        return
    floor.repeats, floor.next_ms = floor.repeats + 1, turn.now + step_ms
    tell.granted(turn, floor)


def _taken_due(turn: Turn, floor: Floor) -> None:
    """T1 silence, T2 too long."""
    rules = rights.rules(turn, floor.via)
    if turn.now >= floor.heard_ms + int(rules.end_of_media_s * 1000):
        free(turn, floor, "end-of-media")
    elif turn.now >= floor.until_ms:
        revoke(turn, floor, "too-long", "time", int(rules.floor_grace_s * 1000))


def _revoking_due(turn: Turn, floor: Floor) -> None:
    """T3: the grace is over."""
    if turn.now >= floor.revoke_ms:
        free(turn, floor, "revoked")


def _ambient_due(turn: Turn, floor: Floor) -> None:
    """Who came near the pillar, or went: the voice room and the devices are told anew."""
    if rights.deaf(turn, floor) != floor.not_for:
        tell.announce(turn, floor)
    floor.next_ms = turn.now + AMBIENT_LOOK_MS


def _arm(turn: Turn, group: str) -> None:
    floor = turn.state.floors.get(group)
    if floor is None:
        return
    rules = rights.rules(turn, floor.via or group)
    times = {
        "granted": [floor.next_ms or floor.granted_ms + int(rules.grant_repeat_s * 1000)],
        "taken": [floor.until_ms, floor.heard_ms + int(rules.end_of_media_s * 1000)],
        "revoking": [floor.revoke_ms],
    }.get(state_of(floor), [])
    if floor.ambient:
        times.append(floor.next_ms)
    times += [a.since_ms + int(rights.rules(turn, a.via).queue_for_s * 1000) for a in floor.queue]
    if times:
        turn.index.arm(max(turn.now + 1, min(times)), "floor", group)


# --- what the events do ------------------------------------------------------------------------------------------


def free(turn: Turn, floor: Floor, why: str) -> None:
    """His turn is over; the first of the queue has the next, else a patched-in pillar is heard, else idle."""
    _record_freed(turn, floor, why)
    _next(turn, turn.state.floors[floor.group], why)


def _record_freed(turn: Turn, floor: Floor, why: str) -> None:
    heard = floor.ambient or floor.heard_ms > 0
    turn.record(f.FloorFreed(floor.group, floor.burst, floor.talker, why, floor.incident, heard))


def _next(turn: Turn, floor: Floor, why: str) -> None:
    for asking in list(floor.queue):
        request = rights.again(asking)
        if not rights.refused(turn, request):
            _grant(turn, floor, request)
            tell.positions(turn, turn.state.floors[floor.group])
            return
        _unqueue(turn, floor, asking.talker, "left")
    groups = rights.groups_of(turn, floor)
    turn.do(SetFloor(floor.group, ended=floor.ended))
    tell.groups(turn, groups, lambda group: down.FloorIdle(group, floor.ended, why))
    ambient(turn, floor.group)


def revoke(turn: Turn, floor: Floor, cause: str, by: str, grace_ms: int) -> None:
    if floor.ambient:
        return
    turn.record(
        f.FloorRevoked(floor.group, floor.burst, floor.talker, cause, turn.now + grace_ms, by, floor.incident)
    )
    tell.talker(turn, floor.talker, down.FloorRevoke(floor.via, floor.burst, cause, grace_ms))


def _unqueue(turn: Turn, floor: Floor, talker: str, why: str) -> None:
    turn.record(f.FloorUnqueued(floor.group, talker, why, floor.incident))
    tell.positions(turn, turn.state.floors[floor.group])


def ambient(turn: Turn, group: str) -> None:
    """Nobody talks: a pillar that its owner patched in is heard by the incident's group."""
    floor = rights.floor_of(turn, group)
    found = rights.patched_pillar(turn, rights.groups_of(turn, floor))
    if floor.burst or found is None:
        return
    turn.record(
        f.FloorTaken(
            floor.group, turn.state.burst + 1, found.device, 0, group, rights.groups_of(turn, floor), "normal", -1, 0,
            found.incident, ambient=True,
        )
    )  # fmt: skip
    tell.announce(turn, turn.state.floors[floor.group])


def quieten(turn: Turn, group: str) -> None:
    """A pillar is not patched in any more, or must be silent."""
    floor = rights.floor_of(turn, group)
    if floor.ambient:
        free(turn, floor, "closed")


def close(turn: Turn, group: str, why: str) -> None:
    """The group is gone, or gets another floor: everybody who talks or waits there ends."""
    floor = turn.state.floors.get(group)
    if floor is None:
        return
    for asking in list(floor.queue):
        _unqueue(turn, floor, asking.talker, "closed")
        tell.deny(turn, rights.again(asking), "unknown-group")
    if floor.burst:
        revoke(turn, floor, "other", why, 0)
        _record_freed(turn, floor, "closed")
        turn.do(SetFloor(floor.group, ended=floor.burst))
        burst = floor.burst
        tell.groups(turn, rights.groups_of(turn, floor), lambda one: down.FloorIdle(one, burst, "closed"))


def restarted(turn: Turn) -> None:
    """The daemon died meanwhile: no key is valid any more, so nobody talks, waits or hears."""
    turn.state.hearing.clear()
    for floor in list(turn.state.floors.values()):
        for asking in list(floor.queue):
            turn.record(f.FloorUnqueued(floor.group, asking.talker, "restart", floor.incident))
        if floor.burst:
            turn.record(f.FloorFreed(floor.group, floor.burst, floor.talker, "restart", floor.incident))
        ambient(turn, floor.group)


# --- the tables --------------------------------------------------------------------------------------------------

_REQUEST: Final[dict[str, Callable[[Turn, Floor, Request], str]]] = {
    "idle": _grant,
    "granted": _contend,
    "taken": _contend,
    "revoking": _contend,
}
_DUE: Final[dict[str, Callable[[Turn, Floor], None]]] = {
    "idle": _nothing,
    "ambient": _ambient_due,
    "granted": _granted_due,
    "taken": _taken_due,
    "revoking": _revoking_due,
}
