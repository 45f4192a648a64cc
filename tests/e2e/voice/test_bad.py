"""What goes wrong on the live path: no right to talk, a key held too long, garbage, forgeries, a full disk."""

import asyncio
import os
import random
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devices import events as ev
from protocols.sframe import Headers, kid_of
from tests.e2e.process import until
from tests.e2e.voice.radio import Terminal
from tests.e2e.voice.stand import GROUP, SEED, Stand, stand
from tests.sound.compare import compare
from tests.sound.spoken import ANSWER, SENTENCE, reference, spoken

SHORT = "东门有人走失。"
TALK_S, GRACE_S = 5, 0.5
FLOOD = 2_000
"""Datagrams of each kind."""
FAR_AHEAD = 100_000
"""Numbers that a talker reaches after half an hour."""


@pytest.fixture(scope="module", autouse=True)
def _spoken_before() -> None:
    for text in (SHORT, SENTENCE, ANSWER):
        reference(text)


async def heard_well(one: Terminal, burst: int, text: str, since: int = 0) -> None:
    await one.heard_out(burst)
    report = compare(reference(text), one.handset.tape.sound(since))
    assert not report.faults(), (report, report.faults())


async def test_who_may_not_talk_is_told_why(tmp_path: Path) -> None:
    """Muted, put out of the group, alone in it, a group that is not there; and then all is well again."""
    async with stand(tmp_path) as here:
        one, two = here.radios
        await here.daemon.command("mute", device=one.device, on=True)
        await one.press()
        await one.told("muted this device")
        await one.let_go()
        await here.daemon.command("mute", device=one.device, on=False)
        await one.key(ev.SelectGroup("nowhere"))
        await one.told("nowhere")
        await here.daemon.command("group-remove", group=GROUP, target={"devices": [two.device]})
        await two.until(lambda: GROUP not in two.radio.groups)
        await two.press()
        await two.told("there is no talk group to talk in")
        await two.let_go()
        await one.press()
        await one.told("nobody else")
        await one.let_go()
        assert one.handset.words == two.handset.words == []
        await here.daemon.command("group-add", group=GROUP, target={"devices": [two.device]})
        await two.logged("voice-keys", 2, groups=1)
        await two.until(lambda: GROUP in two.radio.groups)
        burst = await one.say(spoken(SHORT))
        await heard_well(two, burst, SHORT)


@pytest.mark.full
async def test_a_key_held_for_300_ms_and_one_held_too_long(tmp_path: Path) -> None:
    async with stand(tmp_path, talk_s=TALK_S, floor_grace_s=GRACE_S) as here:
        talker, listener = here.radios
        await talker.press()
        burst = await talker.granted()
        talker.handset.mouth.say(spoken(SHORT)[: 16_000 * 3 // 10])
        await talker.handset.mouth.silent.wait()
        await talker.let_go()
        await listener.heard_out(burst)
        assert [ear.opus for ear in listener.frames(burst)] == talker.packets(burst)

        await talker.press()
        burst = await talker.granted(2)
        since = len(listener.handset.tape.pieces)
        talker.handset.mouth.say(spoken(SENTENCE))
        talker.handset.mouth.say(spoken(SENTENCE))
        await talker.told("you talked too long")
        await listener.heard_out(burst)
        said = talker.packets(burst)
        assert TALK_S * 50 * 0.9 <= len(said) <= (TALK_S + GRACE_S + 0.5) * 50
        frames = [ear.opus for ear in listener.frames(burst) if ear.opus]
        assert frames == said[: len(frames)]
        assert len(said) - len(frames) <= 5
        heard = listener.handset.tape.sound(since)
        assert not compare(reference(SENTENCE)[: 16_000 * (TALK_S - 1)], heard).faults()
        talker.handset.mouth.hush()
        await talker.let_go()
        again = await listener.say(spoken(SHORT))
        await talker.heard_out(again)


@pytest.mark.full
async def test_garbage_of_one_who_has_the_floor_costs_him_the_floor(tmp_path: Path) -> None:
    """First bytes that look like Opus and are none: decoders live through it. Then bytes that do not look like it."""
    chance = random.Random(SEED)
    async with stand(tmp_path, 3) as here:
        hostile, other, listener = here.radios
        hostile.handset.mangle = lambda opus: opus[:1] + chance.randbytes(max(0, len(opus) - 1))
        burst = await hostile.say(spoken(SHORT))
        await listener.heard_out(burst)
        assert [ear.opus for ear in listener.frames(burst)] == hostile.packets(burst)

        hostile.handset.mangle = lambda opus: b"\xff\xff" + opus
        await hostile.press()
        burst = await hostile.granted(2)
        hostile.handset.mouth.say(spoken(SENTENCE))
        await hostile.told("your sound cannot be read")
        hostile.handset.mouth.hush()
        await hostile.let_go()
        assert listener.frames(burst) == []
        assert (await here.counts())["unreadable"] >= 3

        since = len(listener.handset.tape.pieces)
        await listener.until(lambda: not listener.talks)
        burst = await other.say(spoken(SHORT))
        await heard_well(listener, burst, SHORT, since)


@pytest.mark.full
async def test_a_flood_of_forgeries_disturbs_nobody(tmp_path: Path) -> None:
    """Forged, replayed, oversize, of unknown keys, and no datagrams of ours at all: counted, while others are heard."""
    async with stand(tmp_path) as here:
        talker, listener = here.radios
        first = await talker.say(spoken(SHORT))
        await listener.heard_out(first)
        replayed = list(here.relay.last_up)
        before = await here.counts()
        saying = asyncio.create_task(talker.say(spoken(ANSWER)), name="saying")
        sent = await _flood(here, replayed)
        burst = await saying
        await listener.heard_out(burst)
        counts = await here.counts()
        new = {name: counts.get(name, 0) - before.get(name, 0) for name in counts}
        print(f"seed {SEED}: {sent} of each kind sent, {new}")
        assert [ear.opus for ear in listener.frames(burst)] == talker.packets(burst)
        assert new["replayed"] >= sent * 0.5
        assert new["forged"] >= sent * 0.5
        assert new["oversize"] >= sent * 0.5
        assert new["stale-kid"] + new["unknown-kid"] + new.get("unlooked", 0) >= sent * 0.5
        assert new.get("no-floor", 0) == 0


async def _flood(here: Stand, replayed: list[bytes]) -> int:
    """At the daemon's own port, at some 5,000 a second; the kernel may drop some."""
    chance, headers = random.Random(SEED), Headers(kid_of(replayed[-1]))
    with socket.socket(type=socket.SOCK_DGRAM) as hostile:
        hostile.setblocking(False)
        for n in range(FLOOD):
            real = replayed[n % len(replayed)]
            forged = headers.of(FAR_AHEAD + n) + chance.randbytes(80)
            alien = bytes([real[0]]) + chance.randbytes(80)
            for data in (real, forged, real + bytes(1_400), alien):
                hostile.sendto(data, here.relay.server)
            if n % 20 == 19:
                await asyncio.sleep(0.02)
    return FLOOD


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Where a daemon in `tmp_path` keeps its recordings: a file system of 8 kB. Needs root."""
    folder = tmp_path / "state" / "recordings"
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.full
async def test_recordings_on_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    """Everybody is heard, the operator is warned, and told when it is well again."""
    async with stand(tmp_path) as here:
        talker, listener = here.radios
        burst = await talker.say(spoken(SENTENCE))
        await heard_well(listener, burst, SENTENCE)

        async def fault() -> str:
            return str((await here.daemon.health())["recordings_fault"])

        why = await until(fault)
        print(why)
        assert "No space left" in why
        assert "nothing is recorded" in str(await here.daemon.health())
        await (await asyncio.create_subprocess_exec("mount", "-o", "remount,size=8m", small_disk)).wait()
        assert os.statvfs(small_disk).f_blocks > 2

        async def well() -> bool:
            return not await fault()

        await until(well)
        since = len(listener.handset.tape.pieces)
        burst = await talker.say(spoken(ANSWER))
        await heard_well(listener, burst, ANSWER, since)

        async def both() -> list[Any]:
            items: list[Any] = (await here.daemon.get("/recordings"))["items"]
            return items if len(items) == 2 else []

        newest, first = await until(both)
        assert "No space left" in first["why"]
        assert (newest["frames"], newest["why"]) == (sum(map(bool, talker.packets(burst))), "")
