"""Every fact has words in both languages."""

from typing import Any

import msgspec
import pytest

from dispatchd.console.words import candidate, say, spoken
from dispatchd.core import facts as f


def sample(type_: Any) -> Any:
    """Any value of a type: enough to make a fact."""
    text = str(type_)
    for start, value in (("list", []), ("dict", {}), ("bool", True), ("int", 1), ("float", 1.5)):
        if start in text.partition("[")[0] or text == f"<class '{start}'>":
            return value
    return None if "None" in text else msgspec.convert({}, type_) if "Rules" in text else "x-1"


def made(type_: type[f.Fact]) -> f.Fact:
    values = {
        field.name: f.Key("b", 1) if "Key" in str(field.type) else sample(field.type)
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
