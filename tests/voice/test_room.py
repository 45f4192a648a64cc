"""The voice room with real sockets; core and link are what it was given and what it told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from dispatchd.core.effects import SetFloor, SyncAccess, SyncVoice, TellOperator
from dispatchd.core.inputs import Input, MediaHeard, VoiceJoined
from dispatchd.core.state import Live, Settings, State
from dispatchd.voice import datagram, room
from dispatchd.voice.catch_up import AT_ONCE, BUDGET, CatchUps, Owed
from dispatchd.voice.datagram import bind
from dispatchd.voice.ears import Wires
from dispatchd.voice.keyring import FORMER_MS
from dispatchd.voice.room import VoiceRoom
from protocols import down, up
from protocols.down import Down, VoiceKeys, VoiceReset
from protocols.sframe import Sealer
from protocols.site import Device
from protocols.voice import CATCH_UP, LAST, MAX_SEALED_BYTES, Frame, Ping, encode
from tests.voice.radio import PATIENCE_S, Radio, frame
from tests.voice.test_relay import Tape

GROUPS = {"t1": ["all"], "t2": ["all", "two"], "t3": ["all"], "t4": ["two"]}


class Site:
    """Stands for engine and link: the committed state, and all that the room said."""

    def __init__(self, sock: Any, start: int = 4) -> None:
        self.now_ms = 10_000
        self.state = State()
        for device, groups in GROUPS.items():
            self.state.site.device[device] = Device(id=device, kind="terminal", unit="top")
            self.state.site.secret[device] = f"hash-{device}"
            self.state.settings[device] = Settings(groups=list(groups))
            self.state.live[device] = Live(online=True)
        self.posted: list[Input] = []
        self.sent: dict[str, asyncio.Queue[Down]] = {device: asyncio.Queue() for device in GROUPS}
        self.group_sent: list[tuple[str, Down]] = []
        self.published: list[tuple[str, bytes]] = []
        self.published_to: list[tuple[str, bytes]] = []
        wires = Wires(
            self.posted.append, self.settled, lambda d, m, _: self.sent[d].put_nowait(m),
            lambda g, m, _: self.group_sent.append((g, m)), lambda *one: self.published.append(one),
            lambda *one: self.published_to.append(one), lambda: self.now_ms,
        )  # fmt: skip
        address = "127.0.0.1:%d" % sock.getsockname()[1] if sock else ""  # noqa: UP031
        self.room = VoiceRoom(wires, start, sock, [address] if sock else [])

    @contextlib.asynccontextmanager
    async def settled(self) -> AsyncIterator[State]:
        yield self.state

    async def joined(self, radio: Radio, carriage: str = "datagram") -> None:
        self.room.said(radio.device, radio.join(carriage))
        await self.told(radio)
        if carriage == "datagram":
            await radio.ping()

    async def told(self, radio: Radio) -> None:
        async with asyncio.timeout(PATIENCE_S):
            message = await self.sent[radio.device].get()
        assert isinstance(message, VoiceKeys)
        radio.take(message)

    def floor(self, burst: int, talker: str = "t1", group: str = "all", **more: Any) -> None:
        self.room.perform([SetFloor(group, burst, talker, **more)])

    async def synced(self, effect: SyncVoice | SyncAccess = SyncVoice()) -> None:  # noqa: B008
        """The effect, and what follows from it."""
        self.room.perform([effect])
        await until(lambda: not self.room._stale and not self.room._ears.to_tell)


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not what():
            await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def running(*devices: str, start: int = 4) -> AsyncIterator[tuple[Site, list[Radio]]]:
    """A room that runs, and devices that have joined by datagram."""
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(bind("127.0.0.1", 0))
        radios = [Radio(device) for device in devices]
        for radio in radios:
            stack.callback(radio.close)
        site = Site(sock, start)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(site.room.run())
            for radio in radios:
                await site.joined(radio)
            yield site, radios
            task.cancel()


# --- joining ----------------------------------------------------------------------------------------------------


async def test_a_join_is_answered_with_all_keys_and_told_to_the_core() -> None:
    async with running("t2") as (site, [t2]):
        assert sorted(key.group for key in t2.keys.groups) == ["all", "two"]
        assert t2.keys.start == 4
        assert site.posted == [VoiceJoined("t2", "datagram")]


async def test_who_joins_too_often_is_not_answered() -> None:
    async with running("t1") as (site, [t1]):
        for _ in range(10):
            site.room.said("t1", t1.join())
        await until(lambda: not site.room._joins)
        assert site.room.counts["joins-dropped"] == 9
        assert site.sent["t1"].qsize() == 1


async def test_no_point_no_keys_and_a_stranger_is_not_answered() -> None:
    async with running() as (site, _):
        site.room.said("t1", up.VoiceJoin(bytes(8), b"\x04" + bytes(64)))
        site.room.said("nobody", up.VoiceJoin(bytes(8), b"\x04" + bytes(64)))
        await until(lambda: site.room.counts["bad-joins"] and site.room.counts["joins-dropped"])
        assert site.posted == []
        assert site.sent["t1"].empty()


async def test_at_the_link_everybody_is_asked_to_join() -> None:
    async with running() as (site, _):
        site.room.link_up()
        await until(lambda: len(site.group_sent) == 2)
        assert dict(site.group_sent) == {"all": VoiceReset(4), "two": VoiceReset(4)}


async def test_a_new_start_opens_nothing_of_the_one_before() -> None:
    async with running("t1", start=4) as (_, [old]):
        stale = old.seal(frame(1, 0))
    async with running("t1", "t3", start=5) as (site, [t1, t3]):
        site.floor(1)
        t1.send(stale)
        t1.say(1, 1)
        assert await t3.heard() == frame(1, 1)
        assert site.room.counts["stale-kid"] == 1
        assert {key.kid >> 16 for key in t3.group_keys} == {5}


# --- sound ------------------------------------------------------------------------------------------------------


async def test_two_by_datagram_and_one_by_mqtt_hear_the_same() -> None:
    async with running("t1", "t2", "t3") as (site, [t1, t2, t3]):
        site.room.said("t3", up.VoiceCarriage("mqtt", "no pong"))
        site.floor(7)
        for seq in range(50):
            t1.say(7, seq, LAST if seq == 49 else 0)
            site.now_ms += 20
        heard = [await t2.heard() for _ in range(50)]
        assert heard == [frame(7, seq, LAST if seq == 49 else 0) for seq in range(50)]
        assert {group for group, _ in site.published} == {"all"}
        assert [t3.open(sealed) for _, sealed in site.published] == heard
        assert t3.waiting() == []
        assert site.posted[-1] == MediaHeard("all", 7, last=True)
        assert VoiceJoined("t3", "mqtt") in site.posted


async def test_nothing_is_published_while_nobody_is_on_mqtt() -> None:
    async with running("t1", "t2", "t3") as (site, [t1, t2, t3]):
        site.floor(7)
        t1.say(7, 0)
        assert await t3.heard() == frame(7, 0)
        site.room.said("t3", up.VoiceCarriage("mqtt"))
        site.room.said("t3", up.VoiceCarriage("datagram"))
        t1.say(7, 1)
        assert await t3.heard() == frame(7, 1)
        assert await t2.heard() == frame(7, 0)
        assert site.published == []


async def test_a_talker_on_mqtt_is_heard_like_any_other() -> None:
    async with running("t1", "t2") as (site, [t1, t2]):
        site.floor(7)
        site.room.payload("t1", t1.seal(frame(7, 0)))
        assert await t2.heard() == frame(7, 0)


async def test_patched_groups_hear_each_with_its_own_key() -> None:
    async with running("t1", "t4") as (site, [t1, t4]):
        site.floor(7, groups=("all", "two"))
        t1.say(7, 0)
        assert await t4.heard() == frame(7, 0)


async def test_what_is_not_genuine_is_dropped_and_counted_by_either_carriage() -> None:
    async with running("t1", "t2") as (site, [t1, t2]):
        site.floor(7)
        good, other = t1.seal(frame(7, 0)), t1.seal(frame(7, 1))
        for sealed in (
            bytes(MAX_SEALED_BYTES + 1), other[:-1] + bytes([other[-1] ^ 1]),
            Sealer(3 << 16 | 1, bytes(16)).seal(encode(frame(7, 0))), good, good,
        ):  # fmt: skip
            t1.send(sealed)
            site.room.payload("t1", sealed)
        site.room.payload("t1", t2.seal(frame(7, 0)))
        t2.say(7, 1)
        await until(lambda: site.room.counts["no-floor"])
        counted = ("oversize", "forged", "stale-kid", "replayed", "malformed", "no-floor", "heard")
        assert [site.room.counts[why] for why in counted] == [2, 2, 2, 3, 1, 1, 1]
        assert [t2.open(sealed) for sealed in t2.waiting()] == [frame(7, 0)]


async def test_a_ping_by_mqtt_is_no_ping() -> None:
    async with running("t1") as (site, [t1]):
        site.room.payload("t1", t1.seal(Ping(1)))
        assert site.room.counts["malformed"] == 1


# --- leaving ----------------------------------------------------------------------------------------------------


async def test_who_was_removed_from_a_group_hears_nothing_of_the_next_word() -> None:
    async with running("t1", "t2", "t3") as (site, [t1, t2, t3]):
        site.floor(7)
        t1.say(7, 0)
        assert await t3.heard() == frame(7, 0)
        site.state.settings["t3"].groups.remove("all")
        await site.synced()
        for radio in (t1, t2, t3):
            await site.told(radio)
        assert t3.keys.groups == []
        t1.say(7, 1)
        site.floor(8, ended=7)
        t1.say(8, 0)
        assert [await t2.heard() for _ in range(3)] == [frame(7, 0), frame(7, 1), frame(8, 0)]
        assert t3.waiting() == []


async def test_even_overheard_the_next_word_is_closed_to_him() -> None:
    """As if the network still delivered every datagram to him: he has the old key only."""
    async with running("t1", "t2", "t3") as (site, [t1, t2, t3]):
        site.floor(7)
        t1.say(7, 0)
        overheard = await t2.received()
        assert t3.open(overheard) == frame(7, 0)
        site.state.settings["t3"].groups.remove("all")
        await site.synced()
        for radio in (t1, t2, t3):
            await site.told(radio)
        site.floor(8, ended=7)
        t1.say(8, 0)
        overheard = await t2.received()
        assert t2.open(overheard) == frame(8, 0)
        assert t3.open(overheard) is None


@pytest.mark.parametrize("new_secret", [None, "hash-of-another"])
async def test_a_removed_device_or_one_with_new_credentials_is_forgotten(new_secret: str | None) -> None:
    async with running("t1", "t3") as (site, [t1, t3]):
        if new_secret is None:
            del site.state.site.device["t3"]
        else:
            site.state.site.secret["t3"] = new_secret
        await site.synced(SyncAccess())
        assert site.posted[-1] == VoiceJoined("t3", "none")
        await site.told(t1)
        site.floor(9, "t3")
        t3.say(9, 0)
        site.floor(10, "t1")
        t1.say(10, 0)
        await until(lambda: site.room.counts["stale-kid"] == 1 and site.room.counts["heard"] == 1)
        assert t3.waiting() == []
        if new_secret is not None:
            site.now_ms += 1000
            await site.joined(t3)
            t1.say(10, 1)
            assert await t3.heard() == frame(10, 1)


async def test_who_is_off_line_and_silent_hears_no_more_until_he_is_back() -> None:
    async with running("t1", "t2", "t3") as (site, [t1, t2, _]):
        site.room.said("t3", up.VoiceCarriage("mqtt"))
        for device in ("t2", "t3"):
            site.state.live[device].online = False
        site.now_ms += datagram.SILENT_MS
        await t2.ping()
        site.now_ms += int(room.LOOK_S * 1000)
        await until(lambda: site.posted[-1] == VoiceJoined("t3", "none"))
        assert VoiceJoined("t2", "none") not in site.posted, "it pings"
        site.floor(7)
        t1.say(7, 0)
        assert await t2.heard() == frame(7, 0)
        assert site.published == []
        site.state.live["t3"].online = True
        site.now_ms += int(room.LOOK_S * 1000)
        await until(lambda: site.posted[-1] == VoiceJoined("t3", "mqtt"))
        t1.say(7, 1)
        await until(lambda: len(site.published) == 1)


async def test_a_ping_after_long_silence_brings_a_device_back() -> None:
    async with running("t1", "t2") as (site, [t1, t2]):
        site.state.live["t2"].online = False
        site.now_ms += datagram.SILENT_MS + int(room.LOOK_S * 1000)
        await until(lambda: site.posted[-1] == VoiceJoined("t2", "none"))
        await t2.ping()
        assert site.posted[-1] == VoiceJoined("t2", "datagram")
        site.floor(7)
        t1.say(7, 0)
        assert await t2.heard() == frame(7, 0)


# --- catching up ------------------------------------------------------------------------------------------------


async def test_what_was_missed_comes_flagged_by_ones_own_carriage() -> None:
    async with running("t1", "t2", "t3") as (site, [t1, t2, t3]):
        site.floor(7)
        for seq in range(30):
            t1.say(7, seq)
        await until(lambda: len(t2.waiting()) == 0 and site.room.counts["heard"] == 30)
        t2.waiting(), t3.waiting()
        site.room.said("t2", up.CatchUp("all", 7, 10))
        flagged = [Frame(7, seq, seq * 960, frame(7, 0).opus, CATCH_UP) for seq in range(10, 30)]
        assert [await t2.heard() for _ in range(20)] == flagged
        assert t3.waiting() == []
        site.room.said("t3", up.VoiceCarriage("mqtt"))
        site.room.said("t3", up.CatchUp("all", 7, 10))
        await until(lambda: len(site.published_to) == 20)
        assert [t3.open(sealed) for _, sealed in site.published_to] == flagged
        assert {device for device, _ in site.published_to} == {"t3"}


async def test_a_stranger_to_the_group_catches_nothing_up() -> None:
    async with running("t1", "t4") as (site, [t1, t4]):
        site.floor(7)
        t1.say(7, 0)
        await until(lambda: site.room.counts["heard"])
        site.room.said("t4", up.CatchUp("all", 7, 0))
        assert not site.room._catch_ups.busy
        site.state.site.rules = type(site.state.site.rules)(catch_up_s=0)
        await site.synced()
        site.room.said("t1", up.CatchUp("all", 7, 0))
        assert not site.room._catch_ups.busy
        assert t4.waiting() == []


def test_catching_up_is_four_times_real_time_and_all_of_it_bounded() -> None:
    one = CatchUps()
    assert one.ask(Owed("d", "g", 1), [frame(1, seq) for seq in range(700)], 10)
    first = [f.seq for _, f in one.step()]
    assert first == [200, 201, 202, 203], "the last ten seconds"
    steps = 1 + sum(1 for _ in iter(lambda: list(one.step()), []))
    assert steps == 500 // AT_ONCE
    many = CatchUps()
    for n in range(1001):
        assert many.ask(Owed(f"d{n}", "g", 1), [frame(1, seq) for seq in range(4)], 15) is (n < 1000)
    served = [owed.device for _ in range(20) for owed, _ in many.step()]
    assert len(served) == 20 * BUDGET
    assert len(set(served)) == 1000
    assert not many.busy


# --- what runs out ----------------------------------------------------------------------------------------------


async def test_a_burst_ends_for_the_recorder_and_a_former_key_opens_no_more() -> None:
    tape = Tape()
    async with running("t1", "t2") as (site, [t1, _]):
        site.room.relay.taps.append(tape)
        site.floor(7)
        t1.say(7, 0)
        await until(lambda: tape.lines)
        former = t1.seal(frame(8, 0))
        site.now_ms += 1000
        await site.joined(t1)
        site.room.perform([SetFloor("all", ended=7)])
        site.now_ms += FORMER_MS
        await until(lambda: tape.lines[-1][:3] == ("ended", "all", 7))
        t1.send(former)
        await until(lambda: site.room.counts["stale-kid"])


# --- what hangs in here -----------------------------------------------------------------------------------------


async def test_other_rooms_get_what_is_theirs_and_need_not_be_there() -> None:
    class Other:
        def __init__(self) -> None:
            self.heard: list[tuple[str, object]] = []

        def said(self, device: str, message: up.Voice) -> None:
            self.heard.append((device, message))

    words = (up.WebrtcOffer("s1", "v=0"), up.WebrtcBye("s1"), up.ClipRequest("c1", [0]))
    async with running() as (site, _):
        for word in (*words, up.Sounding(True)):
            site.room.said("t1", word)
        site.room.webrtc, site.room.clips = rtc, clips = Other(), Other()
        sounding: list[object] = []
        site.room.sounding = lambda *one: sounding.append(one)
        synced: list[State] = []
        site.room.syncs.append(synced.append)
        told: list[object] = []
        site.room.on_operator = lambda *one: told.append(one)
        for word in (*words, up.Sounding(True)):
            site.room.said("t1", word)
        await site.synced()
        idle = down.FloorIdle("all", 7)
        site.room.perform([TellOperator("ann", idle)])
        assert rtc.heard == [("t1", words[0]), ("t1", words[1])]
        assert clips.heard == [("t1", words[2])]
        assert sounding == [("t1", True, 10_000)]
        assert synced == [site.state]
        assert told == [("ann", idle)]
