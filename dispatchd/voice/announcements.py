"""What the console and the schedules ask of speech and clips: the sound of a broadcast, made and kept, or why not.

A Refusal is an answer: the broadcast then goes as text. Open broadcasts keep their clips.
"""

import asyncio
import zlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import structlog

from dispatchd.core.commands import Refusal
from dispatchd.core.state import State
from protocols.down import Clip

from . import ogg
from .clips import ClipStore
from .speech import Speech, SpeechError, Words

TIDY_EVERY_S: Final = 3_600.0
URGENT: Final = frozenset({"imminent-peril", "emergency"})
DRILL: Final = {"en": "Drill. "}
DRILL_ZH: Final = "演练。"

log = structlog.get_logger("speech")


class Announcements:
    """One daemon's speech and clips."""

    def __init__(
        self, speech: Speech, store: ClipStore, settled: Callable[[], AbstractAsyncContextManager[State]]
    ) -> None:
        self._speech, self._store, self._settled = speech, store, settled

    async def spoken(
        self, text: str, lang: str, *, priority: str = "normal", drill: bool = False, text_en: str = ""
    ) -> Clip | Refusal:
        """The clip of these words; with `text_en` the English after them."""
        marked = DRILL.get(lang, DRILL_ZH) + text if drill else text
        words = [Words(marked, lang), *([Words(text_en, "en")] if text_en else [])]
        try:
            packets = await self._speech.say(words, "emergency" if priority in URGENT else "chime")
        except SpeechError as error:
            return self._refused(error)
        return await self.kept(packets)

    async def uploaded(self, raw: bytes) -> Clip | Refusal:
        """The clip of a sound file, as it is."""
        try:
            packets = await self._speech.file(raw)
        except SpeechError as error:
            return self._refused(error)
        return await self.kept(packets)

    def _refused(self, error: SpeechError) -> Refusal:
        log.warning("no sound was made", code=error.code, error=str(error))
        return Refusal(error.code, str(error))

    async def kept(self, packets: list[bytes]) -> Clip | Refusal:
        """The clip of these packets of 20 ms."""
        in_use = await self._in_use()
        try:
            return await asyncio.to_thread(self._store.add, packets, in_use)
        except ValueError as error:
            return Refusal("bad-sound", f"There is no clip of this: {error}.")
        except OSError as error:
            log.error(
                "clip cannot be kept", error=str(error), do="make room on the disk of the daemon's folder"
            )
            return Refusal(
                "no-speech", f"The clip cannot be written: {error.strerror}. Make room on the disk."
            )

    async def _in_use(self) -> set[str]:
        async with self._settled() as state:
            return {
                b.clip.clip for b in state.broadcasts.values() if b.clip is not None and b.state == "open"
            }

    async def holds(self, clip: Clip) -> bool:
        """Is it here, just as it is named?"""
        found = await asyncio.to_thread(self._store.get, clip.clip)
        return found is not None and found.clip == clip

    async def sound(self, id_: str) -> bytes | None:
        """An Ogg Opus file of it, to be listened to."""
        found = await asyncio.to_thread(self._store.get, id_)
        if found is None:
            return None
        stream = ogg.Stream({"TITLE": id_}, zlib.crc32(id_.encode()))
        return stream.head() + stream.pages(found.frames, last=True)

    async def run(self) -> None:
        """Tidy up, now and then, until cancelled."""
        while True:
            in_use = await self._in_use()
            removed = await asyncio.to_thread(self._store.tidy, in_use)
            if removed:
                log.info("clips removed", count=removed)
            await asyncio.sleep(TIDY_EVERY_S)
