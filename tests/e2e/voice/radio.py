"""A terminal as its person has it: the real agent, radio, codec and jitter buffer; a microphone and a loudspeaker in
memory, which both keep real time; and a note of everything that was said, heard and told.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from devices import events as ev
from devices.credentials import Credentials
from devices.hardware import Say
from devices.outbox import MemoryOutbox
from devices.shell import run_device
from devices.terminal import TerminalAgent
from devices.voice.handset import Handset
from devices.voice.pace import Pace, PlayedOut
from devices.voice.radio import Radio
from devices.voice.radio_events import Heard
from devices.voice.sound import SILENCE, Microphone, Speaker
from protocols.sframe import kid_of
from protocols.voice import CATCH_UP, PCM_FRAME_BYTES
from tests.devices.test_shell import Parts

WITHIN_S: Final = 20.0
"""Beyond it something that has to happen has not."""

Sound = npt.NDArray[np.int16]


class Mouth(Microphone):
    """Always open; silent but for what it is given to `say`."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._words = b""
        self.silent = asyncio.Event()
        self.silent.set()

    def say(self, sound: Sound) -> None:
        """From the next 20 ms on."""
        self._words += sound.tobytes()
        self.silent.clear()

    def hush(self) -> None:
        """The rest is not said."""
        self._words = b""

    async def open(self) -> None:
        """Always."""

    async def read(self) -> bytes:
        await self._pace.tick()
        piece, self._words = self._words[:PCM_FRAME_BYTES], self._words[PCM_FRAME_BYTES:]
        if not self._words:
            self.silent.set()
        return piece + SILENCE[len(piece) :]

    async def close(self) -> None:
        """Never."""


class Tape(Speaker):
    """Keeps what is played, and when (loop time, s)."""

    def __init__(self) -> None:
        self._played = PlayedOut()
        self.pieces: list[tuple[float, bytes]] = []

    async def open(self) -> None:
        """Always."""

    async def write(self, pcm: bytes) -> None:
        self.pieces.append((asyncio.get_running_loop().time(), pcm))
        await self._played.room_for(pcm)

    async def drained(self) -> None:
        await self._played.drained()

    async def close(self) -> None:
        """Never."""

    def sound(self, since: int = 0) -> Sound:
        """From that piece on."""
        return np.frombuffer(b"".join(pcm for _, pcm in self.pieces[since:]), dtype=np.int16)


class Ear(NamedTuple):
    """One frame that went to the loudspeaker: loop time in s, talker as known then, the frame's own numbers."""

    at_s: float
    talker: str
    burst: int
    seq: int
    flags: int
    opus: bytes


class Word(NamedTuple):
    """What was said with the floor once: from when (loop time in s), and the packets that left the encoder."""

    burst: int
    at_s: float
    packets: list[bytes]


class NotedHandset(Handset):
    """As it is, with notes."""

    def __init__(self) -> None:
        self.mouth, self.tape = Mouth(), Tape()
        self.heard: list[Ear] = []
        self.words: list[Word] = []
        self.lines: list[tuple[str, str]] = []
        self.tones: list[str] = []
        self.news = asyncio.Event()
        super().__init__(self.mouth, self.tape, self._line, language="en")

    def _line(self, what: str, text: str) -> None:
        self.lines.append((what, text))
        self.news.set()

    def hear(self, heard: Heard) -> None:
        frame, now_s = heard.frame, asyncio.get_running_loop().time()
        self.heard.append(Ear(now_s, heard.talker, frame.burst, frame.seq, frame.flags, frame.opus))
        self.news.set()
        super().hear(heard)

    def tone(self, name: str) -> None:
        self.tones.append(name)
        super().tone(name)

    def talk(self, burst: int, say: Say) -> None:
        word = Word(burst, asyncio.get_running_loop().time(), [])
        self.words.append(word)

        def noted(opus: bytes, ts: int, last: bool) -> None:
            word.packets.append(opus)
            say(opus, ts, last)

        super().talk(burst, noted)
        self.news.set()


class Terminal:
    """Switched on when it is made; `off` switches it off."""

    def __init__(self, device: str, port: int, secret: str) -> None:
        self.device = device
        self.handset = NotedHandset()
        self.parts = Parts()
        self.log: list[dict[str, Any]] = []
        outbox = MemoryOutbox(f"boot-{device}")
        self.agent = TerminalAgent.restore(outbox.records, outbox.boot, rng=random.Random(device))
        credentials = Credentials(device, "terminal", [f"mqtt://127.0.0.1:{port}"], secret)
        self.task = asyncio.create_task(
            run_device(self.agent, credentials, self.parts, outbox, self._line, self.handset), name=device
        )

    def _line(self, fields: dict[str, Any]) -> None:
        self.log.append({**fields, "at_s": asyncio.get_running_loop().time()})
        self.handset.news.set()

    @property
    def radio(self) -> Radio:
        assert self.agent.radio is not None
        return self.agent.radio

    @property
    def talks(self) -> dict[str, str]:
        """Group → who talks there, as far as it knows."""
        if self.agent.radio is None:
            return {}
        return {group: talk.talker for group, talk in self.radio.hearing.talks.items()}

    @property
    def kid(self) -> int:
        """Under which it seals."""
        sealed = self.radio.keyring.seal(b"")
        assert sealed is not None
        return kid_of(sealed)

    async def off(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    # --- waiting

    async def until(self, what: Callable[[], Any], within_s: float = WITHIN_S) -> Any:
        """As soon as it is true; looked at whenever anything comes."""
        try:
            async with asyncio.timeout(within_s):
                while not (found := what()):
                    self.handset.news.clear()
                    await self.handset.news.wait()
                return found
        except TimeoutError:
            raise AssertionError(
                f"{self.device}: not within {within_s} s; its log: {self.log[-25:]}"
            ) from None

    def lines(self, name: str, **wanted: Any) -> list[dict[str, Any]]:
        """Of its log, those that are like this."""
        return [one for one in self.log if one["ev"] == name and wanted.items() <= one.items()]

    async def logged(
        self, name: str, count: int = 1, within_s: float = WITHIN_S, **wanted: Any
    ) -> dict[str, Any]:
        """The last of so many lines like this, as soon as there are so many."""
        found = await self.until(
            lambda: lines if len(lines := self.lines(name, **wanted)) >= count else [], within_s
        )
        return dict(found[count - 1])

    async def ready(self) -> None:
        """It has keys, and a carriage that answers."""
        await self.logged("voice-keys")
        while self.radio.carriage == "datagram" and self.radio.route.to is None:
            await asyncio.sleep(0.005)

    async def told(self, what: str) -> None:
        """Until a line for its person contains this."""
        await self.until(lambda: any(what in text for _, text in self.handset.lines))

    # --- the person

    async def key(self, event: ev.Event) -> None:
        await self.parts.ready.wait()
        assert self.parts.feed is not None
        self.parts.feed(event)

    async def press(self) -> None:
        await self.key(ev.PttPressed())

    async def let_go(self) -> None:
        await self.key(ev.PttPressed(down=False))

    async def granted(self, count: int = 1) -> int:
        """The burst that it may talk in, for the so-manieth time."""
        words = self.handset.words
        await self.until(lambda: len(words) >= count)
        return words[count - 1].burst

    async def say(self, sound: Sound, *, at_once: bool = False) -> int:
        """Press, speak at the tone (or `at_once`), let go: the burst."""
        before = len(self.handset.words)
        await self.press()
        if at_once:
            self.handset.mouth.say(sound)
        burst = await self.granted(before + 1)
        if not at_once:
            self.handset.mouth.say(sound)
        await self.handset.mouth.silent.wait()
        await self.let_go()
        return burst

    # --- what it heard

    def packets(self, burst: int) -> list[bytes]:
        """What it said itself; of numbers that came again, the last."""
        return next(word.packets for word in reversed(self.handset.words) if word.burst == burst)

    def frames(self, burst: int, since_s: float = 0.0) -> list[Ear]:
        return [one for one in self.handset.heard if one.burst == burst and one.at_s >= since_s]

    def doubles(self, since_s: float = 0.0) -> list[tuple[int, int]]:
        """Frames that went to the loudspeaker more than once."""
        counts = Counter((one.burst, one.seq) for one in self.handset.heard if one.at_s >= since_s)
        return [which for which, count in counts.items() if count > 1]

    def missing(self, burst: int) -> list[int]:
        """Numbers that never came, up to the highest that did."""
        came = {one.seq for one in self.frames(burst)}
        return sorted(set(range(max(came, default=-1) + 1)) - came)

    def access_ms(self, burst: int) -> int:
        """From the request to the grant of this burst."""
        granted = next(n for n, one in enumerate(self.log) if one["ev"] == "floor" and one["burst"] == burst)
        asked = next(
            one
            for one in reversed(self.log[:granted])
            if one["ev"] == "floor" and one["state"] == "pending-request"
        )
        return int(self.log[granted]["t_ms"] - asked["t_ms"])

    def caught_up(self, burst: int) -> list[int]:
        return [one.seq for one in self.frames(burst) if one.flags & CATCH_UP]

    async def heard_out(self, burst: int) -> None:
        """Until nobody talks any more and its loudspeaker has played the burst to its end."""
        await self.until(lambda: not self.talks and self._has_played(burst))

    def _has_played(self, burst: int) -> bool:
        """A hole of a second ends a burst too, and it goes on after it: what counts is what follows the last frame."""
        frames, ends = self.frames(burst), self.lines("burst-heard", burst=burst)
        return bool(frames and ends and ends[-1]["at_s"] >= frames[-1].at_s)
