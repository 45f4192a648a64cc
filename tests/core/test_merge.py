"""Merging and splitting lose nobody: who comes is counted, told and sent home; silence and hazard go along."""

from protocols import down
from tests.core.desk import Desk


def two_incidents() -> Desk:
    """Pillars p-01 and p-02 pressed; po-1 is called to both and comes to the first. boss owns both."""
    desk = Desk()
    desk.run("press p-01", "press p-02")
    desk.run(
        f"op boss accept incident={desk.at(0).incident}", f"op boss accept incident={desk.at(1).incident}"
    )
    desk.play(f"op boss call incident={desk.at(1).incident} target.patrols=po-1")
    first = next(m for m in desk.told["t-po-1"] if isinstance(m, down.Call))
    assert first.incident == desk.at(0).incident
    desk.play(f"at 2s accept t-po-1 call={first.call}")
    assert desk.at(0).responders["po-1"].place == "accepted"
    return desk


def test_who_comes_to_the_one_comes_to_the_other_though_he_was_called_there_too() -> None:
    desk = two_incidents()
    first = desk.at(0).responders["po-1"].call
    assert desk.at(1).responders["po-1"].place == "lost"
    desk.merge(0, 1)
    assert desk.at(1).responders["po-1"].place == "accepted"
    desk.play(f"at 5s on-scene t-po-1 call={first}")
    assert desk.at(1).responders["po-1"].place == "on-scene"
    assert desk.newest("t-po-1", down.Call).incident == desk.at(1).incident


def test_who_came_by_a_merge_is_sent_home_at_the_end_and_watched_until_then() -> None:
    desk = two_incidents()
    desk.merge(0, 1)
    desk.play(f"at 5s op boss stand-down incident={desk.at(1).incident} patrols=po-1")
    assert desk.newest("t-po-1", down.StandDown).incident == desk.at(1).incident
    watched = two_incidents()
    watched.merge(0, 1)
    watched.run("offline t-po-1", "to 90s")
    assert watched.at(1).responders["po-1"].place != "accepted"


def test_the_pillar_of_a_merged_incident_is_told_what_comes_of_the_other() -> None:
    desk = two_incidents()
    desk.merge(0, 1)
    assert desk.prompt("p-01") == "coming"
    desk.play("at 4s decline t-po-1 call=" + desk.at(1).responders["po-1"].call)
    assert desk.prompt("p-01") == "police-accepted"
    desk.play(f"at 5s op boss end incident={desk.at(1).incident} outcome=genuine")
    assert desk.prompt("p-01") == "ended"


def test_silence_and_hazard_survive_a_merge_either_way() -> None:
    for silent, other in ((0, 1), (1, 0)):
        desk = two_incidents()
        desk.play(f"op boss silent incident={desk.at(silent).incident}")
        desk.play(f"op boss hazard incident={desk.at(silent).incident}")
        desk.merge(0, 1)
        assert (desk.at(1).silent, desk.at(1).hazard) == (True, True), f"silent was {silent}, not {other}"
        assert desk.newest("t-po-1", down.Order).order == "silent"
        assert desk.prompt("p-01") == "silent"


def test_a_press_split_off_a_silent_incident_stays_silent() -> None:
    desk = Desk()
    desk.run("press p-01", "op wang accept", "op wang silent", "op wang hazard", "at 3s press p-01")
    told = len(desk.told["p-01"])
    desk.play(f"op wang split alarm={desk.at(0).presses[1].alarm}")
    new = desk.at(1)
    assert (new.silent, new.hazard) == (True, True)
    desk.play(f"op wang end incident={desk.at(0).incident} outcome=genuine")
    desk.play(f"at 9s op wang accept incident={new.incident}")
    assert not [m for m in desk.told["p-01"][told:] if isinstance(m, down.Prompt) and m.code != "silent"]
