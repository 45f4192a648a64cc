"""The state: one plain serialisable value, owned by the core, changed in place by `apply` and by nothing else.

Two kinds of things live here. What facts made (everything below unless said) is refolded from the journal after a
failed commit. What is marked *volatile* is not in any fact: last heard, positions, tries. It is rebuilt by the
devices' next words, so losing it costs a resend, never an alarm.
"""

from typing import Any

from msgspec import Struct, field

from protocols import site as site_
from protocols.down import Clip
from protocols.rules import Override, Rules
from protocols.types import Position

STATE_VERSION = 1
"""Of the snapshot's form; another number makes the daemon fold the journal from its start."""

SEEN_MAX = 4096
"""Alarm keys kept per device. A key older than that many alarms would count as a new press: never as a lost one."""

QUEUED, DELIVERED, PRESENTED, ACKNOWLEDGED = range(4)
RUNG_NAMES = ("queued", "delivered", "presented", "acknowledged")
RUNG_OF = {name: number for number, name in enumerate(RUNG_NAMES)}

RESPONDING = frozenset({"accepted", "en-route", "on-scene"})
COMING = frozenset({"en-route", "on-scene"})
RINGING_KINDS = frozenset({"one-key", "duress", "emergency"})
"""Alarm kinds that ring patrols; tamper rings the nearest police patrol only; fault and stuck ring nobody."""


class Registry(Struct):
    """What the site has, by id; entries are replaced whole."""

    name: str = ""
    timezone: str = "Asia/Shanghai"
    root: str = "dispatch/v1"
    version: int = 0
    rules: Rules = Rules()
    overrides: list[Override] = []
    unit: dict[str, site_.Unit] = {}
    point: dict[str, site_.Point] = {}
    patrol: dict[str, site_.Patrol] = {}
    device: dict[str, site_.Device] = {}
    talk_group: dict[str, site_.TalkGroup] = {}
    operator: dict[str, site_.Operator] = {}
    schedule: dict[str, site_.Schedule] = {}
    secret: dict[str, str] = {}


class Live(Struct):
    """*Volatile* but for `online`: what was last heard of a device, and when (core time, 0 = never).

    `carriage` of its voice ("" = none); `floor_ref` and `released_ref`: the last it asked for the floor by, and let go;
    `presses_until_ms`: how far ahead of time its presses are (floor_rights.new_request).
    """

    online: bool = False
    heard_ms: int = 0
    changed_ms: int = 0
    conn: int = 0
    boot: str = ""
    firmware: str = ""
    position: Position | None = None
    position_ms: int = 0
    battery_pct: int | None = None
    signal_pct: int | None = None
    volume_pct: int | None = None
    muted: bool = False
    watching: bool = False
    carriage: str = ""
    floor_ref: int = 0
    released_ref: int = -1
    presses_until_ms: int = 0


class Settings(Struct):
    """Configuration and membership of a device: the version wanted, and (*volatile*) the one it says it applied."""

    config: dict[str, int | bool | str] = {}
    config_version: int = 0
    config_applied: int = 0
    config_error: str = ""
    groups: list[str] = []
    patrol: str | None = None
    on_duty: bool = False
    membership_version: int = 0
    membership_applied: int = 0
    duty_keys: list[str] = []
    tries: int = 0
    next_ms: int = 0


class Press(Struct, frozen=True):
    """One alarm within an incident."""

    alarm: str
    kind: str
    pressed_ms: int
    received_ms: int
    age_known: bool = True


class Responder(Struct):
    """One patrol within an incident. `place`: see the table in answers.py."""

    patrol: str
    place: str
    call: str
    since_ms: int
    device: str = ""
    why: str = ""
    distance_m: float | None = None
    keys: list[str] = []


class Handoff(Struct):
    """The incident was passed to another service: to whom, by whom, how, their reference, confirmed when (0 = not)."""

    handoff: str
    to: str
    by: str
    means: str
    reference: str
    at_ms: int
    confirmed_ms: int = 0
    red: bool = False


class Question(Struct):
    """The owner's yes/no question to the citizen."""

    question: str
    text: str
    by: str
    until_ms: int
    answer: bool | None = None


class Incident(Struct):
    """警情. `ring` 0 = none yet; 1, 2, 3 as in RULES; 4 = everybody. `hold`: late or verify keeps the rings still.

    `owner_acted_ms` and `relook_ms` (when to look for patrols again) are *volatile*.
    """

    incident: str
    device: str
    kind: str
    unit: str
    opened_ms: int
    presses: list[Press] = []
    press_count: int = 0
    last_press_ms: int = 0
    point: str | None = None
    position: Position | None = None
    position_at_ms: int = 0
    silent: bool = False
    late: bool = False
    age_unknown: bool = False
    drill: bool = False
    hazard: bool = False
    hold: str = ""
    hold_until_ms: int = 0
    ended_ms: int = 0
    outcome: str = ""
    merged_into: str | None = None
    split_from: str | None = None
    owner: str | None = None
    owner_since_ms: int = 0
    owner_acted_ms: int = 0
    unowned_since_ms: int = 0
    step: int = 0
    step_next_ms: int = 0
    alerted: list[str] = []
    alerts: int = 0
    relief: str | None = None
    ring: int = 0
    ring_call: str = ""
    wanted: int = 0
    exhausted: bool = False
    relook_ms: int = 0
    everybody: bool = False
    calls: list[str] = []
    responders: dict[str, Responder] = {}
    prompt: str = ""
    prompt_item: str = ""
    question: Question | None = None
    handoffs: list[Handoff] = []
    notes: int = 0
    cancelled: bool = False


class Call(Struct):
    """呼叫: one ring's asking. Its ladder has the same id."""

    call: str
    incident: str
    ring: int
    wanted: int
    opened_ms: int
    deadline_ms: int
    patrols: list[str] = []
    first_presented_ms: int = 0
    closed: str = ""
    rev: int = 0


class Place(Struct):
    """One addressee's place on a ladder; `tries` and `next_ms` are *volatile*.

    `at_ms` and `device_ms`: site and device time of each rung (0 = not)."""

    device: str
    patrol: str | None = None
    via: str = "direct"
    rung: int = QUEUED
    reason: str = ""
    at_ms: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    device_ms: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    volume_pct: int | None = None
    fields: dict[str, float] = {}
    route: int = 0
    left: bool = False
    tries: int = 0
    next_ms: int = 0


class Ladder(Struct):
    """One item on its way to its addressees. `about` is its incident or broadcast; `fields` make the message."""

    item: str
    kind: str
    about: str
    opened_ms: int
    expires_ms: int
    places: dict[str, Place] = {}
    fields: dict[str, Any] = {}
    drill: bool = False
    superseded: bool = False
    expired: bool = False
    groups_tried: list[str] = []


class Broadcast(Struct):
    """广播. Its ladder has the same id. `state`: open, cancelled, closed (everybody heard) or expired."""

    broadcast: str
    by: str
    unit: str
    text: str
    opened_ms: int
    expires_ms: int
    target: dict[str, Any] = {}
    priority: str = "normal"
    lang: str = "zh"
    ack: bool = False
    drill: bool = False
    state: str = "open"
    closed_ms: int = 0
    cancel_item: str = ""
    live: str = ""
    later: list[tuple[str, str]] = []
    replays: str = ""
    said_ms: int = 0
    clip: Clip | None = None


class Task(Struct):
    """Something a human must do because every machine route failed."""

    task: str
    about: str
    item: str
    unit: str
    text: str
    opened_ms: int
    devices: list[str] = []
    done_ms: int = 0
    by: str = ""


class Fault(Struct):
    """An entry of the maintenance list."""

    device: str
    kind: str
    alarm: str
    detail: str
    since_ms: int
    count: int = 1


class Verify(Struct):
    """核实优先 on a pillar that is played with."""

    device: str
    until_ms: int
    reason: str
    by: str


class Ran(Struct):
    """How far a schedule of the site came: set (or changed) at `since_ms`, its last `occurrence` done with."""

    since_ms: int
    occurrence: str = ""
    broadcast: str = ""
    why: str = ""


class Session(Struct):
    """*Volatile*: an operator's live connections and when he was last heard."""

    connections: int = 0
    seen_ms: int = 0


class Talk(Struct):
    """A talk group that an incident or an operator made; or what they changed of one of the site (`name` "").

    `members` came to it beside those the site names, `without` were taken out.
    """

    group: str
    unit: str = ""
    name: str = ""
    incident: str = ""
    members: list[str] = []
    without: list[str] = []
    drill: bool = False


class Asking(Struct):
    """A request that waits for a floor."""

    talker: str
    ref: int
    via: str
    priority: str
    rank: int
    since_ms: int


class Floor(Struct):
    """话权 of a talk group, or of several patched together. See the table in floor.py.

    `burst` 0 = idle; `ended` is the last one. *Volatile*: `heard_ms` (sound came, 0 = not yet), `repeats`, `next_ms`.
    """

    group: str
    burst: int = 0
    talker: str = ""
    ref: int = 0
    via: str = ""
    groups: list[str] = []
    priority: str = "normal"
    rank: int = 0
    incident: str = ""
    ambient: bool = False
    granted_ms: int = 0
    until_ms: int = 0
    revoke_ms: int = 0
    queue: list[Asking] = []
    ended: int = 0
    heard_ms: int = 0
    repeats: int = 0
    next_ms: int = 0
    not_for: list[str] = []


class Intercom(Struct):
    """The sound of a pillar in the control room. `hears`: operators who get it by themselves; `back`: who talks back.

    `patched`: the incident's talk group hears the pillar while nobody talks there, and is heard at it. `tone`: opened
    without an alarm.
    """

    device: str
    incident: str
    burst: int
    opened_ms: int
    hears: list[str] = []
    patched: bool = False
    silent: bool = False
    back: str = ""
    back_burst: int = 0
    tone: bool = False
    drill: bool = False


class State(Struct):
    """Everything. `seq` is the journal row it includes; `now_ms` the core time of the last fact."""

    version: int = STATE_VERSION
    seq: int = 0
    now_ms: int = 0
    gen: int = 1
    start: int = 0
    counter: int = 0
    site: Registry = field(default_factory=Registry)
    live: dict[str, Live] = {}
    seen: dict[str, dict[str, list[Any]]] = {}
    """Committed alarm keys: device → "boot/seq" → [received_ms, incident]; the newest SEEN_MAX of each."""
    settings: dict[str, Settings] = {}
    incidents: dict[str, Incident] = {}
    calls: dict[str, Call] = {}
    ladders: dict[str, Ladder] = {}
    broadcasts: dict[str, Broadcast] = {}
    tasks: dict[str, Task] = {}
    faults: dict[str, Fault] = {}
    verify: dict[str, Verify] = {}
    sessions: dict[str, Session] = {}
    talk: dict[str, Talk] = {}
    patches: list[list[str]] = []
    floors: dict[str, Floor] = {}
    burst: int = 0
    muted: list[str] = []
    intercoms: dict[str, Intercom] = {}
    hearing: dict[str, list[str]] = {}
    """*Volatile*: talk groups that an operator's voice sessions hear."""
    holds: dict[str, list[str]] = {}
    recordings_fault: str = ""
    reliefs: dict[str, str] = {}
    schedules: dict[str, Ran] = {}
