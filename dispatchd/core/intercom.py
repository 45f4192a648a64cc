"""The sound of a pillar in the control room: after an alarm by itself, else by who may open it.

After an alarm at a pillar its sound comes to the owner from the moment there is one (and to the recording from the
first second); he talks back; he lets the incident's talk group hear it and be heard at it (`patched`). Nothing of that
sounds at the pillar while an incident there is silent. Without an alarm it needs a duty leader, and the pillar sounds a
tone and is lit. One pillar has one intercom: of its oldest open incident, an alarm before what somebody opened.
"""

from typing import Final

from . import commands as c
from . import floor
from . import ladder as ladders
from . import voice_facts as f
from .commands import Done, Refusal
from .effects import SyncVoice
from .levels import commands_unit, owned_by
from .state import Incident, Intercom
from .talk_groups import group_of
from .turn import Turn

ITEM_TTL_MS: Final = 600_000
"""The word on its microphone is repeated to a pillar no longer than this."""


OPEN_MS: Final = 1_800_000
"""A microphone opened without an alarm closes by itself after this; who still listens opens it again."""


def follow(turn: Turn, device: str) -> None:
    """Make a pillar's intercom what its open incidents want."""
    entry = turn.state.site.device.get(device)
    incident = _wanted(turn, device)
    intercom = turn.state.intercoms.get(device)
    if intercom is not None and _other(incident, intercom):
        _close(turn, intercom, "ended" if intercom.incident else "alarm", "incident")
        intercom = None
    if incident is None or entry is None or entry.kind != "pillar" or entry.profile != "C":
        return
    hears = [incident.owner] if incident.owner else []
    silent = any(turn.state.incidents[other].silent for other in turn.index.open_at[device])
    if intercom is None:
        _open(turn, device, incident, hears, "alarm", "", silent=silent)
    elif (intercom.hears, intercom.silent) != (hears, silent):
        back = intercom.back if intercom.back[1:] in hears and not silent else ""
        _change(
            turn, intercom, hears=hears, silent=silent, patched=intercom.patched and not silent, back=back,
            by="owner",
        )  # fmt: skip


def follow_site(turn: Turn) -> None:
    """The site changed: a pillar that is gone has no intercom, and who is gone listens to none."""
    for intercom in list(turn.state.intercoms.values()):
        entry = turn.state.site.device.get(intercom.device)
        if entry is None or entry.kind != "pillar":
            _close(turn, intercom, "removed", "site")
        elif not intercom.incident:
            hears = [name for name in intercom.hears if commands_unit(turn, name, entry.unit)]
            if not hears:
                _close(turn, intercom, "closed", "site")
            elif hears != intercom.hears:
                _change(turn, intercom, hears=hears, by="site")


def _wanted(turn: Turn, device: str) -> Incident | None:
    open_ = [turn.state.incidents[i] for i in turn.index.open_at.get(device, ())]
    return min(open_, key=lambda i: (i.drill, i.opened_ms, i.incident), default=None)


def _other(incident: Incident | None, intercom: Intercom) -> bool:
    """It belongs to an incident that is over, or an alarm takes the place of what somebody opened."""
    if incident is None:
        return bool(intercom.incident)
    return incident.incident != intercom.incident


def _open(
    turn: Turn, device: str, incident: Incident | None, hears: list[str], by: str, reason: str, *,
    silent: bool = False,
) -> None:  # fmt: skip
    item = turn.next_id("v")
    turn.record(
        f.IntercomOpened(
            device, incident.incident if incident else "", turn.state.burst + 1, hears, by, item,
            turn.now + ITEM_TTL_MS, silent=silent, tone=incident is None, reason=reason,
            drill=incident is not None and incident.drill,
        )
    )  # fmt: skip
    if incident is None:
        turn.index.arm(turn.now + OPEN_MS, "microphone", device)
    ladders.send_all(turn, item)
    turn.do(SyncVoice())


def due(turn: Turn, device: str) -> None:
    """Timer: a microphone that nobody has closed."""
    intercom = turn.state.intercoms.get(device)
    if intercom is None or intercom.incident:
        return
    if turn.now >= intercom.opened_ms + OPEN_MS:
        _close(turn, intercom, "closed", "time")
    else:
        turn.index.arm(intercom.opened_ms + OPEN_MS, "microphone", device)


def signed_out(turn: Turn, operator: str) -> None:
    """He listens no more where he had opened a microphone."""
    for intercom in list(turn.state.intercoms.values()):
        if not intercom.incident and operator in intercom.hears:
            _listen(turn, intercom, operator, on=False)


def _change(
    turn: Turn, intercom: Intercom, *, by: str, hears: list[str] | None = None, silent: bool | None = None,
    patched: bool | None = None, back: str | None = None,
) -> None:  # fmt: skip
    """Record what is new; the group hears the pillar from now on, or no longer."""
    back = intercom.back if back is None else back
    burst = intercom.back_burst if back == intercom.back else turn.state.burst + 1 if back else 0
    turn.record(
        f.IntercomChanged(
            intercom.device, intercom.incident, intercom.hears if hears is None else hears,
            intercom.patched if patched is None else patched, intercom.silent if silent is None else silent,
            back, burst, by,
        )
    )  # fmt: skip
    turn.do(SyncVoice())
    _follow_patch(turn, intercom)


def _follow_patch(turn: Turn, intercom: Intercom) -> None:
    if not intercom.incident:
        return
    if intercom.patched and not intercom.silent:
        floor.ambient(turn, group_of(intercom.incident))
    else:
        floor.quieten(turn, group_of(intercom.incident))


def _close(turn: Turn, intercom: Intercom, why: str, by: str) -> None:
    item = turn.next_id("v")
    turn.record(
        f.IntercomClosed(
            intercom.device, intercom.incident, why, by, item, turn.now + ITEM_TTL_MS, intercom.drill
        )
    )
    if intercom.incident:
        floor.quieten(turn, group_of(intercom.incident))
    ladders.send_all(turn, item)
    turn.do(SyncVoice())


# --- operators --------------------------------------------------------------------------------------------------


def open_microphone(turn: Turn, by: str, asked: c.OpenMicrophone) -> Done | Refusal:
    entry = turn.state.site.device.get(asked.device)
    if entry is None or entry.kind != "pillar" or not commands_unit(turn, by, entry.unit):
        return Refusal("unknown-device", f"there is no pillar {asked.device} in your unit")
    if asked.on and entry.profile != "C":
        return Refusal(
            "no-microphone", f"{asked.device} has profile {entry.profile}: it has no sound to open"
        )
    intercom = turn.state.intercoms.get(asked.device)
    if intercom is not None and intercom.incident:
        return Refusal(
            "incident", f"incident {intercom.incident} is open there: accept it to hear the pillar"
        )
    if intercom is None and asked.on:
        _open(turn, asked.device, None, [by], by, asked.reason)
    elif intercom is not None:
        _listen(turn, intercom, by, on=asked.on)
    later = "" if ladders.online(turn, asked.device) else "not on line: it opens when it is back"
    return Done({"device": asked.device}, note=later)


def _listen(turn: Turn, intercom: Intercom, by: str, *, on: bool) -> None:
    """One more listens, or one less; with the last it closes."""
    rest = [name for name in intercom.hears if name != by]
    if on or rest:
        _change(turn, intercom, hears=[*rest, by] if on else rest, by=by)
    else:
        _close(turn, intercom, "closed", by)


def talk_back(turn: Turn, by: str, asked: c.TalkBack) -> Done | Refusal:
    found = _owned(turn, by, asked.incident)
    if isinstance(found, Refusal):
        return found
    if asked.on and found.silent:
        return Refusal("silent", "the incident is silent: nothing may sound at the pillar")
    back = "@" + by if asked.on else ""
    if back != found.back:
        _change(turn, found, back=back, by=by)
    return Done({"incident": asked.incident, "device": found.device})


def patch_in(turn: Turn, by: str, asked: c.PatchIn) -> Done | Refusal:
    found = _owned(turn, by, asked.incident)
    if isinstance(found, Refusal):
        return found
    if asked.on and found.silent:
        return Refusal("silent", "the incident is silent: its sound goes to you only")
    if asked.on != found.patched:
        _change(turn, found, patched=asked.on, by=by)
    return Done({"incident": asked.incident, "device": found.device})


def _owned(turn: Turn, by: str, id_: str) -> Intercom | Refusal:
    incident = owned_by(turn, by, id_)
    if isinstance(incident, Refusal):
        return incident
    intercom = turn.state.intercoms.get(incident.device)
    if intercom is None or intercom.incident != id_:
        return Refusal(
            "no-intercom", f"the device of incident {id_} has no intercom, or another incident has it"
        )
    return intercom
