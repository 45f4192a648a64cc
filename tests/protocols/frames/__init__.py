"""Where the golden vectors come from: hand-written maps, encoded by the independent msgpack package.

Good ones show every kind at its least and at its fullest; bad ones are what broken or hostile boards send.
"""

import struct
from collections.abc import Iterator
from typing import Any

import msgpack

KEY = {"boot": "b-20261122-7f", "seq": 41}
PLACE = {"lat": 26.8912, "lon": 112.6001, "accuracy_m": 4.5, "age_ms": 800}
NONCE = bytes(range(16))
CALL = {"item": "i-1", "call": "c-1", "incident": "n-1", "patrol": "patrol-7", "kind": "one-key"}
BROADCAST = {"item": "i-4", "broadcast": "w-1", "text": "各组注意,请向集结点靠拢"}
POINT = b"\x04" + bytes(range(64))
REQUEST = {"group": "all", "ref": 5}
TAKEN = {"group": "inc-n-1", "burst": 902, "talker": "t-017"}
OPUS = [b"\x48\x0b\xe4", b"\x48" + bytes(range(40))]
CLIP = {"clip": "5f0c", "ms": 4_020, "parts": 2, "sha256": bytes(range(32))}
TALK = [
    {"group": "all"},
    {
        "group": "inc-n-1",
        "name": "017 号点警情",
        "scan": 9,
        "talk": False,
        "incident": "n-1",
        "silent": True,
    },
]
FROZEN_ENVELOPE = {"gen": 3, "n": 1207, "ttl_ms": 600_000, "sent_at": 1_795_305_600_000, "body": b"\x80"}

GOOD: dict[str, list[tuple[str, Any]]] = {
    "presence": [
        ("birth", {"online": True, "conn": 12}),
        ("death, by the will", {"online": False, "conn": 12}),
    ],
    "envelope": [
        ("unsigned", {**FROZEN_ENVELOPE, "sig": b""}),
        ("signature left out", FROZEN_ENVELOPE),
        ("signed", {**FROZEN_ENVELOPE, "sig": bytes(range(72))}),
        ("never expires", {**FROZEN_ENVELOPE, "ttl_ms": 0}),
        ("body of a call", {**FROZEN_ENVELOPE, "body": msgpack.packb(CALL), "sig": b""}),
    ],
    "up hello": [
        ("least", {"nonce": NONCE[:8], "conn": 1, "boot": "b1"}),
        (
            "full",
            {
                "nonce": NONCE,
                "conn": 12,
                "boot": "b-20261122-7f",
                "role": "pillar",
                "profile": "B",
                "firmware": "acme-pillar 2.4.1",
                "outbox": 3,
                "gen": 3,
                "config": 9,
            },
        ),
        ("a role of a later version", {"nonce": NONCE, "conn": 1, "boot": "b1", "role": "drone"}),
    ],
    "up state": [
        ("least: off duty, no position", {"conn": 12}),
        (
            "full",
            {
                "conn": 12,
                "position": PLACE,
                "battery_pct": 81,
                "signal_pct": 64,
                "volume_pct": 70,
                "muted": True,
                "firmware": "acme-radio 5.0",
            },
        ),
        ("position in whole degrees, as integers", {"conn": 1, "position": {"lat": 27, "lon": -112}}),
        ("unknown fields are ignored", {"conn": 12, "mood": "good", "extra": [1, {"a": None}, b"\x00"]}),
        ("none written out", {"conn": 12, "position": None, "battery_pct": None}),
    ],
    "up alarm": [
        ("one key, at its least", {"key": KEY}),
        (
            "duress, full",
            {
                "key": KEY,
                "kind": "duress",
                "age_ms": 1200,
                "position": PLACE,
                "drill": True,
                "detail": "key 2",
            },
        ),
        ("a kind of a later version is kept", {"key": KEY, "kind": "flood"}),
        ("sequence at its bound", {"key": {"boot": "b", "seq": 2**53}}),
        ("unknown fields are ignored", {"key": KEY, "colour": "red"}),
    ],
    "up answer": [
        ("accept", {"key": KEY, "call": "c-1", "patrol": "patrol-7", "answer": "accept"}),
        (
            "on scene, with age",
            {"key": KEY, "call": "c-1", "patrol": "p", "answer": "on-scene", "age_ms": 90},
        ),
        ("a word of a later version", {"key": KEY, "call": "c-1", "patrol": "p", "answer": "delayed"}),
    ],
    "up rung": [
        ("delivered", {"key": KEY, "item": "i-1", "rung": "delivered"}),
        ("presented", {"key": KEY, "item": "i-1", "rung": "presented", "age_ms": 10, "volume_pct": 75}),
        ("failed", {"key": KEY, "item": "i-1", "rung": "failed", "reason": "player-failed"}),
    ],
    "up cancel": [
        ("of the last alarm", {"key": KEY}),
        ("of a named alarm", {"key": KEY, "alarm": KEY, "age_ms": 5}),
    ],
    "up reply": [("yes", {"key": KEY, "question": "q-1", "yes": True, "age_ms": 0})],
    "up duty": [("off", {"key": KEY, "on": False}), ("on", {"key": KEY, "on": True, "age_ms": 77})],
    "up applied": [
        ("config in force", {"key": KEY, "what": "config", "version": 9}),
        (
            "not in force",
            {"key": KEY, "what": "membership", "version": 2, "ok": False, "error": "no such group"},
        ),
    ],
    "up floor-request": [
        ("least", REQUEST),
        ("of an emergency", {**REQUEST, "priority": "emergency"}),
        ("a priority of a later version", {**REQUEST, "priority": "routine"}),
    ],
    "up floor-release": [("plain", REQUEST), ("ref at its bound", {"group": "g", "ref": 2**53})],
    "up floor-queue-position-request": [("plain", REQUEST)],
    "up voice-join": [
        ("least", {"nonce": NONCE[:8], "public": POINT}),
        ("by MQTT only", {"nonce": bytes(range(32)), "public": POINT, "carriage": "mqtt"}),
    ],
    "up voice-carriage": [
        ("least", {"carriage": "datagram"}),
        ("full", {"carriage": "mqtt", "why": "no pong for 1.5 s"}),
    ],
    "up catch-up": [("whole burst", {"group": "all", "burst": 902, "seq": 0})],
    "up clip-request": [
        ("least", {"clip": "5f0c", "parts": [0]}),
        ("all 64", {"clip": "5f0c", "parts": list(range(64))}),
    ],
    "up webrtc-offer": [("plain", {"session": "s-1", "sdp": "v=0\r\n"})],
    "up webrtc-bye": [("plain", {"session": "s-1"})],
    "up sounding": [("begins", {"on": True}), ("ends", {"on": False})],
    "up howling": [("least", {"muted_ms": 3000}), ("in a group", {"muted_ms": 3000, "group": "inc-n-1"})],
    "down hello": [
        ("least", {"nonce": NONCE, "site_time": 1_795_305_600_000}),
        (
            "after a restore",
            {
                "nonce": NONCE,
                "site_time": 1_795_305_600_000,
                "pending": 4,
                "alarms_since": 1_795_000_000_000,
                "state_every_s": 10,
                "hot_microphone_s": 20,
            },
        ),
    ],
    "down receipt": [
        ("one", {"items": [{"key": KEY}]}),
        (
            "an alarm and a refused one",
            {
                "items": [
                    {"key": KEY, "incident": "n-1"},
                    {"key": KEY, "outcome": "refused", "reason": "not yours"},
                ]
            },
        ),
    ],
    "down call": [
        ("least", CALL),
        (
            "full",
            {
                **CALL,
                "rev": 2,
                "point": "017",
                "place": "解放路与船山路口",
                "position": PLACE,
                "distance_m": 312.5,
                "bearing_deg": 271.0,
                "order": "observe",
                "accepted_by": ["patrol-2", "patrol-9"],
                "silent": True,
                "drill": True,
                "remind_every_s": 10,
                "remind_for_s": 120,
                "min_volume_pct": 80,
            },
        ),
    ],
    "down stand-down": [
        ("enough", {"item": "i-2", "call": "c-1", "incident": "n-1"}),
        (
            "a drill gives way",
            {
                "item": "i-2",
                "call": "c-1",
                "incident": "n-1",
                "silent": True,
                "reason": "real-alarm",
                "drill": True,
            },
        ),
    ],
    "down order": [
        (
            "observe",
            {
                "item": "i-3",
                "incident": "n-1",
                "order": "observe",
                "text": "保持距离,观察等待",
                "silent": True,
                "drill": True,
            },
        )
    ],
    "down alert": [
        ("third time", {"item": "i-9", "incident": "n-1", "text": "无人接警", "count": 3, "drill": True})
    ],
    "down broadcast": [
        ("least", BROADCAST),
        (
            "full",
            {
                **BROADCAST,
                "priority": "emergency",
                "lang": "en",
                "sender": "指挥中心",
                "expires_at": 1_795_309_200_000,
                "ack": True,
                "drill": True,
            },
        ),
        ("with sound to fetch", {**BROADCAST, "clip": CLIP}),
        ("said live in a talk group", {**BROADCAST, "live": "all"}),
    ],
    "down broadcast-cancel": [("plain", {"item": "i-5", "broadcast": "w-1"})],
    "down prompt": [
        ("least", {"item": "i-6", "incident": "n-1", "code": "coming"}),
        (
            "question",
            {
                "item": "i-6",
                "incident": "n-1",
                "code": "question",
                "text": "您受伤了吗?",
                "text_en": "Are you hurt?",
                "light": "triple-blink",
                "until": 1_795_305_630_000,
                "question": "q-1",
                "drill": True,
            },
        ),
    ],
    "down lamp": [("flash", {"item": "i-7", "pattern": "flash", "until": 1_795_305_660_000, "drill": True})],
    "down microphone": [
        ("open, after an alarm", {"item": "i-8", "open": True}),
        (
            "full",
            {"item": "i-8", "open": True, "incident": "n-1", "tone": True, "silent": True, "drill": True},
        ),
        ("closed", {"item": "i-8", "open": False}),
    ],
    "down config": [
        ("three sorts of value", {"version": 9, "values": {"volume_pct": 80, "muted": False, "lang": "zh"}})
    ],
    "down membership": [
        ("no patrol", {"version": 1}),
        ("full", {"version": 2, "patrol": "patrol-7", "on_duty": True, "groups": ["all", "brigade-1"]}),
        ("with voice", {"version": 3, "groups": ["all", "inc-n-1"], "talk": TALK}),
    ],
    "down floor-granted": [
        ("least", {**REQUEST, "burst": 902, "talk_ms": 30_000}),
        ("of an emergency", {**REQUEST, "burst": 902, "talk_ms": 30_000, "priority": "emergency"}),
    ],
    "down floor-deny": [
        ("least", {**REQUEST, "cause": "queue-full"}),
        (
            "full",
            {
                **REQUEST,
                "cause": "only-one-participant",
                "text": "组内无其他人在线",
                "text_en": "nobody else is on line",
            },
        ),
        ("a cause of a later version", {**REQUEST, "cause": "quota"}),
    ],
    "down floor-revoke": [
        ("at once", {"group": "all", "burst": 902, "cause": "pre-empted"}),
        ("with grace", {"group": "all", "burst": 902, "cause": "too-long", "grace_ms": 3000}),
    ],
    "down floor-queue-position-info": [
        ("second of three", {**REQUEST, "position": 2, "waiting": 3}),
        ("not in it", {**REQUEST, "position": 0, "waiting": 0}),
    ],
    "down floor-taken": [("to one who joined late", {**TAKEN, "age_ms": 2_200})],
    "down floor-idle": [
        ("least", {"group": "all"}),
        ("full", {"group": "all", "burst": 902, "why": "revoked"}),
    ],
    "down voice-keys": [("plain", {"nonce": NONCE, "public": POINT, "sealed": bytes(48)})],
    "down voice-reset": [("plain", {"start": 7})],
    "down clip-part": [
        ("empty", {"clip": "5f0c", "part": 0, "frames": []}),
        ("last part", {"clip": "5f0c", "part": 63, "frames": OPUS}),
    ],
    "down webrtc-answer": [
        ("answered", {"session": "s-1", "sdp": "v=0\r\n"}),
        ("refused", {"session": "s-1", "error": "64 sessions are open"}),
    ],
    "group broadcast": [("plain", BROADCAST)],
    "group broadcast-cancel": [("plain", {"item": "i-5", "broadcast": "w-1", "drill": True})],
    "group floor-taken": [
        ("least", TAKEN),
        (
            "full",
            {
                **TAKEN,
                "talker": "zhang",
                "talker_kind": "operator",
                "name": "指挥中心",
                "priority": "emergency",
                "age_ms": 40,
                "groups": ["inc-n-1", "all"],
                "not_for": ["t-020"],
                "silent": True,
            },
        ),
        ("a talker of a later version", {**TAKEN, "talker_kind": "gateway"}),
    ],
    "group floor-idle": [("after a word", {"group": "all", "burst": 902})],
    "group voice-reset": [("plain", {"start": 8})],
}

NAN, INF = float("nan"), float("inf")


def _alarm(**fields: Any) -> bytes:
    return _pack({"key": KEY, **fields})


def _pack(value: Any) -> bytes:
    data: bytes = msgpack.packb(value)
    return data


def _cut(value: Any, left_out: int) -> bytes:
    return _pack(value)[:-left_out]


def _with_field(raw: bytes) -> bytes:
    """An alarm with a field `x` of these bytes."""
    return b"\x82" + _pack("key") + _pack(KEY) + _pack("x") + raw


SALVAGED: list[tuple[str, bytes]] = [
    ("wrong kind of kind: one-key", _alarm(kind=7)),
    ("a kind that is too long: one-key", _alarm(kind="k" * 33)),
    ("negative age is dropped", _alarm(age_ms=-1, kind="duress")),
    ("fractional age is dropped", _alarm(age_ms=1.5)),
    ("latitude off the globe is dropped", _alarm(position={**PLACE, "lat": 91.0})),
    ("latitude NaN is dropped", _alarm(position={"lat": NAN, "lon": 1.0})),
    ("longitude infinite is dropped", _alarm(position={"lat": 1.0, "lon": INF})),
    ("position as text is dropped", _alarm(position="here", detail="kept")),
    ("drill of the wrong type counts as real", _alarm(drill="yes")),
    ("detail too long is dropped", _alarm(detail="d" * 1001)),
    ("detail not UTF-8 is dropped", b"\x82" + _pack("key") + _pack(KEY) + _pack("detail") + b"\xa2\xff\xfe"),
    ("no key: named by its bytes", _pack({"kind": "duress"})),
    ("broken key: named by its bytes", _pack({"key": {"boot": "UPPER", "seq": 1}, "kind": "duress"})),
    ("empty map: named by its bytes", b"\x80"),
    ("cut off after the kind", _cut({"key": KEY, "kind": "duress", "detail": "something"}, 4)),
    ("cut off within the key", _cut({"kind": "duress", "key": KEY}, 3)),
    ("only the first byte of a map of 15", b"\x8f"),
    ("a map that declares 4294967295 fields", b"\xdf\xff\xff\xff\xff" + _pack("kind") + _pack("duress")),
    ("a field that declares 4294967295 elements", _with_field(b"\xdd\xff\xff\xff\xff")),
    ("a field nested 4000 deep", _with_field(b"\x91" * 4000 + b"\xc0")),
    ("a time no calendar has", _with_field(b"\xc7\x0c\xff" + b"\xff" * 12)),
    ("a number as a field's name", b"\x82" + _pack("key") + _pack(KEY) + b"\x07\x07"),
    ("bytes after the end", _alarm() + b"\x00"),
]

BAD: dict[str, list[tuple[str, bytes]]] = {
    "up alarm": [
        ("empty", b""),
        ("text", b"\xa5alarm"),
        ("list", _pack(["b", 1])),
        ("JSON", b'{"key":{"boot":"b","seq":1}}'),
        ("a byte MessagePack never uses", b"\xc1"),
        ("oversize", _alarm(x="x" * 16384)),
        ("a map's head, cut off", b"\xde\x00"),
    ],
    "up state": [
        ("empty", b""),
        ("no connection number", b"\x80"),
        ("connection number as text", _pack({"conn": "12"})),
        ("connection number too large", _pack({"conn": 2**53 + 1})),
        ("connection number negative", _pack({"conn": -1})),
        ("battery over 100", _pack({"conn": 1, "battery_pct": 101})),
        ("latitude NaN", _pack({"conn": 1, "position": {"lat": NAN, "lon": 1.0}})),
        ("latitude infinite", _pack({"conn": 1, "position": {"lat": -INF, "lon": 1.0}})),
        ("nested 4000 deep", b"\x82" + _pack("conn") + b"\x01" + _pack("x") + b"\x91" * 4000 + b"\xc0"),
        (
            "declares 4294967295 elements",
            b"\x82" + _pack("conn") + b"\x01" + _pack("x") + b"\xdd\xff\xff\xff\xff",
        ),
        ("cut off", _cut({"conn": 12, "position": PLACE}, 5)),
        ("bytes after the end", _pack({"conn": 12}) + b"\xc0"),
    ],
    "up hello": [
        ("nonce too short", _pack({"nonce": b"1234567", "conn": 1, "boot": "b1"})),
        ("nonce as text", _pack({"nonce": "12345678", "conn": 1, "boot": "b1"})),
        ("boot with a wildcard", _pack({"nonce": NONCE, "conn": 1, "boot": "a/#"})),
        ("boot with a newline at its end", _pack({"nonce": NONCE, "conn": 1, "boot": "b1\n"})),
    ],
    "up answer": [("no call", _pack({"key": KEY, "patrol": "p", "answer": "accept"})), ("no map", b"\x01")],
    "up rung": [
        ("empty word", _pack({"key": KEY, "item": "i", "rung": ""})),
        ("item with '/'", _pack({"key": KEY, "item": "a/b", "rung": "delivered"})),
    ],
    "up cancel": [("key of another form", _pack({"key": "b-41"}))],
    "up reply": [("yes as a number", _pack({"key": KEY, "question": "q-1", "yes": 1}))],
    "up duty": [("on left out", _pack({"key": KEY}))],
    "up applied": [("version as text", _pack({"key": KEY, "what": "config", "version": "9"}))],
    "up floor-request": [
        ("group with a wildcard", _pack({"group": "#", "ref": 1})),
        ("no ref", _pack({"group": "all"})),
    ],
    "up floor-release": [("ref negative", _pack({"group": "all", "ref": -1}))],
    "up floor-queue-position-request": [("ref as text", _pack({"group": "all", "ref": "1"}))],
    "up voice-join": [
        ("point of 64 bytes", _pack({"nonce": NONCE, "public": POINT[1:]})),
        ("nonce too short", _pack({"nonce": b"1234567", "public": POINT})),
    ],
    "up voice-carriage": [("empty word", _pack({"carriage": ""}))],
    "up catch-up": [("no seq", _pack({"group": "all", "burst": 1}))],
    "up clip-request": [
        ("no part", _pack({"clip": "c", "parts": []})),
        ("part 64", _pack({"clip": "c", "parts": [64]})),
        ("65 parts", _pack({"clip": "c", "parts": [0] * 65})),
    ],
    "up webrtc-offer": [("sdp of 16001", _pack({"session": "s", "sdp": "v" * 16_001}))],
    "up webrtc-bye": [("no session", b"\x80")],
    "up sounding": [("on as a number", _pack({"on": 1}))],
    "up howling": [("time negative", _pack({"muted_ms": -1}))],
    "up shutdown": [("a kind that is none", b"\x80")],
    "presence": [
        ("empty: a cleared retained message", b""),
        ("online as a number", _pack({"online": 1, "conn": 1})),
    ],
    "envelope": [
        ("empty", b""),
        ("body as text", _pack({**FROZEN_ENVELOPE, "body": "x"})),
        ("signature too long", _pack({**FROZEN_ENVELOPE, "sig": b"s" * 129})),
        ("negative life", _pack({**FROZEN_ENVELOPE, "ttl_ms": -1})),
        ("a list", _pack(list(FROZEN_ENVELOPE.values()))),
        (
            "body that declares 4294967295 bytes",
            b"\x81" + _pack("body") + b"\xc6" + struct.pack(">I", 2**32 - 1),
        ),
    ],
    "down hello": [("no nonce", _pack({"site_time": 1}))],
    "down receipt": [("none", _pack({"items": []})), ("201 of them", _pack({"items": [{"key": KEY}] * 201}))],
    "down call": [
        ("distance NaN", _pack({**CALL, "distance_m": NAN})),
        ("bearing 360", _pack({**CALL, "bearing_deg": 360.0})),
    ],
    "down stand-down": [("no call", _pack({"item": "i", "incident": "n"}))],
    "down order": [("no order", _pack({"item": "i", "incident": "n"}))],
    "down alert": [("no text", _pack({"item": "i", "incident": "n"}))],
    "down broadcast": [("text too long", _pack({**BROADCAST, "text": "t" * 1001}))],
    "down broadcast-cancel": [("no broadcast", _pack({"item": "i"}))],
    "down prompt": [("no code", _pack({"item": "i", "incident": "n"}))],
    "down lamp": [("pattern of milliseconds", _pack({"item": "i", "pattern": [250, 250]}))],
    "down config": [("a list as value", _pack({"version": 1, "values": {"a": []}}))],
    "down membership": [("101 groups", _pack({"version": 1, "groups": ["g"] * 101}))],
    "down microphone": [("open left out", _pack({"item": "i"}))],
    "down floor-granted": [("no burst", _pack({**REQUEST, "talk_ms": 1}))],
    "down floor-deny": [("no cause", _pack(REQUEST))],
    "down floor-revoke": [("cause too long", _pack({"group": "g", "burst": 1, "cause": "c" * 33}))],
    "down floor-queue-position-info": [("no position", _pack({**REQUEST, "waiting": 1}))],
    "down floor-taken": [("no talker", _pack({"group": "g", "burst": 1}))],
    "down floor-idle": [("no group", b"\x80")],
    "down voice-keys": [
        ("point of 33 bytes", _pack({"nonce": NONCE, "public": POINT[:33], "sealed": bytes(48)}))
    ],
    "down voice-reset": [("start as text", _pack({"start": "7"}))],
    "down clip-part": [
        ("part 64", _pack({"clip": "c", "part": 64, "frames": []})),
        ("frames as one", _pack({"clip": "c", "part": 0, "frames": b"x"})),
    ],
    "down webrtc-answer": [("no session", b"\x80")],
    "down reboot": [("a kind that is none", b"\x80")],
    "group broadcast": [("no map", b"\x90")],
    "group broadcast-cancel": [("no map", b"\xc0")],
    "group floor-taken": [("101 groups", _pack({**TAKEN, "groups": ["g"] * 101}))],
    "group floor-idle": [("why as a number", _pack({"group": "g", "why": 1}))],
    "group voice-reset": [("no start", b"\x80")],
    "group floor-granted": [
        ("a kind that goes to devices only", _pack({**REQUEST, "burst": 1, "talk_ms": 1}))
    ],
    "group call": [("a kind that goes to devices only", _pack(CALL))],
}


def frames() -> Iterator[tuple[str, str, bytes]]:
    """Name, decoder, bytes of every vector."""
    for to, maps in GOOD.items():
        yield from ((name, to, _pack(value)) for name, value in maps)
    yield from ((f"salvaged: {name}", "up alarm", data) for name, data in SALVAGED)
    for to, raw in BAD.items():
        yield from ((f"bad: {name}", to, data) for name, data in raw)
