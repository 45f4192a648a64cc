"""Topics of version 1: built and parsed here only. An id can never smuggle a separator or wildcard."""

import re
from typing import Final, NamedTuple

from .errors import ProtocolError
from .types import ID_PATTERN

DEFAULT_ROOT: Final = "dispatch/v1"
VOICE: Final = "voice"
"""Kind of the topics that carry a sealed frame and nothing else, no message and no envelope: `up/voice`, a talk group's
`voice`, and `down/voice` (what one device asked for by `catch-up`)."""
_ID = re.compile(ID_PATTERN)
_ROOT = re.compile(r"[a-z0-9-]{1,32}(/[a-z0-9-]{1,32}){0,7}")


class UpTopic(NamedTuple):
    """`kind` is an up kind or `presence`."""

    device: str
    kind: str


class DownTopic(NamedTuple):
    """`to` is a device, or a talk group when `group`."""

    to: str
    kind: str
    group: bool = False


def is_id(text: str) -> bool:
    return _ID.match(text) is not None


def is_root(text: str) -> bool:
    """1 to 8 words with '/' between them: no wildcard, no empty level."""
    return _ROOT.fullmatch(text) is not None


def require_id(text: str) -> str:
    """`text` itself, or ProtocolError `bad-id`."""
    if not is_id(text):
        raise ProtocolError("bad-id", f"{text[:40]!r} is no id: use 1 to 32 of a-z, 0-9 and '-'")
    return text


def up(root: str, device: str, kind: str) -> str:
    return f"{root}/d/{require_id(device)}/up/{kind}"


def presence(root: str, device: str) -> str:
    return f"{root}/d/{require_id(device)}/presence"


def down(root: str, device: str, kind: str) -> str:
    return f"{root}/d/{require_id(device)}/down/{kind}"


def group_down(root: str, talk_group: str, kind: str) -> str:
    return f"{root}/g/{require_id(talk_group)}/down/{kind}"


def device_filter(root: str, device: str) -> str:
    """The one subscription of a device."""
    return f"{root}/d/{require_id(device)}/down/#"


def group_filter(root: str, talk_group: str) -> str:
    return f"{root}/g/{require_id(talk_group)}/down/#"


def group_voice(root: str, talk_group: str) -> str:
    """Frames of the MQTT carriage: subscribed only by those on it, so it lies outside `group_filter`."""
    return f"{root}/g/{require_id(talk_group)}/{VOICE}"


def daemon_filters(root: str) -> tuple[str, str]:
    """What the daemon subscribes to."""
    return f"{root}/d/+/up/+", f"{root}/d/+/presence"


def _below(root: str, topic: str) -> list[str]:
    if not topic.startswith(root + "/"):
        raise ProtocolError("bad-topic", f"topic {topic[:100]!r} is not below {root!r}")
    return topic[len(root) + 1 :].split("/")


def parse_up(root: str, topic: str) -> UpTopic:
    """Of `{root}/d/{device}/up/{kind}` or `{root}/d/{device}/presence`; ProtocolError `bad-topic` otherwise."""
    match _below(root, topic):
        case ["d", device, "presence"] if is_id(device):
            return UpTopic(device, "presence")
        case ["d", device, "up", kind] if is_id(device):
            return UpTopic(device, kind)
    raise ProtocolError("bad-topic", f"topic {topic[:100]!r} is no up topic of version 1")


def parse_down(root: str, topic: str) -> DownTopic:
    """Of a device's or a talk group's down topic; ProtocolError `bad-topic` otherwise."""
    match _below(root, topic):
        case ["d", device, "down", kind] if is_id(device):
            return DownTopic(device, kind)
        case ["g", group, "down", kind] if is_id(group):
            return DownTopic(group, kind, group=True)
        case ["g", group, "voice"] if is_id(group):
            return DownTopic(group, "voice", group=True)
    raise ProtocolError("bad-topic", f"topic {topic[:100]!r} is no down topic of version 1")
