"""The sound of a broadcast, before the core is asked: made of its text, uploaded, or listened to beforehand.

Speech that is not to be had never stops a broadcast: it goes as text, and the answer's note says so.
"""

import asyncio
from typing import Final

import msgspec
from msgspec import Struct

from dispatchd.core.commands import BroadcastText, Command, Done, Refusal
from dispatchd.core.state import State
from protocols.down import Clip

from .errors import ApiError, not_found
from .ports import Sounds
from .walls import Scope

SPEAK_WITHIN_S: Final = 20.0
"""Longer a broadcast does not wait for its sound."""
URGENT_WITHIN_S: Final = 6.0
"""And one that is not normal no longer than this."""
UPLOADS_MAX: Final = 2_000
"""Pairs of operator and clip remembered, as many as there are clips; the oldest are forgotten."""
NO_SPEECH: Final = Refusal(
    "no-speech", "This daemon has no speech and keeps no clips. Send the broadcast as text."
)


async def with_sound(sounds: Sounds | None, command: Command) -> tuple[Command, str]:
    """The command with its clip, and a note when it goes as text though it was to be spoken. ApiError 404 for a clip
    that is not here.
    """
    if not isinstance(command, BroadcastText) or sounds is None:
        return command, ""
    if command.clip is not None:
        if not await sounds.holds(command.clip):
            raise not_found("clip", command.clip.clip, "$.clip")
        return command, ""
    if not command.speak:
        return command, ""
    made = await _spoken(sounds, command)
    if isinstance(made, Refusal):
        return command, f"Sent as text, not as speech: {made.why}"
    return msgspec.structs.replace(command, clip=made), ""


async def _spoken(sounds: Sounds, command: BroadcastText) -> Clip | Refusal:
    within_s = SPEAK_WITHIN_S if command.priority == "normal" else URGENT_WITHIN_S
    try:
        async with asyncio.timeout(within_s):
            return await sounds.spoken(
                command.text, command.lang, priority=command.priority, drill=command.drill
            )
    except TimeoutError:
        return Refusal("busy", f"it was not made within {within_s:g} s.")


def noted(done: Struct, note: str) -> Struct:
    """With the note behind its own."""
    if not note or not isinstance(done, Done):
        return done
    return msgspec.structs.replace(done, note=f"{done.note} {note}".strip())


class Uploads:
    """Who brought which clip, lately: he may hear it before any broadcast has it. After a start he brings it again."""

    def __init__(self) -> None:
        self._brought: dict[tuple[str, str], None] = {}

    def note(self, operator: str, clip: str) -> None:
        self._brought.pop((operator, clip), None)
        self._brought[operator, clip] = None
        if len(self._brought) > UPLOADS_MAX:
            del self._brought[next(iter(self._brought))]

    def may_hear(self, state: State, scope: Scope, clip: str) -> bool:
        """He brought it, or sees a broadcast that has it."""
        return (scope.operator.id, clip) in self._brought or any(
            one.clip is not None and one.clip.clip == clip and scope.broadcast(one.broadcast)
            for one in state.broadcasts.values()
        )


async def uploaded(sounds: Sounds | None, raw: bytes) -> Clip:
    """ApiError 422 for what is no sound, 503 where none can be kept."""
    made = await sounds.uploaded(raw) if sounds is not None else NO_SPEECH
    if isinstance(made, Refusal):
        status = 503 if made.code in ("no-speech", "busy") else 422
        raise ApiError(status, made.code, made.why)
    return made


async def sound(sounds: Sounds | None, id_: str) -> bytes:
    """ApiError 404 for a clip that is not here."""
    found = await sounds.sound(id_) if sounds is not None else None
    if found is None:
        raise not_found("clip", id_)
    return found
