"""Prompts: both languages, lights that a deaf person can tell apart, none faster than 2 Hz."""

import pytest

from protocols.prompts import LIGHT_PATTERNS, LIGHTS, PROMPTS, UNCHANGED

MEANINGS = ("sending", "delivered", "accepted", "coming", "not-delivered", "question", "ended")
"""What a person must tell apart by light alone; `wait` repeats delivered, a policeman is an owner too."""
WORDLESS = ("ended", "silent")


def test_each_meaning_has_a_light_of_its_own() -> None:
    lights = [PROMPTS[code].light for code in MEANINGS]
    assert len(set(lights)) == len(lights)
    assert set(PROMPTS) - set(MEANINGS) == {"wait", "police-accepted", "silent"}
    assert PROMPTS["wait"].light == PROMPTS["delivered"].light
    assert PROMPTS["police-accepted"].light == PROMPTS["accepted"].light
    assert PROMPTS["silent"].light == UNCHANGED


@pytest.mark.parametrize("code", PROMPTS)
def test_every_prompt_is_said_in_both_languages_and_has_a_known_light(code: str) -> None:
    prompt = PROMPTS[code]
    assert bool(prompt.zh) == bool(prompt.en) == (code not in WORDLESS)
    assert prompt.light in {*LIGHTS, UNCHANGED}
    assert prompt.en.isascii()
    assert code in WORDLESS or not prompt.zh.isascii()


@pytest.mark.parametrize("name", [name for name in LIGHTS if len(LIGHT_PATTERNS[name]) > 1])
def test_no_light_flashes_faster_than_2_hz(name: str) -> None:
    """From every switching-on to the next, over the pattern's end too, at least half a second goes by."""
    pattern = LIGHT_PATTERNS[name]
    assert len(pattern) % 2 == 0
    assert all(on + off >= 500 for on, off in zip(pattern[::2], pattern[1::2], strict=True))
    assert min(pattern) >= 100


def test_patterns_differ_by_rhythm() -> None:
    rhythms = {
        tuple(round(part / sum(pattern), 2) for part in pattern) for pattern in LIGHT_PATTERNS.values()
    }
    assert len(set(LIGHT_PATTERNS.values())) == len(LIGHT_PATTERNS)
    assert len(rhythms) >= len(LIGHT_PATTERNS) - 1, (
        "slow and fast blinking differ by speed, all others by form"
    )
    assert LIGHT_PATTERNS["off"] == ()
    assert len(LIGHT_PATTERNS["steady"]) == 1
    assert sum(LIGHT_PATTERNS["blink-slow"]) >= 3 * sum(LIGHT_PATTERNS["blink-fast"])
