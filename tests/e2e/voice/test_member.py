"""Who is put out of a talk group in mid-word hears at most the rest of it, whatever datagrams still reach him."""

from pathlib import Path

import pytest

from tests.e2e.voice.radio import Sound
from tests.e2e.voice.stand import GROUP, stand
from tests.sound.spoken import ANSWER, spoken

MIDDLE = 30
"""Frames heard when he is put out."""


@pytest.fixture(scope="module")
def words() -> Sound:
    """Spoken before: it takes time that no loop has."""
    return spoken(ANSWER)


async def test_who_is_put_out_in_mid_word_opens_nothing_of_the_next(tmp_path: Path, words: Sound) -> None:
    async with stand(tmp_path, 3) as here:
        talker, member, outsider = here.radios
        here.relay.copy(member.kid, outsider.kid)
        await talker.press()
        first = await talker.granted()
        talker.handset.mouth.say(words[:48_000])
        await outsider.until(lambda: len(outsider.frames(first)) >= MIDDLE)
        await here.daemon.command("group-remove", group=GROUP, target={"devices": [outsider.device]})
        await outsider.logged("voice-keys", 2, groups=0)
        await talker.handset.mouth.silent.wait()
        await talker.let_go()
        await member.heard_out(first)
        assert member.missing(first) == []

        before, copied = len(outsider.handset.heard), here.relay.counts["copied"]
        second = await talker.say(words[:24_000])
        await member.heard_out(second)
        assert [one.opus for one in member.frames(second)] == talker.packets(second)
        assert here.relay.counts["copied"] - copied >= len(talker.packets(second)), "he gets every one"
        assert len(outsider.handset.heard) == before
        assert outsider.frames(second) == []
        print(
            f"put out: {len(outsider.frames(first))} of {len(talker.packets(first))} frames of that word, "
            f"then {dict(outsider.radio.counts)}"
        )
        assert outsider.radio.counts["unknown-kid"] >= len(talker.packets(second))
