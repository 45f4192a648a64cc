"""What happened to talk groups, floors, intercoms and recordings.

Floor facts are in the journal, but nobody waits for the disk before he talks: they are lost at worst with the second
in which the daemon died, and every floor is free after a start anyway.
"""

from typing import ClassVar

from msgspec import field

from .fact import Fact, _Device, _Incident


class _Floor(Fact, frozen=True):
    """`group` is the floor's name: the talk group, or the first of those patched together."""

    ABOUT: ClassVar[str] = "incident"
    WAITED: ClassVar[bool] = False


# --- talk groups ------------------------------------------------------------------------------------------------


class TalkGroupOpened(_Incident, frozen=True):
    """An incident's own group, or one that an operator opened for the moment."""

    group: str
    name: str
    unit: str
    by: str
    incident: str = ""
    members: list[str] = field(default_factory=list)
    drill: bool = False


class TalkGroupClosed(_Incident, frozen=True):
    """With its incident, or by an operator."""

    group: str
    by: str
    incident: str = ""


class MembersChanged(_Incident, frozen=True):
    """These devices came to a talk group, those left it."""

    group: str
    added: list[str]
    removed: list[str]
    by: str
    incident: str = ""


class GroupsPatched(Fact, frozen=True):
    """From now on one floor for all of these; the first names it."""

    groups: list[str]
    by: str


class GroupUnpatched(Fact, frozen=True):
    """This group has its own floor again; a patch of one is none."""

    group: str
    by: str


class DeviceMuted(_Device, frozen=True):
    """May listen but not talk, or may again."""

    device: str
    on: bool
    by: str


# --- floor ------------------------------------------------------------------------------------------------------


class FloorTaken(_Floor, frozen=True):
    """`talker` was granted the floor. `priority` and `rank` decided, after `waited_ms` in the queue.

    `via`: the group he asked in. `listeners` had voice at that moment. `ambient`: a pillar's sound while nobody talks.
    """

    group: str
    burst: int
    talker: str
    ref: int
    via: str
    groups: list[str]
    priority: str
    rank: int
    until_ms: int
    incident: str = ""
    listeners: int = 0
    waited_ms: int = 0
    ambient: bool = False


class FloorFreed(_Floor, frozen=True):
    """The burst is over: `why` is one of protocols.types.FLOOR_IDLE. `heard`: sound had come."""

    group: str
    burst: int
    talker: str
    why: str
    incident: str = ""
    heard: bool = True


class FloorRevoked(_Floor, frozen=True):
    """The talker was told to stop; his sound counts until `until_ms`."""

    group: str
    burst: int
    talker: str
    cause: str
    until_ms: int
    by: str = ""
    incident: str = ""


class FloorQueued(_Floor, frozen=True):
    """Somebody talks; this request waits."""

    group: str
    talker: str
    ref: int
    via: str
    priority: str
    rank: int
    incident: str = ""


class FloorUnqueued(_Floor, frozen=True):
    """A request left the queue without the floor: released, timeout, left, restart, closed."""

    group: str
    talker: str
    why: str
    incident: str = ""


# --- intercom ---------------------------------------------------------------------------------------------------


class IntercomOpened(_Incident, frozen=True):
    """The sound of a pillar comes to the control room: after an alarm, or because somebody opened it (`tone`)."""

    device: str
    incident: str
    burst: int
    hears: list[str]
    by: str
    item: str
    expires_ms: int
    silent: bool = False
    tone: bool = False
    reason: str = ""
    drill: bool = False


class IntercomChanged(_Incident, frozen=True):
    """Who hears it by himself, whether the group is patched in, who talks back (under which burst), silence."""

    device: str
    incident: str
    hears: list[str]
    patched: bool
    silent: bool
    back: str
    back_burst: int
    by: str


class IntercomClosed(_Incident, frozen=True):
    """`why`: ended, merged, closed, removed."""

    device: str
    incident: str
    why: str
    by: str
    item: str
    expires_ms: int
    drill: bool = False


# --- recordings -------------------------------------------------------------------------------------------------


class RecordingMade(_Incident, frozen=True):
    """A burst is on disk from its first to its last frame; `why` if it is not, or not whole."""

    recording: str
    group: str
    burst: int
    talker: str
    incident: str
    started_ms: int
    ms: int
    frames: int
    lost: int
    bytes: int
    why: str = ""
    WAITED: ClassVar[bool] = False


class RecordingsFaulted(Fact, frozen=True):
    """Recordings cannot be written, or can again (`why` = "")."""

    why: str


class RecordingPlayed(Fact, frozen=True):
    """Who listened to what."""

    recording: str
    by: str
    incident: str = ""
    ABOUT: ClassVar[str] = "recording"


class HoldSet(_Incident, frozen=True):
    """Everything of this incident is kept until the named hold is released."""

    incident: str
    hold: str
    on: bool
    by: str
    reason: str = ""
