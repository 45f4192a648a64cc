"""What floor control says, to whom: the talker, the groups, the operators who hear them, the voice room."""

from collections.abc import Callable
from typing import Final

from protocols import down

from . import floor_rights as rights
from .effects import SendGroup, SetFloor, TellOperator
from .floor_rights import Request
from .state import Floor
from .turn import Turn

TTL_MS: Final = 5_000
"""A floor message that comes later than this is of no use."""


def announce(turn: Turn, floor: Floor) -> None:
    """The voice room, everybody in the groups, and operators who hear them."""
    floor.not_for = rights.deaf(turn, floor)
    drill = rights.is_drill(turn, floor.via)
    turn.do(
        SetFloor(
            floor.group, floor.burst, floor.talker, tuple(floor.groups), floor.priority, floor.incident, floor.ended,
            tuple(floor.not_for), drill,
        )
    )  # fmt: skip
    groups(turn, floor.groups, lambda group: taken_message(turn, floor, group))


def taken_message(turn: Turn, floor: Floor, group: str) -> down.FloorTaken:
    operator = floor.talker.startswith("@")
    return down.FloorTaken(
        group, floor.burst, floor.talker.removeprefix("@"), "operator" if operator else "device",
        rights.name_of(turn, floor.talker), floor.priority, turn.now - floor.granted_ms,
        floor.groups if len(floor.groups) > 1 else [], floor.not_for, rights.is_silent(turn, group),
    )  # fmt: skip


def late(turn: Turn, device: str, names: list[str]) -> None:
    """To a device that joins, comes back or is new in these groups: who talks there now."""
    for group in names:
        floor = rights.floor_of(turn, group)
        if floor.burst and floor.talker != device:
            turn.send(device, taken_message(turn, floor, group), TTL_MS)


def operator_late(turn: Turn, operator: str, names: list[str]) -> None:
    for group in names:
        floor = rights.floor_of(turn, group)
        if floor.burst and floor.talker != "@" + operator:
            turn.do(TellOperator(operator, taken_message(turn, floor, group)))


def groups(turn: Turn, names: list[str], message: Callable[[str], down.Floor]) -> None:
    for group in names:
        said = message(group)
        turn.do(SendGroup(group, said, TTL_MS))
        for operator, hears in turn.state.hearing.items():
            if group in hears:
                turn.do(TellOperator(operator, said))


def talker(turn: Turn, to: str, message: down.Floor) -> None:
    if to.startswith("@"):
        turn.do(TellOperator(to[1:], message))
    else:
        turn.send(to, message, TTL_MS)


def granted(turn: Turn, floor: Floor) -> None:
    left_ms = max(0, floor.until_ms - turn.now)
    talker(
        turn,
        floor.talker,
        down.FloorGranted(floor.via, floor.ref, floor.burst, left_ms, floor.priority),
    )


def positions(turn: Turn, floor: Floor) -> None:
    for position, asking in enumerate(floor.queue, 1):
        info = down.FloorQueuePositionInfo(asking.via, asking.ref, position, len(floor.queue))
        talker(turn, asking.talker, info)


def deny(turn: Turn, request: Request, cause: str) -> None:
    text, text_en = rights.DENY_TEXT[cause]
    talker(turn, request.talker, down.FloorDeny(request.group, request.ref, cause, text, text_en))
