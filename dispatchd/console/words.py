"""Every fact in plain words, Chinese and English: what replay prints. Pure; a fact without words fails a
test."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from dispatchd.core import facts as f
from dispatchd.core import voice_facts as v
from dispatchd.core.facts import Candidate, Fact
from protocols.prompts import PROMPTS


class Words(NamedTuple):
    zh: str
    en: str


_WORD_ZH: Final = {
    "one-key": "一键报警",
    "duress": "胁迫报警",
    "emergency": "终端紧急报警",
    "tamper": "防拆报警",
    "fault": "故障",
    "stuck": "按键卡住",
    "howl": "啸叫",
    "called": "已呼叫",
    "accepted": "已接受",
    "declined": "已谢绝",
    "en-route": "在途",
    "on-scene": "到场",
    "done": "完成",
    "stood-down": "已解除",
    "lost": "失联",
    "delivered": "已送达",
    "presented": "已播报",
    "acknowledged": "已确认",
    "queued": "待发",
    "offline": "离线",
    "expired": "已过期",
    "no-answer": "无应答",
    "player-failed": "播放失败",
    "muted": "静音",
    "refused": "拒绝",
    "left": "已离开",
    "incident-open": "该处有警情",
    "police": "民警",
    "auxiliary": "辅警",
    "volunteer": "志愿者",
    "enough": "人数已够",
    "timeout": "超时",
    "settled": "均已答复但人数不足",
    "empty": "无人可呼",
    "stopped": "已停止",
    "genuine": "真警",
    "mistaken": "误触",
    "prank": "恶作剧",
    "equipment": "设备",
    "unverifiable": "无法核实",
    "drill": "演练",
    "silent": "静默",
    "off-duty": "下勤",
    "elsewhere": "在别处",
    "removed": "已移除",
    "dead": "无在线会话",
    "idle": "久无动作",
    "handed-over": "已移交",
    "accept": "接警",
    "other-terminal": "同组另一终端",
    "talk-group": "通话组播报",
    "task": "交指挥员处理",
    "committed": "另有警情",
    "engaged": "另有警情",
    "too-far": "超出距离",
    "no-position": "无位置",
    "nearest": "最近",
    "nearest-police": "最近民警",
    "unit": "责任单位",
    "late": "迟到",
    "verify": "核实优先",
    "will": "连接断开",
    "closed": "全部收到",
    "raised-it": "即报警者",
    "opened": "立案",
    "no-owner": "无处置人",
    "press": "再次按下",
    "verify-over": "核实时限已到",
    "stood-down by the owner": "处置人已解除",
    "order": "处置人下令",
    "released": "讲完",
    "end-of-media": "无声音",
    "no-media": "未开口",
    "revoked": "被收回",
    "restart": "服务重启",
    "emergency-floor": "紧急",
    "normal": "普通",
    "imminent-peril": "危急",
    "pre-empted": "被紧急讲话抢占",
    "too-long": "讲话超时",
    "no-permission": "无讲话权",
    "unreadable": "声音无法识别",
    "ended": "警情结束",
    "alarm": "报警",
    "incident": "警情",
    "operator": "指挥员下令",
}


def word(code: str) -> str:
    """A code in Chinese, itself when it has no word yet; `committed I` names the incident."""
    if code.startswith("committed "):
        return f"正在处置 {code.removeprefix('committed ')}"
    return _WORD_ZH.get(code, code)


def seconds(ms: float | None) -> str:
    return "?" if ms is None else f"{ms / 1000:.1f} s"


def metres(m: float | None) -> str:
    return "?" if m is None else f"{m:.0f} m"


def names(ids: list[str], most: int = 12) -> str:
    """At most `most` of them, and how many more."""
    more = f" … (+{len(ids) - most})" if len(ids) > most else ""
    return ", ".join(ids[:most]) + more if ids else "—"


def _by(by: str) -> Words:
    return Words(f",由 {by}", f", by {by}") if by else Words("", "")


def _alarm(x: f.AlarmRaised) -> Words:
    age_zh = "按下时间不明" if x.age_ms is None else f"{seconds(x.age_ms)}前按下"
    age_en = "pressed at an unknown time" if x.age_ms is None else f"pressed {seconds(x.age_ms)} ago"
    drill = Words("(演练)", " (drill)") if x.drill else Words("", "")
    return Words(
        f"收到 {x.device} 的{word(x.kind)}{drill.zh},{age_zh},编号 {x.alarm}",
        f"{x.device} raised {x.kind}{drill.en}, {age_en}; alarm {x.alarm}",
    )


def _opened(x: f.IncidentOpened) -> Words:
    flags = [n for n in ("silent", "late", "age_unknown", "drill") if getattr(x, n)] + (
        [x.hold] if x.hold else []
    )
    tail = f" [{', '.join(flags)}]" if flags else ""
    return Words(
        f"立警情 {x.incident}:{word(x.kind)},{x.device},责任单位 {x.unit}{tail}",
        f"incident {x.incident} opened: {x.kind} at {x.device}, unit {x.unit}{tail}",
    )


def _joined(x: f.PressJoined) -> Words:
    zh, en = (",重新呼叫", "; rings again") if x.rings_again else ("", "")
    return Words(f"再次按下(第 {x.count} 次)并入{zh}:{x.why}", f"press {x.count} joined{en}: {x.why}")


def _ring(x: f.RingOpened) -> Words:
    chosen = [c.patrol for c in x.looked_at if c.chosen]
    reach = (
        Words(f"{metres(x.reach_m)}内", f"within {metres(x.reach_m)}")
        if x.reach_m
        else Words("不限距离", "any distance")
    )
    by = _by(x.by)
    return Words(
        f"第 {x.ring} 环呼叫 {len(chosen)} 组({names(chosen)}):{reach.zh},需 {x.wanted} 组接受,"
        f"共比较 {x.passed or len(x.looked_at)} 组,原因:{word(x.why)}{by.zh}",
        f"ring {x.ring} calls {len(chosen)} ({names(chosen)}): {reach.en}, {x.wanted} accepts wanted, "
        f"{x.passed or len(x.looked_at)} looked at, because: {x.why}{by.en}",
    )


def ring_reasons(x: f.RingOpened) -> list[Words]:
    """Line by line: each patrol that was looked at and why it was chosen or not, and how many lines are left out."""
    found = [candidate(c, reason(x, c)) for c in x.looked_at]
    kept = sum(not c.chosen for c in x.looked_at)
    others = x.passed - (len(x.looked_at) - kept)
    if others > kept:
        zh = f"其余 {others} 组中只记录最近的 {kept} 组"
        found.append(Words(zh, f"of the {others} not called the nearest {kept} are kept"))
    return found


def reason(x: f.RingOpened, c: Candidate) -> Words:
    """Why a patrol was chosen beyond the reach, or was available and still not chosen."""
    if c.why:
        return Words(word(c.why), c.why)
    beyond = x.reach_m is not None and (c.distance_m is None or c.distance_m > x.reach_m)
    if c.chosen:
        police = beyond and x.ring == 1 and c.force == "police"
        return Words("最近民警", "nearest police") if police else Words("", "")
    if x.reach_m is None:
        return _not_called_without_reach(x)
    if not beyond:
        return Words("已有更近的", "enough nearer ones")
    return _beyond(x, c, x.reach_m)


def _beyond(x: f.RingOpened, c: Candidate, reach_m: float) -> Words:
    zh, en = f"超出 {reach_m:.0f} 米", f"beyond {metres(reach_m)}"
    if c.distance_m is None:
        zh, en = f"无新位置,不算在 {reach_m:.0f} 米内", f"no fresh position, so not within {metres(reach_m)}"
    if x.ring == 1 and c.force == "police":
        called = any(other.chosen and other.force == "police" for other in x.looked_at)
        more = Words(",已有更近的民警", ", a nearer police patrol is called")
        far = Words(",也超出民警范围", ", and beyond the reach for police")
        return Words(zh + (more if called else far).zh, en + (more if called else far).en)
    return Words(zh, en)


def _not_called_without_reach(x: f.RingOpened) -> Words:
    """Rings without a reach: a tamper's (1), the unit's (3), by hand."""
    return {
        1: Words("只呼叫最近的民警", "only the nearest police patrol is called"),
        3: Words("非所呼叫单位", "not of the unit that is called"),
    }.get(x.ring, Words("未点名", "not asked for"))


def candidate(c: Candidate, because: Words | None = None) -> Words:
    """One patrol that was looked at for a ring, and why it was chosen or not."""
    zh, en = ("选中", "chosen") if c.chosen else ("未选", "not called")
    because = because or Words(word(c.why) if c.why else "", c.why)
    why_zh, why_en = (f":{because.zh}", f": {because.en}") if because.en else ("", "")
    terminals = names(c.devices, 4)
    where = Words("无新位置", "no fresh position")
    if c.distance_m is not None:
        where = Words(
            f"距离 {metres(c.distance_m)},位置 {seconds(c.age_ms)}前",
            f"{metres(c.distance_m)} away, position {seconds(c.age_ms)} old",
        )
    return Words(
        f"{c.patrol}({word(c.force)}){zh}{why_zh};{where.zh},终端 {terminals}",
        f"{c.patrol} ({c.force}) {en}{why_en}; {where.en}, terminals {terminals}",
    )


def _answered(x: f.Answered) -> Words:
    zh, en = ("", "") if x.counted else (f"(不计:{word(x.why)})", f" (not counted: {x.why})")
    return Words(
        f"{x.patrol} 用 {x.device} 答复 {x.answer} → {word(x.place)}{zh}",
        f"{x.patrol} answered {x.answer} on {x.device} → {x.place}{en}",
    )


def _rung(x: f.RungReached) -> Words:
    name = ("queued", "delivered", "presented", "acknowledged")[x.rung]
    volume = "" if x.volume_pct is None else f" ({x.volume_pct} %)"
    return Words(f"{x.device}:{x.item} {word(name)}{volume}", f"{x.device}: {x.item} {name}{volume}")


def _broadcast(x: f.BroadcastOpened) -> Words:
    left = Words(f",{len(x.unplaced)} 台无位置未计", f"; {len(x.unplaced)} left out for want of a position")
    tail = left if x.unplaced else Words("", "")
    return Words(
        f"{x.by} 向 {len(x.addressees)} 台设备广播{'(演练)' if x.drill else ''}:{x.text}{tail.zh}",
        f"{x.by} broadcast{' (drill)' if x.drill else ''} to {len(x.addressees)} devices: {x.text}{tail.en}",
    )


WHY_NOT_RUN: Final = {"late": "过时", "nobody": "无可播设备", "disabled": "已停用"}


def _schedule(x: f.ScheduleRan) -> Words:
    if x.broadcast:
        return Words(
            f"定时广播 {x.schedule}({x.occurrence})→ {x.broadcast}",
            f"schedule {x.schedule} ({x.occurrence}) → {x.broadcast}",
        )
    why = WHY_NOT_RUN.get(x.why, x.why)
    return Words(
        f"定时广播 {x.schedule}({x.occurrence})未播:{why}",
        f"schedule {x.schedule} ({x.occurrence}) did not run: {x.why}",
    )


def _prompt(x: f.PromptSet) -> Words:
    """What the citizen is told, in the words of the pillar."""
    text = PROMPTS.get(x.code)
    zh, en = (text.zh or x.code, text.en or x.code) if text else (x.code, x.code)
    return Words(f"{x.device} 告知群众:{zh}", f"{x.device} tells the citizen: {en}")


def _on(on: bool) -> Words:
    return Words("开", "on") if on else Words("关", "off")


def _switch(zh: str, en: str) -> Callable[[Any], Words]:
    return lambda x: Words(f"{zh}{_on(x.on).zh},由 {x.by}", f"{en} {_on(x.on).en}, by {x.by}")


def _plain(zh: str, en: str) -> Callable[[Any], Words]:
    """Sentences with the fact's fields in braces."""
    return lambda x: Words(zh.format_map(_fields(x, zh=True)), en.format_map(_fields(x, zh=False)))


def _fields(x: Fact, *, zh: bool) -> dict[str, str]:
    return {name: _shown(name, value, zh=zh) for name, value in msgspec.structs.asdict(x).items()}


def _shown(name: str, value: Any, *, zh: bool) -> str:
    if isinstance(value, (list, tuple)):
        return names([str(v) for v in value])
    if name in ("after_ms", "waited_ms", "silent_ms"):
        return seconds(value)
    if isinstance(value, bool):
        return ("是" if value else "否") if zh else ("yes" if value else "no")
    return word(str(value)) if zh and name not in ("text", "note", "detail") else str(value)


def _muted(fact: v.DeviceMuted) -> Words:
    if fact.on:
        return Words(f"{fact.by} 禁言 {fact.device}", f"{fact.by} muted {fact.device}")
    return Words(f"{fact.by} 解除 {fact.device} 的禁言", f"{fact.by} lets {fact.device} talk again")


def _intercom(fact: v.IntercomChanged) -> Words:
    """Who hears the pillar, who talks to it, whether the group does."""
    hears = names(fact.hears)
    zh = f"{fact.device} 对讲:{hears} 在听" + (f",{fact.back[1:]} 喊话" if fact.back else "")
    en = f"the sound of {fact.device} goes to {hears}" + (
        f", {fact.back[1:]} talks back" if fact.back else ""
    )
    if fact.patched:
        return Words(zh + ",已接入通话组", en + ", the talk group hears it")
    return Words(zh + (",静默" if fact.silent else ""), en + (", silent" if fact.silent else ""))


def _recordings(fact: v.RecordingsFaulted) -> Words:
    if fact.why:
        return Words(f"录音无法保存:{fact.why}", f"recordings cannot be written: {fact.why}")
    return Words("录音恢复正常", "recordings are written again")


def _hold(fact: v.HoldSet) -> Words:
    if fact.on:
        return Words(f"{fact.by} 保留材料:{fact.hold}", f"{fact.by} holds the record: {fact.hold}")
    return Words(f"{fact.by} 解除保留:{fact.hold}", f"{fact.by} released the hold: {fact.hold}")


_SAY: Final[dict[type[Fact], Callable[[Any], Words]]] = {
    f.Started: _plain(
        "第 {start} 次启动,代次 {gen},版本 {code}", "start {start}, generation {gen}, code {code}"
    ),
    f.StoreFailed: _plain("此前无法存盘:{why}", "until now nothing could be stored: {why}"),
    f.SiteSet: _plain("{by} 更新站点 {name}", "{by} set the site {name}"),
    f.EntrySet: _plain("{by} 设置 {table} {id}", "{by} set {table} {id}"),
    f.EntryRemoved: _plain("{by} 删除 {table} {id}", "{by} removed {table} {id}"),
    f.SecretSet: _plain("{by} 为 {device} 换发凭证", "{by} gave {device} new credentials"),
    f.DutySet: _plain("{patrol} 上勤:{on},由 {by}", "{patrol} on duty: {on}, by {by}"),
    f.ConfigSet: _plain(
        "{by} 下发 {device} 配置第 {version} 版", "{by} configured {device}, version {version}"
    ),
    f.MembershipSet: _plain(
        "{device} 编入 {patrol},通话组 {groups}", "{device} is of patrol {patrol}, talk groups {groups}"
    ),
    f.Applied: _plain(
        "{device} 应用 {what} 第 {version} 版:{ok} {error}", "{device} applied {what} {version}: {ok} {error}"
    ),
    f.VerifySet: _plain(
        "{by} 对 {device} 设核实优先:{reason}", "{by} set verify-first on {device}: {reason}"
    ),
    f.DeviceOnline: _plain("{device} 上线", "{device} is on line"),
    f.DeviceOffline: _plain(
        "{device} 离线({why},静默 {silent_ms})", "{device} is offline ({why}, silent for {silent_ms})"
    ),
    f.AlarmRaised: _alarm,
    f.IncidentOpened: _opened,
    f.PressJoined: _joined,
    f.FaultNoted: _plain(
        "{device} {kind},入维修单 {detail}", "{device}: {kind}, on the maintenance list {detail}"
    ),
    f.FaultCleared: _plain("{by} 消除 {device} 的故障", "{by} cleared a fault of {device}"),
    f.CitizenCancelled: _plain(
        "群众在 {device} 取消(仅作记录)", "the citizen cancelled at {device} (a note only)"
    ),
    f.Asked: _plain("{by} 询问群众:{text}", "{by} asked the citizen: {text}"),
    f.Replied: _plain("群众答:{yes}(计入:{counted})", "the citizen answered: {yes} (counted: {counted})"),
    f.Escalated: _plain(
        "无人接警,第 {step} 步通知 {units}(已等 {waited_ms},{why})",
        "no owner: step {step} alerts {units} (waited {waited_ms}, {why})",
    ),
    f.OwnerTook: _plain("{operator} 成为处置人({why})", "{operator} took ownership ({why})"),
    f.OwnerLost: _plain(
        "{operator} 不再是处置人({why},{after_ms})", "{operator} lost ownership ({why}, {after_ms})"
    ),
    f.ReliefOffered: _plain(
        "{operator} 请 {successor} 交接 {incidents}", "{operator} offered {incidents} to {successor}"
    ),
    f.Relieved: _plain(
        "{successor} 接替 {operator}:{incidents}", "{successor} relieved {operator}: {incidents}"
    ),
    f.SignedOut: _plain("{operator} 退出", "{operator} signed out"),
    f.HandOverOffered: _plain("{operator} 提请移交给 {to}", "{operator} offered it to {to}"),
    f.SilentSet: _switch("静默", "silent"),
    f.HazardSet: _switch("危险标记", "hazard"),
    f.NoteAdded: _plain("{by} 记:{text}", "{by} noted: {text}"),
    f.HandedOff: _plain(
        "{by} 以 {means} 转交 {to},编号 {reference}",
        "{by} handed off to {to} by {means}, reference {reference}",
    ),
    f.HandOffConfirmed: _plain(
        "{by} 确认转交,编号 {reference}", "{by} confirmed the hand-off, reference {reference}"
    ),
    f.HandOffOverdue: _plain(
        "转交 {after_ms} 未确认,标红", "the hand-off is unconfirmed after {after_ms}: red"
    ),
    f.Ended: _plain("{by} 结束:{outcome} {note}", "{by} ended it: {outcome} {note}"),
    f.Merged: _plain("{by} 并入 {into}", "{by} merged it into {into}"),
    f.SplitOff: _plain("{by} 将 {alarm} 分出为 {new}", "{by} split {alarm} off as {new}"),
    f.Forgotten: _plain("{kind} {id} 移出屏幕(记录保留)", "{kind} {id} left the screen (the record stays)"),
    f.RingOpened: _ring,
    f.RingDelayed: _plain(
        "{device} 首次播报,答复时限自此起算", "{device} presented first: the time to answer counts from here"
    ),
    f.RingClosed: _plain(
        "本环结束:{why}({accepted}/{wanted})", "ring closed: {why} ({accepted} of {wanted})"
    ),
    f.RingsExhausted: _plain("各环已尽,仅 {accepted} 组接受", "every ring was called; {accepted} accepted"),
    f.Answered: _answered,
    f.PatrolLost: _plain("{patrol} 不再响应({why},{after_ms})", "{patrol} is lost ({why}, {after_ms})"),
    f.StoodDown: _plain("解除 {patrols}:{reason} {by}", "stood down {patrols}: {reason} {by}"),
    f.OrderGiven: _plain("{by} 令 {patrols}:{order} {text}", "{by} ordered {patrols}: {order} {text}"),
    f.PromptSet: _prompt,
    f.AlertSent: _plain(
        "第 {count} 次提醒带班终端 {devices}", "alert {count} to duty leaders' terminals {devices}"
    ),
    f.LampSet: _plain("{device} 警灯 {pattern} {by}", "{device} lamp {pattern} {by}"),
    f.RungReached: _rung,
    f.RungFailed: _plain("{device}:{item} 未达,{reason}", "{device}: {item} failed, {reason}"),
    f.RouteTried: _plain(
        "{devices} 未收到,改走 {route} → {to}", "{devices} have not heard: tried {route} → {to}"
    ),
    f.AddresseeLeft: _plain("{device} 已离开", "{device} left"),
    f.LadderExpired: _plain("{item} 过期,{not_heard} 台未收到", "{item} expired, {not_heard} have not heard"),
    f.LadderSuperseded: _plain("{item} 由 {by_item} 取代", "{item} gave way to {by_item}"),
    f.TaskOpened: _plain(
        "任务 {task} 交 {unit}:{text}({devices})", "task {task} for {unit}: {text} ({devices})"
    ),
    f.TaskDone: _plain("{by} 完成任务 {task}", "{by} did task {task}"),
    f.BroadcastOpened: _broadcast,
    f.ScheduleRan: _schedule,
    f.LiveEnded: _plain("{by} 现场讲话结束", "{by} has said it live"),
    f.BroadcastCancelled: _plain("{by} 取消广播", "{by} cancelled the broadcast"),
    v.TalkGroupOpened: _plain(
        "通话组 {group}({name})建立,成员 {members}", "talk group {group} ({name}) opened for {members}"
    ),
    v.TalkGroupClosed: _plain("通话组 {group} 关闭({by})", "talk group {group} closed ({by})"),
    v.MembersChanged: _plain(
        "通话组 {group}:加入 {added},离开 {removed}({by})",
        "talk group {group}: joined {added}, left {removed} ({by})",
    ),
    v.GroupsPatched: _plain("{by} 将通话组 {groups} 并接", "{by} patched the talk groups {groups} together"),
    v.GroupUnpatched: _plain(
        "{by} 将通话组 {group} 拆出", "{by} took the talk group {group} out of its patch"
    ),
    v.DeviceMuted: _muted,
    v.FloorTaken: _plain(
        "{talker} 在 {via} 讲话({priority},{listeners} 方在听)",
        "{talker} talks in {via} ({priority}, {listeners} listen)",
    ),
    v.FloorFreed: _plain("{talker} 讲话结束:{why}", "{talker} has stopped talking: {why}"),
    v.FloorRevoked: _plain(
        "收回 {talker} 的话权:{cause} {by}", "the floor was taken from {talker}: {cause} {by}"
    ),
    v.FloorQueued: _plain("{talker} 排队等话权", "{talker} waits for the floor"),
    v.FloorUnqueued: _plain("{talker} 不再排队:{why}", "{talker} waits no more: {why}"),
    v.IntercomOpened: _plain("{device} 对讲接通({by})", "the sound of {device} is open ({by})"),
    v.IntercomChanged: _intercom,
    v.IntercomClosed: _plain("{device} 对讲关闭:{why}", "the sound of {device} is closed: {why}"),
    v.RecordingMade: _plain(
        "录音 {recording}:{talker},{ms},{why}", "recording {recording}: {talker}, {ms}, {why}"
    ),
    v.RecordingsFaulted: _recordings,
    v.RecordingPlayed: _plain("{by} 收听录音 {recording}", "{by} listened to recording {recording}"),
    v.HoldSet: _hold,
    f.BroadcastClosed: _plain(
        "广播结束({state}),{not_heard} 台未收到", "broadcast {state}, {not_heard} have not heard"
    ),
}


def say(fact: Fact) -> Words:
    """The fact in one sentence; its name and fields when no sentence was written yet."""
    found = _SAY.get(type(fact))
    if found is None:
        plain = f"{type(fact).__name__} {msgspec.structs.asdict(fact)}"
        return Words(plain, plain)
    return found(fact)


def spoken() -> set[type[Fact]]:
    """The kinds that have words."""
    return set(_SAY)
