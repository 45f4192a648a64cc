"""A person is a pillar or a terminal in a shell: lines typed are keys, lines printed are voice, light and screen.

Needs no tty: it reads lines and prints lines, so a script can be the person. The end of the input leaves the
device running (as under systemd); `quit` switches it off, after the keys typed before it have done what they do.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TextIO

from devices.events import (
    Acknowledged,
    AnswerPressed,
    CancelPressed,
    DutyKey,
    EmergencyDown,
    EmergencyUp,
    Event,
    HardwareState,
    KeyDown,
    KeyUp,
    Play,
    Played,
    PttPressed,
    SelectGroup,
    TamperOpened,
)
from devices.hardware import Display, Feed, Key, Lamp, MediaPart, Sensors, Speaker, Vibrator
from devices.voice.radio import Radio
from protocols.types import Position
from protocols.voice import FRAME_MS

if TYPE_CHECKING:  # numpy and the codecs are for those who have sound
    from devices.voice.aloud import Aloud
    from devices.voice.handset import Handset

PRESS_S: Final = 0.15
HOLD_S: Final = 1.2
SPEECH_S_PER_CHAR: Final = 0.15
MAX_SPEECH_S: Final = 30.0
MAX_LINE_BYTES: Final = 4096
"""A longer line ends the reading of keys."""

Tell = Callable[[str, str], None]
"""Prints one line: what speaks ("voice", "lamp", "screen", "vibration", "link", "help"; of the radio "talks", "floor",
"group", "carriage", "level", "sound") and what.
"""

PILLAR_KEYS: Final[dict[str, tuple[str, tuple[tuple[float, Event], ...]]]] = {
    "press": ("press the alarm key (an empty line does too)", ((0, KeyDown()), (PRESS_S, KeyUp()))),
    "yes": (
        "press twice, yes to an open question",
        ((0, KeyDown()), (PRESS_S, KeyUp()), (2 * PRESS_S, KeyDown()), (3 * PRESS_S, KeyUp())),
    ),
    "hold": ("press the alarm key and hold it", ((0, KeyDown()),)),
    "release": ("let go of it", ((0, KeyUp()),)),
    "duress": ("press the hidden duress key", ((0, KeyDown("duress")), (PRESS_S, KeyUp("duress")))),
    "cancel": ("tell the desk that it is over", ((0, CancelPressed()),)),
    "tamper": ("open the housing", ((0, TamperOpened("housing")),)),
}
TERMINAL_KEYS: Final[dict[str, tuple[str, tuple[tuple[float, Event], ...]]]] = {
    "a": ("accept the call", ((0, AnswerPressed("accept")),)),
    "d": ("decline the call", ((0, AnswerPressed("decline")),)),
    "e": ("en route", ((0, AnswerPressed("en-route")),)),
    "s": ("on scene", ((0, AnswerPressed("on-scene")),)),
    "f": ("done (finished)", ((0, AnswerPressed("done")),)),
    "k": ("acknowledge the broadcast", ((0, Acknowledged()),)),
    "sos": ("hold the emergency key", ((0, EmergencyDown()), (HOLD_S, EmergencyUp()))),
    "on": ("clock in", ((0, DutyKey(on=True)),)),
    "off": ("clock out", ((0, DutyKey(on=False)),)),
    "ptt": ("push to talk for a moment", ((0, PttPressed()), (PRESS_S, PttPressed(down=False)))),
    "talk": ("press the talk key and hold it", ((0, PttPressed()),)),
    "over": ("let go of it", ((0, PttPressed(down=False)),)),
}
RADIO_LINES: Final = "group ID, groups, volume PCT, level, wait SECONDS"
MAX_WAIT_S: Final = 3_600.0
"""Of one `wait` line."""


class Quit(Exception):
    """The person typed `quit`."""


def print_line(what: str, text: str) -> None:
    marks = {"voice": "🔊", "lamp": "💡", "screen": "▌", "vibration": "〰", "link": "⇄", "help": "·"}
    marks |= {"talks": "📻", "floor": "🎙", "group": "☰", "carriage": "⇄", "level": "▂", "sound": "⚠"}
    for part in text.splitlines() or [""]:
        sys.stdout.write(f"{marks.get(what, what)} {part}\n")
    sys.stdout.flush()


class KeyboardHardware:
    """All parts of one device. `role` is pillar or terminal; `source` where the lines come from."""

    def __init__(
        self, role: str, tell: Tell = print_line, source: TextIO | None = None, *, language: str = "zh"
    ) -> None:
        self._tell = tell
        self._source = source or sys.stdin
        self._language = language
        self._table = PILLAR_KEYS if role == "pillar" else TERMINAL_KEYS
        self._state = HardwareState(battery_pct=100, signal_pct=100, volume_pct=80)
        self._playing: tuple[str, asyncio.TimerHandle] | None = None
        self._busy_until_s = 0.0
        self.media: MediaPart | None = None
        self._handset: Handset | None = None
        self._aloud: Aloud | None = None
        self._radio: Callable[[], Radio | None] = lambda: None

    def fit(self, sound: "Handset | MediaPart | None", radio: Callable[[], Radio | None]) -> "Handset | None":
        """A terminal's handset, which is given back, or a pillar's sound: to the control room and aloud."""
        if sound is None:
            return None
        from devices.voice.handset import Handset  # with sound only: it loads the whole room

        if isinstance(sound, Handset):
            self.attach(sound, radio)
            return sound
        self.media = sound
        self._aloud = getattr(sound, "aloud", None)
        return None

    def attach(self, handset: "Handset", radio: Callable[[], Radio | None]) -> None:
        """This terminal has real sound; `radio` tells what its lines ask."""
        self._handset, self._radio, self._aloud = handset, radio, handset.aloud
        self._set_loudness()

    def _set_loudness(self) -> None:
        """Of the radio; what the agent plays brings its own."""
        if self._handset is not None:
            self._handset.overlay.volume_pct = 0 if self._state.muted else self._state.volume_pct or 0

    @property
    def keys(self) -> Key:
        return self

    @property
    def speaker(self) -> Speaker:
        return self

    @property
    def lamp(self) -> Lamp:
        return self

    @property
    def display(self) -> Display:
        return self

    @property
    def vibrator(self) -> Vibrator:
        return self

    @property
    def sensors(self) -> Sensors:
        return self

    # ------------------------------------------------------------------------------------------- parts

    def play(self, play: Play, feed: Feed) -> None:
        tone = f"♪{play.tone} " if play.tone else ""
        clip_s = len(play.frames) * FRAME_MS / 1000
        if clip_s:
            tone = f"♫{clip_s:.1f} s "
        self._tell("voice", f"{tone}{play.text} ({play.volume_pct} %)")
        if self._aloud is not None and self._aloud.plays(play):
            self._aloud.play(play, feed)
            return
        length_s = clip_s or min(MAX_SPEECH_S, 0.3 + SPEECH_S_PER_CHAR * len(play.text))
        handle = asyncio.get_running_loop().call_later(length_s, feed, Played(play.item))
        self._playing = (play.item, handle)

    def stop(self, item: str) -> None:
        if self._aloud is not None:
            self._aloud.stop(item)
        if self._playing is not None and self._playing[0] == item:
            self._playing[1].cancel()
            self._tell("voice", "■")

    def light(self, lamp: str, pattern: str) -> None:
        self._tell("lamp", f"{lamp}: {pattern}")

    def show(self, text: str, text_en: str) -> None:
        self._tell("screen", text_en if self._language == "en" else text)

    def vibrate(self, for_ms: int) -> None:
        self._tell("vibration", f"{for_ms} ms")

    def read(self) -> HardwareState:
        return self._state

    # -------------------------------------------------------------------------------------------- keys

    async def run(self, feed: Feed) -> None:
        """Lines become keys until the end of the input, or `quit` (raises Quit)."""
        self._help()
        lines = await _lines(self._source)
        while line := await _next(lines):
            word, *rest = line.decode(errors="replace").lower().split() or [""]
            if word in ("quit", "exit"):
                await self._let_go()
                raise Quit
            if word == "wait":
                await asyncio.sleep(_seconds(rest))
            else:
                self._typed(word, rest, feed)

    async def _let_go(self) -> None:
        """Until the fingers are off the keys: HOLD_S at most."""
        await asyncio.sleep(self._busy_until_s - asyncio.get_running_loop().time())

    def _typed(self, word: str, rest: list[str], feed: Feed) -> None:
        word = word or ("press" if self._table is PILLAR_KEYS else "help")
        if word in self._table:
            self._strike(self._table[word][1], feed)
        elif word == "group" and len(rest) == 1:
            feed(SelectGroup(rest[0]))
        elif not self._set(word, rest) and not self._ask(word):
            if word != "help":
                said = " ".join([word, *rest])
                unknown = f"not understood: {said}" if self._language == "en" else f"看不懂:{said}"
                self._tell("help", unknown)
            self._help()
            return
        feed(self._state)

    def _ask(self, word: str) -> bool:
        """What a person asks of the radio; False if this is no such line."""
        match word:
            case "groups":
                self._show_groups()
            case "level" if self._handset is not None:
                self._handset.meter()
            case _:
                return False
        return True

    def _show_groups(self) -> None:
        radio = self._radio()
        for one in [] if radio is None else radio.groups.values():
            chosen = "▶" if radio is not None and one.group == radio.selected else " "
            self._tell("group", f"{chosen} {one.group} {one.name}" + ("" if one.talk else " (-)"))

    def _strike(self, edges: tuple[tuple[float, Event], ...], feed: Feed) -> None:
        """The first edge acts before the next line is read, the others when their time has come."""
        loop = asyncio.get_running_loop()
        for after_s, event in edges:
            if after_s:
                until_s = loop.time() + after_s
                loop.call_at(until_s, feed, event)
                self._busy_until_s = max(self._busy_until_s, until_s)
            else:
                feed(event)

    def _set(self, word: str, rest: list[str]) -> bool:
        """What the sensors say from now on; False if this is no such line."""
        old = self._state
        with suppress(ValueError):
            match word, rest:
                case "mute" | "unmute", []:
                    self._state = HardwareState(
                        old.position, old.battery_pct, old.signal_pct, old.volume_pct, word == "mute"
                    )
                    self._set_loudness()
                    return True
                case "volume", [volume] if 0 <= int(volume) <= 100:
                    self._state = replace(old, volume_pct=int(volume))
                    self._set_loudness()
                    return True
                case "position", [lat, lon]:
                    position = Position(float(lat), float(lon), 10.0)
                    self._state = HardwareState(
                        position, old.battery_pct, old.signal_pct, old.volume_pct, old.muted
                    )
                    return True
        return False

    def _help(self) -> None:
        for word, (what, _) in self._table.items():
            self._tell("help", f"{word:8} {what}")
        self._tell("help", "mute, unmute, position LAT LON, quit")
        if self._handset is not None:
            self._tell("help", RADIO_LINES)


def _seconds(rest: list[str]) -> float:
    """Of a `wait` line; 0 for anything that is no number of seconds."""
    try:
        return min(MAX_WAIT_S, max(0.0, float(rest[0])))
    except (IndexError, ValueError):
        return 0.0


async def _lines(source: TextIO) -> asyncio.StreamReader | TextIO:
    """A reader where the loop can watch the source; a plain file is read as it is."""
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    try:
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), source
        )
    except (ValueError, OSError):
        return source
    return reader


async def _next(lines: asyncio.StreamReader | TextIO) -> bytes:
    if isinstance(lines, asyncio.StreamReader):
        try:
            return await lines.readline()
        except ValueError:
            return b""
    await asyncio.sleep(0)
    return lines.readline(MAX_LINE_BYTES).encode()
