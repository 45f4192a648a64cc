"""The words of the demo: Mandarin, spoken by espeak as it starts, as WAV files in its folder and as Opus packets.

Where nothing can speak, a synthetic voice says la-la-la instead, and the run says so.
"""

import asyncio
from pathlib import Path
from typing import Final, NamedTuple

from devices.voice.say import Voice
from simulators.voice import encoded, la_la_la, write_wav

COMING: Final = "收到,正在赶往"
THERE: Final = "已到达现场"
ATTENTION: Final = "各组注意"
ALL_HANDS: Final = "保持通话畅通"
HELP: Final = "救命,有人抢东西"
TEXTS: Final = {
    "coming": COMING, "there": THERE, "attention": ATTENTION, "all-hands": ALL_HANDS, "pillar": HELP,
}  # fmt: skip
"""Name of the file → what is said."""
BEFORE_S: Final = 0.4
"""Of silence at the head of the pillar's word: its line is made while the citizen draws breath."""
RATE_BYTES: Final = 32_000
"""A second of PCM."""


class Spoken(NamedTuple):
    """One word: its file, and the same as packets of 20 ms."""

    path: Path
    packets: list[bytes]


class Words(NamedTuple):
    """By name; `spoken` is False when nothing here can speak."""

    words: dict[str, Spoken]
    spoken: bool


async def make(folder: Path) -> Words:
    """Every word of TEXTS as `folder`/NAME.wav."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    voice, made, spoken = Voice(), dict[str, Spoken](), True
    for name, text in TEXTS.items():
        pcm = await voice.speak(text, "zh")
        spoken = spoken and pcm is not None
        made[name] = await asyncio.to_thread(_write, folder / f"{name}.wav", pcm or la_la_la())
    return Words(made, spoken)


def _write(path: Path, pcm: bytes) -> Spoken:
    if path.stem == "pillar":
        pcm = bytes(round(BEFORE_S * RATE_BYTES)) + pcm
    write_wav(path, pcm)
    return Spoken(path, encoded(pcm))
