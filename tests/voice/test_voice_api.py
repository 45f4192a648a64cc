"""The voice WebSocket: walls, floor control, what each screen is told, and sockets that end in every way."""

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from dispatchd.console import voice_api, voice_client
from dispatchd.console.voice_api import FLOOD, REVOKED, SLOW
from dispatchd.console.voice_client import SlowClient, VoiceClient
from dispatchd.core.commands import RemoveEntry
from dispatchd.core.inputs import DeviceSaid, OperatorHears, VoiceJoined
from dispatchd.core.site_commands import ADMIN
from protocols import up
from protocols.site import Operator
from protocols.voice import Frame

from .control_room import Room, Screen, control_room, until
from .peer import tone_packets

BEEP = tone_packets(5)


async def terminal(room: Room, device: str) -> None:
    """On line, with voice."""
    await room.online(device)
    await room.engine.tell(VoiceJoined(device, "datagram"))


async def talks(room: Room, device: str, group: str, priority: str = "normal") -> int:
    """A terminal has the floor; its burst."""
    await room.engine.tell(DeviceSaid(device, up.FloorRequest(group, 1, priority)))
    async with room.engine.settled() as state:
        assert state.floors[group].talker == device
        return state.floors[group].burst


async def ready(screen: Screen, *slots: str) -> Any:
    await screen.say("hear", slots=list(slots))
    return await screen.session()


async def test_he_asks_for_the_floor_and_is_heard_until_he_lets_go() -> None:
    async with control_room() as room, room.screen("north") as screen:
        await terminal(room, "t-n")
        await ready(screen, "north-a")
        await screen.say("floor-request", group="north-a", ref=1)
        granted = await screen.told("floor-granted", group="north-a", ref=1)
        assert granted["burst"] > 0
        assert granted["talk_ms"] > 0
        screen.peer.say(*BEEP)
        await until(lambda: room.recorder.opus("north-a") == BEEP)
        await screen.say("floor-release", group="north-a", ref=1)
        await screen.told("floor-idle", group="north-a", burst=granted["burst"])
        session = room.sessions.of("@north")[0]
        await until(lambda: not session.open)


async def test_a_denial_has_a_cause_and_a_sentence() -> None:
    async with control_room() as room, room.screen("north") as screen:
        await ready(screen, "north")
        for group, cause in (("north", "only-one-participant"), ("south", "unknown-group")):
            await screen.say("floor-request", group=group, ref=1)
            denied = await screen.told("floor-deny", group=group)
            assert denied["cause"] == cause
            assert denied["text_en"]
        await screen.say("ping")
        await screen.told("pong")
        assert not room.sessions.of("@north")[0].open


async def test_who_talks_is_told_to_who_hears_it_also_to_who_comes_late() -> None:
    async with control_room() as room, room.screen("north") as first, room.screen("north") as second:
        await terminal(room, "t-n")
        await terminal(room, "t-v")
        await ready(first, "north-a")
        assert (await first.told("floor-idle", group="north-a"))["burst"] == 0
        burst = await talks(room, "t-n", "north-a", "emergency")
        assert (await first.told("floor-taken", group="north-a"))["burst"] == burst
        await ready(second, "", "north-a")
        taken = await second.told("floor-taken", group="north-a")
        assert (taken["talker"], taken["talker_kind"], taken["burst"]) == ("t-n", "device", burst)
        room.relay.said("t-n", Frame(burst, 0, 0, BEEP[0]), room.engine.clock.now_ms())
        assert (await first.peer.hears(1))[0].payload == BEEP[0]
        assert (await second.peer.hears(1, slot=1))[0].payload == BEEP[0]
        await first.say("floor-request", group="north-a", ref=7)
        position = await first.told("floor-queue-position-info", ref=7)
        assert (position["position"], position["waiting"]) == (1, 1)
        await room.engine.tell(DeviceSaid("t-n", up.FloorRelease("north-a", 1)))
        await first.told("floor-granted", ref=7)
        second.peer.say(*BEEP)
        await until(lambda: room.sessions.of("@north")[1].refused_frames >= 5)
        assert room.relay.counts["heard"] == 1, "only the screen that asked has its microphone open"


async def test_the_core_knows_what_all_his_screens_hear() -> None:
    async with control_room() as room:
        async with room.screen("north") as first, room.screen("north") as second:
            await ready(first, "north-a")
            await ready(second, "north", "north-a")
            await second.say("hear", slots=["north"])
            await second.told("hearing", slots=["north", "", ""])
        await until(lambda: not len(room.console.voice))
        told = [one.groups for one in room.posted if isinstance(one, OperatorHears)]
        assert told == [("north-a",), ("north", "north-a"), ("north",), ()] or told[-1] == ()
        assert ("north", "north-a") in told


async def test_beyond_the_walls_there_is_nothing_to_hear() -> None:
    async with control_room() as room, room.screen("south") as screen:
        incident = await _pressed(room)
        await screen.say(
            "hear", slots=["south", "north-a", f"inc-{incident}", "@up/pil-n", "nothing", "top", "tg-s"]
        )
        refused = {(await screen.told("error"))["why"].split("'")[1] for _ in range(5)}
        assert refused == {"south", "north-a", f"inc-{incident}", "@up/pil-n", "nothing"}
        await screen.session(7)
        assert (await screen.told("hearing"))["slots"] == ["", "", "", "", "", "top", "tg-s"]


async def _pressed(room: Room) -> str:
    await room.online("pil-n")
    return await room.press("pil-n")


async def test_a_closed_socket_leaves_no_floor_and_no_talk_back_behind() -> None:
    async with control_room() as room:
        await terminal(room, "t-n")
        async with room.screen("north") as screen:
            incident = await _pressed(room)
            await room.accept("north", incident)
            await ready(screen, "north-a")
            await screen.say("talk-back", incident=incident, on=True)
            await screen.told("intercom", back="north")
            await screen.say("floor-request", group="north-a", ref=1)
            await screen.told("floor-granted")
        await until(lambda: not room.sessions.of("@north"))
        async with asyncio.timeout(5):
            while True:
                async with room.engine.settled() as state:
                    if not state.floors["north-a"].burst and not state.intercoms["pil-n"].back:
                        break
                await asyncio.sleep(0.02)


async def test_of_two_screens_of_one_operator_one_microphone_talks() -> None:
    async with control_room() as room, room.screen("north") as one, room.screen("north") as other:
        await terminal(room, "t-n")
        await ready(one, "north-a")
        await ready(other, "north-a")
        await one.say("floor-request", group="north-a", ref=1)
        await one.told("floor-granted", group="north-a", ref=1)
        await other.say("floor-request", group="north-a", ref=1)
        assert (await other.told("error"))["code"] == "other-screen"
        assert [session.open for session in room.sessions.of("@north")].count(True) == 1
        await one.say("floor-release", group="north-a", ref=1)
        await one.told("floor-idle", group="north-a")
        await other.say("floor-request", group="north-a", ref=2)
        await other.told("floor-granted", group="north-a", ref=2)


async def test_talk_back_is_the_owners() -> None:
    async with control_room() as room, room.screen("north") as screen:
        incident = await _pressed(room)
        await ready(screen, "north")
        await screen.say("talk-back", incident=incident, on=True)
        refused = await screen.told("error", about="talk-back")
        assert refused["why"]
        assert not room.sessions.of("@north")[0].open


async def test_a_session_that_is_lost_is_said_and_offered_anew() -> None:
    async with control_room() as room, room.screen("north") as screen:
        session = await ready(screen, "north-a")
        await screen.peer.pc.close()
        assert (await screen.told("error"))["code"] == "session-lost"
        again = await screen.session()
        assert again is not session
        assert (await screen.told("hearing"))["slots"] == ["north-a", "", ""]


async def test_a_viewer_may_listen_but_not_talk() -> None:
    async with control_room() as room, room.screen("north-view") as screen:
        await ready(screen, "north-a")
        await screen.say("floor-request", group="north-a", ref=1)
        assert (await screen.told("error", about="floor-request"))["code"] == "role"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"type": "sing"}',
        '{"type": "hear", "slots": ["' + "x" * 99 + '"]}',
        '{"type": "hear"}',
    ],
)
async def test_what_cannot_be_read_is_answered_and_harms_nobody(text: str) -> None:
    async with control_room() as room, room.screen("north") as screen:
        await screen.socket.send(text)
        assert (await screen.told("error"))["code"] == "bad-message"
        await screen.say("offer", sdp="hello")
        assert (await screen.told("error", about="offer"))["code"] == "bad-offer"
        await screen.say("ping")
        await screen.told("pong")


async def test_without_a_session_nobody_talks() -> None:
    async with control_room() as room, room.screen("north") as screen:
        await screen.say("floor-request", group="north-a", ref=1)
        assert (await screen.told("error", about="floor-request"))["code"] == "no-session"


async def test_a_flood_ends_the_socket() -> None:
    async with control_room() as room, room.screen("north") as screen:
        with pytest.raises(ConnectionClosed) as closed:
            for _ in range(500):
                await screen.say("ping")
                await asyncio.sleep(0)
            await screen.socket.wait_closed()
            await screen.say("ping")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == FLOOD


async def test_a_removed_operator_is_cut() -> None:
    async with control_room() as room, room.screen("south") as screen:
        await screen.session()
        await room.done(ADMIN, RemoveEntry("operator", "south"))
        async with asyncio.timeout(5):
            await screen.socket.wait_closed()
        assert screen.socket.close_code == REVOKED
        await until(lambda: not room.sessions.of("@south"))


async def test_only_who_is_signed_in_comes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    async with control_room() as room, room.screen("north"):
        url = f"ws://127.0.0.1:{room.port}/api/v1/voice"
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, proxy=None)
        assert refused.value.response.status_code == 401
        monkeypatch.setattr(voice_api, "MAX_SOCKETS", 1)
        with pytest.raises(InvalidStatus) as full:
            async with room.screen("south"):
                pass
        assert full.value.response.status_code == 503


async def test_a_screen_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice_client, "MAX_WAITING", 3)
    async with control_room() as room, room.screen("north") as screen:
        client = next(iter(room.console.voice._clients.values()))
        for _ in range(4):
            client.tell({"type": "pong"})
        async with asyncio.timeout(5):
            await screen.socket.wait_closed()
        assert screen.socket.close_code == SLOW
        assert room.console.voice.dropped == 1


def test_what_waits_is_bounded() -> None:
    client = VoiceClient(Operator(id="wang", unit="top", role="operator"))
    for _ in range(voice_client.MAX_WAITING):
        client.tell({"type": "pong"})
    assert len(client.take()) == voice_client.MAX_WAITING
    for _ in range(voice_client.MAX_WAITING + 1):
        client.tell({"type": "pong"})
    with pytest.raises(SlowClient):
        client.take()
