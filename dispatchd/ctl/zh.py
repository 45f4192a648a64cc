"""Why the daemon said no, in Chinese: a sentence with the next step for every code. A code without one fails a
test. The daemon's own words, which name what it is about, stand behind it."""

from typing import Final

SENTENCES: Final = {
    # of the console
    "not-signed-in": "需要指挥员令牌:用 --token-file 指明令牌文件",
    "unknown-token": "令牌无效(已更换或从未发放):请管理员用 dispatchd operator add 重发",
    "too-many-bad-tokens": "错误令牌过多:等一分钟,再用正确的令牌文件",
    "role": "您的角色权限不够:请有权限的人或管理员办理",
    "not-found": "查无此项,或不在您的单位内:请核对编号",
    "bad-body": "某个参数不合要求:请核对写法",
    "bad-query": "查询参数不对",
    "removed": "录音文件已不在:原因见后",
    "too-large": "内容过长:请分几次发",
    "starting": "守护进程正在启动:稍后再试",
    "busy": "请求过多,未办:请再试一次",
    "store": "存盘失败,未办:看守护进程日志",
    "disk-full": "磁盘已满,未办:腾出空间后再试",
    "no-speech": "语音合成不可用:广播按文字发出,或上传录音(--file)",
    "bad-sound": "不是可用的声音文件:请用 WAV、MP3、Ogg 或 FLAC",
    "too-many-feeds": "打开的实时画面过多:关掉没人看的",
    "bad-host": "守护进程只接受本机访问:用 http://127.0.0.1 加端口",
    "no-such-path": "没有这个接口:核对 --url 和版本",
    "method": "接口用法不对:核对版本",
    "http": "请求未被接受:核对 --url",
    "internal": "守护进程出错,未作承诺:把日志报给维护人员,再试一次",
    # of the core
    "ended": "警情已结束",
    "owned": "警情已有处置人:先请其移交",
    "not-owner": "您不是处置人:先接警(ctl accept)",
    "nobody": "目标内没有可呼叫或可送达的对象",
    "enough": "接受的巡逻组已够:要加派请指名(ctl call)",
    "not-called": "该巡逻组未被呼叫到这起警情",
    "confirm": "解除静默可能危及报警人:加 --confirm 再发一次",
    "silent": "该处有静默警情:现场不出声、不动灯",
    "no-pillar": "只有报警柱能询问群众",
    "no-merge": "演练与真警不能合并",
    "no-split": "这次按下不能分出:核对报警编号",
    "no-relief": "对方没有向您提请交接",
    "owns-incidents": "您还有未结警情:先结束、移交或交接(ctl relieve)",
    "level": "接班人的单位管不到这些警情",
    "over": "已取消或过期:请重新发送",
    "cancelled": "广播已取消",
    "too-long": "时间过长",
    "too-many": "数量超限:请分批",
    "bad-site": "站点资料有错,未改动",
    "bad-entry": "条目有错,未改动",
    "unknown-table": "没有这种资料表",
    "unknown-target": "目标不存在或不在您的单位内",
    "unknown-device": "您的单位内没有这台设备",
    "unknown-patrol": "您的单位内没有这个巡逻组",
    "unknown-incident": "您的单位内没有这起警情:看 ctl incidents",
    "unknown-broadcast": "您的单位内没有这条广播:看 ctl broadcasts",
    "unknown-item": "您的单位内没有这一项",
    "unknown-recording": "您的单位内没有这条录音:看 ctl recordings",
    "unknown-task": "您的单位内没有这个未完任务:看 ctl tasks",
    "unknown-fault": "维修单上没有这一项:看 ctl faults",
    "unknown-handoff": "没有这个未确认的转交",
    "unknown-group": "您不在该通话组,或没有这个组:看 ctl groups",
    "muted": "该设备已被禁言,紧急键仍可用",
    "receive-only": "该设备只能收听",
    "only-one-participant": "该组无人在听:换一个组,或打电话",
    "queue-full": "排队已满:稍后再试",
    "another-talks": "他人讲话,排队超时:请再按一次",
    "idle": "该组现在没有人讲话",
    "incident": "该处有警情:先接警,或由警情自行管理该组",
    "no-intercom": "该警情的设备没有对讲,或正用于另一警情",
    "not-patched": "该组没有与别的组并接",
    "not-yours": "站点和警情的通话组不能手动关闭",
    "one-group": "并接至少要两个通话组",
    "unknown-operator": "没有这位指挥员,或其无权承接",
}
"""Code of a refusal → what it means and what to do."""


def refusal(code: str, why: str) -> str:
    """In Chinese first; the daemon's own words alone for a code that is new."""
    found = SENTENCES.get(code)
    return f"{found}。({why})" if found else why
