"""The core: input in, decision out. Everything it knows of time is the `now_ms` it is handed.

`decide` routes an input to its room and returns what the rooms recorded; `apply` folds the same facts again at start-up
and after a failed commit; `deadline` names the next Tick. A bad request is answered with a Refusal and never raises.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from protocols import up

from . import (
    alarms,
    answers,
    broadcasts,
    care,
    devices,
    floor,
    floor_inputs,
    fold,
    incident_commands,
    intercom,
    ladder,
    live,
    owner,
    records,
    rings,
    schedules,
    site_commands,
    talk_groups,
)
from . import commands as c
from . import facts as f
from . import inputs as i
from .commands import Done, Refusal
from .effects import SyncAccess, SyncVoice
from .fold.ladder import ROUTED
from .index import Index, rebuild
from .levels import commands_unit, may_do
from .state import PRESENTED, State
from .turn import Decision, Turn

FORGET_LOOK_MS: Final = 60_000
TICK_MAX: Final = 1000
"""Timers served by one Tick; the deadline stays in the past until all are served, so the next Tick follows at once."""


class Core:
    """One state and its indexes."""

    def __init__(self, state: State | None = None, now_ms: int = 0) -> None:
        self.state = state or State()
        self.index: Index = rebuild(self.state, max(now_ms, self.state.now_ms))

    def decide(self, asked: i.Input, now_ms: int) -> Decision:
        """What this input comes to; its facts are folded already. `now_ms` never steps back."""
        turn = Turn(self.state, self.index, max(now_ms, self.state.now_ms))
        self.state.now_ms = turn.now
        result = _ROUTES[type(asked)](turn, asked)
        _tell_pillars(turn)
        _follow_incidents(turn)
        if type(asked) is i.Tick:
            _tick(turn, asked)  # what following made due just now
        return Decision(turn.facts, turn.effects, result)

    def apply(self, fact: f.Fact, now_ms: int, seq: int = 0) -> None:
        """Fold a fact of the journal."""
        fold.apply(self.state, self.index, fact, now_ms)
        self.state.seq = max(self.state.seq, seq)

    def refolded(self) -> None:
        """After folding a journal: the indexes from scratch, so that everything open is armed."""
        self.index = rebuild(self.state, self.state.now_ms)

    def carry_over(self, old: State) -> None:
        """After a failed commit: what devices and operators said of themselves (volatile) is still so."""
        state = self.state
        for device, now in state.live.items():
            if (known := old.live.get(device)) is not None:
                state.live[device] = msgspec.structs.replace(known, online=now.online, watching=now.watching)
        state.sessions = {
            name: session for name, session in old.sessions.items() if name in state.site.operator
        }
        for incident in state.incidents.values():
            if incident.owner and (was := old.incidents.get(incident.incident)) is not None:
                incident.owner_acted_ms = max(incident.owner_acted_ms, was.owner_acted_ms)
        state.hearing = old.hearing
        for group, one in state.floors.items():
            if (before := old.floors.get(group)) is not None and before.burst == one.burst:
                one.heard_ms, one.repeats, one.next_ms = before.heard_ms, before.repeats, before.next_ms
                one.not_for = before.not_for
        state.now_ms = max(state.now_ms, old.now_ms)

    def deadline(self) -> int | None:
        """Core time of the next Tick; in the past when it is overdue."""
        return self.index.heap[0][0] if self.index.heap else None


def _tell_pillars(turn: Turn) -> None:
    """What the citizen was told may be true no more: a patrol is lost, another incident of his pillar has ended.

    After the end a pillar also gets the notices that waited for it.
    """
    for fact in list(turn.facts):
        if isinstance(fact, f.PatrolLost | f.StoodDown | f.Ended | f.Merged):
            incident = turn.state.incidents.get(fact.incident)
            if incident is not None and not incident.ended_ms:
                care.refresh(turn, incident)
            elif incident is not None:
                care.after_end(turn, incident)
        if isinstance(fact, f.Ended | f.Merged) and (ended := turn.state.incidents.get(fact.incident)):
            ladder.release(turn, ended.device)


FOLLOWED: Final = (
    f.IncidentOpened | f.Answered | f.PatrolLost | f.StoodDown | f.Ended | f.Merged | f.SplitOff | f.SilentSet
    | f.OwnerTook | f.OwnerLost
)  # fmt: skip
"""Facts after which an incident's talk group or its pillar's intercom may be another."""


def _follow_incidents(turn: Turn) -> None:
    """Who responds and who owns decides who hears whom; who is gone talks no more."""
    touched = [fact.incident for fact in turn.facts if isinstance(fact, FOLLOWED)]
    touched += [fact.into for fact in turn.facts if isinstance(fact, f.Merged)]
    touched += [id_ for fact in turn.facts if isinstance(fact, f.Relieved) for id_ in fact.incidents]
    for id_ in dict.fromkeys(touched):
        if (incident := turn.state.incidents.get(id_)) is not None:
            talk_groups.follow(turn, incident)
            intercom.follow(turn, incident.device)
    if touched:
        floor.hush(turn)
    for fact in turn.facts:
        if isinstance(fact, f.DeviceOffline):
            floor.left(turn, fact.device, at_once=False)


# --- devices ----------------------------------------------------------------------------------------------------


def _device_said(turn: Turn, said: i.DeviceSaid) -> None:
    if said.device not in turn.state.site.device and type(said.message) is not up.Alarm:
        _stranger(turn, said)
    elif type(said.message) is up.Hello:
        devices.said_hello(turn, said.device, said.message)
    else:
        devices.heard(turn, said.device)
        _SAID[type(said.message)](turn, said.device, said.message)


def _stranger(turn: Turn, said: i.DeviceSaid) -> None:
    """A device of no entry (removed, or of another site) is told to stop; only its alarm would be heard."""
    key = getattr(said.message, "key", None)
    if key is not None:
        turn.receipt(said.device, key, refused="unknown-device")


def _rung(turn: Turn, device: str, said: up.Rung) -> None:
    place = ladder.reported(turn, device, said)
    if place is None:
        return
    item = turn.state.ladders[said.item]
    if item.kind == "broadcast":
        broadcasts.climbed(turn, item)
    elif item.kind == "call" and place.rung >= PRESENTED:
        rings.presented(turn, item)
    if place.reason:
        _failed(turn, said.item, device)


def _failed(turn: Turn, item: str, device: str) -> None:
    """Its device will not present it: another way at once; a call may have nobody left to wait for."""
    found = turn.state.ladders[item]
    if found.kind in ROUTED and not ladder.over(turn, found):
        ladder.route_failed(turn, found, found.places[device])
    if found.kind == "call" and (incident := turn.state.incidents.get(found.about)) is not None:
        rings.settle(turn, incident)


def _duty(turn: Turn, device: str, said: up.Duty) -> None:
    devices.said_duty(turn, device, said)
    entry = turn.state.site.device.get(device)
    patrol = turn.state.site.patrol.get(entry.patrol or "") if entry else None
    if patrol is not None and not patrol.on_duty:
        rings.off_duty(turn, patrol.id)


_SAID: Final[dict[type[Any], Callable[[Turn, str, Any], None]]] = {
    up.State: devices.said_state,
    up.Alarm: alarms.said_alarm,
    up.Answer: answers.said_answer,
    up.Rung: _rung,
    up.Cancel: alarms.said_cancel,
    up.Reply: alarms.said_reply,
    up.Duty: _duty,
    up.Applied: devices.said_applied,
    up.FloorRequest: floor_inputs.said_request,
    up.FloorRelease: floor_inputs.said_release,
    up.FloorQueuePositionRequest: floor_inputs.said_position,
    up.Howling: floor_inputs.said_howling,
}


def _presence(turn: Turn, seen: i.PresenceSeen) -> None:
    devices.presence_seen(turn, seen.device, seen.presence)


# --- operators --------------------------------------------------------------------------------------------------


def _asked(turn: Turn, asked: i.OperatorAsked) -> Done | Refusal:
    refusal = may_do(turn, asked.operator, asked.command)
    if refusal is not None:
        return refusal
    owner.seen(turn, asked.operator, None)
    result = _COMMANDS[type(asked.command)](turn, asked.operator, asked.command)
    if isinstance(result, Done):
        owner.acted(turn, asked.operator, getattr(asked.command, "incident", ""))
    return result


def _resend(turn: Turn, by: str, asked: c.Resend) -> Done | Refusal:
    found = turn.state.ladders.get(asked.item)
    about = turn.state.broadcasts.get(found.about) or turn.state.incidents.get(found.about) if found else None
    if found is None or about is None or not commands_unit(turn, by, about.unit):
        return Refusal("unknown-item", f"there is no item {asked.item} in your unit")
    if ladder.over(turn, found):
        return Refusal("over", f"{asked.item} is cancelled or expired; send it anew")
    return Done({"item": asked.item}, {"tried": ladder.routes_now(turn, found)})


def _task_done(turn: Turn, by: str, asked: c.DoneTask) -> Done | Refusal:
    task = turn.state.tasks.get(asked.task)
    if task is None or task.done_ms or not commands_unit(turn, by, task.unit):
        return Refusal("unknown-task", f"there is no open task {asked.task} in your unit")
    turn.record(f.TaskDone(task.about, task.task, by))
    return Done({"task": task.task})


def _cancel(turn: Turn, by: str, asked: c.CancelBroadcast) -> Done | Refusal:
    done = broadcasts.cancel(turn, by, asked.broadcast)
    if isinstance(done, Done):
        live.said(turn, turn.state.broadcasts[asked.broadcast], by)
    return done


_COMMANDS: Final[dict[type[Any], Callable[[Turn, str, Any], Done | Refusal]]] = {
    c.Accept: incident_commands.accept,
    c.CallMore: incident_commands.call_more,
    c.Ring: incident_commands.ring,
    c.StandDown: incident_commands.stand_down,
    c.SetSilent: incident_commands.set_silent,
    c.SetHazard: incident_commands.set_hazard,
    c.Note: incident_commands.note,
    c.Ask: incident_commands.ask,
    c.HandOff: incident_commands.hand_off,
    c.ConfirmHandOff: incident_commands.confirm_hand_off,
    c.HandOver: incident_commands.hand_over,
    c.End: incident_commands.end,
    c.Split: incident_commands.split,
    c.Merge: incident_commands.merge,
    c.Lamp: incident_commands.lamp,
    c.VerifyFirst: incident_commands.verify_first,
    c.Drill: incident_commands.drill,
    c.Relieve: incident_commands.relieve,
    c.TakeRelief: incident_commands.take_relief,
    c.SignOut: incident_commands.sign_out,
    c.DoneTask: _task_done,
    c.BroadcastText: broadcasts.send,
    c.BroadcastLive: live.begin,
    c.EndLive: live.end,
    c.CancelBroadcast: _cancel,
    c.Resend: _resend,
    c.RequestFloor: floor_inputs.request_floor,
    c.ReleaseFloor: floor_inputs.release_floor,
    c.RevokeFloor: floor_inputs.revoke_floor,
    c.OpenGroup: talk_groups.open_group,
    c.CloseGroup: talk_groups.close_group,
    c.AddMembers: talk_groups.add_members,
    c.RemoveMembers: talk_groups.remove_members,
    c.PatchGroups: talk_groups.patch,
    c.UnpatchGroup: talk_groups.unpatch,
    c.MuteDevice: talk_groups.mute,
    c.OpenMicrophone: intercom.open_microphone,
    c.TalkBack: intercom.talk_back,
    c.PatchIn: intercom.patch_in,
    c.Listened: records.listened,
    c.HoldIncident: records.hold,
    c.SetEntry: site_commands.set_entry,
    c.RemoveEntry: site_commands.remove_entry,
    c.ApplySite: site_commands.apply_site,
    c.SetSecret: site_commands.set_secret,
    c.SetDuty: site_commands.set_duty,
    c.SetDutyLevel: site_commands.set_duty_level,
    c.ConfirmDevice: site_commands.confirm_device,
    c.SetConfig: site_commands.set_config,
    c.ClearFault: site_commands.clear_fault,
}


def _operator_seen(turn: Turn, seen: i.OperatorSeen) -> None:
    owner.seen(turn, seen.operator, seen.connections)


# --- daemon and time --------------------------------------------------------------------------------------------


def _started(turn: Turn, started: i.DaemonStarted) -> None:
    """First input of a life: everything open is armed; who was on line has presence_dead_s to be heard again."""
    site_commands.bootstrap(turn, started.admin_hash)
    turn.record(f.Started(started.start, started.gen, started.code))
    floor.restarted(turn)
    turn.do(SyncAccess())
    turn.do(SyncVoice())


def _store_failed(turn: Turn, failed: i.StoreFailed) -> None:
    turn.record(f.StoreFailed(failed.since_ms, failed.why))


def _link_up(turn: Turn, up_: i.LinkUp) -> None:
    """Words may have been lost on both sides of the gap: what is pending goes out anew."""
    for device in list(turn.index.pending):
        if ladder.online(turn, device):
            ladder.resend(turn, device)


def _forget_due(turn: Turn, id_: str) -> None:
    """Timer: what ended long ago leaves the state."""
    incident, broadcast = turn.state.incidents.get(id_), turn.state.broadcasts.get(id_)
    ended = incident.ended_ms if incident else broadcast.closed_ms if broadcast else 0
    about = incident or broadcast
    if about is None or not ended:
        return
    due = ended + int(turn.index.rules(about.unit).keep_ended_s * 1000)
    if incident is not None and not care.heir(turn, incident).ended_ms:
        due = max(due, turn.now + FORGET_LOOK_MS)  # its pillar is still told what comes of the other
    if due > turn.now:
        turn.index.arm(due, "forget", id_)
    else:
        turn.record(f.Forgotten("incidents" if incident else "broadcasts", id_))


def _expiry_due(turn: Turn, item: str) -> None:
    ladder.expiry_due(turn, item)
    broadcasts.expired(turn, item)
    if (broadcast := turn.state.broadcasts.get(item)) is not None and broadcast.state == "expired":
        live.said(turn, broadcast, "time")


_TIMERS: Final[dict[str, Callable[[Turn, str], None]]] = {
    "presence": devices.presence_due,
    "settings": devices.settings_due,
    "place": ladder.place_due,
    "route": ladder.route_due,
    "expiry": _expiry_due,
    "ring": rings.ring_due,
    "everybody": rings.everybody_due,
    "hold": rings.hold_due,
    "silent": rings.silent_due,
    "escalate": owner.escalate_due,
    "owner": owner.owner_due,
    "handoff": owner.handoff_due,
    "question": care.question_due,
    "verify": incident_commands.verify_due,
    "forget": _forget_due,
    "floor": floor.due,
    "microphone": intercom.due,
}


def _tick(turn: Turn, tick: i.Tick) -> None:
    for _ in range(TICK_MAX):
        due = turn.index.pop_due(turn.now)
        if due is None:
            return
        _TIMERS[due[0]](turn, due[1])


_ROUTES: Final[dict[type[Any], Callable[[Turn, Any], Done | Refusal | None]]] = {
    i.DeviceSaid: _device_said,
    i.PresenceSeen: _presence,
    i.OperatorAsked: _asked,
    i.OperatorSeen: _operator_seen,
    i.DaemonStarted: _started,
    i.LinkUp: _link_up,
    i.StoreFailed: _store_failed,
    i.ScheduleDue: schedules.due,
    i.VoiceJoined: floor_inputs.voice_joined,
    i.OperatorHears: floor_inputs.operator_hears,
    i.MediaHeard: floor_inputs.media_heard,
    i.MediaRefused: floor_inputs.media_refused,
    i.Recorded: records.made,
    i.RecordingFaulted: records.faulted,
    i.LiveRecorded: live.recorded,
    i.Tick: _tick,
}
