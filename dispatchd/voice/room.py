"""The voice room: wires relay, keys and carriages to the core and to the link.

What must hold: the core alone says who talks (SetFloor) and who is a member (the committed state, read at SyncVoice
and SyncAccess); nothing here waits for the disk or for a device. Who leaves a group gets no datagram from the moment
the state is read, and cannot open the next burst. After a start, and when the broker comes back, everybody is asked to
join again.

What other rooms hang in here is optional: `webrtc`, `clips`, `sounding`, `syncs`, `relay.taps`, `on_operator`.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from socket import socket
from typing import Final, Protocol

from dispatchd.core.effects import Effect, SetFloor, SyncAccess, SyncVoice, TellOperator
from dispatchd.core.state import State
from protocols import up
from protocols.down import Floor
from protocols.voice import Frame, encode

from .catch_up import STEP_MS, CatchUps, Owed
from .datagram import Datagrams, Door
from .ears import Ears, Wires
from .keyring import Keyring
from .limits import Bucket
from .relay import Relay

WORDS_PER_S: Final = 2
"""Voice joins of one device, and its changes of carriage, and its asks to catch up; what is beyond is dropped."""
MAX_RATES: Final = 60_000
"""Devices (three times) whose rates are remembered; the first is forgotten, and starts afresh."""
TICK_S: Final = 1.0
"""Between looks at what has run out (graces, former keys), unless something runs out before."""
LOOK_S: Final = 5.0
"""Between looks at who is off line and whose address is silent."""


class Said(Protocol):
    """A room that answers devices: webrtc (offers, byes), clips (requests)."""

    def said(self, device: str, message: up.Voice, /) -> None: ...


class VoiceRoom:
    """Give it effects, devices' words and payloads; run `run`. `counts` say what became of every frame."""

    def __init__(
        self,
        wires: Wires,
        start: int,
        sock: socket | None = None,
        addresses: Iterable[str] = (),
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """`sock`: bound for datagrams, None = there is no such carriage; `addresses`: where devices reach it."""
        self.address = ""
        self._wires = wires
        self.relay = Relay(wires.post)
        self.counts = self.relay.counts
        self._keyring = Keyring(start, random_bytes)
        self._door = Door(self._keyring, self.counts)
        self._ears = Ears(wires, self._keyring, self.relay, self.counts, addresses)
        self._datagrams: Datagrams | None = None
        if sock is not None:
            self._datagrams = self._ears.datagrams = Datagrams(
                sock, self._door, self.counts, wires.now_ms, self.relay.said, self._ears.moved
            )
        self._joins: dict[str, up.VoiceJoin] = {}
        self._rates: dict[tuple[str, str], Bucket] = {}
        self._catch_ups = CatchUps()
        self._catch_up_s = 0.0
        self._stale, self._reset = True, False
        self._wake, self._late, self._due = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._wake.set()
        self.on_operator: Callable[[str, Floor], None] = lambda _operator, _message: None
        self.webrtc: Said | None = None
        self.clips: Said | None = None
        self.sounding: Callable[[str, bool, int], None] | None = None
        self.syncs: list[Callable[[State], None]] = []

    async def run(self) -> None:
        """Until cancelled."""
        if self._datagrams is not None:
            self._datagrams.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_keys(), name="voice-keys")
                tasks.create_task(self._tick(), name="voice-tick")
                tasks.create_task(self._let_catch_up(), name="voice-catch-up")
        finally:
            if self._datagrams is not None:
                self._datagrams.stop()

    # --- from the core and the link -----------------------------------------------------------------------------

    def perform(self, effects: Iterable[Effect]) -> None:
        """What of them is for voice."""
        for effect in effects:
            if isinstance(effect, SetFloor):
                self.relay.set_floor(effect, self._wires.now_ms())
                self._due.set()
            elif isinstance(effect, SyncVoice | SyncAccess):
                self._stale = True
                self._wake.set()
            elif isinstance(effect, TellOperator):
                self.on_operator(effect.operator, effect.message)

    def link_up(self) -> None:
        """The broker is there, for the first time or again: everybody joins anew."""
        self._stale = self._reset = True
        self._wake.set()

    def payload(self, device: str, sealed: bytes) -> None:
        """Of `up/voice`."""
        now_ms = self._wires.now_ms()
        opened = self._door.open(sealed, now_ms)
        if opened is None:
            return
        if opened.session.device != device or not isinstance(opened.sound, Frame):
            self.counts["malformed"] += 1
            return
        self.relay.said(device, opened.sound, now_ms)

    def said(self, device: str, message: up.Voice) -> None:
        """Of the link."""
        match message:
            case up.VoiceJoin() if self._allows(device, "joins"):
                self._joins[device] = message
                self._wake.set()
            case up.VoiceCarriage() if self._allows(device, "carriages"):
                self._ears.change(device, message.carriage)
            case up.CatchUp() if self._allows(device, "catch-ups"):
                self._catch_up(device, message)
            case up.ClipRequest() if self.clips is not None:
                self.clips.said(device, message)
            case up.WebrtcOffer() | up.WebrtcBye() if self.webrtc is not None:
                self.webrtc.said(device, message)
            case up.Sounding() if self.sounding is not None:
                self.sounding(device, message.on, self._wires.now_ms())

    def _allows(self, device: str, what: str) -> bool:
        bucket = self._rates.get((device, what))
        if bucket is None:
            if len(self._rates) >= MAX_RATES:
                del self._rates[next(iter(self._rates))]
            bucket = self._rates[device, what] = Bucket(WORDS_PER_S, WORDS_PER_S)
        allowed = bucket.take(self._wires.now_ms())
        self.counts[what if allowed else f"{what}-dropped"] += 1
        return allowed

    # --- tasks --------------------------------------------------------------------------------------------------

    async def _keep_keys(self) -> None:
        """Members, joins and keys to be told, one after the other; sound goes on between any two."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._stale or self._joins or self._ears.to_tell:
                if self._stale:
                    await self._sync()
                elif self._joins:
                    device = next(iter(self._joins))
                    self._ears.join(device, self._joins.pop(device))
                    self._due.set()
                else:
                    self._ears.tell_keys(next(iter(self._ears.to_tell)))
                await asyncio.sleep(0)

    async def _sync(self) -> None:
        async with self._wires.settled() as state:
            self._stale = False
            self._catch_up_s = state.site.rules.catch_up_s
            self._ears.follow(state)
            for follow in self.syncs:
                follow(state)
        if self._reset:
            self._reset = False
            self._ears.ask_to_join()

    async def _tick(self) -> None:
        """When graces and former keys run out, and for the look."""
        look_ms = self._wires.now_ms() + int(LOOK_S * 1000)
        while True:
            await self._something_due()
            now_ms = self._wires.now_ms()
            self.relay.tick(now_ms)
            self._keyring.tick(now_ms)
            if now_ms >= look_ms:
                look_ms = now_ms + int(LOOK_S * 1000)
                await self._look(now_ms)

    async def _something_due(self) -> None:
        """Perhaps: a deadline has come, or there is a new one."""
        due = (self.relay.deadline(), self._keyring.deadline())
        wait_ms = min(
            (when - self._wires.now_ms() for when in due if when is not None), default=TICK_S * 1000
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(TICK_S, max(1, wait_ms) / 1000)):
                await self._due.wait()
        self._due.clear()

    async def _look(self, now_ms: int) -> None:
        if self._datagrams is not None:
            self._datagrams.tick(now_ms)
        async with self._wires.settled() as state:
            self._ears.look(state)

    # --- catch-up -----------------------------------------------------------------------------------------------

    def _catch_up(self, device: str, asked: up.CatchUp) -> None:
        if self._catch_up_s and self._keyring.is_member(device, asked.group) and device in self._ears:
            frames = self.relay.kept(asked.group, asked.burst, asked.seq)
            if not self._catch_ups.ask(Owed(device, asked.group, asked.burst), frames, self._catch_up_s):
                self.counts["catch-up-full"] += 1
            self._late.set()

    async def _let_catch_up(self) -> None:
        while True:
            await self._late.wait()
            self._late.clear()
            while self._catch_ups.busy:
                for owed, frame in self._catch_ups.step():
                    self._send_late(owed, frame)
                await asyncio.sleep(STEP_MS / 1000)

    def _send_late(self, owed: Owed, frame: Frame) -> None:
        """By its own carriage, under the group's key; nothing to one who is no member any more."""
        sealer = self._keyring.sealer(owed.group, None, self._wires.now_ms())
        if sealer is None or not self._keyring.is_member(owed.device, owed.group):
            return
        sealed = sealer.seal(encode(frame))
        self.counts["caught-up"] += 1
        if self._ears.carriage_of(owed.device) == "mqtt":
            self._wires.publish_voice_to(owed.device, sealed)
        elif self._datagrams is not None:
            self._datagrams.send(owed.device, sealed)
