"""The command line as a screen with voice: the voice WebSocket and a WebRTC peer, by aiortc. docs/voice-api.md.

What must hold: whatever ends it (an error, Ctrl-C, the daemon) lets the floor go and closes the session; sound goes out
and comes in with the bytes it has, so nothing is coded twice.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from fractions import Fraction
from typing import Any, Final

import av
import msgspec
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.rtp import RtpPacket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from dispatchd.voice.rtp import tap
from protocols.voice import CLOCK_HZ, FRAME_MS

from .client import CLOSE_S, PING_S, Client
from .errors import NOT_ALLOWED, REFUSED, UNREACHABLE, CliError
from .zh import refusal

FRAME_TS: Final = CLOCK_HZ * FRAME_MS // 1000
CONNECT_S: Final = 10.0
"""From the offer to sound; then it is given up with a sentence."""
AGAIN_S: Final = 0.05
"""Between two requests while the daemon's end of the handshake is not done."""
MAX_WAITING: Final = 1000
"""Messages of the daemon that nobody has taken; the oldest go: who talks now is what counts."""

Message = dict[str, Any]
Packet = Callable[[int, int, int, bytes], None]
"""Slot, RTP sequence number, timestamp, Opus packet."""


class Microphone(MediaStreamTrack):
    """Sends packets as they are pushed, unchanged; silent until then."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.pushed = 0
        self._packets: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()

    def push(self, ts: int, opus: bytes) -> None:
        self.pushed += 1
        self._packets.put_nowait((ts, opus))

    async def recv(self) -> Any:
        ts, opus = await self._packets.get()
        packet = av.Packet(opus)
        packet.pts, packet.time_base = ts, Fraction(1, CLOCK_HZ)
        return packet


class VoiceSession:
    """`session()` makes one. Messages that concern nobody's wait go to `next`."""

    def __init__(self, socket: ClientConnection, lang: str) -> None:
        self.microphone = Microphone()
        self._socket = socket
        self._lang = lang
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._connected = asyncio.Event()
        self._again: Message | None = None
        self._inbox: asyncio.Queue[Message | Exception] = asyncio.Queue(MAX_WAITING)

    async def say(self, type_: str, **fields: Any) -> None:
        await self._socket.send(msgspec.json.encode({"type": type_, **fields}).decode())

    async def next(self) -> Message:
        """The next message; CliError for an error of the daemon, ConnectionClosed when it has gone."""
        found = await self._inbox.get()
        if isinstance(found, Exception):
            raise found
        if found["type"] != "error":
            return found
        if found["code"] == "no-session" and self._again is not None:
            await asyncio.sleep(AGAIN_S)
            await self.say("floor-request", **self._again)
            return found
        raise self.error(found["code"], found["why"])

    async def ask_floor(self, group: str, ref: int, priority: str) -> None:
        """Said again while the daemon does not know yet that the sound stands: its end of the handshake is later."""
        self._again = {"group": group, "ref": ref, "priority": priority}
        asyncio.get_running_loop().call_later(CONNECT_S, self._once)
        await self.say("floor-request", **self._again)

    def _once(self) -> None:
        self._again = None

    def error(self, code: str, why: str) -> CliError:
        said = refusal(code, why) if self._lang == "zh" else why
        return CliError(f"{said} [{code}]", NOT_ALLOWED if code == "role" else REFUSED)

    async def open(self, channels: list[str], heard: Packet) -> None:
        """Sound stands, and each channel is heard in the slot of its place. CliError."""
        await self.say("hear", slots=channels)
        for slot in range(max(1, len(channels))):
            made = self._pc.addTransceiver(
                "audio" if slot else self.microphone, direction="recvonly" if slot else "sendrecv"
            )
            tap(made.receiver, _into(slot, heard))
        self._pc.on("connectionstatechange", self._changed)
        await self._pc.setLocalDescription(await self._pc.createOffer())
        await self.say("offer", sdp=self._pc.localDescription.sdp)
        try:
            async with asyncio.timeout(CONNECT_S):
                answer = await self.told("answer")
                await self._pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
                await self._connected.wait()
        except TimeoutError:
            zh, en = (
                f"{CONNECT_S:g} 秒内没有接通声音:检查到守护进程的 UDP(voice.webrtc_ports)",
                f"No sound within {CONNECT_S:g} s: check that UDP (voice.webrtc_ports) reaches the daemon",
            )
            raise CliError(zh if self._lang == "zh" else en, UNREACHABLE) from None

    async def told(self, type_: str) -> Message:
        """The next of this type; others before it are read over."""
        while (message := await self.next())["type"] != type_:
            pass
        return message

    def _changed(self) -> None:
        if self._pc.connectionState == "connected":
            self._connected.set()
        elif self._pc.connectionState in {"failed", "closed"} and self._connected.is_set():
            zh, en = "声音的连接断了", "The connection of the sound is lost"
            self._put(CliError(zh if self._lang == "zh" else en, UNREACHABLE))

    def _put(self, what: Message | Exception) -> None:
        if self._inbox.full():
            self._inbox.get_nowait()
        self._inbox.put_nowait(what)

    async def read(self) -> None:
        """Until the daemon has gone, which `next` then tells."""
        try:
            async for text in self._socket:
                self._put(msgspec.json.decode(text))
            protocol = self._socket.protocol
            self._put(ConnectionClosed(protocol.close_rcvd, protocol.close_sent))
        except (ConnectionClosed, OSError) as error:
            self._put(error)

    async def close(self) -> None:
        with suppress(ConnectionClosed, OSError):
            await self.say("bye")
        self.microphone.stop()
        await self._pc.close()


def _into(slot: int, heard: Packet) -> Callable[[RtpPacket], None]:
    def packet(found: RtpPacket) -> None:
        if found.payload:
            heard(slot, found.sequence_number, found.timestamp, found.payload)

    return packet


@asynccontextmanager
async def session(client: Client, lang: str) -> AsyncIterator[VoiceSession]:
    """A signed-in voice socket; CliError for whatever ends it."""
    url, headers = client.socket("/voice")
    try:
        async with connect(
            url,
            additional_headers=headers,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            close_timeout=CLOSE_S,
            proxy=None,
        ) as socket:
            made = VoiceSession(socket, lang)
            reader = asyncio.create_task(made.read(), name="voice-read")
            try:
                yield made
            finally:
                await made.close()
                reader.cancel()
                with suppress(asyncio.CancelledError):
                    await reader
    except (InvalidStatus, ConnectionClosed, OSError, WebSocketException) as error:
        raise client.explained(error) from None
