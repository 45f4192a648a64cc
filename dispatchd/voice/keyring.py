"""The keys of voice: each device's own, each talk group's by epochs, and who must be told of new ones. Pure.

What must hold: who is no member of a group is never told its key again, and nothing of the next burst, or after
SWITCH_MS, is sealed with a key that he was told. Keys come from `random_bytes` and live in this object only. A KID is
never in use twice, and begins with the daemon's start, so that a number of an earlier start is known for what it is.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from protocols.sframe import KEY_BYTES, Opener, Sealer
from protocols.voice_keys import MAX_GROUPS, GroupKey, Keys, OwnKey

SWITCH_MS: Final = 1000
"""A new epoch is used from the next burst on, or after this, so that the keys arrive before the sound."""
SWITCH_MAX_MS: Final = 2000
"""Also when members leave one after the other."""
FORMER_MS: Final = 2000
"""A device's former keys open what is under way for so long after it joined anew."""
FORMER_MAX: Final = 2
"""Former keys of one device; the oldest go at once."""
FIRST: Final = "inc-"
"""Groups of incidents: of more than MAX_GROUPS a device is told the keys of these, then of the oldest."""
COUNTERS: Final = 1 << 16
"""KIDs of one start; used anew when their key is forgotten."""


class KeysExhausted(RuntimeError):
    """Every KID of this start is in use: more than 32,000 devices have joined."""


class Session:
    """One join of one device: what opens its frames and seals its pongs. `until_ms`: when a former one is forgotten."""

    __slots__ = ("device", "down", "nonce", "opener", "public", "sealer", "until_ms", "up")

    def __init__(self, device: str, nonce: bytes, public: bytes, up: OwnKey, down: OwnKey) -> None:
        self.device, self.nonce, self.public = device, nonce, public
        self.up, self.down = up, down
        self.opener, self.sealer = Opener(up.kid, up.key), Sealer(down.kid, down.key)
        self.until_ms: int | None = None


class _Group:
    """`next`: the epoch to come, and when."""

    __slots__ = ("burst", "due_ms", "key", "left_ms", "members", "next", "sealer")

    def __init__(self, key: GroupKey) -> None:
        self.key = key
        self.sealer = Sealer(key.kid, key.key)
        self.members: frozenset[str] = frozenset()
        self.burst = 0
        self.next: GroupKey | None = None
        self.left_ms = self.due_ms = 0


class Keyring:
    """Of one start of the daemon's voice."""

    def __init__(self, start: int, random_bytes: Callable[[int], bytes]) -> None:
        self.start = start
        self._random_bytes = random_bytes
        self._counter = 0
        self._sessions: dict[str, Session] = {}
        self._by_kid: dict[int, Session] = {}
        self._former: list[Session] = []
        self._groups: dict[str, _Group] = {}
        self._used: set[int] = set()

    # --- devices ------------------------------------------------------------------------------------------------

    def join(self, device: str, nonce: bytes, public: bytes, now_ms: int) -> Session:
        """New keys of its own; the former ones open for FORMER_MS more. KeysExhausted."""
        self.tick(now_ms)
        session = Session(device, nonce, public, self._own_key(), self._own_key())
        former = self._sessions.get(device)
        if former is not None:
            former.until_ms = now_ms + FORMER_MS
            self._former.append(former)
            mine = [one for one in self._former if one.device == device]
            for one in mine[:-FORMER_MAX]:
                self._forget(one)
        self._sessions[device] = self._by_kid[session.up.kid] = session
        return session

    def leave(self, device: str, now_ms: int) -> set[str]:
        """Its keys are dead (removed, or new credentials): the devices of its groups that must be told new ones."""
        self.drop(device)
        tell: set[str] = set()
        for group in self._groups.values():
            if device in group.members:
                group.members -= {device}
                self._renew(group, now_ms)
                tell |= group.members
        return tell & self._sessions.keys()

    def session(self, device: str) -> Session | None:
        """Its present one."""
        return self._sessions.get(device)

    def opening(self, kid: int) -> Session | None:
        """Whose frame this may be; None: `unknown_why` says why."""
        return self._by_kid.get(kid)

    def unknown_why(self, kid: int) -> str:
        """`stale-kid`: of an earlier start, or of a key that was forgotten; `unknown-kid`: never given out."""
        here = kid >> 16 == self.start & 0xFFFF
        return "unknown-kid" if here and kid & 0xFFFF > self._counter else "stale-kid"

    def tick(self, now_ms: int) -> None:
        """Forget former keys whose time is over."""
        for one in [s for s in self._former if s.until_ms is not None and s.until_ms <= now_ms]:
            self._forget(one)

    def deadline(self) -> int | None:
        """When `tick` is due."""
        return min((s.until_ms for s in self._former if s.until_ms is not None), default=None)

    def drop(self, device: str) -> None:
        """Its own keys are dead; its groups keep theirs."""
        for one in [s for s in self._former if s.device == device]:
            self._forget(one)
        session = self._sessions.pop(device, None)
        if session is not None:
            self._forget(session)

    def _forget(self, session: Session) -> None:
        if session in self._former:
            self._former.remove(session)
        del self._by_kid[session.up.kid]
        self._used -= {session.up.kid, session.down.kid}

    # --- talk groups --------------------------------------------------------------------------------------------

    def sync(self, members: Mapping[str, AbstractSet[str]], now_ms: int) -> set[str]:
        """The talk groups as they are now; who is to be told keys. `leave` is for devices that are gone."""
        tell: set[str] = set()
        for name in self._groups.keys() - members.keys():
            gone = self._groups.pop(name)
            self._used -= {gone.key.kid, *([gone.next.kid] if gone.next else [])}
            tell |= gone.members
        for name, now in members.items():
            tell |= self._sync_group(name, frozenset(now), now_ms)
        return tell & self._sessions.keys()

    def _sync_group(self, name: str, now: frozenset[str], now_ms: int) -> AbstractSet[str]:
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = _Group(self._group_key(name, 1))
        before, group.members = group.members, now
        if before - now:
            self._renew(group, now_ms)
            return before | now
        return now - before

    def keys(self, device: str, udp: list[str]) -> Keys | None:
        """All that the device is to be told now; None without a session."""
        session = self._sessions.get(device)
        if session is None:
            return None
        groups = [group.next or group.key for group in self._groups.values() if device in group.members]
        groups.sort(key=lambda key: not key.group.startswith(FIRST))  # of too many these are told
        return Keys(self.start, session.up, session.down, groups[:MAX_GROUPS], udp)

    def is_member(self, device: str, group: str) -> bool:
        return group in self._groups and device in self._groups[group].members

    def members(self, group: str) -> frozenset[str]:
        return self._groups[group].members if group in self._groups else frozenset()

    def groups(self) -> AbstractSet[str]:
        return self._groups.keys()

    def sealer(self, name: str, burst: int | None, now_ms: int) -> Sealer | None:
        """What seals a frame of this burst now (None: of an older one); None for a group that is not there."""
        group = self._groups.get(name)
        if group is None:
            return None
        anew = burst is not None and burst != group.burst
        if group.next is not None and (anew or now_ms >= group.due_ms):
            self._used.discard(group.key.kid)
            group.key, group.next = group.next, None
            group.sealer = Sealer(group.key.kid, group.key.key)
        group.burst = group.burst if burst is None else burst
        return group.sealer

    def _renew(self, group: _Group, now_ms: int) -> None:
        """Also when a new epoch is on its way already: he who leaves now was told of it."""
        if group.next is None:
            group.left_ms = now_ms
        else:
            self._used.discard(group.next.kid)
        epoch = (group.next or group.key).epoch + 1
        group.next = self._group_key(group.key.group, epoch)
        group.due_ms = min(now_ms + SWITCH_MS, group.left_ms + SWITCH_MAX_MS)

    def _own_key(self) -> OwnKey:
        return OwnKey(self._kid(), self._random_bytes(KEY_BYTES))

    def _group_key(self, name: str, epoch: int) -> GroupKey:
        return GroupKey(name, epoch, self._kid(), self._random_bytes(KEY_BYTES))

    def _kid(self) -> int:
        for _ in range(COUNTERS):
            self._counter = (self._counter + 1) % COUNTERS
            kid = (self.start & 0xFFFF) << 16 | self._counter
            if kid not in self._used:
                self._used.add(kid)
                return kid
        raise KeysExhausted("all keys of this start are in use; restart the daemon")
