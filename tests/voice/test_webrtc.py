"""Sessions of aiortc, both ends real, over loopback: bytes unchanged, numbers that go on, limits, ports."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from time import monotonic

import pytest
from aioice.ice import Connection

from dispatchd.core.effects import SetFloor
from dispatchd.core.inputs import Input
from dispatchd.voice import ice, webrtc
from dispatchd.voice.ice import PortRange, Ports, parse_ports
from dispatchd.voice.relay import Relay
from dispatchd.voice.rtp import Slot, Stream
from dispatchd.voice.sdp import MAX_SDP_CHARS, Refused, read_offer, without_addresses
from dispatchd.voice.webrtc import Session, Sessions
from protocols.voice import Frame

from .peer import Peer, tone_packets

PORTS = Ports(41_300, 41_363)


def now_ms() -> int:
    return int(monotonic() * 1000)


class Desk:
    """A relay with sessions, and peers that are closed at the end."""

    def __init__(self, ports: Ports = PORTS) -> None:
        self.posted: list[Input] = []
        self.relay = Relay(self.posted.append)
        self.sessions = Sessions(self.relay, PortRange("127.0.0.1", ports), now_ms)
        self.peers: list[Peer] = []

    async def peer(self, talker: str, session: str, channels: tuple[str, ...] = (), slots: int = 1) -> Peer:
        peer = Peer(slots)
        self.peers.append(peer)
        await peer.connect(lambda sdp: self.sessions.offer(talker, session, sdp, channels))
        await until(lambda: bool((found := self.sessions.get(talker, session)) and found.connected))
        return peer

    def only(self, talker: str) -> Session:
        (found,) = self.sessions.of(talker)
        return found


@contextlib.asynccontextmanager
async def desk(ports: Ports = PORTS) -> AsyncIterator[Desk]:
    found = Desk(ports)
    task = asyncio.create_task(found.sessions.run(), name="sessions")
    try:
        yield found
    finally:
        for peer in found.peers:
            await peer.pc.close()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool], within_s: float = 6) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.02)


async def test_packets_of_a_pillar_reach_an_operator_bit_for_bit_and_back() -> None:
    async with desk() as d:
        pillar = await d.peer("pillar-1", "s1", ("@back/pillar-1",))
        operator = await d.peer("@wang", "s2", ("@up/pillar-1",))
        d.relay.open("@up/pillar-1", 1, "pillar-1")
        d.relay.open("@back/pillar-1", 2, "@wang")
        d.only("@wang").open = True
        up, back = tone_packets(20), tone_packets(20, 880)
        pillar.say(*up)
        operator.say(*back)
        assert [p.payload for p in await operator.hears(20)] == up
        heard = await pillar.hears(20)
        assert [p.payload for p in heard] == back
        assert [p.marker for p in heard] == [1] + [0] * 19
        assert len({p.ssrc for p in heard}) == 1


async def test_numbers_go_on_from_burst_to_burst_and_a_gap_stays_a_gap() -> None:
    async with desk() as d:
        operator = await d.peer("@wang", "s", ("fire",))
        for burst, seqs in ((1, (0, 1, 3)), (2, (5, 6))):
            d.relay.set_floor(SetFloor("fire", burst, "radio-1", ("fire",)), now_ms())
            for seq in seqs:
                d.relay.said("radio-1", Frame(burst, seq, seq * 960, tone_packets(1)[0]), now_ms())
        heard = await operator.hears(5)
        first = heard[0].sequence_number
        assert [(p.sequence_number - first) & 0xFFFF for p in heard] == [0, 1, 3, 4, 5]
        ts = [(p.timestamp - heard[0].timestamp) & 0xFFFFFFFF for p in heard]
        assert ts[:3] == [0, 960, 2880]
        assert 3840 <= ts[3] < 3840 + 48_000
        assert ts[4] == ts[3] + 960
        assert [p.marker for p in heard] == [1, 0, 0, 1, 0]


async def test_an_operator_says_nothing_before_his_microphone_is_open() -> None:
    async with desk() as d:
        operator = await d.peer("@wang", "s")
        d.relay.set_floor(SetFloor("fire", 1, "@wang", ("fire",)), now_ms())
        operator.say(*tone_packets(5))
        await until(lambda: d.only("@wang").refused_frames == 5)
        assert d.relay.counts["heard"] == 0
        d.only("@wang").open = True
        operator.say(*tone_packets(5))
        await until(lambda: d.relay.counts["heard"] == 5)


async def test_slots_are_tuned_one_by_one() -> None:
    async with desk() as d:
        operator = await d.peer("@wang", "s", ("fire", "traffic"), slots=3)
        session = d.only("@wang")
        session.tuner.ask(("", "traffic", "all"))
        d.sessions.retune(session)
        for burst, group in enumerate(("fire", "traffic", "all"), 1):
            d.relay.set_floor(SetFloor(group, burst, "radio-1", (group,)), now_ms())
            d.relay.said("radio-1", Frame(burst, 0, 0, tone_packets(1)[0]), now_ms())
        await operator.hears(1, slot=1)
        await operator.hears(1, slot=2)
        assert not operator.heard[0]


async def test_the_answer_says_how_opus_is_wanted_and_refuses_pictures_for_now() -> None:
    async with desk() as d:
        peer = Peer(2, video=True)
        d.peers.append(peer)
        await peer.connect(lambda sdp: d.sessions.offer("@wang", "s", sdp))
        audio, more, video = peer.answer.split("\r\nm=")[1:]
        for line in ("useinbandfec=1", "stereo=0", "maxaveragebitrate=24000", "usedtx=1", "a=ptime:20"):
            assert line in audio
            assert line in more
        assert "PCMU" not in peer.answer
        assert "a=sendrecv" in audio
        assert "a=sendonly" in more
        assert video.startswith("video")
        assert "a=inactive" in video
        candidates = [line for line in peer.answer.splitlines() if line.startswith("a=candidate:")]
        assert candidates
        assert all(" 127.0.0.1 " in line for line in candidates)


async def test_only_ports_of_the_range_are_used_and_they_are_given_back() -> None:
    ports = Ports(41_380, 41_381)
    async with desk(ports) as d:
        for n in (1, 2):
            peer = await d.peer(f"pillar-{n}", "s")
            candidates = [line.split() for line in peer.answer.splitlines() if line.startswith("a=candidate")]
            assert {int(c[5]) for c in candidates} <= set(range(ports.low, ports.high + 1))
        with pytest.raises(Refused) as refused:
            await d.peer("pillar-3", "s")
        assert refused.value.code == "no-port"
        assert "voice.webrtc_ports" in refused.value.why
        d.sessions.end(d.only("pillar-1"), "bye")
        await d.peers[0].ended.wait()
        await until(lambda: not d.sessions._ending)
        await d.peer("pillar-4", "s")


async def test_a_peer_that_is_gone_is_noticed_and_detached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice, "LOST_AFTER_S", 0.6)
    async with desk() as d:
        pillar = await d.peer("pillar-1", "s", ("fire",))
        pillar.cut()
        await until(lambda: not d.sessions.of("pillar-1"))
        assert d.sessions.counts["ended-lost"] == 1
        assert not d.relay._listeners


async def test_only_a_peer_that_asks_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, consents = list[Connection](), ice._consents

    async def noted(connection: Connection) -> bool:
        asked.append(connection)
        return await consents(connection)

    monkeypatch.setattr(ice, "_consents", noted)
    monkeypatch.setattr(webrtc, "QUIET_PILLAR_S", 0.5)
    async with desk() as d:
        pillar = await d.peer("pillar-1", "s")
        transport = pillar.pc.getTransceivers()[0].receiver.transport.transport
        for _ in range(8):
            assert await consents(transport._connection)
            await asyncio.sleep(0.1)
        assert asked == []
        await until(lambda: len(asked) == 2)
        assert d.only("pillar-1").connected


async def test_a_peer_that_closes_ends_its_session_at_once() -> None:
    async with desk() as d:
        pillar = await d.peer("pillar-1", "s", ("fire",))
        began_s = monotonic()
        await pillar.pc.close()
        await until(lambda: not d.sessions.of("pillar-1"))
        assert monotonic() - began_s < 1


async def test_an_offer_whose_peer_never_comes_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webrtc, "CONNECT_WITHIN_S", 0.2)
    async with desk() as d:
        peer = Peer()
        d.peers.append(peer)
        await d.sessions.offer("pillar-1", "s", (await peer.pc.createOffer()).sdp)
        assert len(d.sessions) == 1
        await until(lambda: len(d.sessions) == 0)
        assert d.sessions.counts["ended-no-answer"] == 1


async def test_a_new_session_of_a_pillar_replaces_the_old_one() -> None:
    async with desk() as d:
        old = await d.peer("pillar-1", "s1")
        await d.peer("pillar-1", "s2")
        assert d.only("pillar-1").id == "s2"
        async with asyncio.timeout(5):
            await old.ended.wait()


async def test_limits_are_refused_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webrtc, "MAX_SESSIONS", 2)
    monkeypatch.setattr(webrtc, "MAX_OF_OPERATOR", 1)
    async with desk() as d:
        sdp = (await Peer().pc.createOffer()).sdp
        await d.sessions.offer("@wang", "1", sdp)
        with pytest.raises(Refused, match="You have 1 voice sessions open"):
            await d.sessions.offer("@wang", "2", sdp)
        await d.sessions.offer("@li", "1", sdp)
        with pytest.raises(Refused, match="All 2 WebRTC sessions are in use"):
            await d.sessions.offer("@zhao", "1", sdp)
        for _ in range(5):
            with contextlib.suppress(Refused):
                await d.sessions.offer("@li", "1", sdp)
        assert d.sessions.counts["too-fast"] >= 1


@pytest.mark.parametrize(
    ("sdp", "code"),
    [
        ("", "bad-offer"),
        ("hello", "bad-offer"),
        ("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", "no-opus"),
        ("m=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 opus/48000/2\r\n", "bad-offer"),
        (
            "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 96 x\r\na=rtpmap:96 opus/48000/2\r\na=fmtp:9 x\r\n",
            "bad-offer",
        ),
        ("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", "bad-offer"),
        ("m=audio 9 A 96\r\na=rtpmap:96 opus/48000/2\r\n" * 2, "not-bundled"),
        ("m=audio 9 A 96\r\na=rtpmap:96 opus/48000/2\r\n" * 9, "too-many-channels"),
        ("x" * (MAX_SDP_CHARS + 1), "too-long"),
    ],
)
async def test_what_is_no_offer_is_refused(sdp: str, code: str) -> None:
    async with desk() as d:
        with pytest.raises(Refused) as refused:
            await d.sessions.offer("@wang", "s", sdp)
        assert refused.value.code == code
        assert len(d.sessions) == 0


@pytest.mark.parametrize("line", ["a=rtpmap:96 x/{}", "a=fmtp:111 a={}", "a=ssrc:{} cname:a"])
def test_an_offer_that_makes_the_library_count_for_seconds_is_refused(line: str) -> None:
    head = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n"
    many = "\r\n".join(line.format(n) for n in range(101))
    with pytest.raises(Refused) as refused:
        read_offer(head + many)
    assert refused.value.code == "bad-offer"
    assert len(read_offer(head + "\r\n".join(many.split("\r\n")[:99]))) == 1


def test_feedback_is_not_noted_for_each_codec_of_an_offer() -> None:
    sdp = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n" + "a=rtcp-fb:* nack\r\n" * 1000
    assert "rtcp-fb" not in without_addresses(sdp)
    assert len(read_offer(sdp)) == 1


def test_a_port_range_is_two_numbers() -> None:
    assert parse_ports("40000-40063") == (40000, 40063)
    for text in ("40000", "40063-40000", "80-90", "a-b", "40000-70000", ""):
        with pytest.raises(ValueError, match="LOW-HIGH"):
            parse_ports(text)


def test_the_next_session_of_a_talker_goes_on_where_the_last_one_was() -> None:
    """Also when its random first number lies just before the last one: not a frame of it may look late or double."""
    stream = Stream()
    first = [stream.place("a", (65_530 + n) & 0xFFFF, n * 960) for n in range(20)]
    second = [stream.place("b", (65_525 + n) & 0xFFFF, 7_000_000 + n * 960) for n in range(20)]
    seqs = [seq for seq, _ in first + second]
    assert [(seq - seqs[0]) & 0xFFFF for seq in seqs] == list(range(40))
    assert second[0][1] - first[-1][1] >= 960
    assert stream.place("b", 65_540 & 0xFFFF, 7_000_000 + 15 * 960) == second[15], (
        "a late one keeps its place"
    )


def test_a_slot_needs_no_task_for_a_frame() -> None:
    assert not asyncio.iscoroutinefunction(Slot.hear)
