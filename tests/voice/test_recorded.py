"""A whole daemon records what is said: whole when it ended, all but the last second when the daemon is killed."""

import contextlib
import hashlib
from pathlib import Path
from typing import Any

from dispatchd.voice import ogg
from protocols import up
from tests.e2e.process import Daemon, daemon, until
from tests.voice.radio import OPUS
from tests.voice.test_daemon import SITE, Terminal, connected

FRAMES = 40


async def recorded(at: Daemon, count: int) -> list[dict[str, Any]]:
    """The newest first, as soon as there are so many."""

    async def enough() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await at.get("/recordings"))["items"]
        return items if len(items) >= count else []

    found: list[dict[str, Any]] = await until(enough)
    return found


async def test_a_word_is_recorded_and_one_that_was_cut_off_too(tmp_path: Path) -> None:
    terminal, other = Terminal("radio-1"), Terminal("radio-2")
    with contextlib.closing(terminal.radio), contextlib.closing(other.radio):
        async with daemon(tmp_path, "amqtt", SITE) as at:
            async with connected(at, terminal, other):
                burst = await terminal.floor(1)
                await terminal.talk(burst, FRAMES)
                await terminal.say(up.FloorRelease("all", 1))
                (word,) = await recorded(at, 1)
                sound = (await at.client.get(f"/recordings/{word['id']}/sound")).content
                saved = tmp_path / "word.opus"
                saved.write_bytes(sound)
                assert [p.opus for p in ogg.read(saved)] == [OPUS] * FRAMES
                assert hashlib.sha256(sound).hexdigest() == word["sha256"]
                assert (word["id"], word["group"], word["unit"]) == (f"r1-{burst}", "all", "top")
                assert (word["ms"], word["frames"], word["lost"], word["why"]) == (FRAMES * 20, FRAMES, 0, "")

                cut = await terminal.floor(2)
                for seq in range(FRAMES):
                    terminal.radio.say(cut, seq)

                def written() -> bool:
                    return any(path.stat().st_size for path in tmp_path.rglob(f"r1-{cut}.opus"))

                await until(written)
                await at.kill()
            await at.start()
            newest, _ = await recorded(at, 2)
            assert (newest["id"], newest["why"]) == (f"r1-{cut}", "the daemon ended")
            assert 0 < newest["frames"] <= FRAMES
