"""What the journal keeps of recordings: that one was made, who listened, what is held, and that none can be written."""

from . import commands as c
from . import inputs as i
from . import voice_facts as f
from .commands import Done, Refusal
from .levels import commands_unit, incident_for
from .turn import Turn


def made(turn: Turn, said: i.Recorded) -> None:
    turn.record(
        f.RecordingMade(
            said.recording, said.group, said.burst, said.talker, said.incident, said.started_ms, said.ms, said.frames,
            said.lost, said.bytes, said.why,
        )
    )  # fmt: skip


def faulted(turn: Turn, said: i.RecordingFaulted) -> None:
    if said.why != turn.state.recordings_fault:
        turn.record(f.RecordingsFaulted(said.why))


def listened(turn: Turn, by: str, asked: c.Listened) -> Done | Refusal:
    """On record before the sound leaves. Whoever asks says of which incident or unit it is: the store's word."""
    open_to_him = asked.incident is not None and not isinstance(
        incident_for(turn, by, asked.incident, open_=False), Refusal
    )
    own = asked.unit is not None and commands_unit(turn, by, asked.unit)
    if not (open_to_him or own):
        return Refusal("unknown-recording", f"there is no recording {asked.recording} in your unit")
    turn.record(f.RecordingPlayed(asked.recording, by, asked.incident or ""))
    return Done({"recording": asked.recording})


def hold(turn: Turn, by: str, asked: c.HoldIncident) -> Done | Refusal:
    """Named, so that two who hold the same incident do not release each other's."""
    forgotten = asked.incident not in turn.state.incidents
    if not (forgotten and asked.unit is not None and commands_unit(turn, by, asked.unit)):
        incident = incident_for(turn, by, asked.incident, open_=False)
        if isinstance(incident, Refusal):
            return incident
    held = asked.hold in turn.state.holds.get(asked.incident, [])
    if held == asked.on:
        return Done({"incident": asked.incident}, note="already so")
    turn.record(f.HoldSet(asked.incident, asked.hold, asked.on, by, asked.reason))
    return Done({"incident": asked.incident}, {"holds": len(turn.state.holds.get(asked.incident, []))})
