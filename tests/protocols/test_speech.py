"""What is said for what is written: a table of the site's own sentences, and what holds for any text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.prompts import PROMPTS
from protocols.speech import number, speakable

SAID = {
    # numbers that everybody knows by their digits
    "请同时拨打110": "请同时拨打幺幺零",
    "110、119、120,请拨打": "幺幺零、幺幺九、幺二零,请拨打",
    "122交通事故": "幺二二交通事故",
    "110个集结点": "一百一十个集结点",
    "前方120米": "前方一百二十米",
    "110号集结点": "一百一十号集结点",
    "12345热线": "幺二三四五热线",
    # telephones, rooms, plates
    "电话13800138000": "电话幺三八零零幺三八零零零",
    "0734-8221100": "零七三四八二二幺幺零零",
    "400-810-1234": "四零零八幺零幺二三四",
    "138-0013-8000": "幺三八零零幺三八零零零",
    "分机8012": "分机八零幺二",
    "电话:8012": "电话:八零幺二",
    "3栋1203室": "三栋幺二零三室",
    "301房": "三零幺房",
    "车牌湘D12345": "车牌湘D幺二三四五",
    "警号012": "警号零幺二",
    # quantities
    "500米": "五百米",
    "3个": "三个",
    "2个人,2名民警,2号楼": "两个人,两名民警,二号楼",
    "巡逻2组": "巡逻二组",
    "第2个路口,第110天": "第二个路口,第一百一十天",
    "10000人": "一万人",
    "12000米": "一万二千米",
    "2000元": "两千元",
    "1005米": "一千零五米",
    "10500元": "一万零五百元",
    "100000元": "十万元",
    "110多个": "一百一十多个",
    "3.14米": "三点一四米",
    "0.5公里": "零点五公里",
    "2.5公里": "二点五公里",
    "3-5个": "三到五个",
    "100~200米": "一百到二百米",
    "15%": "百分之十五",
    "99.5%": "百分之九十九点五",
    "10%-15%": "百分之十到百分之十五",
    "3‰": "千分之三",
    "500m": "五百米",
    "2 km": "两公里",
    "80km/h": "八十公里每小时",
    "36.5℃": "三十六点五摄氏度",
    "气温-5度": "气温零下五度",
    "37号": "三十七号",
    "集结点37": "集结点三十七",
    "007": "零零七",
    "9999999999999": "九九九九九九九九九九九九九",
    "192.168.1.10": "幺九二点幺六八点幺点幺零",
    # days and hours
    "2024年": "二零二四年",
    "2019-2024年": "二零一九到二零二四年",
    "11月22日": "十一月二十二日",
    "01月05日": "一月五日",
    "2026-11-22": "二零二六年十一月二十二日",
    "2026/1/2": "二零二六年一月二日",
    "10:00": "十点",
    "18:00": "十八点",
    "10:05": "十点零五分",
    "10:10": "十点十分",
    "2:30": "两点三十分",
    "0:00": "零点",
    "10:00:07": "十点零分零七秒",
    "18:30": "十八点三十分",
    "10:00-18:00": "十点到十八点",
    "18点05分": "十八点零五分",
    "3分钟,2分钟": "三分钟,两分钟",
    # ids and letters
    "终端p-07": "终端p零七",
    "t-101上线": "t幺零幺上线",
    "p-07-2": "p零七二",
    "G107国道": "G幺零七国道",
    "LED灯": "L E D灯",
    "SOS": "S O S",
    "AB-12": "A B幺二",
    "OK": "O K",
    "Wi-Fi": "Wi-Fi",
    "Hello": "Hello",
    # left as it is
    "蒸湘区解放大道与船山大道交叉口": "蒸湘区解放大道与船山大道交叉口",
    "一号桥、三八广场、五一路": "一号桥、三八广场、五一路",
    "": "",
    # written full-width
    "１１０": "幺幺零",
    "Ｐ－０７": "P－零七",
    "10\uff1a05": "十点零五分",
    "15\uff05": "百分之十五",
    "电话\uff1a8012": "电话\uff1a八零幺二",
}


@pytest.mark.parametrize(("written", "said"), SAID.items())
def test_said(written: str, said: str) -> None:
    assert speakable(written) == said


def test_a_whole_sentence() -> None:
    written = "反诈提示:2024年11月22日10:05,37号集结点500米内有3个可疑电话,请拨打110,守法率15%。"
    assert speakable(written) == (
        "反诈提示:二零二四年十一月二十二日十点零五分,三十七号集结点五百米内有三个可疑电话,请拨打幺幺零,守法率百分之十五。"
    )


def test_english_passes() -> None:
    text = "Please call 110, patrol p-07, at 10:05"
    assert speakable(text, "en") == text


def test_every_prompt_of_the_pillar_can_be_said() -> None:
    for prompt in PROMPTS.values():
        assert not re.search("[0-9A-Za-z]", speakable(prompt.zh))
    assert speakable(PROMPTS["not-delivered"].zh) == "网络不通,仍在重试,请同时拨打幺幺零"


def value_of(words: str) -> int:
    """Chinese numerals read back, by the book."""
    total = section = digit = 0
    for word in words.replace("两", "二"):
        if word in "零一二三四五六七八九":
            digit = "零一二三四五六七八九".index(word)
        elif word in "十百千":
            section += (digit or 1) * {"十": 10, "百": 100, "千": 1000}[word]
            digit = 0
        else:
            total += (section + digit) * {"万": 10**4, "亿": 10**8}[word]
            section = digit = 0
    return total + section + digit


@given(st.integers(0, 10**12 - 1) | st.integers(0, 20_000))
def test_a_number_reads_back_as_itself(value: int) -> None:
    words = number(value)
    assert value_of(words) == value
    assert "零零" not in words
    assert value == 0 or not words.endswith("零")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "零"),
        (10, "十"),
        (11, "十一"),
        (20, "二十"),
        (101, "一百零一"),
        (110, "一百一十"),
        (111, "一百一十一"),
        (200, "二百"),
        (1010, "一千零一十"),
        (2002, "两千零二"),
        (10_001, "一万零一"),
        (10_010, "一万零一十"),
        (20_500, "两万零五百"),
        (110_000, "十一万"),
        (1_001_000, "一百万一千"),
        (100_000_000, "一亿"),
        (100_000_001, "一亿零一"),
        (200_010_000, "两亿零一万"),
    ],
)
def test_numbers_in_words(value: int, words: str) -> None:
    assert number(value) == words


WRITTEN = st.text(
    st.sampled_from("0123456789:\uff1a.-/%pABkmh 年月日号室个第点分℃电话") | st.characters(), max_size=80
)


@given(WRITTEN | st.text())
def test_any_text_is_sayable(text: str) -> None:
    said = speakable(text)
    assert not re.search("[0-9]", said)
    assert len(said) <= 2 * len(text)
    assert speakable(said) == said or re.search("[A-Z]", said), "what is said needs no more rewriting"
    assert speakable(text, "en") == text


def test_a_long_run_takes_no_time() -> None:
    """Nothing in the expression backtracks: 30,000 characters of each kind go through at once."""
    for piece in ("1", "1-", "a", "A", "a-1", "1:", "1.", "0734-", "-", "电"):
        assert len(speakable(piece * (30_000 // len(piece)))) <= 60_000
