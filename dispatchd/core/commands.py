"""What an operator can ask for: one struct each, the same in API, CLI and journal.

`ROLES` says who may; the level check (own subtree) is in the room that decides. A command never raises: it is done
and answered with ids, or answered with a Refusal.
"""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from protocols.down import Clip
from protocols.types import Count, Id, Latitude, Longitude, Metres, Priority, ShortText, Text


class Refusal(Struct, frozen=True):
    """Why not, under a stable `code`, in a sentence with the next step."""

    code: str
    why: str


class Done(Struct, frozen=True, omit_defaults=True):
    """What came of it: ids that were made (incident, call, broadcast, item, task …) and counts."""

    ids: dict[str, str] = {}
    counts: dict[str, int] = {}
    note: str = ""


class _Command(Struct, frozen=True, tag_field="command", tag=str.lower, forbid_unknown_fields=True):
    pass


class Circle(Struct, frozen=True, forbid_unknown_fields=True):
    """All within `radius_m` of a point."""

    lat: Latitude
    lon: Longitude
    radius_m: Metres


LatLon = tuple[Latitude, Longitude]


class Target(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whom a broadcast or call is for: the union of all that is given. Pillars only by name or with `pillars`."""

    everybody: bool = False
    units: Annotated[list[Id], Meta(max_length=1000)] = []
    patrols: Annotated[list[Id], Meta(max_length=10_000)] = []
    talk_groups: Annotated[list[Id], Meta(max_length=1000)] = []
    devices: Annotated[list[Id], Meta(max_length=10_000)] = []
    circle: Circle | None = None
    polygon: Annotated[list[LatLon], Meta(max_length=1000)] = []
    pillars: bool = False


# --- incident ---------------------------------------------------------------------------------------------------


class Accept(_Command, tag="accept", frozen=True):
    """接警: become the owner."""

    incident: Id


class CallMore(_Command, tag="call", frozen=True):
    """Call patrols of your choice to the incident: also those committed elsewhere (only a human may)."""

    incident: Id
    target: Target


class Ring(_Command, tag="ring", frozen=True):
    """Start the rings now (late or verify-first incidents, or again)."""

    incident: Id


class StandDown(_Command, tag="stand-down", frozen=True):
    """解除 for these patrols, or for all that are called or responding."""

    incident: Id
    patrols: list[Id] = []


class SetSilent(_Command, tag="silent", frozen=True):
    """Silent approach on or off; off must be confirmed."""

    incident: Id
    on: bool = True
    confirm: bool = False


class SetHazard(_Command, tag="hazard", frozen=True):
    """Weapon, violence or fire: volunteers keep their distance and observe."""

    incident: Id
    on: bool = True


class Note(_Command, tag="note", frozen=True):
    incident: Id
    text: Annotated[Text, Meta(min_length=1)]


class Ask(_Command, tag="ask", frozen=True):
    """A yes/no question to the citizen at the pillar."""

    incident: Id
    text: Annotated[Text, Meta(min_length=1)]
    text_en: Text = ""


class HandOff(_Command, tag="hand-off", frozen=True):
    """To 110, 120, 119 or another service: by what means, their reference."""

    incident: Id
    to: ShortText
    means: ShortText
    reference: ShortText = ""


class ConfirmHandOff(_Command, tag="confirm-hand-off", frozen=True):
    incident: Id
    handoff: Id
    reference: ShortText = ""


class HandOver(_Command, tag="hand-over", frozen=True):
    """Give the incident up: to a named operator (who accepts by `accept`) or to the next level."""

    incident: Id
    to: Id | None = None


class End(_Command, tag="end", frozen=True):
    """Only a human ends an incident, with an outcome."""

    incident: Id
    outcome: Annotated[
        str,
        Meta(
            pattern="^(genuine|mistaken|prank|equipment|unverifiable|drill)$",
            description="真警 误触 恶作剧 设备 无法核实 演练",
        ),
    ]
    note: Text = ""


class Split(_Command, tag="split", frozen=True):
    """Make a press that joined an incident of its own."""

    incident: Id
    alarm: Id


class Merge(_Command, tag="merge", frozen=True):
    """This incident is the same as `into`."""

    incident: Id
    into: Id


class Lamp(_Command, tag="lamp", frozen=True):
    """The police lamp of a pillar."""

    device: Id
    pattern: Annotated[str, Meta(pattern="^(off|steady|flash)$")]
    for_s: Annotated[int, Meta(ge=1, le=86_400)] = 600


class VerifyFirst(_Command, tag="verify-first", frozen=True):
    """核实优先 on a pillar: with reason, ends by itself. `for_s` 0 ends it now."""

    device: Id
    reason: ShortText
    for_s: Annotated[int, Meta(ge=0, le=7200)] = 3600


class Drill(_Command, tag="drill", frozen=True):
    """Raise a drill alarm at a pillar, on the real path from the receipt on."""

    device: Id


# --- operators --------------------------------------------------------------------------------------------------


class Relieve(_Command, tag="relieve", frozen=True):
    """Shift change: offer all your open incidents to a named successor."""

    successor: Id


class TakeRelief(_Command, tag="take-relief", frozen=True):
    """The successor accepts."""

    predecessor: Id


class SignOut(_Command, tag="sign-out", frozen=True):
    """Refused while you own open incidents that nobody has taken."""


class DoneTask(_Command, tag="task-done", frozen=True):
    task: Id


# --- broadcast --------------------------------------------------------------------------------------------------


class BroadcastText(_Command, tag="broadcast", frozen=True):
    """One word to many, spoken where it is heard. A `clip` is a sound of POST /clips; without one the daemon's
    speech makes it, unless `speak` is off: then each device shows or says the text by its own means.
    """

    text: Annotated[Text, Meta(min_length=1)]
    target: Target
    priority: Priority = "normal"
    lang: ShortText = "zh"
    ttl_s: Annotated[int, Meta(ge=10, le=7 * 86_400)] | None = None
    ack: bool = False
    drill: bool = False
    clip: Clip | None = None
    speak: bool = True


class BroadcastLive(_Command, tag="broadcast-live", frozen=True):
    """Your own voice to many: opens a talk group of the addressees, in which you ask for the floor and talk.

    End it by `live-end`: who has not heard it, and pillars, then get its recording.
    """

    target: Target
    text: Text = ""
    priority: Priority = "normal"
    lang: ShortText = "zh"
    ttl_s: Annotated[int, Meta(ge=10, le=86_400)] = 1800
    drill: bool = False


class EndLive(_Command, tag="live-end", frozen=True):
    """You have said it."""

    broadcast: Id


class CancelBroadcast(_Command, tag="broadcast-cancel", frozen=True):
    broadcast: Id


class Resend(_Command, tag="resend", frozen=True):
    """Try the next route now for everybody who has not heard."""

    item: Id


# --- voice ------------------------------------------------------------------------------------------------------


class RequestFloor(_Command, tag="floor-request", frozen=True, omit_defaults=True):
    """May I talk? Answered by floor messages to your voice sessions; the note says granted, queued or why not."""

    group: Id
    ref: Count = 0
    priority: Priority = "normal"


class ReleaseFloor(_Command, tag="floor-release", frozen=True, omit_defaults=True):
    """The talk key was let go."""

    group: Id
    ref: Count = 0


class RevokeFloor(_Command, tag="floor-revoke", frozen=True):
    """Take the floor from whoever talks now."""

    group: Id


class OpenGroup(_Command, tag="group-open", frozen=True):
    """A talk group of the moment, for these devices, until it is closed."""

    name: Annotated[ShortText, Meta(min_length=1)]
    target: Target


class CloseGroup(_Command, tag="group-close", frozen=True):
    """Close one that was opened by an operator."""

    group: Id


class AddMembers(_Command, tag="group-add", frozen=True):
    """Devices of the target join the group."""

    group: Id
    target: Target


class RemoveMembers(_Command, tag="group-remove", frozen=True):
    """Devices of the target leave it; from the next word on they hear nothing (new keys)."""

    group: Id
    target: Target


class PatchGroups(_Command, tag="patch", frozen=True):
    """These talk groups become one: one floor, everybody hears him who talks in any."""

    groups: Annotated[list[Id], Meta(min_length=2, max_length=20)]


class UnpatchGroup(_Command, tag="unpatch", frozen=True):
    """Take one group out of its patch; the last two part together."""

    group: Id


class MuteDevice(_Command, tag="mute", frozen=True):
    """This device may listen but not talk, or may again; an emergency is never muted."""

    device: Id
    on: bool = True


class OpenMicrophone(_Command, tag="microphone", frozen=True):
    """Hear a pillar without an alarm: it sounds a tone and lights up. Off closes it."""

    device: Id
    on: bool = True
    reason: ShortText = ""


class TalkBack(_Command, tag="talk-back", frozen=True):
    """Owner: what my microphone says goes to the pillar of this incident, or no longer."""

    incident: Id
    on: bool = True


class PatchIn(_Command, tag="patch-in", frozen=True):
    """Owner: the pillar's sound is heard in the incident's talk group while nobody talks there, and the group at it."""

    incident: Id
    on: bool = True


class Listened(_Command, tag="listened", frozen=True):
    """Somebody played or downloaded a recording: who listened is on record before the sound leaves."""

    recording: Id
    incident: Id | None = None
    unit: Id | None = None


class HoldIncident(_Command, tag="hold", frozen=True):
    """Keep everything of this incident until the named hold is released, however old it grows. `unit` is not yours to
    say: the daemon names a unit of yours that it concerned, by its journal, when it ended long ago."""

    incident: Id
    hold: Annotated[ShortText, Meta(min_length=1)]
    on: bool = True
    reason: ShortText = ""
    unit: Id | None = None


# --- site -------------------------------------------------------------------------------------------------------


class SetEntry(_Command, tag="set", frozen=True):
    """Add or replace one entry of the site (`table`: unit, point, patrol, device, talk_group, operator, schedule)."""

    table: str
    entry: dict[str, Any]


class RemoveEntry(_Command, tag="remove", frozen=True):
    table: str
    id: Id


class ApplySite(_Command, tag="site", frozen=True):
    """Make the site what this says: what it lacks is removed, but never a secret of a device it keeps."""

    site: dict[str, Any]


class SetSecret(_Command, tag="secret", frozen=True):
    """The stored form of a device's broker secret; never the secret itself."""

    device: Id
    secret_hash: Annotated[str, Meta(max_length=256)]


class SetDuty(_Command, tag="duty", frozen=True):
    patrol: Id
    on: bool


class SetDutyLevel(_Command, tag="duty-level", frozen=True):
    """勤务等级 of a unit and all below that do not set their own."""

    unit: Id
    duty_level: ShortText


class ConfirmDevice(_Command, tag="confirm-device", frozen=True):
    """A human confirmed press, sound both ways, picture and lamp on site: in service (or out of it again)."""

    device: Id
    in_service: bool = True


class SetConfig(_Command, tag="config", frozen=True):
    device: Id
    values: dict[str, int | bool | str]


class ClearFault(_Command, tag="clear-fault", frozen=True):
    fault: str


Command = (
    Accept | CallMore | Ring | StandDown | SetSilent | SetHazard | Note | Ask | HandOff | ConfirmHandOff
    | HandOver | End | Split | Merge | Lamp | VerifyFirst | Drill | Relieve | TakeRelief | SignOut
    | DoneTask | BroadcastText | BroadcastLive | EndLive | CancelBroadcast | Resend | RequestFloor
    | ReleaseFloor | RevokeFloor | OpenGroup | CloseGroup | AddMembers | RemoveMembers | PatchGroups
    | UnpatchGroup | MuteDevice | OpenMicrophone | TalkBack | PatchIn | Listened | HoldIncident | SetEntry
    | RemoveEntry | ApplySite | SetSecret | SetDuty | SetDutyLevel | ConfirmDevice | SetConfig | ClearFault
)  # fmt: skip

RANK: Final = {"viewer": 0, "operator": 1, "duty-leader": 2, "admin": 3}
ROLES: Final[dict[type[Struct], str]] = {
    SignOut: "viewer",
    Listened: "viewer",
    OpenMicrophone: "duty-leader",
    HoldIncident: "duty-leader",
    VerifyFirst: "duty-leader",
    Drill: "duty-leader",
    SetDutyLevel: "duty-leader",
    SetEntry: "admin",
    RemoveEntry: "admin",
    ApplySite: "admin",
    SetSecret: "admin",
    ConfirmDevice: "admin",
    SetConfig: "admin",
}
"""The least role for a command; all others need `operator`."""
