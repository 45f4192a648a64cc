"""Sessions of pillars and operators: one audio track up, up to eight channels down, by aiortc.

What must hold: a session that has not connected within CONNECT_WITHIN_S, whose peer is gone, or that was closed, hears
nothing any more and gives its port back; there are never more than MAX_SESSIONS; nothing is transcoded. Opening and
closing cost milliseconds of the loop (keys, handshake), so both are counted and bounded; sound costs no task.
"""

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import structlog
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InternalError, InvalidStateError, OperationError

from .ice import QUIET_PILLAR_S, QUIET_S, NoPort, Path, PortRange, confine
from .limits import Bucket
from .relay import Relay
from .rtp import Slot, Stream, Uplink, Wire, ignore
from .sdp import REVERSE, Media, Refused, as_answered, read_offer, without_addresses
from .tuner import Tuner

log = structlog.get_logger("webrtc")

MAX_SESSIONS: Final = 64
"""At once; further offers are refused with a sentence."""
MAX_OF_OPERATOR: Final = 4
"""Of these, of one operator (screens he has open). A pillar has one: a new one replaces it."""
OFFERS_PER_S: Final = 2
OFFERS_AT_ONCE: Final = 4
"""Of one talker; further ones are refused, and he tries again after a pause."""
MAX_TALKERS: Final = 1_000
"""Talkers whose rate and numbers are remembered; the one that came first is forgotten."""
ANSWER_WITHIN_S: Final = 5.0
CONNECT_WITHIN_S: Final = 10.0
"""From the answer to the end of the handshake; then the session is closed, `no-answer`."""
CLOSE_WITHIN_S: Final = 2.0
TICK_S: Final = 1.0
"""Between two looks at who has not connected, and two reports to those who send, while there are any."""
COLLECT_EVERY_S: Final = 60.0
"""After closed sessions their rings of references are collected, at most this often: it stops the loop for a moment."""

_AUDIO = RTCRtpReceiver.getCapabilities("audio")
OPUS_ONLY: Final = [
    codec for codec in (_AUDIO.codecs if _AUDIO else []) if codec.mimeType.lower() == "audio/opus"
]


class Session:
    """One peer. `slots`: its tracks down in the order of the offer; `tuner`: what they hear.

    `open`: what it says is passed on; always so of a pillar, of an operator while he talks.
    """

    def __init__(
        self,
        talker: str,
        id_: str,
        media: list[Media],
        said: Callable[["Session", int, int, int, bytes], None],
    ):
        self.talker = talker
        self.id = id_
        self.open = not talker.startswith("@")
        self.connected = False
        self.refused_frames = 0
        self.ended = ""
        self.since_s = asyncio.get_running_loop().time()
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self.slots: list[Slot] = []
        self.tuner = Tuner(sum(line.kind == "audio" and line.down for line in media))
        self.uplink: Uplink | None = None
        self._said = said
        self._media = media

    @property
    def is_pillar(self) -> bool:
        return not self.talker.startswith("@")

    async def answer(self, sdp: str, ports: PortRange) -> str:
        """Refused when the library cannot make sense of the offer; NoPort."""
        self._prepare(ports)
        try:
            await self.pc.setRemoteDescription(RTCSessionDescription(without_addresses(sdp), "offer"))
            await self.pc.setLocalDescription(await self.pc.createAnswer())
        except (NoPort, asyncio.CancelledError):
            raise
        except (InternalError, InvalidStateError, OperationError) as error:
            raise Refused("bad-offer", f"The offer cannot be answered: {error}.") from None
        except Exception as error:  # noqa: BLE001 -- the library's parser meets a stranger's text with any error
            log.info("offer unreadable", talker=self.talker, error=type(error).__name__)
            raise Refused("bad-offer", "The offer is no SDP that can be read here.") from None
        return as_answered(self.pc.localDescription.sdp)

    def _prepare(self, ports: PortRange) -> None:
        """A transceiver for each media line, which the library then pairs with them in order."""
        wire: Wire | None = None
        for media in self._media:
            transceiver = self._transceiver(media)
            wire = wire or Wire(transceiver, self._confined(transceiver, ports))
            if media.kind == "audio" and media.up and self.uplink is None:
                self.uplink = Uplink(transceiver, wire, self._heard)
            else:
                ignore(transceiver.receiver)
            if media.kind == "audio" and media.down:
                self.slots.append(Slot(transceiver, wire))

    def _transceiver(self, media: Media) -> RTCRtpTransceiver:
        if media.kind == "video":
            return self.pc.addTransceiver("video", "inactive")
        found = self.pc.addTransceiver("audio", REVERSE[media.direction])
        found.setCodecPreferences(OPUS_ONLY)
        return found

    def _confined(self, transceiver: RTCRtpTransceiver, ports: PortRange) -> Path:
        quiet_s = QUIET_PILLAR_S if self.is_pillar else QUIET_S
        return confine(transceiver.receiver.transport.transport, ports, quiet_s)

    def _heard(self, ssrc: int, seq: int, ts: int, opus: bytes) -> None:
        self._said(self, ssrc, seq, ts, opus)


class Sessions:
    """All of them. `run` must be running; `on_answer`, `on_open`, `on_tune` and `on_end` are told of every session."""

    def __init__(self, relay: Relay, ports: PortRange, now_ms: Callable[[], int]) -> None:
        self.counts: Counter[str] = Counter()
        self.on_answer: list[Callable[[Session], None]] = []
        self.on_open: list[Callable[[Session], None]] = []
        self.on_tune: list[Callable[[Session], None]] = []
        self.on_end: list[Callable[[Session], None]] = []
        self._relay = relay
        self._ports = ports
        self._now_ms = now_ms
        self._sessions: dict[tuple[str, str], Session] = {}
        self._ending: set[Session] = set()
        self._rates: dict[str, Bucket] = {}
        self._streams: dict[str, Stream] = {}
        self._wake = asyncio.Event()
        self._collected_s = 0.0
        self._collectable = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def of(self, talker: str) -> list[Session]:
        """The sessions of a pillar's device id, or of "@" and an operator's."""
        return [session for session in self._sessions.values() if session.talker == talker]

    def all(self) -> list[Session]:
        return list(self._sessions.values())

    def get(self, talker: str, id_: str) -> Session | None:
        return self._sessions.get((talker, id_))

    # --- one session --------------------------------------------------------------------------------------------

    async def offer(self, talker: str, session: str, sdp: str, channels: Iterable[str] = ()) -> str:
        """The answer. `channels` are what its slots hear, in order; "" = nothing yet. Refused with a sentence.

        A session of the same id, and any other of the same pillar, ends for this one.
        """
        try:
            return await self._offer(talker, session, sdp, channels)
        except Refused as refused:
            self.counts[refused.code] += 1
            raise

    async def _offer(self, talker: str, id_: str, sdp: str, channels: Iterable[str]) -> str:
        self._may_offer(talker)
        media = read_offer(sdp)
        self._make_room(talker, id_)
        session = Session(talker, id_, media, self._said)
        self._sessions[talker, id_] = session
        self._wake.set()
        session.pc.on("connectionstatechange", lambda: self._changed(session))
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                answer = await session.answer(sdp, self._ports)
        except NoPort as error:
            self.end(session, "no-port")
            raise Refused("no-port", str(error)) from None
        except TimeoutError:
            self.end(session, "slow")
            raise Refused(
                "slow", "The daemon is too busy to answer the offer. Try again in a second."
            ) from None
        except BaseException:
            self.end(session, "refused")
            raise
        if session.ended:
            raise Refused("replaced", "Another offer came meanwhile.")
        session.tuner.ask(channels)
        self.retune(session)
        for told in self.on_answer:
            told(session)
        self.counts["answered"] += 1
        return answer

    def _may_offer(self, talker: str) -> None:
        bucket = self._rates.get(talker)
        if bucket is None:
            if len(self._rates) >= MAX_TALKERS:
                del self._rates[next(iter(self._rates))]
            bucket = self._rates[talker] = Bucket(OFFERS_PER_S, OFFERS_AT_ONCE)
        if not bucket.take(self._now_ms()):
            raise Refused(
                "too-fast", f"At most {OFFERS_PER_S} offers a second. Wait a second, then offer again."
            )

    def _make_room(self, talker: str, id_: str) -> None:
        for other in self.of(talker):
            if other.id == id_ or other.is_pillar:
                self.end(other, "replaced")
        if talker.startswith("@") and len(self.of(talker)) >= MAX_OF_OPERATOR:
            raise Refused(
                "too-many-sessions",
                f"You have {MAX_OF_OPERATOR} voice sessions open. Close the voice of a screen you do not use.",
            )
        if len(self._sessions) >= MAX_SESSIONS:
            raise Refused(
                "too-many-sessions",
                f"All {MAX_SESSIONS} WebRTC sessions are in use. Close screens nobody uses, or use the radio.",
            )

    def retune(self, session: Session) -> None:
        """Its slots hear what its tuner says, from the next frame on."""
        channels = [] if session.ended else session.tuner.channels
        changed = [self._tune(session, n, c) for n, c in enumerate(channels)]
        ups = frozenset(channel.removeprefix("@up/") for channel in channels if channel.startswith("@up/"))
        for slot in session.slots:
            slot.deaf_to = frozenset() if slot.channel.startswith("@") else ups
        if any(changed):
            for told in self.on_tune:
                told(session)

    def _tune(self, session: Session, n: int, channel: str) -> bool:
        slot = session.slots[n]
        if slot.channel == channel:
            return False
        if slot.channel:
            self._relay.detach(slot.channel, slot)
        slot.channel = channel
        if channel:
            self._relay.attach(channel, slot, session.talker)
        return True

    def end(self, session: Session, why: str) -> None:
        """It hears and says nothing from now on; closed soon. Harmless when it has ended."""
        if session.ended:
            return
        session.ended = why
        if self._sessions.get((session.talker, session.id)) is session:
            del self._sessions[session.talker, session.id]
        for n in range(len(session.slots)):
            self._tune(session, n, "")
        self._ending.add(session)
        self._wake.set()
        self.counts[f"ended-{why}"] += 1
        log.info("voice session ended", talker=session.talker, session=session.id, why=why)
        for told in self.on_end:
            told(session)

    def _changed(self, session: Session) -> None:
        state = session.pc.connectionState
        if state == "connected" and not session.connected and not session.ended:
            session.connected = True
            self.counts["connected"] += 1
            log.info("voice session", talker=session.talker, session=session.id, slots=len(session.slots))
            for told in self.on_open:
                told(session)
        elif state in {"failed", "closed"}:
            self.end(session, "lost" if session.connected else "no-answer")

    def _said(self, session: Session, ssrc: int, seq: int, ts: int, opus: bytes) -> None:
        if not session.open or session.ended:
            session.refused_frames += 1
            return
        seq, ts = self._stream(session.talker).place((session.id, ssrc), seq, ts)
        self._relay.said_rtp(session.talker, seq, ts, opus, self._now_ms())

    def _stream(self, talker: str) -> Stream:
        found = self._streams.get(talker)
        if found is None:
            if len(self._streams) >= MAX_TALKERS:
                del self._streams[next(iter(self._streams))]
            found = self._streams[talker] = Stream()
        return found

    # --- all of them --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled; then all sessions are closed."""
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK_S if self._sessions or self._collectable else None):
                        await self._wake.wait()
                self._wake.clear()
                await self._look()
        finally:
            for session in list(self._sessions.values()):
                self.end(session, "stopping")
            await self._close_ended()

    async def _look(self) -> None:
        now_s = asyncio.get_running_loop().time()
        for session in list(self._sessions.values()):
            if not session.connected and now_s - session.since_s > CONNECT_WITHIN_S:
                self.end(session, "no-answer")
            elif session.connected and session.uplink is not None:
                session.uplink.report()
        await self._close_ended()
        if self._collectable and now_s - self._collected_s >= COLLECT_EVERY_S:
            self._collected_s, self._collectable = now_s, 0
            gc.collect()

    async def _close_ended(self) -> None:
        ended = list(self._ending)
        await asyncio.gather(*map(_close, ended))
        self._ending.difference_update(ended)
        self._collectable += len(ended)


async def _close(session: Session) -> None:
    """The library's own tasks, its socket and its port. It may be closing already, and must not be cut off in that."""
    closing = asyncio.create_task(session.pc.close(), name=f"close {session.talker} {session.id}")
    await asyncio.wait({closing}, timeout=CLOSE_WITHIN_S)
    if not closing.done():
        log.warning("a voice session did not close", talker=session.talker, within_s=CLOSE_WITHIN_S)
    elif not closing.cancelled() and (error := closing.exception()):
        log.warning("a voice session closed badly", talker=session.talker, error=str(error))
