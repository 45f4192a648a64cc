"""What the simulators say to the person who runs them, in Chinese and in English."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


def language(asked: str | None) -> str:
    """`zh` or `en`: as asked, else by the environment."""
    if asked:
        return asked
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "zh" if locale.lower().startswith("zh") else "en"


@dataclass(frozen=True)
class Words:
    """One language. Templates are filled by name."""

    bye: str
    help: str
    unknown_id: str
    no_device: str
    did: str
    off: str
    status: str
    starting: str
    up: str
    enrolled: str
    online: str
    try_next: str
    hear: str
    stopping: str

    def unknown(self, verb: str, device: str, ids: Sequence[str]) -> str:
        if not ids:
            return self.no_device.format(verb=verb)
        return self.unknown_id.format(verb=verb, device=device, first=ids[0], last=ids[-1])

    def done(self, verb: str, device: str) -> str:
        return self.did.format(verb=verb, device=device)


ZH: Final = Words(
    bye="正在收尾……",
    help="可用:press p-03 · duress p-03 · emergency t-017 · talk t-017 · offline t-005 · deaf t-006 · "
    "broken t-006 · flat t-007 · off-duty t-008(再输一次恢复)· status · quit",
    unknown_id="{verb}:没有 {device!r},可用 {first} 到 {last}",
    no_device="{verb}:本进程里没有这类设备",
    did="{verb} {device} ✓",
    off="{device} 没有开机,不能讲话",
    status="终端在线 {terminals}/{all_terminals} · 报警柱在线 {pillars}/{all_pillars} · 出警中 {called} · "
    "失聪 {deaf} · 断网 {offline} · 没电 {flat} · 下岗 {off_duty}",
    starting="正在启动 dispatchd(目录 {dir})……",
    up="dispatchd 已就绪:HTTP {http},MQTT {mqtt}",
    enrolled="已登记 {count} 台设备的凭据",
    online="全部上线:终端 {terminals},报警柱 {pillars}",
    try_next="""
城区已经活了。接下来可以试:
  在这里输入            press p-03          (有人按下 3 号报警柱,并呼救)
                        talk t-017          (t-017 在自己的通话组讲一句话)
  在另一个终端窗口里:
    {dispatchd} ctl watch --dir {dir}
    {dispatchd} ctl fleet --dir {dir}
    {dispatchd} ctl broadcast --dir {dir} --everybody --ack '请各组报告位置'
  一机同频(一人讲话,人人听到):
    {dispatchd} ctl groups --dir {dir}
    {dispatchd} ctl talk tg-all {word} --dir {dir}      (或您自己的声音文件)
    {dispatchd} ctl listen tg-all OUT.wav --dir {dir}   (Ctrl-C 结束;同时在这里输入 talk t-017)
    {dispatchd} ctl say '请各组报告位置' --to all --dir {dir}   (合成语音广播)
    {dispatchd} ctl recordings --dir {dir}              (录音也在 {recordings},任何播放器或浏览器都能放)
  自己当一台对讲机(每人一台;--mic file:A.wav --speaker file:B.wav 则不用声卡):
    {dispatchd} device add my-radio --kind terminal --patrol g-001 --confirmed --dir {dir}
    {device} terminal --credentials {dir}/credentials/my-radio.json --mic pyaudio --speaker pyaudio
  这里还可以:           status · offline t-005 · deaf t-006 · flat t-007 · quit
""",
    hear="""
{count} 段录音在 {recordings}(.opus 文件),任何播放器或浏览器都能放。谁在何时讲了什么:
  {dispatchd} run --dir {dir}              (先启动)
  {dispatchd} ctl recordings --dir {dir}   (另一个窗口)
""",
    stopping="正在停止(最多 {seconds:.0f} 秒)……",
)
EN: Final = Words(
    bye="Finishing ...",
    help="You can say: press p-03 · duress p-03 · emergency t-017 · talk t-017 · offline t-005 · "
    "deaf t-006 · broken t-006 · flat t-007 · off-duty t-008 (say it again to undo it) · status · quit",
    unknown_id="{verb}: there is no {device!r} here; take {first} to {last}",
    no_device="{verb}: this process runs no such device",
    did="{verb} {device}: done",
    off="{device} is switched off and cannot talk",
    status="terminals on line {terminals}/{all_terminals} · pillars {pillars}/{all_pillars} · "
    "on a call {called} · deaf {deaf} · no network {offline} · flat {flat} · off duty {off_duty}",
    starting="Starting dispatchd in {dir} ...",
    up="dispatchd is ready: HTTP {http}, MQTT {mqtt}",
    enrolled="credentials made for {count} devices",
    online="All on line: {terminals} terminals, {pillars} pillars",
    try_next="""
The town is alive. What to try next:
  type here             press p-03          (somebody presses pillar 3 and calls for help)
                        talk t-017          (the patrol of t-017 says something in its talk group)
  in another shell:
    {dispatchd} ctl watch --dir {dir} --lang en
    {dispatchd} ctl fleet --dir {dir} --lang en
    {dispatchd} ctl broadcast --dir {dir} --lang en --everybody --ack 'All patrols report your position'
  one talks, all hear it:
    {dispatchd} ctl groups --dir {dir} --lang en
    {dispatchd} ctl talk tg-all {word} --dir {dir} --lang en      (or a sound file of your own)
    {dispatchd} ctl listen tg-all OUT.wav --dir {dir} --lang en   (Ctrl-C ends it; meanwhile talk t-017 here)
    {dispatchd} ctl say 'Report your position' --to all --text-lang en --dir {dir} --lang en
    {dispatchd} ctl recordings --dir {dir} --lang en              (files in {recordings}, for any player or browser)
  be a radio yourself (--mic file:A.wav --speaker file:B.wav needs no sound card):
    {dispatchd} device add my-radio --kind terminal --patrol g-001 --confirmed --dir {dir}
    {device} terminal --credentials {dir}/credentials/my-radio.json --mic pyaudio --speaker pyaudio --language en
  also here:            status · offline t-005 · deaf t-006 · flat t-007 · quit
""",
    hear="""
{count} recordings are in {recordings} (.opus files); any player or browser plays them. Who said what, and when:
  {dispatchd} run --dir {dir}                        (start it first)
  {dispatchd} ctl recordings --dir {dir} --lang en   (in another window)
""",
    stopping="Stopping (at most {seconds:.0f} s) ...",
)


def words(lang: str) -> Words:
    return ZH if lang == "zh" else EN
