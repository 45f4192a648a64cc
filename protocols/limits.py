"""Every time, retry, keep-alive and size of the wire, in one table, each from the constant that rules.

docs/wire.md and docs/asyncapi.yaml print this table; numbers of the service that a site may change carry
their rule's name (protocols/rules.py).
"""

from typing import Final, NamedTuple

from . import voice_limits as v
from .codec import MAX_DOWN_BODY_BYTES, MAX_UP_BYTES
from .envelope import MAX_DOWN_BYTES
from .prompts import NOT_DELIVERED_AFTER_MS, SPOKEN_FOR_MS, WAIT_EVERY_MS
from .rules import Rules
from .sframe import WINDOW_FRAMES
from .up import KEEP_RECEIPTED_DAYS, RETRY_FIRST_S, RETRY_MAX_S, STATE_EVERY_S
from .voice import FRAME_MS, MAX_OPUS_BYTES, MAX_SEALED_BYTES

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
_VOICE: Final = (
    Limit("frame_ms", FRAME_MS, "ms", "device", "sound in one frame"),
    Limit("max_opus_bytes", MAX_OPUS_BYTES, "bytes", "both", "the longest Opus packet (60 ms at most)"),
    Limit("max_sealed_bytes", MAX_SEALED_BYTES, "bytes", "both", "the longest sealed frame; longer is dropped unread"),
    Limit("replay_window", WINDOW_FRAMES, "frames", "both", "an older frame counts as replayed"),
    Limit("frames_per_s", v.FRAMES_PER_S, "frames/s", "daemon", "of one talker, sustained; more is dropped"),
    Limit("frames_at_once", v.FRAMES_AT_ONCE, "frames", "daemon", "and so many at once"),
    Limit("bad_in_a_row", v.BAD_IN_A_ROW, "frames", "daemon", "unreadable ones; then the floor is revoked"),
    Limit("talk_s", _RULES.talk_s, "s", "daemon", "T2: the longest burst; then revoke (rule)"),
    Limit("floor_grace_s", _RULES.floor_grace_s, "s", "daemon", "T3: sound after a revoke still counts (rule)"),
    Limit("end_of_media_s", _RULES.end_of_media_s, "s", "daemon", "T1: silence that ends a burst (rule)"),
    Limit("grant_repeat_s", _RULES.grant_repeat_s, "s", "daemon", "T20: granted is said again till sound comes (rule)"),
    Limit("grant_repeats", _RULES.grant_repeats, "times", "daemon", "C20: then the floor is free again (rule)"),
    Limit("queue_max", _RULES.queue_max, "requests", "daemon", "that wait for one floor; more are denied (rule)"),
    Limit("queue_for_s", _RULES.queue_for_s, "s", "daemon", "a request waits no longer (rule)"),
    Limit("floor_request_ms", v.T101_MS, "ms", "terminal", "T101: an unanswered request is repeated after"),
    Limit("floor_requests", v.REQUESTS, "times", "terminal", "C101: in all; then the user presses again"),
    Limit("floor_release_ms", v.T100_MS, "ms", "terminal", "T100: an unanswered release is repeated after"),
    Limit("floor_releases", v.RELEASES, "times", "terminal", "C100: in all"),
    Limit("floor_position_ms", v.T104_MS, "ms", "terminal", "T104: who is queued asks for his place after"),
    Limit("floor_positions", v.POSITIONS, "times", "terminal", "C104: unanswered in a row; then it requests anew"),
    Limit("hot_microphone_s", _RULES.hot_microphone_s, "s", "terminal", "emergency key: microphone is open for (rule)"),
    Limit("join_first_ms", v.JOIN_FIRST_MS, "ms", "device", "a voice-join without keys is repeated after"),
    Limit("join_max_ms", v.JOIN_MAX_MS, "ms", "device", "then at doubling distances up to this"),
    Limit("joins_per_s", v.JOINS_PER_S, "joins/s", "daemon", "of one device; more are ignored"),
    Limit("reset_within_ms", v.RESET_WITHIN_MS, "ms", "device", "random wait before the join after a voice-reset"),
    Limit("new_epoch_ms", v.NEW_EPOCH_MS, "ms", "daemon", "a group's new key is used from the next burst or after"),
    Limit("former_epoch_ms", v.FORMER_EPOCH_MS, "ms", "device", "a group's former key still opens for"),
    Limit("ping_idle_ms", v.PING_IDLE_MS, "ms", "device", "between pings, nothing in doubt"),
    Limit("ping_doubt_ms", v.PING_DOUBT_MS, "ms", "device", "between pings while it talks or doubts"),
    Limit("ping_away_ms", v.PING_AWAY_MS, "ms", "device", "between pings while it is on MQTT"),
    Limit("first_frame_ms", v.FIRST_FRAME_MS, "ms", "device", "taken was said, no frame for so long: doubt"),
    Limit("next_frame_ms", v.NEXT_FRAME_MS, "ms", "device", "frames stopped for so long: doubt"),
    Limit("dark_ms", v.DARK_MS, "ms", "device", "in doubt and no pong for so long: change to MQTT"),
    Limit("fall_back_ms", v.FALL_BACK_MS, "ms", "device", "last datagram to first frame by MQTT, at most"),
    Limit("back_after", v.BACK_AFTER, "pongs", "device", "in a row: back to datagrams"),
    Limit("place_forgotten_ms", v.PLACE_FORGOTTEN_MS, "ms", "daemon", "a silent device's address is forgotten after"),
    Limit("catch_up_s", _RULES.catch_up_s, "s", "daemon", "the most that is said again to who missed it (rule)"),
    Limit("gap_frames", v.GAP_FRAMES, "frames", "device", "fewer missing ones are not asked for"),
    Limit("catch_up_asks", v.CATCH_UP_ASKS, "times", "device", "of one burst"),
    Limit("clip_ask_first_ms", v.CLIP_ASK_FIRST_MS, "ms", "device", "missing parts are asked for again after"),
    Limit("clip_ask_max_ms", v.CLIP_ASK_MAX_MS, "ms", "device", "then at doubling distances up to this"),
    Limit("near_pillar_m", _RULES.near_pillar_m, "m", "daemon", "terminals so near do not play a pillar (rule)"),
)  # fmt: skip
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
    *_VOICE,
)
