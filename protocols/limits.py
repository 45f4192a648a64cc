"""Every time, retry, keep-alive and size of the wire, in one table, each from the constant that rules.

docs/wire.md and docs/asyncapi.yaml print this table; numbers of the service that a site may change carry
their rule's name (protocols/rules.py).
"""

from typing import Final, NamedTuple

from .codec import MAX_DOWN_BODY_BYTES, MAX_UP_BYTES
from .envelope import MAX_DOWN_BYTES
from .prompts import NOT_DELIVERED_AFTER_MS, SPOKEN_FOR_MS, WAIT_EVERY_MS
from .rules import Rules
from .up import KEEP_RECEIPTED_DAYS, RETRY_FIRST_S, RETRY_MAX_S, STATE_EVERY_S

KEEP_ALIVE_S: Final = 5
"""MQTT keep-alive: the broker cuts a silent connection after one and a half of it and publishes its will."""
RECONNECT_FIRST_S: Final = 0.5
RECONNECT_MAX_S: Final = 15
"""Waits between connects: random, up to a limit that doubles from the first to the last of these."""
NEXT_PATH_AFTER_S: Final = 5
"""A device with several sites or paths tries the next when an alarm has no receipt after this."""
MAX_PATHS: Final = 3
STUCK_AFTER_S: Final = 30
"""A key held so long is one alarm and a `stuck` fault."""
EMERGENCY_HOLD_S: Final = 1
SECOND_PRESS_S: Final = 2
"""Inside an open question a second press within this makes the two a yes; alone it is a no."""
MAX_OUTBOX: Final = 2000
"""Unreceipted messages a device keeps, alarms not counted; beyond it the oldest rungs go first."""
HELLO_AGAIN_S: Final = 5
"""A hello without an answer is said again, with a new nonce."""


class Limit(NamedTuple):
    name: str
    value: float
    unit: str
    who: str
    meaning: str


_RULES: Final = Rules()
TABLE: Final = (
    Limit(
        "max_up_bytes", MAX_UP_BYTES, "bytes", "device", "the longest up payload; longer is refused unread"
    ),
    Limit("max_down_bytes", MAX_DOWN_BYTES, "bytes", "daemon", "the longest down payload, envelope included"),
    Limit(
        "max_down_body_bytes", MAX_DOWN_BODY_BYTES, "bytes", "daemon", "the longest body inside an envelope"
    ),
    Limit("keep_alive_s", KEEP_ALIVE_S, "s", "device", "MQTT keep-alive; the will fires after 1.5 of it"),
    Limit(
        "reconnect_first_s",
        RECONNECT_FIRST_S,
        "s",
        "device",
        "limit of the random wait before the first reconnect",
    ),
    Limit("reconnect_max_s", RECONNECT_MAX_S, "s", "device", "that limit doubles up to this"),
    Limit(
        "hello_again_s", HELLO_AGAIN_S, "s", "device", "an unanswered hello is said again, with a new nonce"
    ),
    Limit(
        "state_every_s", STATE_EVERY_S, "s", "device", "`state` period until hello's answer says otherwise"
    ),
    Limit(
        "presence_dead_s",
        _RULES.presence_dead_s,
        "s",
        "daemon",
        "silence after which a device is offline (rule)",
    ),
    Limit(
        "retry_first_s", RETRY_FIRST_S, "s", "device", "a durable message without a receipt is repeated after"
    ),
    Limit("retry_max_s", RETRY_MAX_S, "s", "device", "then at doubling distances up to this, without end"),
    Limit(
        "max_outbox",
        MAX_OUTBOX,
        "messages",
        "device",
        "unreceipted besides alarms; beyond it rungs go first, alarms never",
    ),
    Limit(
        "keep_receipted_days",
        KEEP_RECEIPTED_DAYS,
        "days",
        "device",
        "receipted alarms are kept for a restore",
    ),
    Limit("max_paths", MAX_PATHS, "paths", "device", "ordered sites or paths a device holds"),
    Limit(
        "next_path_after_s",
        NEXT_PATH_AFTER_S,
        "s",
        "device",
        "an alarm without a receipt goes by the next path",
    ),
    Limit(
        "item_retry_first_s",
        _RULES.retry_first_s,
        "s",
        "daemon",
        "an item without a rung is repeated after (rule)",
    ),
    Limit(
        "item_retry_max_s", _RULES.retry_max_s, "s", "daemon", "then at doubling distances up to this (rule)"
    ),
    Limit("item_ttl_s", _RULES.item_ttl_s, "s", "daemon", "life of a call, order, stand-down, prompt (rule)"),
    Limit(
        "broadcast_ttl_s", _RULES.broadcast_ttl_s, "s", "daemon", "life of a broadcast that names none (rule)"
    ),
    Limit(
        "remind_every_s",
        _RULES.remind_every_s,
        "s",
        "terminal",
        "a call vibrates, lights and sounds every (rule)",
    ),
    Limit("remind_for_s", _RULES.remind_for_s, "s", "terminal", "and for so long in all (rule)"),
    Limit(
        "min_volume_pct", _RULES.min_volume_pct, "%", "terminal", "a call is never quieter than this (rule)"
    ),
    Limit(
        "emergency_hold_s",
        EMERGENCY_HOLD_S,
        "s",
        "terminal",
        "hold of the emergency key that raises an alarm",
    ),
    Limit(
        "second_press_s", SECOND_PRESS_S, "s", "pillar", "in an open question: two presses within it are yes"
    ),
    Limit("question_s", _RULES.question_s, "s", "pillar", "a question stays open for (rule)"),
    Limit(
        "stuck_after_s", STUCK_AFTER_S, "s", "pillar", "a key held so long: one alarm, and one `stuck` more"
    ),
    Limit(
        "not_delivered_after_s",
        NOT_DELIVERED_AFTER_MS / 1000,
        "s",
        "pillar",
        "no receipt: say so, and light it",
    ),
    Limit(
        "wait_every_s",
        WAIT_EVERY_MS / 1000,
        "s",
        "pillar",
        "the pillar says wait, or not delivered, this often",
    ),
    Limit(
        "spoken_for_s", SPOKEN_FOR_MS / 1000, "s", "pillar", "after the press; then only the light changes"
    ),
)
