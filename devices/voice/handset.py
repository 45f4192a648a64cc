"""A terminal's real sound: microphone and loudspeaker, made a VoiceHardware and the agent's Speaker.

A live microphone stays open, so that the first syllable is there; a file is opened anew at each press and said from
its beginning, and its end is the end of the burst. What must hold: the loop never waits for sound hardware, a
microphone or loudspeaker that fails is told and tried again every RETRY_S, and the radio goes on without it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from devices.events import BurstHeard, HowlHeard
from devices.hardware import Feed, Say
from devices.voice import words
from devices.voice.aloud import Aloud, Speak
from devices.voice.capture import Capture, talk
from devices.voice.duck import Duck
from devices.voice.files import WavMicrophone
from devices.voice.howl import HowlGuard
from devices.voice.overlay import Overlay, signal
from devices.voice.pace import Pace
from devices.voice.playout import VoicePlayer
from devices.voice.radio_events import Heard
from devices.voice.scanner import Scanner
from devices.voice.sound import Microphone, SoundEnded, SoundFailed, Speaker
from protocols.voice import LAST, Frame

RETRY_S: Final = 5.0
METER_S: Final = 0.5
METER_TIMES: Final = 10
"""A level meter is shown so often when asked, METER_S apart."""
MAX_ENDING: Final = 64
"""Bursts whose group is remembered until they were heard, the oldest go."""

BREAK_IN_MS: Final = 100
"""What is left in the loudspeaker of a word that was cut off, of which the microphone hears the end."""

Tell = Callable[[str, str], None]


class Handset:
    """`tell(what, text)` prints a line. `speak` is used for what the agent plays without a sound of its own."""

    def __init__(
        self,
        microphone: Microphone,
        speaker: Speaker,
        tell: Tell,
        *,
        language: str = "zh",
        speak: Speak | None = None,
    ) -> None:
        self._microphone = microphone
        self._speaker = speaker
        self._tell = tell
        self._language = language
        self._feed: Feed | None = None
        self._say: Say | None = None
        self._capture = Capture()
        self._pressed = asyncio.Event()
        self._meter = asyncio.Event()
        self._duck = Duck()
        self._guard = HowlGuard()
        self.overlay = Overlay()
        self.scanner = Scanner()
        self._player = VoicePlayer(
            speaker, presented=self._presented, played=self._played, playout=self.overlay
        )
        self.aloud = Aloud(self.overlay, self._player.wake, speak)
        self._groups: dict[int, str] = {}

    # ------------------------------------------------------------------------------------------- running

    async def run(self, feed: Feed) -> None:
        self._feed = feed
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._kept_up("microphone", self._capturing), name="microphone")
            tasks.create_task(self._kept_up("speaker", self._playing_out), name="speaker")
            tasks.create_task(self.aloud.run(), name="speech")
            tasks.create_task(self._show_levels(), name="level")

    async def _kept_up(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except SoundFailed as error:
                self._tell("sound", f"{what}: {error}")
            await asyncio.sleep(RETRY_S)

    async def _playing_out(self) -> None:
        async with self._speaker:
            await self._player.run()

    async def _capturing(self) -> None:
        if not isinstance(self._microphone, WavMicrophone):
            async with self._microphone:
                await talk(self._microphone, self._capture, self._sent, cleaned=self._cleaned)
            return
        while True:
            await self._pressed.wait()
            self._pressed.clear()
            async with self._microphone:
                await self._one_press()

    async def _one_press(self) -> None:
        """A file, until it is over or the key is up."""
        capture = self._capture
        try:
            while not capture.idle:
                for frame in capture.push(await self._microphone.read()):
                    self._sent(frame)
        except SoundEnded:
            capture.release()
        pace = Pace()
        while not capture.idle:
            for frame in capture.tick():
                self._sent(frame)
            await pace.tick()

    def _cleaned(self, pcm: bytes) -> bytes:
        """Without our own loudspeaker in it. Listened to all the time, or the first word would seem to grow."""
        clean, howl = self._guard.push(self._duck.hear(pcm))
        if howl is not None and not self._capture.idle:
            muted = words.howling(howl.mute_ms)
            self.tell("sound", muted.zh, muted.en)
            if self._feed is not None:
                self._feed(HowlHeard(howl.mute_ms))
        return clean

    def _sent(self, frame: Frame) -> None:
        if self._say is not None:
            self._say(frame.opus, frame.ts, bool(frame.flags & LAST))

    # ------------------------------------------------------------------------------------------- the radio

    def listen(self) -> None:
        self._capture.press()
        self._pressed.set()

    def talk(self, burst: int, say: Say) -> None:
        self._say = say
        self._break_in()
        self._capture.grant(burst)

    def _break_in(self) -> None:
        """An emergency cuts another's word off: the rest of it is not played, and closes no microphone."""
        broken = self.overlay.jitter.unfinished
        if broken is not None:
            self.overlay.jitter.flush(broken)
            self._duck.open(BREAK_IN_MS)

    def finish(self) -> None:
        self._capture.release()

    def stop(self) -> None:
        self._capture.stop()

    def hear(self, heard: Heard) -> None:
        """Of several groups one is played; what it interrupts is dropped."""
        frame, now_ms = heard.frame, self._player.now_ms()
        self.scanner.priorities[heard.group] = heard.scan
        before = self.scanner.playing
        wins = self.scanner.heard(heard.group, frame.burst, now_ms, emergency=heard.priority == "emergency")
        if before is not None and before != self.scanner.playing:
            self.overlay.jitter.flush(before[1])
        if wins:
            self.overlay.note(heard)
            self._groups[frame.burst] = heard.group
            if len(self._groups) > MAX_ENDING:
                del self._groups[next(iter(self._groups))]
            self._player.hear(frame)
        if frame.flags & LAST:
            self.scanner.ended(heard.group, frame.burst, now_ms)

    def over(self, group: str, burst: int) -> None:
        self.scanner.ended(group, burst, self._player.now_ms())
        self.overlay.jitter.close(burst)
        self._player.wake()

    def catching_up(self, burst: int) -> None:
        self.overlay.jitter.await_catch_up(burst, self._player.now_ms())
        self._player.wake()

    def tone(self, name: str) -> None:
        self._lay(signal(name), self.overlay.volume_pct, 0, brief=True)

    def tell(self, what: str, text: str, text_en: str) -> None:
        self._tell(what, text_en if self._language == "en" else text)

    def meter(self) -> None:
        """Show the microphone's level for a while."""
        self._meter.set()

    async def _show_levels(self) -> None:
        while True:
            await self._meter.wait()
            self._meter.clear()
            for _ in range(METER_TIMES):
                level = self._capture.level_dbfs
                self._tell("level", f"{level:6.1f} dBFS {'█' * max(0, round((level + 60) / 3))}")
                await asyncio.sleep(METER_S)

    def _played(self, _pcm: bytes) -> None:
        """The radio's own signals close no microphone: at "granted" somebody speaks his first syllable."""
        self._duck.played(self.overlay.echo)

    def _lay(self, pcm: bytes, volume_pct: int, rank: int, *, brief: bool = False) -> int | None:
        number = self.overlay.lay(pcm, volume_pct, rank, brief=brief)
        self._player.wake()
        return number

    def _presented(self, number: int) -> None:
        """A burst, or a sound laid over (negative), has been heard to its end."""
        if self._feed is None:
            return
        if number >= 0:
            self._feed(BurstHeard(self._groups.pop(number, ""), number))
        else:
            self.aloud.presented(number)
