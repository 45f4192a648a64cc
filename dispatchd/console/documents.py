"""What a screen is shown: one struct per entity, the same in API, feed and `ctl`. OpenAPI's schemas are made
of them.

Ages (`*_age_ms`) count back from the core's time of the answer, `*_in_ms` forward; None = never, unknown or
not applicable. `*_ms` alone is core time (see docs/api.md).
"""

from typing import Any

from msgspec import Struct

Age = int | None


class _Doc(Struct, frozen=True, kw_only=True):
    id: str


class PositionDoc(Struct, frozen=True):
    """WGS-84 degrees. `source`: device (said by itself), site (its entry) or point (its rally point)."""

    lat: float
    lon: float
    accuracy_m: float | None = None
    age_ms: Age = None
    source: str = "device"


class VerifyDoc(Struct, frozen=True):
    """核实优先 is on."""

    ends_in_ms: int
    reason: str
    by: str


class IntercomDoc(Struct, frozen=True):
    """A pillar's sound in the control room: `hears` get it by themselves, `back` talks back ("" = nobody), `patched`:
    the incident's talk group hears it too. `tone`: opened without an alarm."""

    incident: str | None
    since_age_ms: int
    hears: list[str]
    back: str
    patched: bool
    silent: bool
    tone: bool


class DeviceDoc(_Doc, frozen=True, kw_only=True):
    """A pillar or terminal. `stale` names what must not look live: presence, position, status. `muted`: its loudspeaker
    is off; `talk_muted`: the control room lets it listen only. `carriage` of its voice, "" = none."""

    name: str
    name_en: str
    kind: str
    unit: str
    point: str | None
    patrol: str | None
    profile: str
    in_service: bool
    on_duty: bool
    online: bool
    heard_age_ms: Age
    changed_age_ms: Age
    position: PositionDoc | None
    battery_pct: int | None
    signal_pct: int | None
    volume_pct: int | None
    muted: bool
    talk_muted: bool
    carriage: str
    intercom: IntercomDoc | None
    firmware: str
    engaged: str | None
    verify: VerifyDoc | None
    faults: int
    stale: list[str]


class PatrolDoc(_Doc, frozen=True, kw_only=True):
    """巡逻组. `engaged`: the incident it accepted; `online`: any terminal of it."""

    name: str
    name_en: str
    unit: str
    force: str
    on_duty: bool
    standby: bool
    engaged: str | None
    terminals: list[str]
    online: bool
    heard_age_ms: Age
    position: PositionDoc | None
    stale: list[str]


class UnitDoc(_Doc, frozen=True, kw_only=True):
    """单位, with counts over itself and everything below."""

    name: str
    name_en: str
    parent: str | None
    level: str
    duty_level: str
    phone: str
    duty_leaders: list[str]
    counts: dict[str, int]


class FloorDoc(Struct, frozen=True):
    """Who talks. `group`: the one he asked in, of several that are patched; `ambient`: a pillar is heard while nobody
    talks; `revoked`: told to stop; `silent_for`: devices so near the pillar that they do not play it."""

    burst: int
    talker: str
    talker_kind: str
    name: str
    group: str
    priority: str
    since_age_ms: int
    ends_in_ms: Age
    revoked: bool
    ambient: bool
    silent_for: list[str]


class AskingDoc(Struct, frozen=True):
    """Who waits for the floor."""

    talker: str
    talker_kind: str
    name: str
    group: str
    priority: str
    waits_age_ms: int


class GroupDoc(_Doc, frozen=True, kw_only=True):
    """通话组. `kind`: site, unit (its own), incident, opened. `voice` of the `online` of the `members` have keys for
    sound; `hearing`: operators who listen. `floor` and `waiting` are shared with the groups `patched` to it."""

    name: str
    name_en: str
    unit: str
    kind: str
    incident: str | None
    silent: bool
    drill: bool
    members: int
    online: int
    voice: int
    hearing: list[str]
    patched: list[str]
    floor: FloorDoc | None
    waiting: list[AskingDoc]


class MemberDoc(Struct, frozen=True):
    """A device in a talk group. `carriage` of its voice, "" = it hears nothing."""

    device: str
    name: str
    patrol: str | None
    unit: str
    online: bool
    carriage: str
    talk_muted: bool


class PressDoc(Struct, frozen=True):
    alarm: str
    kind: str
    pressed_ms: int
    received_ms: int
    age_ms: int
    age_known: bool


class ResponderDoc(Struct, frozen=True):
    """`distance_m` at the call; `distance_now_m` by its freshest position, whose age is beside it."""

    patrol: str
    name: str
    force: str
    place: str
    since_age_ms: int
    device: str
    why: str
    distance_m: float | None
    distance_now_m: float | None
    position_age_ms: Age


class HandoffDoc(Struct, frozen=True):
    """To 110, 120, 119 …; `red`: not confirmed in time."""

    handoff: str
    to: str
    by: str
    means: str
    reference: str
    age_ms: int
    confirmed: bool
    red: bool


class QuestionDoc(Struct, frozen=True):
    question: str
    text: str
    by: str
    open_in_ms: int
    answer: bool | None


class LadderCounts(Struct, frozen=True):
    """Addressees that reached each rung or a higher one; so `queued` is all of them."""

    queued: int = 0
    delivered: int = 0
    presented: int = 0
    acknowledged: int = 0


class RingDoc(Struct, frozen=True):
    """The open call: `ring` 1, 2, 3 or 4 (everybody)."""

    call: str
    ring: int
    wanted: int
    accepted: int
    answer_in_ms: int
    ladder: LadderCounts


class IncidentDoc(_Doc, frozen=True, kw_only=True):
    """警情. `order` sorts ascending: unaccepted, silent, a terminal's emergency, one-key, oldest.
    `age_ms` counts from the first press where its age is known, `opened_ms` is the receipt. `hold`: why its rings
    wait (late, verify, commissioning, "" = they do not). `attention`: why look. `group`: its talk group while open."""

    order: list[int]
    open: bool
    kind: str
    device: str
    device_name: str
    device_online: bool
    unit: str
    point: str | None
    point_number: str
    place: str
    place_en: str
    position: PositionDoc | None
    opened_ms: int
    age_ms: int
    ended_age_ms: Age
    outcome: str
    owner: str | None
    owner_name: str
    owner_live: bool
    owner_age_ms: Age
    relief: str | None
    alerted: list[str]
    alerts: int
    step: int
    escalates_in_ms: Age
    ring: RingDoc | None
    rings: int
    exhausted: bool
    everybody: bool
    calls: list[str]
    responders: list[ResponderDoc]
    prompt: str
    prompt_rung: str
    question: QuestionDoc | None
    handoffs: list[HandoffDoc]
    presses: list[PressDoc]
    press_count: int
    silent: bool
    hazard: bool
    late: bool
    age_unknown: bool
    drill: bool
    hold: str
    hold_in_ms: Age
    cancelled: bool
    notes: int
    merged_into: str | None
    split_from: str | None
    group: str | None
    intercom: IntercomDoc | None
    attention: list[str]


class NotHeardDoc(Struct, frozen=True):
    """One addressee who has not heard: why ("" = it is too early to say), and what else was tried.

    `patrol_heard`: another terminal of his patrol was addressed too, and heard.
    """

    device: str
    patrol: str | None
    rung: str
    reason: str
    routes: list[str]
    tries: int
    patrol_heard: bool


class PatrolRung(Struct, frozen=True):
    """The highest rung any terminal of a patrol reached."""

    patrol: str
    rung: str
    terminals: int


class BroadcastDoc(_Doc, frozen=True, kw_only=True):
    """广播 with its ladder. `state`: open, cancelled, closed (everybody heard), expired. `clip`: its sound, "" = text.

    `by` is an operator, or "schedule:" and the schedule's id.
    """

    by: str
    unit: str
    text: str
    priority: str
    lang: str
    ack: bool
    drill: bool
    state: str
    target: dict[str, Any]
    opened_ms: int
    age_ms: int
    expires_in_ms: int
    ladder: LadderCounts
    patrols: list[PatrolRung]
    not_heard: list[NotHeardDoc]
    clip: str = ""
    clip_ms: int = 0


class NotHeardList(Struct, frozen=True):
    """Who has not heard an item (broadcast, call, order, prompt …) now."""

    item: str
    kind: str
    about: str
    ladder: LadderCounts
    not_heard: list[NotHeardDoc]


class TaskDoc(_Doc, frozen=True, kw_only=True):
    """A human must do it, because every machine route failed."""

    about: str
    item: str
    unit: str
    text: str
    devices: list[str]
    age_ms: int
    done: bool
    by: str


class FaultDoc(_Doc, frozen=True, kw_only=True):
    device: str
    device_name: str
    unit: str
    kind: str
    detail: str
    age_ms: int
    count: int


class HealthDoc(_Doc, frozen=True, kw_only=True):
    """How the daemon is; `why` says what is wrong and what to do."""

    version: str
    ready: bool
    why: list[str]
    now_ms: int = 0
    store_ok: bool = False
    store_age_ms: Age = None
    link_up: bool = False
    link_age_ms: Age = None
    queue: int = 0
    inputs: int = 0
    batches: int = 0
    refolds: int = 0
    seq: int = 0
    gen: int = 0
    start: int = 0
    recordings_fault: str = ""


class MeDoc(_Doc, frozen=True, kw_only=True):
    """Who you are signed in as. `owns`: your open incidents; `offered`: those you were named successor
    for."""

    name: str
    unit: str
    role: str
    police: bool
    units: list[str]
    connections: int
    owns: list[str]
    offered: list[str]
    reliefs: list[str]


class MalformedDoc(Struct, frozen=True):
    """`payload` in hex, cut at 4 KiB."""

    at_ms: int
    topic: str
    payload: str
    why: str
