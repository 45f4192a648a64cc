"""定时广播: a notice at its hour, once for each occurrence, never over an alarm.

The shell knows the hours (dispatchd/schedules.py) and makes the sound; here it is decided who hears it. An occurrence
is done with when it was sent or when it is on record why not; the same or an older one changes nothing. Pillars where
an incident is open are left out. A notice lives LIFE_MS and has no second route: nobody is sent out for it.
"""

from typing import Final

import msgspec

from protocols.site import Device, Schedule

from . import broadcasts
from . import facts as f
from . import inputs as i
from .commands import Target
from .ladder import NORMAL, SCHEDULE
from .turn import Turn

LATE_MAX_MS: Final = 300_000
"""Later than this (the daemon was down) it is not sent any more, only recorded."""
LIFE_MS: Final = 600_000
"""A device that comes on line later than this after the hour does not play it."""


def due(turn: Turn, asked: i.ScheduleDue) -> None:
    """Send it, or record why not; nothing for one that is done with or whose schedule is gone."""
    schedule = turn.state.site.schedule.get(asked.schedule)
    ran = turn.state.schedules.get(asked.schedule)
    if schedule is None or ran is None or asked.occurrence <= ran.occurrence:
        return
    chosen = addressees(turn, schedule)
    why = _why_not(schedule, asked, chosen)
    broadcast = "" if why else _send(turn, schedule, asked, chosen)
    turn.record(f.ScheduleRan(schedule.id, asked.occurrence, broadcast, why, asked.late_ms))


def _why_not(schedule: Schedule, asked: i.ScheduleDue, chosen: list[Device]) -> str:
    if not schedule.enabled:
        return "disabled"
    if asked.late_ms > LATE_MAX_MS:
        return "late"
    return "" if chosen else "nobody"


def addressees(turn: Turn, schedule: Schedule) -> list[Device]:
    """Devices in service of its units, within its own unit's subtree, without pillars where somebody waits for help."""
    units = {schedule.unit}.intersection(turn.state.site.unit) if not schedule.units else set(schedule.units)
    kinds = {"pillar": schedule.pillars, "terminal": schedule.terminals}
    return [
        device
        for device in turn.state.site.device.values()
        if device.in_service
        and kinds[device.kind]
        and schedule.unit in (chain := turn.index.chain(device.unit))
        and not units.isdisjoint(chain)
        and not (device.kind == "pillar" and turn.index.open_at.get(device.id))
    ][: broadcasts.ADDRESSEES_MAX]


def _send(turn: Turn, schedule: Schedule, asked: i.ScheduleDue, chosen: list[Device]) -> str:
    id_ = turn.next_id("b")
    target = Target(units=schedule.units or [schedule.unit], pillars=schedule.pillars)
    unit = turn.state.site.unit[schedule.unit]
    text = f"{schedule.text} {schedule.text_en}"[:1000].strip()
    opened = f.BroadcastOpened(
        id_, SCHEDULE + schedule.id, schedule.unit, text, msgspec.to_builtins(target), NORMAL, schedule.lang,
        turn.now + LIFE_MS, False, False, broadcasts.addressees_of(chosen), sender=unit.name, clip=asked.clip,
    )  # fmt: skip
    broadcasts.open_(turn, opened)
    return id_
