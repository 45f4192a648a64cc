"""Clips on disk, their bounds, and the line in which their parts go out."""

import asyncio
import os
import random
import time
from pathlib import Path

import pytest

from dispatchd.voice import clip_server
from dispatchd.voice.clip_server import PARTS_AT_ONCE, PARTS_PER_S, ClipServer
from dispatchd.voice.clips import CACHED, ClipStore
from protocols import down, up
from protocols.clip import digest


def sound(seed: int, frames: int = 100) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(60) for _ in range(frames)]


def files(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*")}


def used_ago(folder: Path, clip: down.Clip, seconds: float) -> None:
    os.utime(folder / f"{clip.clip}.clip", (time.time() - seconds,) * 2)


def test_a_clip_is_named_by_its_content_and_kept(tmp_path: Path) -> None:
    clip = ClipStore(tmp_path).add(sound(1))
    assert clip == down.Clip(clip.sha256.hex()[:32], 2_000, 1, digest(sound(1)))
    again = ClipStore(tmp_path)
    assert again.add(sound(1)) == clip
    kept = again.get(clip.clip)
    assert kept is not None
    assert (list(kept.frames), kept.part(0)) == (sound(1), sound(1))
    assert files(tmp_path) == {clip.clip}


@pytest.mark.parametrize("id_", ["0" * 32, "../secret", "", "x" * 40])
def test_what_is_not_there_is_none(tmp_path: Path, id_: str) -> None:
    (tmp_path / "secret.clip").write_bytes(b"\x90")
    assert ClipStore(tmp_path / "clips").get(id_) is None


@pytest.mark.parametrize("content", [b"", b"\x90", b"\xff" * 100, b"\x91\xc4\x01x"])
def test_a_damaged_file_counts_as_none_and_is_made_anew(tmp_path: Path, content: bytes) -> None:
    clip = ClipStore(tmp_path).add(sound(1))
    (tmp_path / f"{clip.clip}.clip").write_bytes(content)
    store = ClipStore(tmp_path)
    assert store.get(clip.clip) is None
    assert store.add(sound(1)) == clip
    assert store.get(clip.clip) is not None


def test_the_oldest_unused_go_first_and_what_is_in_use_never(tmp_path: Path) -> None:
    store = ClipStore(tmp_path, max_clips=3)
    clips = [store.add(sound(seed)) for seed in range(3)]
    for ago, clip in zip((300, 200, 100), clips, strict=True):
        used_ago(tmp_path, clip, ago)
    assert store.get(clips[1].clip) is not None, "a use"
    new = store.add(sound(9), in_use=[clips[0].clip])
    assert files(tmp_path) == {clips[0].clip, clips[1].clip, new.clip}


def test_bytes_and_age_are_bounded_too(tmp_path: Path) -> None:
    store = ClipStore(tmp_path, max_bytes=20_000, max_age_s=1_000)
    old, middle = store.add(sound(1)), store.add(sound(2))
    used_ago(tmp_path, old, 2_000)
    used_ago(tmp_path, middle, 500)
    assert store.tidy() == 1
    assert files(tmp_path) == {middle.clip}
    for seed in range(3, 8):
        store.add(sound(seed))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 20_000


def test_memory_holds_some_only(tmp_path: Path) -> None:
    store = ClipStore(tmp_path)
    for seed in range(CACHED + 5):
        store.get(store.add(sound(seed)).clip)
    assert len(store._cache) == CACHED


class Served:
    """A server over a real store, with a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self.store = ClipStore(folder)
        self.now_s = 100.0
        self.sent: list[tuple[str, down.ClipPart]] = []
        self.server = ClipServer(self.store, self._send, lambda: self.now_s)
        self._enough = asyncio.Event()
        self._wanted = 0

    def _send(self, device: str, message: down.ClipPart, ttl_ms: int) -> None:
        assert ttl_ms > 0
        self.sent.append((device, message))
        if len(self.sent) >= self._wanted:
            self._enough.set()

    async def serve(self, wanted: int) -> None:
        self._wanted = wanted
        task = asyncio.create_task(self.server.run())
        try:
            async with asyncio.timeout(10):
                await self._enough.wait()
                while self.server._line:
                    await asyncio.sleep(0.01)
        finally:
            task.cancel()


async def test_who_asks_gets_the_parts_he_names(tmp_path: Path) -> None:
    served = Served(tmp_path)
    clip = served.store.add(sound(1, 700))
    assert clip.parts == 3
    served.server.said("t-1", up.ClipRequest(clip.clip, [0, 2]))
    served.server.said("t-2", up.ClipRequest(clip.clip, [1, 1]))
    await served.serve(3)
    assert [(device, part.part) for device, part in served.sent] == [("t-1", 0), ("t-1", 2), ("t-2", 1)]
    frames = [
        frame for _, part in sorted(served.sent, key=lambda sent: sent[1].part) for frame in part.frames
    ]
    assert frames == sound(1, 700)


async def test_what_is_unknown_is_counted_and_not_answered(tmp_path: Path) -> None:
    served = Served(tmp_path)
    clip = served.store.add(sound(1))
    served.server.said("t-1", up.ClipRequest("0" * 32, [0]))
    served.server.said("t-1", up.ClipRequest(clip.clip, [7, 0]))
    await served.serve(1)
    assert [part.part for _, part in served.sent] == [0]
    assert served.server.counts == {"unknown": 2, "sent": 1}


async def test_a_device_that_asks_too_much_waits_and_others_do_not(tmp_path: Path) -> None:
    served = Served(tmp_path)
    clip = served.store.add(sound(1))
    for n in range(PARTS_AT_ONCE + 10):
        served.server.said("t-1", up.ClipRequest(clip.clip if n == 0 else f"{n:032x}", [0]))
    assert served.server.counts["too-fast"] == 10
    served.server.said("t-2", up.ClipRequest(clip.clip, [0]))
    assert served.server.counts["too-fast"] == 10
    served.now_s += 1
    for n in range(PARTS_PER_S + 5):
        served.server.said("t-1", up.ClipRequest(f"a{n:031x}", [0]))
    assert served.server.counts["too-fast"] == 15


async def test_a_part_in_line_is_not_sent_twice_and_the_line_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Served(tmp_path)
    clip = served.store.add(sound(1))
    for _ in range(3):
        served.server.said("t-1", up.ClipRequest(clip.clip, [0]))
    assert served.server.counts == {"twice": 2}
    monkeypatch.setattr(clip_server, "WAITING_MAX", 2)
    for n in range(4):
        served.server.said(f"x-{n}", up.ClipRequest(clip.clip, [0]))
    assert served.server.counts["full"] == 3
    await served.serve(2)
    assert len(served.sent) == 2
