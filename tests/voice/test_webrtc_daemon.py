"""A whole daemon, a whole pillar and a screen at the desk: heard, answered, and heard again after kill -9."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect

from devices import events as ev
from devices.credentials import Credentials
from devices.outbox import MemoryOutbox
from devices.pillar import PillarAgent
from devices.shell import run_device
from protocols.opus import Decoder
from protocols.voice import RATE_HZ
from tests.e2e.process import Daemon, daemon, until

from .peer import Peer, tone_packets
from .test_webrtc_device import PartsWithSound

SITE: dict[str, Any] = {
    "name": "intercom test",
    "unit": [{"id": "top"}],
    "device": [{"id": "pil-1", "kind": "pillar", "unit": "top", "profile": "C"}],
}


@contextlib.asynccontextmanager
async def pillar(at: Daemon) -> AsyncIterator[PartsWithSound]:
    parts, outbox = PartsWithSound(), MemoryOutbox("boot-1")
    agent = PillarAgent.restore(outbox.records, outbox.boot, rng=random.Random(7))
    credentials = Credentials("pil-1", "pillar", [f"mqtt://127.0.0.1:{at.port}"], at.secrets["pil-1"])
    task = asyncio.create_task(run_device(agent, credentials, parts, outbox, lambda _: None), name="pillar")
    try:
        await parts.ready.wait()
        yield parts
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def told(socket: ClientConnection, kind: str, **fields: Any) -> dict[str, Any]:
    async with asyncio.timeout(15):
        while True:
            message: dict[str, Any] = json.loads(await socket.recv())
            if message["type"] == kind and fields.items() <= message.items():
                return message


@contextlib.asynccontextmanager
async def desk(at: Daemon) -> AsyncIterator[tuple[ClientConnection, Peer]]:
    """The admin's screen, its sound connected."""
    url = at.ready["http"].replace("http", "ws") + "/api/v1/voice"
    headers = {"Authorization": f"Bearer {at.admin_token()}"}
    async with connect(url, additional_headers=headers, proxy=None) as socket:
        peer = Peer(1)

        async def offer(sdp: str) -> str:
            await socket.send(json.dumps({"type": "offer", "sdp": sdp}))
            return str((await told(socket, "answer"))["sdp"])

        try:
            await peer.connect(offer)
            yield socket, peer
        finally:
            await peer.pc.close()


def loudest_hz(pcm: bytes) -> float:
    sound = np.frombuffer(pcm, dtype="<i2").astype(float)
    return float(np.argmax(np.abs(np.fft.rfft(sound * np.hanning(len(sound)))))) * RATE_HZ / len(sound)


async def hears_the_street(peer: Peer) -> None:
    decoder = Decoder()
    packets = await peer.hears(60, within_s=15)
    pcm = b"".join(decoder.decode(packet.payload) for packet in packets)
    assert abs(loudest_hz(pcm[len(pcm) // 2 :]) - 440) < 15


@pytest.mark.full
async def test_the_citizen_is_heard_and_answered_also_after_kill_9(tmp_path: Path) -> None:
    async with daemon(tmp_path, "amqtt", SITE) as at, pillar(at) as parts:
        assert parts.feed is not None
        await until(lambda: at.get("/fleet"))
        parts.feed(ev.KeyDown())
        parts.feed(ev.KeyUp())
        (found,) = await until(lambda: incidents(at))
        await at.command("accept", incident=found["id"])
        async with desk(at) as (socket, peer):
            assert (await told(socket, "intercom", pillar="pil-1"))["slot"] == 0
            await hears_the_street(peer)
            await socket.send(json.dumps({"type": "talk-back", "incident": found["id"], "on": True}))
            await told(socket, "intercom", back="admin")
            peer.say(*tone_packets(100, 880))
            await until(lambda: len(parts.ear.pcm) > RATE_HZ * 2)
            assert abs(loudest_hz(parts.ear.pcm[RATE_HZ // 2 :]) - 880) < 15
            await at.kill()
        await at.start()
        async with desk(at) as (_, peer):
            await hears_the_street(peer)


async def incidents(at: Daemon) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await at.get("/incidents"))["items"]
    return found
