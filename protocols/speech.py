"""Text as it is to be spoken: numbers, times, ids and initials written out, everything else left as it is.

A synthesiser reads 110 as a quantity and p-07 as nothing at all. In Mandarin this room writes emergency and telephone
numbers digit by digit with 1 as 幺, quantities as numbers, years digit by digit, times as people say them. What must
hold: total over any text, no ASCII digit is left, and the result is at most twice as long. English passes untouched.

One expression finds what is to be rewritten, from the left and most special first; one function each writes it.
"""

import re
from collections.abc import Callable
from typing import Final

DIGITS: Final = "零一二三四五六七八九"
SPELT_DIGITS: Final = "零幺二三四五六七八九"
SHORT_NUMBERS: Final = frozenset({"110", "112", "114", "119", "120", "122"})
"""Known by everybody digit by digit, unless a measure or 号 follows."""
SPELT_FROM_DIGITS: Final = 5
"""A longer run is a telephone, a room, a plate; unless a measure follows."""
NUMBER_MAX_DIGITS: Final = 12
"""A longer run is spelt in any case."""

_WIDE: Final = {0xFF10 + n: ord("0") + n for n in range(10)} | {
    0xFF21 + n + case: ord("A") + n + case for n in range(26) for case in (0, 32)
}
_UNITS: Final = {
    "km/h": "公里每小时",
    "km": "公里",
    "cm": "厘米",
    "mm": "毫米",
    "min": "分钟",
    "kg": "公斤",
    "m": "米",
    "g": "克",
    "h": "小时",
    "s": "秒",
    "℃": "摄氏度",
    "°C": "摄氏度",
}
_MEASURES: Final = tuple(
    "个名人位米公千里辆台支次元块分秒小天周岁度级条件把盏处户只间吨升克平万亿百余多份倍步"
)
_NUMBERED: Final = tuple("号路楼层栋组队年月日点")
_COUNTED_AS_LIANG: Final = (
    *"个名人位米公里辆台次元块天周小条件把盏处户只间吨倍份步点年千万亿",
    "分钟",
)
_SPELT_AFTER: Final = (
    "电话",
    "拨打",
    "分机",
    "尾号",
    "房间",
    "警号",
    "工号",
    "代码",
    "验证码",
    "编号",
    "手机",
)

_TOKEN: Final = re.compile(
    r"""
    (?<![0-9]) (?P<date>[0-9]{4}([-/.])[0-9]{1,2}\2[0-9]{1,2}) (?![0-9])
  | (?<![0-9:\uFF1A]) (?P<clock>(?:[01]?[0-9]|2[0-4])[:\uFF1A][0-5][0-9](?:[:\uFF1A][0-5][0-9])?) (?![0-9])
  | (?<![0-9]) (?P<phone>(?:0[0-9]{2,3}|[48]00|1[0-9]{2})(?:-[0-9]{3,4}-[0-9]{4}|-[0-9]{7,8})) (?![0-9])
  | (?<![A-Za-z0-9]) (?P<id>[A-Za-z]{1,32}[-_]?[0-9]+(?:[-_][0-9]+)*)
  | (?<![A-Za-z]) (?P<initials>[A-Z]{2,6}) (?![A-Za-z])
  | (?<![0-9A-Za-z]) (?P<below>-) (?=[0-9]+(?:\.[0-9]+)?(?:度|℃|°C|摄氏度))
  | (?<=[0-9%]) (?P<range>[-~～–—]) (?=[0-9])
  | (?P<number>[0-9]+(?:\.[0-9]+)*)
    (?: (?P<percent>[%‰\uFF05]) | \ ?(?P<unit>km/h|km|cm|mm|min|kg|[mghs]|℃|°C)(?![A-Za-z]) )?
    """,
    re.VERBOSE,
)


def speakable(text: str, lang: str = "zh") -> str:
    """`text` as a synthesiser of `lang` should get it; other languages than Chinese as they are."""
    return _TOKEN.sub(_rewritten, text.translate(_WIDE)) if lang.startswith("zh") else text


def number(value: int) -> str:
    """A whole number below 10**NUMBER_MAX_DIGITS in words: 10500 → 一万零五百, 2000 → 两千."""
    if value < 10:
        return DIGITS[value]
    words, gap = "", False
    for power, name in ((8, "亿"), (4, "万"), (0, "")):
        section = value // 10**power % 10_000
        gap = gap or bool(words and section < 1000)
        if section:
            words += ("零" if words and gap else "") + _below_10000(section) + name
            gap = False
    if words.startswith("一十"):
        return words[1:]
    return "两" + words[1:] if words[0] == "二" and words[1] in "千万亿" else words


def _below_10000(value: int) -> str:
    words, gap = "", False
    for power, name in ((3, "千"), (2, "百"), (1, "十"), (0, "")):
        digit = value // 10**power % 10
        if digit:
            words += ("零" if gap and words else "") + DIGITS[digit] + name
        gap = not digit
    return words


def _spelt(digits: str) -> str:
    return "".join(SPELT_DIGITS[int(digit)] for digit in digits if digit in "0123456789")


def _plain(digits: str) -> str:
    return "".join(DIGITS[int(digit)] for digit in digits)


# ------------------------------------------------------------------------------------------- one for each kind


def _rewritten(found: re.Match[str]) -> str:
    kind = next(name for name in _WRITE if found[name] is not None)
    return _WRITE[kind](found)


def _date(found: re.Match[str]) -> str:
    year, month, day = re.split(r"[-/.]", found["date"])
    return f"{_plain(year)}年{number(int(month))}月{number(int(day))}日"


def _clock(found: re.Match[str]) -> str:
    hour, minute, second = (*(int(part) for part in re.split("[:\uff1a]", found["clock"])), 0)[:3]
    words = "两点" if hour == 2 else number(hour) + "点"
    if minute or second:
        words += _two_digits(minute) + "分"
    return words + (_two_digits(second) + "秒" if second else "")


def _two_digits(value: int) -> str:
    return "零" + DIGITS[value] if 0 < value < 10 else number(value)


def _id(found: re.Match[str]) -> str:
    letters = found["id"].rstrip("0123456789-_")
    return (" ".join(letters) if letters.isupper() else letters) + _spelt(found["id"])


def _number(found: re.Match[str]) -> str:
    whole, *fraction = found["number"].split(".")
    if len(fraction) > 1:  # an address, a version
        return "点".join(map(_spelt, found["number"].split("."))) + _UNITS.get(found["unit"] or "", "")
    words = _whole(found, whole) + "".join("点" + _plain(part) for part in fraction)
    if found["percent"]:
        return ("千分之" if found["percent"] == "‰" else "百分之") + words
    return words + _UNITS.get(found["unit"] or "", "")


def _whole(found: re.Match[str], digits: str) -> str:
    before, after = (
        found.string[max(0, found.start() - 6) : found.start()],
        found.string[found.end() : found.end() + 2],
    )
    if len(digits) > NUMBER_MAX_DIGITS:
        return _spelt(digits)
    if before.endswith("第"):
        return number(int(digits))
    if len(digits) == 4 and (after.startswith("年") or _begins_years(found)):
        return _plain(digits)
    counts = bool(found["unit"] or found["percent"] or "." in found["number"]) or after.startswith(_MEASURES)
    if _is_spelt(digits, before, after, counts):
        return _spelt(digits)
    liang = (
        digits == "2"
        and "." not in found["number"]
        and (found["unit"] or after.startswith(_COUNTED_AS_LIANG))
    )
    return "两" if liang else number(int(digits))


def _begins_years(found: re.Match[str]) -> bool:
    return re.match(r"[-~～–—][0-9]{4}年", found.string[found.end() : found.end() + 6]) is not None


def _is_spelt(digits: str, before: str, after: str, counts: bool) -> bool:
    if digits[0] == "0" and len(digits) > 1:
        return after.startswith(("分", "秒")) or not (counts or after.startswith(("月", "日")))
    if counts:
        return False
    if len(digits) >= SPELT_FROM_DIGITS or before.rstrip(":\uff1a ").endswith(_SPELT_AFTER):
        return True
    if len(digits) >= 3 and after.startswith(("室", "房")):
        return True
    return digits in SHORT_NUMBERS and not after.startswith(_NUMBERED)


_WRITE: Final[dict[str, Callable[[re.Match[str]], str]]] = {
    "date": _date,
    "clock": _clock,
    "phone": lambda found: _spelt(found["phone"]),
    "id": _id,
    "initials": lambda found: " ".join(found["initials"]),
    "below": lambda _: "零下",
    "range": lambda _: "到",
    "number": _number,
}
