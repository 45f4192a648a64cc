"""Who brings floor control its events: terminals' messages, operators' commands, what the voice room hears."""

from protocols import down, up

from . import facts as f
from . import floor, talk_groups
from . import floor_rights as rights
from . import floor_tell as tell
from . import inputs as i
from .commands import Done, Refusal, ReleaseFloor, RequestFloor, RevokeFloor
from .ladder import online
from .turn import Turn

# --- terminals --------------------------------------------------------------------------------------------------


def said_request(turn: Turn, device: str, said: up.FloorRequest) -> None:
    if rights.new_request(turn, device, said.ref):
        floor.asked(turn, rights.device_request(turn, device, said))


def said_release(turn: Turn, device: str, said: up.FloorRelease) -> None:
    floor.released(turn, device, said.group, said.ref)


def said_position(turn: Turn, device: str, said: up.FloorQueuePositionRequest) -> None:
    queue = rights.floor_of(turn, said.group).queue
    found = next((n for n, a in enumerate(queue, 1) if a.talker == device), 0)
    turn.send(
        device,
        down.FloorQueuePositionInfo(said.group, said.ref, found, len(queue) if found else 0),
        tell.TTL_MS,
    )


def said_howling(turn: Turn, device: str, said: up.Howling) -> None:
    """It has muted itself; on the maintenance list, once until somebody clears it."""
    if f"{device}-howl" not in turn.state.faults:
        turn.record(f.FaultNoted(device, "howl", "", f"muted for {said.muted_ms} ms in {said.group or '-'}"))


# --- the voice room ---------------------------------------------------------------------------------------------


def voice_joined(turn: Turn, said: i.VoiceJoined) -> None:
    """It has keys (or none any more): who talks in its groups now."""
    live = turn.state.live.get(said.device)
    if live is None:
        return
    live.carriage = "" if said.carriage == "none" else said.carriage
    if live.carriage and online(turn, said.device):
        tell.late(turn, said.device, turn.index.groups_of(said.device))


def media_heard(turn: Turn, said: i.MediaHeard) -> None:
    found = rights.floor_of(turn, said.group)
    if not said.burst or found.burst != said.burst or found.ambient:
        return
    live = turn.state.live.get(found.talker)
    if live is not None and live.online:
        live.heard_ms = turn.now
    floor.heard(turn, found, said.last)


def media_refused(turn: Turn, said: i.MediaRefused) -> None:
    """Sound without the floor, or that nobody can read: dropped and counted in the voice room; its sender is told."""
    for found in list(turn.state.floors.values()):
        if said.why == "unreadable" and (found.burst, found.talker) == (said.burst, said.talker):
            floor.revoke(turn, found, "unreadable", "voice", 0)
            floor.free(turn, found, "revoked")
            return
    if said.why == "no-floor" and (group := next(iter(turn.index.groups_of(said.talker)), "")):
        tell.talker(turn, said.talker, down.FloorRevoke(group, said.burst, "no-permission"))


def operator_hears(turn: Turn, said: i.OperatorHears) -> None:
    """Which groups his sessions hear now; who talks in the new ones; without a session he talks no more."""
    before = turn.state.hearing.get(said.operator, [])
    groups = [g for g in said.groups if talk_groups.may_hear(turn, said.operator, g)]
    if groups:
        turn.state.hearing[said.operator] = groups
    else:
        turn.state.hearing.pop(said.operator, None)
        floor.left(turn, "@" + said.operator, at_once=True)
    tell.operator_late(turn, said.operator, [g for g in groups if g not in before])


# --- operators --------------------------------------------------------------------------------------------------


def request_floor(turn: Turn, by: str, command: RequestFloor) -> Done | Refusal:
    outcome = floor.asked(turn, rights.operator_request(turn, by, command))
    if outcome in ("granted", "queued", "repeated"):
        return Done({"group": command.group}, note=outcome)
    return Refusal(outcome, rights.DENY_TEXT[outcome][1])


def release_floor(turn: Turn, by: str, command: ReleaseFloor) -> Done | Refusal:
    floor.released(turn, "@" + by, command.group, command.ref)
    return Done({"group": command.group})


def revoke_floor(turn: Turn, by: str, command: RevokeFloor) -> Done | Refusal:
    """An operator takes the floor from whoever talks."""
    refusal = talk_groups.not_commanded(turn, by, command.group)
    if refusal is not None:
        return refusal
    found = rights.floor_of(turn, command.group)
    if not found.burst or found.ambient:
        return Refusal("idle", f"nobody talks in {command.group}")
    floor.revoke(turn, found, "other", by, 0)
    floor.free(turn, found, "revoked")
    return Done({"group": command.group})
