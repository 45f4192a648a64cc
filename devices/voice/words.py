"""What the radio says to the person who holds it, in Chinese and English. Pure."""

from typing import Final

from devices.words import Both
from protocols import down

DENIED: Final = {
    "another-talks": Both("他人正在讲话", "somebody else talks"),
    "internal": Both("服务器内部故障,请重试", "a fault of the server, try again"),
    "only-one-participant": Both("组内无其他人在线", "nobody else is in this group"),
    "retry-after": Both("请稍后再试", "try again a little later"),
    "receive-only": Both("本组只能收听", "you may only listen to this group"),
    "no-resources": Both("通话资源不足", "no resources left"),
    "queue-full": Both("排队已满", "the queue is full"),
    "unknown-group": Both("不属于该通话组", "you are not in this talk group"),
    "muted": Both("已被禁言", "you have been muted"),
}
REVOKED: Final = {
    "only-one-participant": Both("组内无其他人在线", "nobody else is in this group"),
    "too-long": Both("讲话时间已到,请松开后重新按键", "you talked too long: let go, then press again"),
    "no-permission": Both("不再允许讲话", "you may not talk any more"),
    "pre-empted": Both("被更紧急的讲话打断", "somebody more urgent has taken the floor"),
    "unreadable": Both("声音无法识别", "your sound cannot be read"),
}
ENDED: Final = {
    "no-media": Both("服务器没有收到声音", "no sound of yours has arrived"),
    "end-of-media": Both("声音中断,话权已释放", "your sound stopped, the floor is free"),
    "closed": Both("通话组已关闭", "the talk group was closed"),
}
GRANTED: Final = Both("请讲", "talk now")
ASKING: Final = Both("正在申请话权", "asking for the floor")
AGAIN: Final = Both("话权丢失,正在重新申请", "the floor was lost, asking again")
NO_ANSWER: Final = Both("没有回应,请松开后重试", "no answer: let go and try again")
NO_GROUP: Final = Both("没有可以讲话的通话组", "there is no talk group to talk in")
NOT_QUEUED: Final = Both("已不在排队中", "no longer in the queue")
OVER: Final = Both("讲话结束", "over")
TAKEN: Final = Both("话权已被他人取得", "somebody else has the floor now")
TOO_LONG: Final = REVOKED["too-long"]
GONE: Final = Both("已离开该通话组", "you have left this talk group")
LINK_LOST: Final = Both("网络中断,对方可能听不到", "the network is gone, nobody may hear you")
NO_KEYS: Final = Both("语音尚未就绪", "the voice is not ready yet")


def denied(message: down.FloorDeny) -> Both:
    """The site's own words first; a cause of a later version is named as it comes."""
    known = DENIED.get(message.cause, Both(message.cause, message.cause))
    zh, en = message.text or known.zh, message.text_en or message.text or known.en
    return Both("不能讲话:" + zh, "you cannot talk: " + en)


def revoked(cause: str) -> Both:
    why = REVOKED.get(cause, Both(cause, cause))
    return Both("话权被收回:" + why.zh, "the floor was taken back: " + why.en)


def ended(why: str) -> Both:
    return ENDED.get(why, OVER)


def position(message: down.FloorQueuePositionInfo) -> Both:
    at, of = message.position, message.waiting
    return Both(f"排队第 {at} 位,共 {of} 位", f"number {at} of {of} in the queue")


def talks(name: str, group: str, priority: str) -> Both:
    """`group` as people call it."""
    zh, en = _PRIORITY.get(priority, Both("", ""))
    return Both(f"{zh}{group}:{name} 正在讲话", f"{en}{group}: {name} talks")


def idle(group: str) -> Both:
    return Both(f"{group}:空闲", f"{group}: nobody talks")


_PRIORITY: Final = {
    "emergency": Both("【紧急】", "[EMERGENCY] "),
    "imminent-peril": Both("【危急】", "[PERIL] "),
}


def selected(name: str) -> Both:
    return Both(f"发射组:{name}", f"you talk in: {name}")


def not_selectable(group: str) -> Both:
    return Both(
        f"不能在 {group} 讲话:输入 groups 看可讲的组", f"you cannot talk in {group}: `groups` lists yours"
    )


def media(state: str, why: str) -> Both:
    """What became of a pillar's sound to the control room; `why` is of the devices' log."""
    if state == "connected":
        return Both("与指挥室的声音已接通", "the sound to the control room is connected")
    if state == "lost":
        return Both("与指挥室的声音断了,正在重接", "the sound to the control room is lost; connecting again")
    return Both(
        f"与指挥室的声音没有接通({why}),会再试;UDP 通吗(voice.webrtc_ports)?",
        f"no sound to the control room ({why}); it is tried again. Do the UDP ports voice.webrtc_ports get through?",
    )


def carriage(carriage_: str, why: Both) -> Both:
    zh, en = {
        "datagram": Both("语音走 UDP", "voice goes by UDP"),
        "mqtt": Both("语音改走 MQTT", "voice goes by MQTT"),
    }.get(carriage_, Both("没有语音", "no voice"))
    return Both(f"{zh}({why.zh})", f"{en} ({why.en})")


NO_PONG: Final = Both("UDP 没有回应", "no answer by UDP")
PONGS: Final = Both("UDP 恢复", "UDP answers again")
NO_ADDRESS: Final = Both("站点没有 UDP 地址", "the site has no UDP address")


def howling(muted_ms: int) -> Both:
    """Told where it howls."""
    length_s = max(1, round(muted_ms / 1000))
    return Both(f"啸叫,话筒静音 {length_s} 秒", f"it howls: the microphone is silent for {length_s} s")
