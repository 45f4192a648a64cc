"""Every fact has words in both languages."""

from typing import Any

import msgspec
import pytest

from dispatchd.console.words import candidate, ring_reasons, say, spoken
from dispatchd.core import facts as f
from protocols.types import Key


def sample(type_: Any) -> Any:
    """Any value of a type: enough to make a fact."""
    text = str(type_)
    for start, value in (("list", []), ("dict", {}), ("bool", True), ("int", 1), ("float", 1.5)):
        if start in text.partition("[")[0] or text == f"<class '{start}'>":
            return value
    return None if "None" in text else msgspec.convert({}, type_) if "Rules" in text else "x-1"


def made(type_: type[f.Fact]) -> f.Fact:
    values = {
        field.name: Key("b", 1) if "Key" in str(field.type) else sample(field.type)
        for field in msgspec.structs.fields(type_)
        if field.required
    }
    return type_(**values)


def test_every_kind_has_words() -> None:
    assert spoken() == set(f.KINDS.values())


@pytest.mark.parametrize("kind", sorted(f.KINDS))
def test_words_are_two_sentences_without_holes(kind: str) -> None:
    words = say(made(f.KINDS[kind]))
    assert words.zh
    assert words.en
    assert any("\u4e00" <= c <= "\u9fff" for c in words.zh), words.zh
    assert not any("\u4e00" <= c <= "\u9fff" for c in words.en), words.en
    assert "{" not in words.zh + words.en


def test_a_candidate_says_distance_age_and_why_not() -> None:
    one = candidate(f.Candidate("p-7", "police", 312.0, 90.0, 4000, ["t-7"], why="committed i1-4"))
    assert one.en == "p-7 (police) not called: committed i1-4; 312 m away, position 4.0 s old, terminals t-7"
    assert "正在处置 i1-4" in one.zh


def opened(ring: int, reach_m: float | None, looked_at: list[f.Candidate], passed: int = 0) -> f.RingOpened:
    return f.RingOpened("i1-1", "c1-1", ring, "opened", 2, 0, 0, looked_at, passed, reach_m)


def far(
    patrol: str, distance_m: float | None, force: str = "auxiliary", *, chosen: bool = False
) -> f.Candidate:
    return f.Candidate(patrol, force, distance_m, None, 1000, ["t"], chosen)


def test_who_was_free_and_not_chosen_is_told_why() -> None:
    looked_at = [
        far("p-1", 100, chosen=True),
        far("p-2", 900, "police", chosen=True),
        far("p-3", 400),
        far("p-4", 700),
        far("p-5", 950, "police"),
        far("p-6", None),
    ]
    found = ring_reasons(opened(1, 500, looked_at, 90))
    for line, en, zh in zip(
        found,
        (
            "chosen;",
            "nearest police",
            "enough nearer ones",
            "beyond 500 m",
            "a nearer police patrol",
            "no fresh",
        ),
        ("选中;", "最近民警", "已有更近的", "超出 500 米", "已有更近的民警", "无新位置"),
        strict=False,
    ):
        assert en in line.en
        assert zh in line.zh
    assert found[-1].en == "of the 88 not called the nearest 4 are kept"
    assert len(ring_reasons(opened(1, 500, looked_at, 6))) == 6


def test_police_beyond_their_own_reach_and_rings_without_one() -> None:
    assert "beyond the reach for police" in ring_reasons(opened(1, 500, [far("p", 4000, "police")]))[0].en
    assert "only the nearest police" in ring_reasons(opened(1, None, [far("p", 40)]))[0].en
    assert "not of the unit" in ring_reasons(opened(3, None, [far("p", 40)]))[0].en
