"""Who may do what at the broker: one list, kept as JSON, that both brokers are fed from. Pure.

A user name is a device id or DAEMON_USER; a client's id equals its user name. A device publishes only under
its own `up/` and its own `presence`, and hears only its own `down/`, and `down/` and `voice` of its talk groups.
Everything else, other devices' existence included, is closed to it. Secrets are stored in mosquitto's password form,
so that one stored form serves both brokers.
"""

import re
from typing import Literal

import msgspec

from protocols.secret import is_stored_form

Action = Literal["publish", "receive", "subscribe"]

DAEMON_USER = "dispatchd"
ID_PATTERN = re.compile(r"[a-z0-9-]{1,32}")
ROOT_PATTERN = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")


class Grant(msgspec.Struct, frozen=True):
    """One identity's rights: the stored form of its secret and the talk groups it is a member of."""

    secret_hash: str
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not is_stored_form(self.secret_hash):
            raise ValueError("secret_hash must be $7$iterations$salt$hash; make it with hash_secret()")
        for group in self.groups:
            _check_id("talk group", group)


class Access(msgspec.Struct, frozen=True):
    """The whole list: topic root, the daemon's grant, each device's. Raises ValueError when unusable."""

    root: str
    daemon: Grant
    devices: dict[str, Grant] = {}

    def __post_init__(self) -> None:
        if not ROOT_PATTERN.fullmatch(self.root):
            raise ValueError(f"topic root {self.root!r} must be words of A-Z a-z 0-9 _ . - joined by /")
        for device in self.devices:
            _check_id("device", device)
        if DAEMON_USER in self.devices:
            raise ValueError(f"device id {DAEMON_USER!r} is the daemon's own user name; rename the device")

    def grant(self, user: str) -> Grant | None:
        """The grant of `user`, None when there is no such user."""
        return self.daemon if user == DAEMON_USER else self.devices.get(user)


def _check_id(what: str, value: str) -> None:
    if not ID_PATTERN.fullmatch(value):
        raise ValueError(f"{what} id {value!r} must be 1 to 32 of a-z 0-9 -")


def encode_access(access: Access) -> bytes:
    """The list as JSON for the disk."""
    return msgspec.json.format(msgspec.json.encode(access), indent=1)


def decode_access(raw: bytes) -> Access:
    """The list from JSON. Raises msgspec.DecodeError (a ValueError) that says which entry is wrong."""
    return msgspec.json.decode(raw, type=Access)


def publish_filters(root: str, device: str) -> tuple[str, ...]:
    """What a device may publish to."""
    return f"{root}/d/{device}/up/#", f"{root}/d/{device}/presence"


def receive_filters(root: str, device: str, groups: tuple[str, ...]) -> tuple[str, ...]:
    """What a device may hear."""
    return f"{root}/d/{device}/down/#", *group_filters(root, groups)


def group_filters(root: str, groups: tuple[str, ...]) -> tuple[str, ...]:
    """What a member of these talk groups may hear."""
    return tuple(f"{root}/g/{group}/{kind}" for group in groups for kind in ("down/#", "voice"))


def allowed(access: Access, user: str, topic: str, action: Action) -> bool:
    """Whether `user` may do `action` on `topic` (a topic name, or a filter to `subscribe` to)."""
    if action != "subscribe" and ("+" in topic or "#" in topic):
        return False
    if user == DAEMON_USER:
        return _covers(f"{access.root}/#", topic)
    grant = access.devices.get(user)
    if grant is None:
        return False
    if action == "publish":
        return any(_covers(f, topic) for f in publish_filters(access.root, user))
    return any(_covers(f, topic) for f in receive_filters(access.root, user, grant.groups))


def may_retain(access: Access, user: str, topic: str) -> bool:
    """Whether a message by `user` may stay at the broker: a device's presence, whatever the daemon keeps."""
    return user == DAEMON_USER or topic == f"{access.root}/d/{user}/presence"


def _covers(granted: str, asked: str) -> bool:
    """Whether all that `asked` (name or filter) can match lies in `granted` (exact, or ending in `/#`)."""
    if not granted.endswith("/#"):
        return asked == granted
    base = granted[:-2]
    return asked == base or asked.startswith(base + "/")
