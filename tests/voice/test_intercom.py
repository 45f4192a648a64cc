"""The intercom between a pillar and its owner, over real sessions: who hears whom is what the core's state says."""

from dispatchd.core.commands import End, PatchIn, SetSilent, TalkBack
from dispatchd.core.inputs import VoiceJoined

from .control_room import Room, control_room, until
from .peer import tone_packets

BEEP = tone_packets(10)
HUM = tone_packets(10, 880)


async def owned(room: Room, operator: str = "north") -> str:
    """An alarm at pil-n that `operator` has accepted."""
    await room.online("pil-n")
    await room.online("t-n")
    incident = await room.press("pil-n")
    await room.accept(operator, incident)
    return incident


async def test_the_pillar_reaches_its_owner_by_itself_and_he_talks_back() -> None:
    async with control_room() as room, room.screen("north") as screen:
        await screen.session()
        pillar = await room.pillar("pil-n")
        incident = await owned(room)
        told = await screen.told("intercom", pillar="pil-n", open=True)
        assert (told["incident"], told["slot"]) == (incident, 2)
        pillar.say(*BEEP)
        assert [p.payload for p in await screen.peer.hears(10, slot=2)] == BEEP
        assert room.recorder.opus("@up/pil-n") == BEEP
        await screen.say("talk-back", incident=incident, on=True)
        await screen.told("intercom", back="north")
        screen.peer.say(*HUM)
        assert [p.payload for p in await pillar.hears(10)] == HUM
        await room.done("north", End(incident, "true-alarm"))
        assert (await screen.told("intercom", pillar="pil-n", open=False))["incident"] == incident
        assert not room.relay.grants()


async def test_before_there_is_an_owner_the_recording_has_it_already() -> None:
    async with control_room() as room:
        pillar = await room.pillar("pil-n")
        await room.online("pil-n")
        await room.press("pil-n")
        await until(lambda: room.relay.grants())
        pillar.say(*BEEP)
        await until(lambda: len(room.recorder.heard) == 10)
        assert room.recorder.opus("@up/pil-n") == BEEP


async def test_the_group_hears_a_patched_pillar_but_not_while_its_speaker_sounds() -> None:
    async with control_room() as room, room.screen("north") as screen, room.screen("chief") as other:
        await screen.session()
        pillar = await room.pillar("pil-n")
        incident = await owned(room)
        await other.say("hear", slots=[f"inc-{incident}"])
        await other.session()
        await screen.told("intercom", open=True)
        await room.engine.tell(VoiceJoined("t-n", "datagram"))
        await room.done("north", PatchIn(incident))
        await screen.told("intercom", patched=True)
        session = room.sessions.of("pil-n")[0]
        assert session.tuner.channels == ["@back/pil-n", f"inc-{incident}"]
        pillar.say(*BEEP)
        assert [p.payload for p in await other.peer.hears(10)] == BEEP
        await screen.peer.hears(10, slot=2)
        room.intercoms.sounding("pil-n", True, room.engine.clock.now_ms())
        pillar.say(*HUM)
        await screen.peer.hears(20, slot=2)
        assert len(other.peer.heard[0]) == 10
        assert room.relay.counts["hushed"] == 10
        assert room.recorder.opus("@up/pil-n") == BEEP + HUM
        room.intercoms.sounding("pil-n", False, room.engine.clock.now_ms())
        pillar.say(*BEEP)
        assert [p.payload for p in (await other.peer.hears(20))[10:]] == BEEP


async def test_an_owner_who_hears_the_pillar_and_its_group_hears_it_once() -> None:
    async with control_room() as room, room.screen("north") as screen:
        pillar = await room.pillar("pil-n")
        incident = await owned(room)
        await screen.say("hear", slots=[f"inc-{incident}"])
        await screen.session()
        await room.done("north", PatchIn(incident))
        await screen.told("intercom", patched=True)
        await until(lambda: len(room.relay.grants()) == 2)
        pillar.say(*BEEP)
        await screen.peer.hears(10, slot=2)
        assert not screen.peer.heard[0]


async def test_nothing_is_sent_to_a_silent_pillar_and_its_sound_goes_to_the_owner_only() -> None:
    async with control_room() as room, room.screen("north") as screen, room.screen("chief") as other:
        await screen.session()
        await other.session()
        pillar = await room.pillar("pil-n")
        incident = await owned(room)
        await screen.told("intercom", open=True)
        await room.done("north", TalkBack(incident))
        await room.done("north", SetSilent(incident, True))
        await screen.told("intercom", silent=True, back="")
        await other.say("hear", slots=["@up/pil-n"])
        assert (await other.told("error"))["code"] == "unknown-channel"
        assert room.sessions.of("pil-n")[0].tuner.channels == ["", ""]
        screen.peer.say(*HUM)
        pillar.say(*BEEP)
        assert [p.payload for p in await screen.peer.hears(10, slot=2)] == BEEP
        assert not pillar.heard[0]
        assert {grant.channel for grant in room.relay.grants()} == {"@up/pil-n"}


async def test_another_operator_who_sees_the_incident_may_listen_in() -> None:
    async with control_room() as room, room.screen("chief") as chief, room.screen("south") as south:
        pillar = await room.pillar("pil-n")
        await owned(room)
        await chief.session()
        await chief.say("hear", slots=["", "@up/pil-n"])
        await chief.told("hearing", slots=["", "@up/pil-n", ""])
        await south.say("hear", slots=["@up/pil-n"])
        assert (await south.told("error"))["code"] == "unknown-channel"
        pillar.say(*BEEP)
        assert [p.payload for p in await chief.peer.hears(10, slot=1)] == BEEP


async def test_a_pillar_that_comes_back_is_heard_again() -> None:
    async with control_room() as room, room.screen("north") as screen:
        await screen.session()
        first = await room.pillar("pil-n")
        await owned(room)
        await screen.told("intercom", open=True)
        await first.pc.close()
        await until(lambda: not room.sessions.of("pil-n"))
        second = await room.pillar("pil-n")
        second.say(*BEEP)
        assert [p.payload for p in await screen.peer.hears(10, slot=2)] == BEEP


async def test_a_state_told_twice_changes_nothing() -> None:
    async with control_room() as room:
        await room.pillar("pil-n")
        await owned(room)
        await until(lambda: room.relay.grants())
        before = room.relay.grants()
        async with room.engine.settled() as state:
            room.intercoms.sync(state)
        assert room.relay.grants() == before
