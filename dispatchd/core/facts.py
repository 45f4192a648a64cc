"""What happened, in the past tense: the journal's rows. `fold.apply` makes the state of them.

A fact records what its decision read (candidates, distances, ages, thresholds), so that replay prints what really
happened and why. Facts are versioned: a struct's `V`, and `UPCAST` with a function from each older version.
Newer code never decides older inputs again.

`WAITED` facts are on disk before any effect leaves; the others (presence) are journaled but not waited for.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Final

import msgspec
from msgspec import Struct, field

from protocols.down import Clip
from protocols.rules import Override, Rules
from protocols.types import Key, Position

from . import voice_facts
from .fact import Fact as Fact  # noqa: PLC0414 - the rest of the core finds it here
from .fact import _Broadcast, _Device, _Incident, _Ladder

# --- daemon and site --------------------------------------------------------------------------------------------


class Started(Fact, frozen=True):
    """The daemon started for the `start`-th time, in site generation `gen`."""

    start: int
    gen: int
    code: str = ""


class StoreFailed(Fact, frozen=True):
    """From `since_ms` until this row nothing could be kept: what was pressed meanwhile came in late."""

    since_ms: int
    why: str


class SiteSet(Fact, frozen=True):
    """The site's own values."""

    name: str
    timezone: str
    root: str
    rules: Rules
    overrides: list[Override]
    by: str


class EntrySet(Fact, frozen=True):
    """An entry of the site was added or replaced."""

    table: str
    id: str
    entry: dict[str, Any]
    by: str
    ABOUT: ClassVar[str] = "id"


class EntryRemoved(Fact, frozen=True):
    """An entry of the site was removed."""

    table: str
    id: str
    by: str
    ABOUT: ClassVar[str] = "id"


class SecretSet(_Device, frozen=True):
    """A device got new broker credentials; only their stored form is known."""

    device: str
    secret_hash: str
    by: str


class DutySet(Fact, frozen=True):
    """A patrol clocked in or out; `by` is a device or an operator."""

    patrol: str
    on: bool
    by: str
    key: Key | None = None
    device: str = ""
    ABOUT: ClassVar[str] = "patrol"


class ConfigSet(_Device, frozen=True):
    """New settings for a device, under a version."""

    device: str
    version: int
    values: dict[str, int | bool | str]
    by: str


class MembershipSet(_Device, frozen=True):
    """What patrol, duty and talk groups a device was told to have, under this version."""

    device: str
    version: int
    patrol: str | None
    on_duty: bool
    groups: list[str]


class Applied(_Device, frozen=True):
    """The device reports what it applied."""

    device: str
    what: str
    version: int
    ok: bool
    error: str = ""


class VerifySet(_Device, frozen=True):
    """核实优先 until `until_ms` (0 = ended)."""

    device: str
    until_ms: int
    reason: str
    by: str


# --- presence ---------------------------------------------------------------------------------------------------


class DeviceOnline(_Device, frozen=True):
    """Something was heard of a device that was off line, or it says hello from a new connection."""

    device: str
    conn: int
    boot: str
    firmware: str = ""
    WAITED: ClassVar[bool] = False


class DeviceOffline(_Device, frozen=True):
    """`why`: silent (nothing heard for presence_dead_s) or will (the broker said its connection died)."""

    device: str
    why: str
    silent_ms: int
    WAITED: ClassVar[bool] = False


# --- alarms and incidents ---------------------------------------------------------------------------------------


class AlarmRaised(_Incident, frozen=True):
    """A press reached us. `incident` is where it went ("" for the maintenance list)."""

    incident: str
    alarm: str
    device: str
    key: Key
    kind: str
    said_kind: str
    pressed_ms: int
    age_ms: int | None
    drill: bool = False
    position: Position | None = None
    detail: str = ""
    by: str = ""


class IncidentOpened(_Incident, frozen=True):
    """`hold`: late or verify; `reason` when it was split off or is a drill."""

    incident: str
    alarm: str
    device: str
    kind: str
    unit: str
    point: str | None
    position: Position | None
    silent: bool = False
    late: bool = False
    age_unknown: bool = False
    drill: bool = False
    hold: str = ""
    hold_until_ms: int = 0
    split_from: str | None = None
    site_version: int = 0
    code: str = ""


class PressJoined(_Incident, frozen=True):
    """A further press at a device with an open incident; why the rings start again, if they do."""

    incident: str
    alarm: str
    count: int
    rings_again: bool
    why: str


class FaultNoted(_Device, frozen=True):
    """Tamper, fault or stuck, for the maintenance list."""

    device: str
    kind: str
    alarm: str
    detail: str = ""


class FaultCleared(_Device, frozen=True):
    """An operator took a fault off the maintenance list."""

    device: str
    fault: str
    by: str


class CitizenCancelled(_Incident, frozen=True):
    """A note to the owner, never an end."""

    incident: str
    device: str
    key: Key


class Asked(_Incident, frozen=True):
    """The owner asked the citizen a yes/no question."""

    incident: str
    question: str
    text: str
    by: str
    until_ms: int


class Replied(_Incident, frozen=True):
    """The citizen answered; `counted` false: the question was over."""

    incident: str
    device: str
    key: Key
    question: str
    yes: bool
    counted: bool


# --- owner ------------------------------------------------------------------------------------------------------


class Escalated(_Incident, frozen=True):
    """No owner: these units are alerted now. Step 0 at once, 1 the next level, 2 the top, then all, without end."""

    incident: str
    step: int
    units: list[str]
    next_ms: int
    why: str
    waited_ms: int = 0


class OwnerTook(_Incident, frozen=True):
    """An operator owns the incident now."""

    incident: str
    operator: str
    police: bool
    why: str = "accept"


class OwnerLost(_Incident, frozen=True):
    """`why`: dead (no live session), idle (did nothing, nobody en route), handed-over."""

    incident: str
    operator: str
    why: str
    after_ms: int = 0


class ReliefOffered(Fact, frozen=True):
    """Shift change: all open incidents are offered to a named successor."""

    operator: str
    successor: str
    incidents: list[str]
    ABOUT: ClassVar[str] = "operator"


class Relieved(Fact, frozen=True):
    """All open incidents of one operator passed to his successor, who accepted."""

    operator: str
    successor: str
    incidents: list[str]
    police: bool = False
    ABOUT: ClassVar[str] = "operator"


class SignedOut(Fact, frozen=True):
    """An operator left; he owned nothing open."""

    operator: str
    ABOUT: ClassVar[str] = "operator"


class HandOverOffered(_Incident, frozen=True):
    """The owner offers the incident to a named operator and keeps it until he accepts."""

    incident: str
    operator: str
    to: str


class SilentSet(_Incident, frozen=True):
    """Silence on or off, by the owner or by a duress press."""

    incident: str
    on: bool
    by: str


class HazardSet(_Incident, frozen=True):
    """Weapon, violence or fire: on or off."""

    incident: str
    on: bool
    by: str


class NoteAdded(_Incident, frozen=True):
    """Somebody wrote something down."""

    incident: str
    by: str
    text: str


class HandedOff(_Incident, frozen=True):
    """Passed to another service, by what means, with their reference."""

    incident: str
    handoff: str
    to: str
    by: str
    means: str
    reference: str


class HandOffConfirmed(_Incident, frozen=True):
    """The other service confirmed."""

    incident: str
    handoff: str
    by: str
    reference: str


class HandOffOverdue(_Incident, frozen=True):
    """Nobody confirmed the hand-off in time: it is red."""

    incident: str
    handoff: str
    after_ms: int


class Ended(_Incident, frozen=True):
    """A human ended the incident, with an outcome."""

    incident: str
    outcome: str
    by: str
    note: str = ""


class Merged(_Incident, frozen=True):
    """The incident is the same as another; who responded here responds there."""

    incident: str
    into: str
    by: str


class SplitOff(_Incident, frozen=True):
    """A press left this incident for `new`."""

    incident: str
    alarm: str
    new: str
    by: str


class Forgotten(Fact, frozen=True):
    """Ended long ago: out of the state; the journal keeps it."""

    kind: str
    id: str
    WAITED: ClassVar[bool] = False


# --- rings and calls --------------------------------------------------------------------------------------------


class Candidate(Struct, frozen=True, omit_defaults=True):
    """A patrol that was looked at for a ring, and why it was chosen or not."""

    patrol: str
    force: str
    distance_m: float | None = None
    bearing_deg: float | None = None
    age_ms: int | None = None
    devices: list[str] = []
    chosen: bool = False
    why: str = ""


class RingOpened(_Incident, frozen=True):
    """Ring `ring` asks the chosen. `looked_at` holds at most 50, nearest first; `passed` counts all looked at."""

    incident: str
    call: str
    ring: int
    why: str
    wanted: int
    deadline_ms: int
    expires_ms: int
    looked_at: list[Candidate]
    passed: int = 0
    reach_m: float | None = None
    by: str = ""


class RingDelayed(_Incident, frozen=True):
    """Presented for the first time: the time to answer counts from here."""

    incident: str
    call: str
    deadline_ms: int
    device: str


class RingClosed(_Incident, frozen=True):
    """`why`: enough, timeout, settled (all answered, not enough), empty, stopped."""

    incident: str
    call: str
    why: str
    accepted: int = 0
    wanted: int = 0


class RingsExhausted(_Incident, frozen=True):
    """Every ring has been called and it is not enough."""

    incident: str
    accepted: int


class Answered(_Incident, frozen=True):
    """A patrol's answer. `place` is what it made of the responder; `counted` false: too late or out of order."""

    incident: str
    call: str
    patrol: str
    device: str
    key: Key
    answer: str
    place: str
    counted: bool = True
    why: str = ""
    age_ms: int | None = None


class PatrolLost(_Incident, frozen=True):
    """`why`: silent, off-duty, elsewhere, merged. Who is there is told by a stand-down of its own."""

    incident: str
    call: str
    patrol: str
    why: str
    after_ms: int = 0


class StoodDown(_Incident, frozen=True):
    """These patrols are not needed any more, and why."""

    incident: str
    item: str
    call: str
    patrols: list[str]
    devices: list[str]
    reason: str
    expires_ms: int
    by: str = ""


class OrderGiven(_Incident, frozen=True):
    """To responders' terminals: observe, respond, silent, sound."""

    incident: str
    item: str
    order: str
    text: str
    patrols: list[str]
    devices: list[str]
    expires_ms: int
    by: str


class PromptSet(_Incident, frozen=True):
    """What the pillar is to say and show; takes the place of its earlier prompt."""

    incident: str
    item: str
    device: str
    code: str
    fields: dict[str, Any]
    expires_ms: int
    also: str = ""


class AlertSent(_Incident, frozen=True):
    """Duty leaders' terminals are told that nobody owns the incident."""

    incident: str
    item: str
    devices: list[str]
    text: str
    count: int
    expires_ms: int


class LampSet(_Device, frozen=True):
    """The police lamp of a pillar until `until_ms`."""

    device: str
    item: str
    pattern: str
    until_ms: int
    by: str
    incident: str = ""
    drill: bool = False


# --- ladder -----------------------------------------------------------------------------------------------------


class RungReached(_Ladder, frozen=True):
    """One addressee climbed. `device_ms`: when, by the device's age; the row's time is the site's."""

    about: str
    item: str
    device: str
    rung: int
    device_ms: int
    volume_pct: int | None = None


class RungFailed(_Ladder, frozen=True):
    """One addressee's device said why it goes no further."""

    about: str
    item: str
    device: str
    reason: str
    device_ms: int


class RouteTried(_Ladder, frozen=True):
    """Another way for these addressees: other-terminal, talk-group or task; `to` is its id."""

    about: str
    item: str
    devices: list[str]
    route: str
    to: str
    number: int


class AddresseeLeft(_Ladder, frozen=True):
    """The device was removed or replaced while the item was open."""

    about: str
    item: str
    device: str


class LadderExpired(_Ladder, frozen=True):
    """Nothing of the item is presented any more."""

    about: str
    item: str
    not_heard: int


class LadderSuperseded(_Ladder, frozen=True):
    """A newer item took its place; nothing of it is sent any more."""

    about: str
    item: str
    by_item: str


class TaskOpened(_Ladder, frozen=True):
    """Every machine route failed: a human must reach these devices."""

    about: str
    task: str
    item: str
    unit: str
    text: str
    devices: list[str]


class TaskDone(_Ladder, frozen=True):
    """A human did it."""

    about: str
    task: str
    by: str


# --- broadcast --------------------------------------------------------------------------------------------------


class BroadcastOpened(_Broadcast, frozen=True):
    """`addressees`: [device, patrol or ""] each, fixed now. `unplaced`: devices left out for want of a position.

    `by` is an operator, or "schedule:" and the schedule's id. `clip`: the sound of it, if it has one. `live`: the talk
    group in which it is said now; `later`: pillars, which get its recording. `replays`: the live one whose recording
    this is.
    """

    broadcast: str
    by: str
    unit: str
    text: str
    target: dict[str, Any]
    priority: str
    lang: str
    expires_ms: int
    ack: bool
    drill: bool
    addressees: list[tuple[str, str]]
    unplaced: list[str] = field(default_factory=list)
    sender: str = ""
    clip: Clip | None = None
    live: str = ""
    later: list[tuple[str, str]] = field(default_factory=list)
    replays: str = ""


class LiveEnded(_Broadcast, frozen=True):
    """What was said live in this talk group is over; who has not heard it gets its recording."""

    broadcast: str
    group: str
    by: str


class BroadcastCancelled(_Broadcast, frozen=True):
    """Everybody it may have reached is told to present it no more."""

    broadcast: str
    item: str
    devices: list[str]
    expires_ms: int
    by: str


class BroadcastClosed(_Broadcast, frozen=True):
    """`state`: closed (all heard) or expired."""

    broadcast: str
    state: str
    not_heard: int


class ScheduleRan(Fact, frozen=True):
    """An occurrence of a schedule is done with: as `broadcast`, or "" and `why` not (late, nobody, disabled)."""

    schedule: str
    occurrence: str
    broadcast: str = ""
    why: str = ""
    late_ms: int = 0
    ABOUT: ClassVar[str] = "schedule"


def _kinds() -> dict[str, type[Fact]]:
    named = [*globals().values(), *vars(voice_facts).values()]
    here = [v for v in named if isinstance(v, type) and issubclass(v, Fact)]
    return {v.__name__: v for v in here if v is not Fact and not v.__name__.startswith("_")}


KINDS: Final[dict[str, type[Fact]]] = _kinds()
UPCAST: Final[dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]]] = {}
"""(kind, old version) → a function that turns its fields into those of the next version."""

_encoder = msgspec.msgpack.Encoder()
_decoders: Final = {kind: msgspec.msgpack.Decoder(type_) for kind, type_ in KINDS.items()}


def encode(fact: Fact) -> bytes:
    return _encoder.encode(fact)


def decode(kind: str, v: int, body: bytes) -> Fact:
    """Of a journal row, however old. KeyError for a kind this code never knew: the journal is newer than the code."""
    current = KINDS[kind].V
    if v == current:
        return _decoders[kind].decode(body)
    fields: dict[str, Any] = msgspec.msgpack.decode(body)
    while v < current:
        fields = UPCAST[kind, v](fields)
        v += 1
    return msgspec.convert(fields, KINDS[kind])


def about(fact: Fact) -> str:
    """The id under which the journal finds this fact again."""
    return getattr(fact, type(fact).ABOUT, "") if type(fact).ABOUT else ""
