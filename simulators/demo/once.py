"""One alarm, four spoken words and one broadcast from beginning to end, with a scripted operator, and the numbers of
what happened.

The numbers are what the daemon has committed: its API's ladder and the replay of the incident.
`receipt_ms` is the pillar's own: from its press to the receipt, by its own clock; the numbers of voice (talk.py) are
the radios' own, and the daemon's recordings.
"""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from simulators.api import Api, ApiError, until
from simulators.city import Mishap
from simulators.fleet import Fleet
from simulators.people import OBLIGING

from .talk import Talk, VoiceNumbers

ONLINE_WITHIN_S: Final = 40.0
RECEIPT_WITHIN_S: Final = 15.0
ACCEPTS_WITHIN_S: Final = 45.0
ON_SCENE_WITHIN_S: Final = 30.0
SETTLE_WITHIN_S: Final = 60.0
STILL_S: Final = 3.0
"""The ladder has settled when nothing of it moved for so long."""
OPERATOR_S: Final = 1.0
"""The operator's reaction time."""
MISHAPS: Final[tuple[Mishap, ...]] = ("deaf", "deaf", "broken", "offline", "offline", "flat")
"""What befalls six terminals, none of them called, just before the broadcast."""
TEXT: Final = "请各组报告位置"

CAME: Final = ("on-scene", "done")

Say = Callable[[str], None]


class OnceError(RuntimeError):
    """The scenario could not be played to its end; the text says how far it came."""


class AlarmNumbers(Struct):
    """`receipt_ms`: press to receipt. The others count rings, patrols, patrols, patrols; `owner` is an
    operator.
    """

    receipt_ms: int
    incident: str
    rings: int = 0
    called: int = 0
    accepted: int = 0
    stood_down: int = 0
    owner: str = ""


class NotHeard(Struct):
    device: str
    reason: str


class BroadcastNumbers(Struct):
    """Addressees that came so far or further, and who did not hear."""

    addressees: int
    delivered: int
    presented: int
    acknowledged: int
    not_heard: list[NotHeard]


class Numbers(Struct):
    """The one JSON object."""

    terminals_online: int
    pillars_online: int
    alarm: AlarmNumbers
    broadcast: BroadcastNumbers
    voice: VoiceNumbers


async def play(fleet: Fleet, api: Api, talk: Talk, rng: random.Random, say: Say) -> Numbers:
    """Everything in order; OnceError, TalkError or ApiError when a step does not happen in its time."""
    for bearer in fleet.city.bearers.values():
        bearer.temper = OBLIGING
    online = await all_online(fleet, api)
    say(f"{online[0]} terminals and {online[1]} pillars on line")
    incident, receipt_ms = await _press(fleet, rng, say)
    await asyncio.sleep(OPERATOR_S)
    await api.command("accept", incident=incident)
    say(f"the operator took {incident}")
    called = await _enough(api, incident, say)
    await talk.incident(incident)
    await talk.all_hands()
    _befall(fleet, called, rng, say)
    broadcast = await _broadcast(api)
    say(f"broadcast {broadcast} is out")
    await _end(api, incident, say)
    ladder = await _settled(fleet, api, broadcast, say)
    alarm = await _alarm_numbers(api, incident, receipt_ms)
    return Numbers(*online, alarm, ladder, await talk.numbers())


async def all_online(fleet: Fleet, api: Api) -> tuple[int, int]:
    """Terminals (with a position) and pillars on line in the daemon's eyes, once that is all of them."""
    wanted = len(fleet.ids(pillars=False)), len(fleet.ids(pillars=True))
    found = (0, 0)

    async def there() -> bool:
        nonlocal found
        devices = (await api.get("/fleet"))["items"]
        kinds = [device["kind"] for device in devices if device["online"] and _placed(device)]
        found = kinds.count("terminal"), kinds.count("pillar")
        return found >= wanted and found[1] >= wanted[1]

    if not await until(there, ONLINE_WITHIN_S):
        raise OnceError(f"only {found[0]} terminals and {found[1]} pillars of {wanted} came on line")
    return found


def _placed(device: dict[str, Any]) -> bool:
    """A terminal has said where it is: only then the nearest can be called."""
    position = device["position"]
    return device["kind"] == "pillar" or (position is not None and position["source"] == "device")


async def _press(fleet: Fleet, rng: random.Random, say: Say) -> tuple[str, int]:
    """A citizen at the pillar; the incident and how long the receipt took."""
    pillar = rng.choice(list(fleet.ids(pillars=True)))
    say(f"somebody presses {pillar}")
    fleet.press(pillar)
    device = fleet.devices[pillar]

    async def receipted() -> bool:
        return bool(device.receipts)

    if not await until(receipted, RECEIPT_WITHIN_S):
        raise OnceError(f"{pillar} has no receipt after {RECEIPT_WITHIN_S:.0f} s")
    receipt = device.receipts[0]
    if not receipt.incident:
        raise OnceError(f"the receipt of {pillar} names no incident")
    say(f"receipt after {receipt.after_ms} ms: {receipt.incident}")
    return receipt.incident, receipt.after_ms


async def _enough(api: Api, incident: str, say: Say) -> set[str]:
    """Waits until enough patrols have accepted (the open ring is closed); all devices that were called."""
    doc: dict[str, Any] = {}

    async def closed() -> bool:
        nonlocal doc
        doc = await api.get(f"/incidents/{incident}")
        return doc["rings"] > 0 and doc["ring"] is None

    if not await until(closed, ACCEPTS_WITHIN_S):
        raise OnceError(f"{incident}: not enough patrols accepted within {ACCEPTS_WITHIN_S:.0f} s")
    say(f"{incident}: " + ", ".join(f"{one['patrol']} {one['place']}" for one in doc["responders"]))
    return {one["patrol"] for one in doc["responders"]}


def _befall(fleet: Fleet, called: set[str], rng: random.Random, say: Say) -> None:
    free = [one for one in fleet.ids(pillars=False) if fleet.devices[one].credentials.patrol not in called]
    for terminal, mishap in zip(rng.sample(free, len(MISHAPS)), MISHAPS, strict=True):
        fleet.befall(terminal, mishap)
        say(f"{terminal} is {mishap}")


async def _broadcast(api: Api) -> str:
    """To everybody, with a human's acknowledgement; its id."""
    await asyncio.sleep(OPERATOR_S)
    done = await api.command("broadcast", text=TEXT, target={"everybody": True}, ack=True)
    broadcast: str = done["ids"]["broadcast"]
    return broadcast


async def _end(api: Api, incident: str, say: Say) -> None:
    """The operator waits for a patrol on scene, for a while, and ends the incident."""

    async def there() -> bool:
        doc = await api.get(f"/incidents/{incident}")
        return any(one["place"] in CAME for one in doc["responders"])

    came = await until(there, ON_SCENE_WITHIN_S)
    await api.command("end", incident=incident, outcome="genuine" if came else "unverifiable")
    say(f"{incident} is ended: {'a patrol is on scene' if came else 'nobody is on scene yet'}")


async def _settled(fleet: Fleet, api: Api, broadcast: str, say: Say) -> BroadcastNumbers:
    """The ladder once everybody who can hear has acknowledged, the rest has its reason, and nothing moves."""
    able = len(fleet.ids(pillars=False)) - len(MISHAPS)
    seen: list[tuple[float, BroadcastNumbers]] = []

    async def still() -> bool:
        silent = await _silent(api, fleet)  # first: it changes the reasons
        now, numbers = time.monotonic(), await _broadcast_numbers(api, broadcast)
        if not seen or seen[-1][1] != numbers:
            seen.append((now, numbers))
        return numbers.acknowledged >= able and silent and now - seen[-1][0] >= STILL_S

    if not await until(still, SETTLE_WITHIN_S):
        say(f"the ladder still moves after {SETTLE_WITHIN_S:.0f} s; these are the numbers so far")
    return seen[-1][1]


async def _silent(api: Api, fleet: Fleet) -> bool:
    """Whether the daemon knows of everybody who lost his network or power."""
    gone = {one.terminal for one in fleet.city.bearers.values() if {"offline", "flat"} & set(one.until)}
    devices = (await api.get("/fleet"))["items"]
    return not any(device["online"] for device in devices if device["id"] in gone)


async def _broadcast_numbers(api: Api, broadcast: str) -> BroadcastNumbers:
    doc = await api.get(f"/broadcasts/{broadcast}")
    ladder = doc["ladder"]
    not_heard = [NotHeard(one["device"], one["reason"]) for one in doc["not_heard"]]
    rungs = (ladder["queued"], ladder["delivered"], ladder["presented"], ladder["acknowledged"])
    return BroadcastNumbers(*rungs, sorted(not_heard, key=lambda one: one.device))


async def _alarm_numbers(api: Api, incident: str, receipt_ms: int) -> AlarmNumbers:
    try:
        steps = (await api.get(f"/incidents/{incident}/replay"))["steps"]
    except ApiError as error:
        raise OnceError(f"no replay of {incident}: {error}") from error
    return count(steps, incident, receipt_ms)


def count(steps: list[dict[str, Any]], incident: str, receipt_ms: int) -> AlarmNumbers:
    """Of the journal's facts. Stood down are those that were told so while the incident was open."""
    facts: dict[str, list[dict[str, Any]]] = {}
    for step in steps:
        facts.setdefault(step["kind"], []).append(step["fact"])
    rings = facts.get("RingOpened", [])
    called = {one["patrol"] for ring in rings for one in ring["looked_at"] if one.get("chosen")}
    answers = [one for one in facts.get("Answered", []) if one.get("counted", True)]
    accepted = {one["patrol"] for one in answers if one["answer"] == "accept"}
    stands = [one for one in facts.get("StoodDown", []) if one["reason"] != "ended"]
    stood_down = {patrol for one in stands for patrol in one["patrols"]}
    owners = [one["operator"] for one in facts.get("OwnerTook", [])]
    return AlarmNumbers(
        receipt_ms,
        incident,
        len(rings),
        len(called),
        len(accepted),
        len(stood_down),
        owners[-1] if owners else "",
    )
