"""A child process of test_pyaudio: plays two tones on one device, listens on another, prints what it heard as JSON.

In a process of its own, as PortAudio reads its surroundings once.
"""

import asyncio
import json
import sys
import time

import numpy as np

from devices.voice.pyaudio_sound import PyAudioMicrophone, PyAudioSpeaker, list_devices
from devices.voice.sound import SILENCE, samples_of
from tests.devices.voice.voices import frames_of, peak_hz, rms, tone

TONES_HZ = (440.0, 1_000.0)
LENGTH_S = 0.7


async def listen(microphone: PyAudioMicrophone, frames: list[bytes]) -> None:
    while True:
        frames.append(await microphone.read())


async def play(speaker: PyAudioSpeaker) -> dict[str, float]:
    written_ms: list[float] = []
    for tone_hz in TONES_HZ:
        for piece in frames_of(tone(tone_hz, LENGTH_S)):
            start_s = time.monotonic()
            await speaker.write(piece)
            written_ms.append((time.monotonic() - start_s) * 1000)
    start_s = time.monotonic()
    await speaker.drained()
    return {"longest_write_ms": max(written_ms), "drained_ms": (time.monotonic() - start_s) * 1000}


async def main(mic: str, mouth: str) -> None:
    heard: list[bytes] = []
    ticks = 0
    async with PyAudioMicrophone(mic) as microphone, PyAudioSpeaker(mouth) as speaker:
        for _ in range(5):  # a null sink that nobody used sleeps for up to 2 s
            await speaker.write(SILENCE)
        await speaker.drained()
        ear = asyncio.create_task(listen(microphone, heard))
        start_s = time.monotonic()
        playing = asyncio.create_task(play(speaker))
        while not playing.done():
            await asyncio.sleep(0.005)
            ticks += 1
        took_s = time.monotonic() - start_s
        await asyncio.sleep(0.3)
        ear.cancel()
        await asyncio.sleep(0.7)  # nobody reads the microphone for longer than its ring
    sound = samples_of(b"".join(heard))
    first = int(np.flatnonzero(np.abs(sound) > 1_000)[0]) if rms(sound) > 100 else 0
    report = {
        "devices": [device.name for device in list_devices()],
        "tones_hz": [peak_hz(sound[first + at : first + at + 8_000]) for at in (1_600, 12_800)],
        "rms": rms(sound[first + 1_600 : first + 20_800]),
        "took_s": took_s,
        "ticks": ticks,
        "frames": len(heard),
        "lead_ms": speaker.lead_ms,
        "overruns": microphone.counts["overrun"],
        "underruns": speaker.counts["underrun"],
        **playing.result(),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
