"""A pillar's sound: its microphone to the daemon while it should be open, and aloud what the daemon sends and it says.

What must hold: a lost link comes back by itself for as long as it should be open, with a new session each time; what
was said while it was away is not sent late, but for the last PRE_ROLL_MS; while `quiet` nothing is heard at the pillar;
a microphone or loudspeaker that fails costs its sound and is tried again, never the device.
"""

import asyncio
import itertools
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from devices.events import MediaSounds
from devices.hardware import Feed, SendUp
from devices.voice.aloud import Aloud, Speak
from devices.voice.capture import Capture
from devices.voice.overlay import Overlay
from devices.voice.peer import Packet, Peer
from devices.voice.playout import VoicePlayer
from devices.voice.sound import Microphone, SoundEnded, SoundFailed, Speaker
from protocols import down, up
from protocols.voice import Frame

SLOTS: Final = 2
"""Tracks down: who talks back, and the incident's talk group."""
BACKOFF_FIRST_S: Final = 0.25
BACKOFF_MAX_S: Final = 5.0
"""Between attempts: doubles from the first to the last of these; the first again once a session stood."""
ANSWER_WITHIN_S: Final = 2.0
CONNECT_WITHIN_S: Final = 3.0
"""An attempt that takes longer has failed."""
PRE_ROLL_MS: Final = 800
"""Of what was said while the link was being made; sent first, at twice real time."""
QUIET_AFTER_S: Final = 0.3
"""Its loudspeaker counts as silent so long after the last sound was given to it."""
CLOSE_WITHIN_S: Final = 1.0
NEW_BURST: Final = 1500
"""A packet numbered farther than this (30 s) from the newest begins a burst."""

MASKED_S: Final = 0.5
"""The talk group is not played so long after the last packet of who talks back."""

LogLine = Callable[[dict[str, Any]], None]


class _Closed(Exception):
    """It should not be open any more."""


class PillarMedia:
    """The part `media` of a pillar's hardware. `set` and `answer` return at once; `run` runs until the device stops."""

    def __init__(
        self,
        microphone: Microphone,
        speaker: Speaker,
        log: LogLine = lambda _: None,
        speak: Speak | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        """sessions, connected, lost, refused, unanswered; frames sent, unsent, heard, quiet, masked."""
        self._microphone = microphone
        self._speaker = speaker
        self._log = log
        self._open = asyncio.Event()
        self._shut = asyncio.Event()
        self._quiet = False
        self._answer: asyncio.Future[down.WebrtcAnswer] | None = None
        self._session = ""
        self._peer: Peer | None = None
        self._capture = Capture(pre_roll_ms=PRE_ROLL_MS)
        self._overlay = Overlay()
        self._player = VoicePlayer(
            speaker, presented=self._presented, played=self._played, playout=self._overlay
        )
        self.aloud = Aloud(self._overlay, self._player.wake, speak)
        numbers = itertools.count(1)
        self._bursts = [_Burst(numbers) for _ in range(SLOTS)]
        self._back_s = -MASKED_S
        self._played_s = 0.0
        self._sounds = asyncio.Event()

    # --- what the agent wants -----------------------------------------------------------------------------------

    def set(self, *, open: bool, quiet: bool) -> None:  # noqa: A002 -- as the action has it
        """Open or closed from now on; `quiet`: what comes is not played."""
        self._quiet = quiet
        if open:
            self._shut.clear()
            self._open.set()
        else:
            self._open.clear()
            self._shut.set()

    def answer(self, message: down.WebrtcAnswer) -> None:
        """What the daemon says to an offer; one that is not waited for any more is dropped."""
        if self._answer is not None and message.session == self._session and not self._answer.done():
            self._answer.set_result(message)

    # --- running ------------------------------------------------------------------------------------------------

    async def run(self, feed: Feed, send: SendUp) -> None:
        """`feed` is told when its loudspeaker sounds; `send` takes what is to be said up, and may lose it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._kept_up(self._loudspeaker), name="media speaker")
            tasks.create_task(self._kept_up(lambda: self._when_open(send)), name="media microphone")
            tasks.create_task(self._tell_sounding(feed), name="media sounding")
            tasks.create_task(self.aloud.run(), name="media aloud")

    async def _kept_up(self, work: Callable[[], Awaitable[None]]) -> None:
        """Again and again; sound that fails is tried again, at growing distances while it fails at once."""
        pause_s, loop = BACKOFF_FIRST_S, asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            try:
                await work()
            except SoundFailed as error:
                self._log({"ev": "media-failed", "why": str(error)})
                pause_s = BACKOFF_FIRST_S if loop.time() - began_s > BACKOFF_MAX_S else pause_s
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, BACKOFF_MAX_S)

    async def _loudspeaker(self) -> None:
        async with self._speaker:
            await self._player.run()

    async def _when_open(self, send: SendUp) -> None:
        await self._open.wait()
        async with self._microphone:
            await self._while_open(send)

    async def _while_open(self, send: SendUp) -> None:
        self._capture = Capture(pre_roll_ms=PRE_ROLL_MS)
        self._capture.press()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(), name="media listening")
                tasks.create_task(self._keep_session(send), name="media session")
                tasks.create_task(self._until_shut(), name="media shut")
        except* _Closed:
            pass
        except* SoundFailed as errors:
            raise SoundFailed(str(errors.exceptions[0])) from None

    async def _until_shut(self) -> None:
        await self._shut.wait()
        raise _Closed

    async def _listen(self) -> None:
        """The microphone, 20 ms at a time; a file that has ended is silence from there on."""
        while True:
            try:
                pcm = await self._microphone.read()
            except SoundEnded:
                return
            for frame in self._capture.push(pcm):
                sent = self._peer is not None and self._peer.send(frame.seq, frame.ts, frame.opus)
                self.counts["sent" if sent else "unsent"] += 1

    # --- the session --------------------------------------------------------------------------------------------

    async def _keep_session(self, send: SendUp) -> None:
        """One after the other."""
        pause_s = BACKOFF_FIRST_S
        while True:
            stood = await self._one_session(send)
            pause_s = BACKOFF_FIRST_S if stood else min(2 * pause_s, BACKOFF_MAX_S)
            await asyncio.sleep(pause_s)

    async def _one_session(self, send: SendUp) -> bool:
        """Whether it stood for a while."""
        self.counts["sessions"] += 1
        self._session = f"m-{secrets.token_hex(8)}"
        peer = Peer(SLOTS, self._heard)
        try:
            why = await self._connect(peer, send)
            if why:
                self._log({"ev": "media", "state": "no session", "why": why})
                return False
            self._log({"ev": "media", "state": "connected", "session": self._session})
            self._talk(peer)
            await peer.ended.wait()
            self.counts["lost"] += 1
            self._log({"ev": "media", "state": "lost", "session": self._session})
            return True
        finally:
            self._talk(None)
            send(up.WebrtcBye(self._session))
            await _bounded(peer.close())

    async def _connect(self, peer: Peer, send: SendUp) -> str:
        """ "" when it stands, else why not."""
        self._answer = asyncio.get_running_loop().create_future()
        send(up.WebrtcOffer(self._session, await peer.offer()))
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                answer = await self._answer
        except TimeoutError:
            self.counts["unanswered"] += 1
            return f"no answer within {ANSWER_WITHIN_S:g} s"
        if answer.error or not answer.sdp:
            self.counts["refused"] += 1
            return answer.error or "an empty answer"
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                await peer.take(answer.sdp)
                await _first(peer.connected.wait(), peer.ended.wait())
        except (TimeoutError, ValueError) as error:
            return str(error) or f"no connection within {CONNECT_WITHIN_S:g} s"
        if peer.ended.is_set():
            return "the handshake failed"
        self.counts["connected"] += 1
        return ""

    def _talk(self, peer: Peer | None) -> None:
        """From now on what the microphone hears goes there; without a peer its last moments are kept."""
        self._peer = peer
        if peer is None:
            self._capture.press()
        else:
            self._capture.grant(0)

    # --- what is heard ------------------------------------------------------------------------------------------

    def _heard(self, packet: Packet) -> None:
        """The one who talks back is heard before the talk group: both at once nobody would understand."""
        self.counts["heard"] += 1
        now_s = asyncio.get_running_loop().time()
        if packet.slot == 0:
            self._back_s = now_s
        masked = packet.slot > 0 and now_s - self._back_s < MASKED_S
        if self._quiet or masked:
            self.counts["quiet" if self._quiet else "masked"] += 1
        else:
            self._player.hear(self._bursts[packet.slot].frame(packet))

    def _presented(self, number: int) -> None:
        if number < 0:
            self.aloud.presented(number)

    def _played(self, pcm: bytes) -> None:
        self._played_s = asyncio.get_running_loop().time()
        self._sounds.set()

    async def _tell_sounding(self, feed: Feed) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._sounds.wait()
            feed(MediaSounds(on=True))
            while True:
                left_s = self._played_s + QUIET_AFTER_S - loop.time()
                if left_s <= 0:
                    break
                await asyncio.sleep(left_s)
            self._sounds.clear()
            feed(MediaSounds(on=False))


class _Burst:
    """RTP of one track as frames of bursts, each counted from 0; `numbers` gives every burst of the device its own."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self._numbers = numbers
        self._burst = 0
        self._seq = self._ts = self._newest = 0

    def frame(self, packet: Packet) -> Frame:
        ahead = _signed(packet.seq - self._newest, 16)
        if not self._burst or (packet.begins and ahead > 0) or abs(ahead) > NEW_BURST:
            self._burst = next(self._numbers) & 0xFFFFFFFF
            self._seq, self._ts, self._newest = packet.seq, packet.ts, packet.seq
        elif ahead > 0:
            self._newest = packet.seq
        return Frame(
            self._burst,
            (packet.seq - self._seq) & 0xFFFF,
            (packet.ts - self._ts) & 0xFFFFFFFF,
            packet.opus,
        )


def _signed(difference: int, bits: int) -> int:
    half = 1 << bits - 1
    return (difference + half) % (1 << bits) - half


async def _first(*waits: Awaitable[object]) -> None:
    """Until one of them is done; the others are left."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _bounded(closing: Awaitable[None]) -> None:
    """The library must not be cut off while it closes, nor wait for ever."""
    task = asyncio.ensure_future(closing)
    with suppress(TimeoutError):
        await asyncio.wait({task}, timeout=CLOSE_WITHIN_S)
