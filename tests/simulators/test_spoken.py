"""The words of the demo: real speech, as files and as packets; and what a demo without speech says instead."""

from pathlib import Path

import pytest

from devices.voice.say import Voice
from simulators.demo import spoken
from simulators.voice import from_wav, la_la_la


async def test_every_word_is_a_file_and_the_same_as_packets(tmp_path: Path) -> None:
    made = await spoken.make(tmp_path / "words")
    assert made.spoken, "espeakng-loader is in the lock"
    assert {path.stem for path in (tmp_path / "words").iterdir()} == set(spoken.TEXTS) == set(made.words)
    for word in made.words.values():
        assert await from_wav(word.path) == word.packets
        assert len(word.packets) > 40, "most of a second"


async def test_the_citizen_draws_breath_first(tmp_path: Path) -> None:
    made = await spoken.make(tmp_path)
    pcm = await Voice().speak(spoken.HELP, "zh")
    assert pcm is not None
    before = len(made.words["pillar"].packets) - len(pcm) // 640
    assert before >= spoken.BEFORE_S * 50


async def test_without_espeak_it_is_la_la_la_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spoken, "Voice", lambda: Voice(lambda _: ["/nonexistent/espeak"]))
    made = await spoken.make(tmp_path)
    assert not made.spoken
    assert len(made.words["coming"].packets) == len(la_la_la()) // 640
