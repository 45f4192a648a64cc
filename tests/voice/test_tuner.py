"""Which slot hears what, when pillars are put in and taken out."""

from dispatchd.voice.tuner import Tuner


def tuner(size: int, *asked: str) -> Tuner:
    found = Tuner(size)
    found.ask(asked)
    return found


def test_what_is_asked_stands_in_its_order() -> None:
    assert tuner(3, "fire", "", "all").channels == ["fire", "", "all"]
    assert tuner(2, "fire", "traffic", "all").channels == ["fire", "traffic"]
    assert tuner(0, "fire").channels == []


def test_a_pillar_takes_the_last_free_slot_and_stays_there() -> None:
    found = tuner(4, "fire")
    found.put_in(["@up/b"])
    assert found.slot_of("@up/b") == 3
    found.put_in(["@up/a", "@up/b"])
    assert (found.slot_of("@up/a"), found.slot_of("@up/b")) == (2, 3)
    found.put_in(["@up/a"])
    assert found.channels == ["fire", "", "@up/a", ""]


def test_without_a_free_slot_the_last_one_gives_way_and_comes_back() -> None:
    found = tuner(2, "fire", "traffic")
    found.put_in(["@up/a"])
    assert found.channels == ["fire", "@up/a"]
    found.put_in([])
    assert found.channels == ["fire", "traffic"]


def test_what_was_asked_for_itself_is_not_put_in_twice() -> None:
    found = tuner(3, "@up/a")
    found.put_in(["@up/a"])
    assert found.channels == ["@up/a", "", ""]


def test_more_pillars_than_slots() -> None:
    found = tuner(1)
    found.put_in(["@up/a", "@up/b"])
    assert found.channels == ["@up/a"]
    assert found.slot_of("@up/b") == -1


def test_another_session_carries_it_on() -> None:
    found = tuner(1, "fire")
    found.put_in(["@up/a"])
    found.resize(3)
    assert found.channels == ["fire", "", "@up/a"]
