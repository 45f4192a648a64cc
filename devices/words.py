"""What a patrol reads and hears, in Chinese and English. Pure."""

from typing import Final, NamedTuple

from protocols import down


class Both(NamedTuple):
    zh: str
    en: str

    def of(self, language: str) -> str:
        return self.en if language == "en" else self.zh


KINDS: Final = {
    "one-key": Both("一键报警", "one-key alarm"),
    "duress": Both("胁迫报警", "duress alarm"),
    "emergency": Both("紧急求助", "officer emergency"),
    "tamper": Both("设备被撬", "tamper"),
    "fault": Both("设备故障", "fault"),
    "stuck": Both("按键卡住", "key stuck"),
}
BEARINGS: Final = (
    Both("北", "N"),
    Both("东北", "NE"),
    Both("东", "E"),
    Both("东南", "SE"),
    Both("南", "S"),
    Both("西南", "SW"),
    Both("西", "W"),
    Both("西北", "NW"),
)
DRILL: Final = Both("【演练】", "[DRILL] ")
SILENT: Final = Both("静默接近", "approach silently")
OBSERVE: Final = Both("保持距离,观察等待", "keep your distance, observe and wait")
ORDERS: Final = {
    "observe": OBSERVE,
    "respond": Both("恢复处置", "respond again"),
    "silent": SILENT,
    "sound": Both("解除静默", "silence is over"),
}
STAND_DOWN: Final = Both("解除,无需前往", "stand down, not needed")
WHY_DOWN: Final = {
    "enough": Both("人员已足够", "enough have accepted"),
    "ended": Both("警情已结束", "the incident has ended"),
    "owner": Both("处置人解除", "by the owner"),
    "real-alarm": Both("真实报警优先,演练中止", "a real alarm comes first"),
    "merged": Both("已并入其他警情", "merged into another incident"),
    "elsewhere": Both("已参加其他警情", "going to another incident"),
    "off-duty": Both("已下勤", "off duty"),
}
ON_DUTY: Final = Both("上勤", "on duty")
OFF_DUTY: Final = Both("下勤", "off duty")
NO_CALL: Final = Both("没有可应答的呼叫", "no call to answer")
ANSWERED: Final = {
    "accept": Both("已接警", "accepted"),
    "decline": Both("已拒绝", "declined"),
    "en-route": Both("已在途中", "en route"),
    "on-scene": Both("已到达", "on scene"),
}


def bearing(degrees: float) -> Both:
    return BEARINGS[round(degrees / 45) % 8]


def call(message: down.Call) -> Both:
    """Point number, place, distance, bearing, kind, who accepted; marked drill, silent, observe."""
    return Both(*(_call(message, language) for language in ("zh", "en")))


def _call(message: down.Call, language: str) -> str:
    kind = KINDS.get(message.kind, KINDS["one-key"]).of(language)
    parts = [message.point, message.place, _where(message, language), kind]
    if message.silent:
        parts.append(SILENT.of(language))
    if message.order == "observe":
        parts.append(OBSERVE.of(language))
    if message.accepted_by:
        parts.append(Both("已接: ", "accepted: ").of(language) + ", ".join(message.accepted_by))
    drill = DRILL.of(language) if message.drill else ""
    return drill + Both(",", ", ").of(language).join(part for part in parts if part)


def _where(message: down.Call, language: str) -> str:
    parts = []
    if message.distance_m is not None:
        parts.append(f"{round(message.distance_m)}" + Both("米", " m").of(language))
    if message.bearing_deg is not None:
        degrees = f" {round(message.bearing_deg) % 360}°"
        parts.append(bearing(message.bearing_deg).of(language) + degrees)
    return " ".join(parts)


def name(message: down.Call) -> str:
    """How one call is told from another: its point, else its place."""
    return message.point or message.place or message.incident


def unchanged(message: down.Call, answer: str) -> Both:
    """An answer key that changes nothing: what was answered before."""
    said = ANSWERED.get(answer, Both("", ""))
    point = name(message)
    return Both(f"{point}:{said.zh},没有变化", f"{point}: already {said.en}, nothing changes")


def answer_keys(accept: down.Call, others: down.Call | None) -> Both:
    """Which of several calls the keys answer: accept and decline, and the other answers."""
    first = name(accept)
    if others is None or others.call == accept.call:
        return Both(f"▶ 应答键对应:{first}", f"▶ the answer keys are for: {first}")
    rest = name(others)
    return Both(
        f"▶ 接警、拒绝键对应:{first};途中、到达、完成键对应:{rest}",
        f"▶ accept and decline are for: {first}; en route, on scene and done for: {rest}",
    )


def stand_down(message: down.StandDown) -> Both:
    """A reason of a later version is left out."""
    why = WHY_DOWN.get(message.reason)
    zh, en = (f"({why.zh})", f" ({why.en})") if why else ("", "")
    return _marked(Both(STAND_DOWN.zh + zh, STAND_DOWN.en + en), drill=message.drill)


def order(message: down.Order) -> Both:
    words = ORDERS.get(message.order, Both(message.order, message.order))
    text = Both(*(f"{word}:{message.text}" if message.text else word for word in words))
    return _marked(text, drill=message.drill)


def alert(message: down.Alert) -> Both:
    count = f"({message.count})" if message.count > 1 else ""
    return _marked(Both(message.text + count, message.text + count), drill=message.drill)


def broadcast(message: down.Broadcast) -> Both:
    sender = f"{message.sender}:" if message.sender else ""
    return _marked(Both(sender + message.text, sender + message.text), drill=message.drill)


def _marked(text: Both, *, drill: bool) -> Both:
    return Both(DRILL.zh + text.zh, DRILL.en + text.en) if drill else text
