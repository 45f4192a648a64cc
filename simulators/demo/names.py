"""Invented names of the demo site: units and people. Any likeness is chance."""

from typing import Final

DISTRICT: Final = ("云汀公安分局(虚构)", "Yunting Sub-bureau (fictional)")
STATIONS: Final = (
    ("霁月", "Jiyue"),
    ("早春", "Zaochun"),
    ("东篱", "Dongli"),
    ("鹿鸣", "Luming"),
    ("书院", "Shuyuan"),
    ("银杏", "Yinxing"),
)
ROOMS: Final = (
    ("柳桥", "Liuqiao"), ("茶亭", "Chating"), ("丰谷", "Fenggu"), ("梅坪", "Meiping"),
    ("枫林", "Fenglin"), ("莲塘", "Liantang"), ("古井", "Gujing"), ("晒书台", "Shaishutai"),
    ("船坞", "Chuanwu"), ("桑园", "Sangyuan"), ("白鹭", "Bailu"), ("云脚", "Yunjiao"),
    ("石桥", "Shiqiao"), ("酒坊", "Jiufang"), ("稻香", "Daoxiang"), ("风铃", "Fengling"),
    ("瓦窑", "Wayao"), ("苇洲", "Weizhou"), ("琴台", "Qintai"), ("松涛", "Songtao"),
    ("花溪", "Huaxi"), ("星桥", "Xingqiao"), ("暖阳", "Nuanyang"),
)  # fmt: skip
FAMILY: Final = (
    ("闻", "Wen"), ("祝", "Zhu"), ("荀", "Xun"), ("阮", "Ruan"), ("柏", "Bai"), ("桑", "Sang"),
    ("岑", "Cen"), ("翟", "Zhai"), ("蔺", "Lin"), ("晏", "Yan"), ("简", "Jian"), ("卓", "Zhuo"),
)  # fmt: skip
GIVEN: Final = (
    ("知行", "Zhixing"), ("若谷", "Ruogu"), ("望舒", "Wangshu"), ("清和", "Qinghe"), ("以宁", "Yining"),
    ("怀远", "Huaiyuan"), ("思齐", "Siqi"), ("如松", "Rusong"), ("听雨", "Tingyu"), ("长庚", "Changgeng"),
    ("南乔", "Nanqiao"), ("子衿", "Zijin"), ("映川", "Yingchuan"),
)  # fmt: skip
NUMERALS: Final = ("一", "二", "三", "四", "五", "六", "七", "八", "九", "十")
