"""Clips over the API: heard and sent by who brought them or sees a broadcast that has them, by nobody else."""

import asyncio
from pathlib import Path

from dispatchd.core.commands import Refusal
from dispatchd.voice.clips import ClipStore
from protocols.down import Clip

from .desk import Desk, desk

OPUS = bytes([0x08, 1, 2, 3])


class Kept:
    """Sounds whose every upload is the same clip, kept on disk."""

    def __init__(self, folder: Path) -> None:
        self.store = ClipStore(folder)

    async def spoken(
        self, text: str, lang: str, *, priority: str = "normal", drill: bool = False
    ) -> Clip | Refusal:
        return await self.uploaded(text.encode())

    async def uploaded(self, raw: bytes) -> Clip | Refusal:
        return await asyncio.to_thread(self.store.add, [OPUS + raw] * 50)

    async def holds(self, clip: Clip) -> bool:
        return self.store.get(clip.clip) is not None

    async def sound(self, id_: str) -> bytes | None:
        found = self.store.get(id_)
        return b"".join(found.frames) if found else None


async def upload(at: Desk, operator: str, raw: bytes = b"x") -> dict[str, object]:
    async with at.client(operator) as client:
        answer = await client.post("/clips", content=raw)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


async def test_a_clip_is_heard_by_who_brought_it_and_who_sees_its_broadcast(tmp_path: Path) -> None:
    async with desk() as at:
        at.console.attach(at.engine, at.console.parts[1], sounds=Kept(tmp_path))
        clip = await upload(at, "north")
        path = f"/clips/{clip['clip']}/sound"
        assert (await at.get("north", path)).status_code == 200
        for stranger in ("south", "chief"):
            assert (await at.get(stranger, path)).status_code == 404
        target = {"units": ["south"]}
        sent = await at.command("south", "broadcast", text="x", target=target, clip=clip)
        assert (sent.status_code, sent.json()["field"]) == (404, "$.clip")
        sent = await at.command("north", "broadcast", text="x", target={"units": ["north"]}, clip=clip)
        assert sent.status_code == 200, sent.text
        assert (await at.get("chief", path)).status_code == 200, "he sees the broadcast"
        assert (await at.get("south", path)).status_code == 404
        assert (await at.get("north", "/clips/..%2fsecret/sound")).status_code == 404
