"""A real browser at the desk: what its microphone says arrives, and what it hears is what was said, judged by FFT.

Chromium with a microphone that is a WAV file; the page's signalling goes over the real voice WebSocket.
"""

import asyncio
import math
import shutil
import struct
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Page, Route, async_playwright

from dispatchd.core.effects import SetFloor
from dispatchd.core.inputs import VoiceJoined
from protocols.opus import Decoder
from protocols.voice import RATE_HZ, Frame

from .control_room import Room, control_room, until
from .peer import tone_packets

MICROPHONE_HZ = 660
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required", "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
]  # fmt: skip
PAGE = """<!doctype html><title>desk</title><script>
const ears = [];
let pc;
async function connect(slots) {
  const sound = {echoCancellation: false, noiseSuppression: false, autoGainControl: false};
  const stream = await navigator.mediaDevices.getUserMedia({audio: sound});
  pc = new RTCPeerConnection({bundlePolicy: 'max-bundle'});
  const context = new AudioContext();
  pc.ontrack = (event) => {
    const stream = new MediaStream([event.track]);
    const element = new Audio();
    element.srcObject = stream; element.muted = true; element.play();
    const analyser = context.createAnalyser();
    analyser.fftSize = 8192; analyser.smoothingTimeConstant = 0;
    context.createMediaStreamSource(stream).connect(analyser);
    ears[pc.getTransceivers().indexOf(event.transceiver)] = analyser;
  };
  pc.addTransceiver(stream.getAudioTracks()[0], {direction: 'sendrecv'});
  for (let n = 1; n < slots; n++) pc.addTransceiver('audio', {direction: 'recvonly'});
  await pc.setLocalDescription();
  await pc.setRemoteDescription({type: 'answer', sdp: await window.offer(pc.localDescription.sdp)});
  while (pc.connectionState !== 'connected') await new Promise((done) => setTimeout(done, 20));
  await context.resume();
}
function loudest(slot) {
  const bins = new Float32Array(ears[slot].frequencyBinCount);
  ears[slot].getFloatFrequencyData(bins);
  let best = 0;
  bins.forEach((level, n) => { if (level > bins[best]) best = n; });
  return {hz: best * ears[slot].context.sampleRate / ears[slot].fftSize, db: bins[best]};
}
</script>"""


def write_tone(path: Path) -> Path:
    """Ten seconds, 48 kHz; Chromium plays it over and over."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        samples = (int(12_000 * math.sin(2 * math.pi * MICROPHONE_HZ * n / 48_000)) for n in range(480_000))
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return path


@asynccontextmanager
async def browser(microphone: Path) -> AsyncIterator[Page]:
    flags = [*FLAGS, f"--use-file-for-fake-audio-capture={microphone}"]
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        try:
            page = await running.new_page()

            async def desk(route: Route) -> None:
                await route.fulfill(body=PAGE, content_type="text/html")

            await page.route("**/*", desk)
            await page.goto("http://localhost/")
            yield page
        finally:
            await running.close()


async def says(room: Room, device: str, burst: int, hz: int, seconds: float) -> None:
    """A radio's word in real time."""
    for seq, opus in enumerate(tone_packets(int(seconds * 50), hz)):
        room.relay.said(device, Frame(burst, seq, seq * 960, opus), room.engine.clock.now_ms())
        await asyncio.sleep(0.02)


async def hears(page: Page, slot: int, hz: int) -> dict[str, Any]:
    """What is loudest in the page, once it is this tone."""
    async with asyncio.timeout(8):
        while True:
            found: dict[str, Any] = await page.evaluate("slot => loudest(slot)", slot)
            if abs(found["hz"] - hz) < 15 and found["db"] > -50:
                return found
            await asyncio.sleep(0.05)


def loudest_hz(packets: list[bytes]) -> float:
    decoder = Decoder()
    sound = np.frombuffer(b"".join(decoder.decode(opus) for opus in packets), dtype="<i2").astype(float)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum)) * RATE_HZ / len(sound)


@pytest.mark.full
@pytest.mark.chromium
async def test_a_browser_talks_and_hears(tmp_path: Path) -> None:
    microphone = write_tone(tmp_path / "microphone.wav")
    async with control_room() as room, room.screen("north") as screen, browser(microphone) as page:
        await room.online("t-n")
        await room.engine.tell(VoiceJoined("t-n", "datagram"))
        await screen.say("hear", slots=["north-a", "", "north"])

        async def offer(sdp: str) -> str:
            await screen.say("offer", sdp=sdp)
            return str((await screen.told("answer"))["sdp"])

        await page.expose_function("offer", offer)
        await page.evaluate("connect(3)")
        session = room.sessions.of("@north")[0]
        await until(lambda: session.connected)

        room.relay.set_floor(SetFloor("north", 90, "t-v", ("north",)), room.engine.clock.now_ms())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(says(room, "t-v", 90, 880, 3))
            await hears(page, 2, 880)
            silence = await page.evaluate("loudest(0)")
            assert silence["db"] < -80, "the other slots are silent"

        await screen.say("floor-request", group="north-a", ref=1)
        await screen.told("floor-granted")
        await until(lambda: len(room.recorder.opus("north-a")) >= 100)
        said = room.recorder.opus("north-a")
        assert abs(loudest_hz(said[25:100]) - MICROPHONE_HZ) < 15
        assert sum(map(len, said)) / len(said) * 50 * 8 < 32_000, (
            "at most about 24 kbit/s, as the answer asks"
        )
        assert not any(reason.startswith("ended") for reason in room.sessions.counts)


@pytest.mark.full
@pytest.mark.chromium
async def test_what_a_browser_says_reaches_a_pillar_bit_for_bit(tmp_path: Path) -> None:
    microphone = write_tone(tmp_path / "microphone.wav")
    async with control_room() as room, room.screen("north") as screen, browser(microphone) as page:
        pillar = await room.pillar("pil-n")
        await room.online("pil-n")
        incident = await room.press("pil-n")
        await room.accept("north", incident)

        async def offer(sdp: str) -> str:
            await screen.say("offer", sdp=sdp)
            return str((await screen.told("answer"))["sdp"])

        await page.expose_function("offer", offer)
        await page.evaluate("connect(2)")
        await screen.told("intercom", open=True, slot=1)
        pillar.say(*tone_packets(150, 990))
        await hears(page, 1, 990)
        await screen.say("talk-back", incident=incident, on=True)
        heard = [packet.payload for packet in await pillar.hears(60)]
        assert heard == room.recorder.opus("@back/pil-n")[:60]
        assert abs(loudest_hz(heard[10:]) - MICROPHONE_HZ) < 15
