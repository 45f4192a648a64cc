"""What is said in the run of --once, and its numbers: two responders in the incident's group, then all hands.

All hands hear two words: the command car's, whose delay to a hundred radios is measured (talker and listeners share a
clock), and the control room's (`dispatchd ctl talk`), which every terminal hears, the car too. A listener counts when
it has opened frames of the control room's word under its own key.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from simulators.api import Api, until
from simulators.figures import Word, percentile
from simulators.fleet import Fleet

from .daemon import Daemon, DaemonError
from .spoken import Spoken, Words

ALL: Final = "tg-all"
CAR: Final = "t-001"
"""The command car's terminal: it says the word whose delay is measured with a hundred listeners."""
TUNED_WITHIN_S: Final = 15.0
HEARD_WITHIN_S: Final = 10.0
"""From the press to the end at the last listener; later ones are left out, and the run says how many."""
RECORDED_WITHIN_S: Final = 10.0
P99: Final = 0.99

Say = Callable[[str], None]


class TalkError(RuntimeError):
    """Somebody could not talk; the text says who and why."""


class VoiceNumbers(Struct):
    """Frames are of 20 ms; sent by all talkers, heard by all listeners together. `mouth_to_ear_ms_p99` of what
    terminals said. `recordings` are there, listed by the API, and give sound.
    """

    talkers: int
    listeners: int
    frames_sent: int
    frames_heard: int
    grant_ms_p99: int | None
    mouth_to_ear_ms_p99: int | None
    recordings: int


class Talk:
    """The scene; `incident`, then `all_hands`, then `numbers` when it is over."""

    def __init__(self, fleet: Fleet, api: Api, daemon: Daemon, words: Words, say: Say) -> None:
        self._fleet, self._api, self._daemon = fleet, api, daemon
        self._words, self._say = words.words, say
        self._sent_elsewhere = 0
        if not words.spoken:
            say("nothing here can speak (no espeak): the words are la-la-la")

    # ------------------------------------------------------------------------------------------------- scenes

    async def incident(self, incident: str) -> None:
        """Two responders, one after the other, in the incident's group. TalkError when it has no two with voice."""
        group = f"inc-{incident}"
        members = await self._members(group, 2)
        for terminal, name in zip(members, ("coming", "there"), strict=False):
            await self._one(terminal, group, self._words[name], set(members) - {terminal})

    async def all_hands(self) -> None:
        """The command car, then the control room."""
        terminals = set(self._fleet.ids(pillars=False))
        await self._members(ALL, len(terminals))
        await self._one(CAR, ALL, self._words["attention"], terminals - {CAR})
        before = set(self._fleet.figures.words)
        try:
            report = await self._daemon.talk(ALL, self._words["all-hands"].path)
        except DaemonError as error:
            raise TalkError(f"the control room cannot talk in {ALL}: {error}") from error
        self._sent_elsewhere += report["frames_sent"]
        await self._heard("the control room", ALL, before, terminals)

    async def _members(self, group: str, least: int) -> list[str]:
        """Those with voice in the daemon's eyes, once they are so many and each has its keys."""
        found: list[str] = []

        async def ready() -> bool:
            nonlocal found
            items = (await self._api.get(f"/groups/{group}/members"))["items"]
            found = sorted(one["device"] for one in items if one["carriage"])
            return len(found) >= least and all(self._fleet.tuned(one, group) for one in found)

        if not await until(ready, TUNED_WITHIN_S):
            raise TalkError(f"{group}: only {len(found)} of {least} terminals have voice")
        return found

    async def _one(self, terminal: str, group: str, word: Spoken, hearers: set[str]) -> None:
        before = set(self._fleet.figures.words)
        if not self._fleet.talk(terminal, word.packets, group):
            raise TalkError(f"{terminal} is no running radio")
        await self._heard(terminal, group, before, hearers)

    async def _heard(self, who: str, group: str, before: set[int], hearers: set[str]) -> None:
        """The word that is none of `before`, to its end, at all of these."""
        figures, over = self._fleet.figures, set[str]()

        def by_all() -> bool:
            nonlocal over
            words = [
                word for burst, word in figures.words.items() if burst not in before and word.group == group
            ]
            over = {device for word in words for device in word.over} & hearers
            return over == hearers

        if not await figures.until(by_all, HEARD_WITHIN_S) and not over:
            raise TalkError(f"nobody heard {who} in {group} within {HEARD_WITHIN_S:.0f} s")
        self._say(f"{who} talks in {group}: {len(over)} of {len(hearers)} heard it")

    # ------------------------------------------------------------------------------------------------- numbers

    async def numbers(self) -> VoiceNumbers:
        """After the incident has ended, so that its pillar's recording is closed too."""
        figures = self._fleet.figures
        words = figures.words.values()
        listeners = {device for word in words if _by_control_room(word) for device in word.heard}
        return VoiceNumbers(
            len(figures.talkers),
            len(listeners),
            figures.frames_sent + self._sent_elsewhere,
            figures.frames_heard,
            percentile(figures.grant_ms, P99),
            percentile(figures.mouth_to_ear_ms, P99),
            await self._recordings(),
        )

    async def _recordings(self) -> int:
        """Those that the API lists and plays, once each word is among them, and each open pillar's sound."""
        wanted = set(self._fleet.figures.words)
        pillars = {
            f"@up/{one}" for one in self._fleet.ids(pillars=True) if self._fleet.devices[one].connected
        }
        items: list[dict[str, Any]] = []

        async def there() -> bool:
            nonlocal items
            items = (await self._api.get("/recordings"))["items"]
            bursts, groups = {one["burst"] for one in items}, {one["group"] for one in items}
            return wanted <= bursts and pillars <= groups

        if not await until(there, RECORDED_WITHIN_S):
            self._say(f"not everything that was said is recorded after {RECORDED_WITHIN_S:.0f} s")
        return sum([await self._api.plays(f"/recordings/{one['id']}/sound") for one in items])


def _by_control_room(word: Word) -> bool:
    """To all hands, and no terminal of this process said it."""
    return word.group == ALL and not word.sent
