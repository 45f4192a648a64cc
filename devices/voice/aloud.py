"""What a device says aloud: clips, tones, spoken words, laid over the radio's sound and reported when they have ended.

What must hold: `Played` is fed when the last of it has left the loudspeaker, never before; what cannot be made into
sound is `PlayerFailed`; what was stopped is not reported.
"""

import asyncio
from collections.abc import Awaitable, Callable

from devices.events import Play, Played, PlayerFailed
from devices.hardware import Feed
from devices.voice.overlay import MAX_QUEUED, SIGNALS, Overlay, signal
from protocols.errors import ProtocolError
from protocols.opus import Decoder

Speak = Callable[[str, str], Awaitable[bytes | None]]
"""(text, language) → PCM, None if there is no such voice here."""


class Aloud:
    """`wake` is called when there is something to play; `speak` says what has no sound of its own."""

    def __init__(self, overlay: Overlay, wake: Callable[[], None], speak: Speak | None = None) -> None:
        self._overlay, self._wake, self._speak = overlay, wake, speak
        self._to_play: asyncio.Queue[tuple[Play, Feed]] = asyncio.Queue(MAX_QUEUED)
        self._wanted: set[str] = set()
        self._playing: dict[int, tuple[str, Feed]] = {}

    def plays(self, play: Play) -> bool:
        """Words without a sound of their own need something that speaks."""
        return bool(play.frames) or not play.text or self._speak is not None

    def play(self, play: Play, feed: Feed) -> None:
        if self._to_play.full():
            feed(PlayerFailed(play.item, "too many sounds at once"))
            return
        self._wanted.add(play.item)
        self._to_play.put_nowait((play, feed))

    def stop(self, item: str) -> None:
        self._wanted.discard(item)
        for number in [number for number, (one, _) in self._playing.items() if one == item]:
            del self._playing[number]
            self._overlay.take_off(number)

    def presented(self, number: int) -> None:
        """A sound laid over (negative) has been heard to its end."""
        if number in self._playing:
            item, feed = self._playing.pop(number)
            feed(Played(item))

    async def run(self) -> None:
        """One after the other; the agent asks for one at a time anyway."""
        while True:
            play, feed = await self._to_play.get()
            pcm = await self._pcm_of(play)
            if play.item not in self._wanted:
                continue
            self._wanted.discard(play.item)
            number = None if pcm is None else self._overlay.lay(pcm, play.volume_pct, play.rank)
            self._wake()
            if number is None:
                feed(PlayerFailed(play.item, "nothing here can speak this text"))
            else:
                self._playing[number] = play.item, feed

    async def _pcm_of(self, play: Play) -> bytes | None:
        """A sound of its own, or a tone and spoken words; None if only the words are missing."""
        if play.frames:
            return _decoded(play.frames)
        tone = signal(play.tone) if play.tone in SIGNALS else b""
        if not play.text:
            return tone
        words = None if self._speak is None else await self._speak(play.text, play.lang)
        return None if words is None else tone + words


def _decoded(frames: tuple[bytes, ...]) -> bytes | None:
    """None for packets that are none: the whole sound has failed."""
    decoder = Decoder()
    try:
        return b"".join(decoder.decode(opus) for opus in frames)
    except ProtocolError:
        return None
