"""What `ctl` prints for people, Chinese first: tables and sentences. Pure but for rich's rendering."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from rich import box
from rich.table import Table
from rich.text import Text

Lang = str
Doc = dict[str, Any]

_COLUMNS: Final[dict[str, tuple[str, str]]] = {
    "id": ("编号", "id"),
    "name": ("名称", "name"),
    "kind": ("类型", "kind"),
    "unit": ("单位", "unit"),
    "patrol": ("巡逻组", "patrol"),
    "online": ("在线", "on line"),
    "heard": ("最近收到", "heard"),
    "position": ("位置时间", "position"),
    "levels": ("电/信/音 %", "batt/sig/vol %"),
    "engaged": ("警情", "incident"),
    "stale": ("失真", "stale"),
    "force": ("力量", "force"),
    "duty": ("上勤", "on duty"),
    "place": ("地点", "place"),
    "age": ("时长", "age"),
    "owner": ("处置人", "owner"),
    "ring": ("环", "ring"),
    "responders": ("响应", "responders"),
    "flags": ("标记", "flags"),
    "attention": ("注意", "attention"),
    "text": ("内容", "text"),
    "state": ("状态", "state"),
    "ladder": ("送达/播报/确认", "delivered/presented/acknowledged"),
    "not_heard": ("未收到", "not heard"),
    "device": ("设备", "device"),
    "reason": ("原因", "reason"),
    "rung": ("进度", "rung"),
    "routes": ("已试", "tried"),
    "count": ("次数", "count"),
    "detail": ("详情", "detail"),
    "devices": ("设备", "devices"),
    "parent": ("上级", "parent"),
    "counts": ("数量", "counts"),
    "done": ("完成", "done"),
    "topic": ("主题", "topic"),
    "why": ("原因", "why"),
    "time": ("时间", "time"),
    "group": ("通话组", "group"),
    "talker": ("讲话人", "talker"),
    "incident": ("警情", "incident"),
    "length": ("时长", "length"),
    "lacks": ("缺损", "lacks"),
    "sound": ("有声/在线/全部", "sound/on line/all"),
    "talks": ("正在讲话", "talks now"),
    "waiting": ("排队", "waiting"),
    "patched": ("并接", "patched with"),
    "carriage": ("承载", "carriage"),
}
_ZH: Final = {
    "unowned": "无人接警",
    "owner-gone": "处置人离线",
    "nobody-left-to-call": "无人可再呼",
    "waits-late": "迟到待令",
    "waits-verify": "核实待令",
    "waits-commissioning": "设备未投用",
    "handoff-red": "转交未确认",
    "answered": "群众已答",
    "pressed-again": "再次按下",
    "citizen-cancelled": "群众取消",
    "device-offline": "设备离线",
    "relief-offered": "待交接",
    "task-open": "有任务",
    "silent": "静默",
    "hazard": "危险",
    "late": "迟到",
    "age_unknown": "时间不明",
    "verify": "核实优先",
    "commissioning": "未投用",
    "drill": "演练",
    "offline": "离线",
    "expired": "已过期",
    "no-answer": "无应答",
    "player-failed": "播放失败",
    "muted": "静音",
    "refused": "拒绝",
    "left": "已离开",
    "incident-open": "该处有警情",
    "called": "已呼叫",
    "accepted": "已接受",
    "declined": "已谢绝",
    "en-route": "在途",
    "on-scene": "到场",
    "done": "完成",
    "stood-down": "已解除",
    "lost": "失联",
    "queued": "待发",
    "delivered": "已送达",
    "presence": "在线",
    "position": "位置",
    "status": "状态",
    "open": "进行中",
    "closed": "全部收到",
    "cancelled": "已取消",
    "one-key": "一键报警",
    "duress": "胁迫",
    "emergency": "紧急",
    "tamper": "防拆",
    "pillar": "报警柱",
    "terminal": "终端",
    "police": "民警",
    "auxiliary": "辅警",
    "volunteer": "志愿者",
    "other-terminal": "另一终端",
    "talk-group": "通话组",
    "task": "人工任务",
    "site": "站点",
    "unit": "单位",
    "opened": "临时",
    "imminent-peril": "险情",
    "talk-muted": "禁言",
    "datagram": "数据报",
    "mqtt": "MQTT",
    "webrtc": "WebRTC",
}


def word(code: Any, lang: Lang) -> str:
    """A code of the API in the reader's language."""
    return _ZH.get(str(code), str(code)) if lang == "zh" else str(code)


def words(codes: Iterable[Any], lang: Lang) -> str:
    return " ".join(word(code, lang) for code in codes)


def age(ms: int | None) -> str:
    """Short: 4 s, 3 min, 5 h; – for never."""
    if ms is None:
        return "–"
    s = ms / 1000
    if s < 100:
        return f"{s:.0f} s"
    return f"{s / 60:.0f} min" if s < 6000 else f"{s / 3600:.0f} h"


def percent(value: int | None) -> str:
    return "–" if value is None else str(value)


def yes(value: bool, lang: Lang) -> str:
    return ("是" if value else "否") if lang == "zh" else ("yes" if value else "no")


def named(doc: Doc, lang: Lang) -> str:
    first, second = doc.get("name", ""), doc.get("name_en", "")
    return str((first or second) if lang == "zh" else (second or first))


def position_age(doc: Doc) -> str:
    position = doc["position"]
    if position is None:
        return "–"
    return age(position["age_ms"]) if position["source"] == "device" else "·"


def ladder(counts: Doc) -> str:
    return f"{counts['delivered']}/{counts['presented']}/{counts['acknowledged']} : {counts['queued']}"


def flags(doc: Doc, lang: Lang) -> str:
    """What marks the incident; under it, where its rings wait, what starts them."""
    names = [name for name in ("silent", "hazard", "late", "age_unknown", "drill") if doc[name]]
    hold = doc.get("hold", "") if doc["open"] else ""
    names += [hold] if hold and hold not in names else []
    return "\n".join([words(names, lang), *held(doc, hold, lang)]).strip()


def held(doc: Doc, hold: str, lang: Lang) -> list[str]:
    """The remedy of an incident whose rings wait, a step a line."""
    if not hold:
        return []
    zh = lang == "zh"
    found = [("未呼叫:" if zh else "rings wait: ") + f"ctl ring {doc['id']}"]
    if hold == "verify" and doc.get("hold_in_ms") is not None:
        left = age(doc["hold_in_ms"])
        found.append(f"{left}后自行呼叫" if zh else f"rings by itself in {left}")
    if hold == "commissioning":
        device = doc["device"]
        found.append(
            f"投用:ctl confirm-device {device}" if zh else f"in service: ctl confirm-device {device}"
        )
    return found


def responders(doc: Doc, lang: Lang) -> str:
    return "\n".join(
        f"{r['patrol']} {word(r['place'], lang)}"
        + (f" {r['distance_now_m']:.0f} m" if r["distance_now_m"] is not None else "")
        for r in doc["responders"]
    )


_WHOLE: Final = {
    "id",
    "time",
    "length",
    "kind",
    "unit",
    "patrol",
    "online",
    "heard",
    "position",
    "levels",
    "age",
    "owner",
}
"""Columns whose cells are never broken."""
Row = Callable[[Doc, Lang], dict[str, str]]


def _device(d: Doc, lang: Lang) -> dict[str, str]:
    return {
        "id": d["id"],
        "kind": word(d["kind"], lang),
        "unit": d["unit"],
        "patrol": d["patrol"] or "",
        "online": yes(d["online"], lang),
        "heard": age(d["heard_age_ms"]),
        "position": position_age(d),
        "levels": "/".join(percent(d[f"{name}_pct"]) for name in ("battery", "signal", "volume")),
        "duty": yes(d["on_duty"], lang),
        "engaged": d["engaged"] or "",
        "stale": words(d["stale"], lang),
    }


def _patrol(d: Doc, lang: Lang) -> dict[str, str]:
    return {
        "id": d["id"],
        "name": named(d, lang),
        "unit": d["unit"],
        "force": word(d["force"], lang),
        "duty": yes(d["on_duty"], lang),
        "online": yes(d["online"], lang),
        "position": position_age(d),
        "engaged": d["engaged"] or "",
        "devices": " ".join(d["terminals"]),
    }


def _unit(d: Doc, lang: Lang) -> dict[str, str]:
    c = d["counts"]
    return {
        "id": d["id"],
        "name": named(d, lang),
        "parent": d["parent"] or "",
        "online": f"{c['pillars_online'] + c['terminals_online']}/{c['pillars'] + c['terminals']}",
        "duty": f"{c['patrols_free']}/{c['patrols_on_duty']}",
        "counts": f"{c['incidents_unowned']}/{c['incidents_open']}",
    }


def _incident(d: Doc, lang: Lang) -> dict[str, str]:
    place = d["place"] if lang == "zh" else d["place_en"] or d["place"]
    return {
        "id": d["id"],
        "kind": word(d["kind"], lang),
        "place": f"{d['point_number']} {place}".strip(),
        "age": age(d["age_ms"]),
        "owner": d["owner"] or ("无人" if lang == "zh" else "nobody") if d["open"] else d["outcome"],
        "ring": str(d["rings"] or ""),
        "responders": responders(d, lang),
        "flags": flags(d, lang),
        "attention": words(d["attention"], lang),
    }


def _broadcast(d: Doc, lang: Lang) -> dict[str, str]:
    return {
        "id": d["id"],
        "text": d["text"],
        "age": age(d["age_ms"]),
        "state": _state(d, lang),
        "ladder": ladder(d["ladder"]),
        "not_heard": str(len(d["not_heard"])),
    }


def _state(d: Doc, lang: Lang) -> str:
    """A live one is closed when it has been said, also when somebody has not heard it."""
    if d["state"] == "closed" and d["not_heard"]:
        return "已讲完" if lang == "zh" else "said"
    return word(d["state"], lang)


def _not_heard(d: Doc, lang: Lang) -> dict[str, str]:
    return {
        "device": d["device"],
        "patrol": d["patrol"] or "",
        "rung": word(d["rung"], lang),
        "reason": word(d["reason"] or "…", lang),
        "routes": words(d["routes"], lang),
    }


def _task(d: Doc, lang: Lang) -> dict[str, str]:
    return {
        "id": d["id"],
        "text": d["text"],
        "devices": " ".join(d["devices"]),
        "age": age(d["age_ms"]),
        "done": yes(d["done"], lang),
    }


def _fault(d: Doc, lang: Lang) -> dict[str, str]:
    return {
        "id": d["id"],
        "device": d["device"],
        "kind": word(d["kind"], lang),
        "detail": d["detail"],
        "age": age(d["age_ms"]),
        "count": str(d["count"]),
    }


def _malformed(d: Doc, _: Lang) -> dict[str, str]:
    return {"topic": d["topic"], "why": d["why"], "detail": d["payload"][:60]}


def _recording(d: Doc, lang: Lang) -> dict[str, str]:
    lacks = d["removed_why"] or d["why"]
    return {
        "id": d["id"],
        "time": d["time"][:19],
        "group": d["group"],
        "talker": d["talker_name"] or d["talker"],
        "incident": d["incident"],
        "length": f"{d['ms'] / 1000:.1f} s",
        "lacks": lacks or (f"{d['lost']} 帧" if lang == "zh" else f"{d['lost']} frames") * bool(d["lost"]),
        "flags": " ".join([*([word("drill", lang)] if d["drill"] else []), *d["holds"]]),
    }


def _group(d: Doc, lang: Lang) -> dict[str, str]:
    marks = [mark for mark in ("silent", "drill") if d[mark]]
    return {
        "id": d["id"],
        "name": named(d, lang),
        "kind": word(d["kind"], lang),
        "unit": d["unit"],
        "sound": f"{d['voice']}/{d['online']}/{d['members']}",
        "talks": talks(d["floor"], lang),
        "waiting": " ".join(one["name"] for one in d["waiting"]),
        "patched": " ".join(d["patched"]),
        "flags": words(marks, lang),
    }


def talks(floor: Doc | None, lang: Lang) -> str:
    """Who talks, since when, and how urgently."""
    if floor is None:
        return "–"
    urgent = f" ({word(floor['priority'], lang)})" if floor["priority"] != "normal" else ""
    return f"{floor['name']} {age(floor['since_age_ms'])}{urgent}"


def _member(d: Doc, lang: Lang) -> dict[str, str]:
    return {
        "device": d["device"],
        "name": d["name"],
        "patrol": d["patrol"] or "",
        "unit": d["unit"],
        "online": yes(d["online"], lang),
        "carriage": word(d["carriage"], lang) if d["carriage"] else "–",
        "flags": words(["talk-muted"] if d["talk_muted"] else [], lang),
    }


ROWS: Final[dict[str, Row]] = {
    "fleet": _device,
    "patrols": _patrol,
    "units": _unit,
    "incidents": _incident,
    "broadcasts": _broadcast,
    "not-heard": _not_heard,
    "tasks": _task,
    "faults": _fault,
    "malformed": _malformed,
    "groups": _group,
    "members": _member,
    "recordings": _recording,
}


def table(name: str, docs: Iterable[Doc], lang: Lang, title: str = "") -> Table | Text:
    """The documents as a table; a word for none."""
    rows = [ROWS[name](doc, lang) for doc in docs]
    if not rows:
        return Text((title + " " if title else "") + ("(无)" if lang == "zh" else "(none)"))
    found = Table(
        title=title or None, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for column in rows[0]:
        title_ = _COLUMNS[column][0 if lang == "zh" else 1]
        found.add_column(title_, overflow="fold", no_wrap=column in _WHOLE)
    for row in rows:
        found.add_row(*(Text(cell) for cell in row.values()))
    return found


def done(answer: Doc, lang: Lang) -> str:
    """The daemon's Done in a line."""
    ids = [f"{k} {v}" for k, v in answer.get("ids", {}).items()]
    counts = [f"{k} {v}" for k, v in answer.get("counts", {}).items()]
    note = [answer["note"]] if answer.get("note") else []
    return ("已办" if lang == "zh" else "done") + "".join(f" · {part}" for part in [*ids, *counts, *note])


def step(found: Doc, lang: Lang, *, why: bool = True) -> list[str]:
    """One step of a replay: site time, core time in seconds, what happened, and for a ring why each was
    chosen."""
    head = f"{found['time']}  [{found['now_ms'] / 1000:.3f}]  {found[lang]}"
    return [head, *(f"      {line}" for line in found[f"because_{lang}"])] if why else [head]
