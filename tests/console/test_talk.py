"""Talk groups, floors and intercoms as screens see them: all sorts of groups, walls, and the feed's changes."""

from typing import Any

import pytest

from dispatchd.console.feed import touched
from dispatchd.core.commands import OpenGroup, SetEntry, Target
from dispatchd.core.inputs import DeviceSaid, MediaHeard, OperatorHears, RecordingFaulted, VoiceJoined
from dispatchd.core.voice_facts import FloorFreed, FloorTaken, RecordingMade
from protocols import up

from .desk import Desk, desk
from .test_feed import feed_of, served, take, until

HEARS = {
    "chief": {"top", "north", "north-a", "tg-s"},
    "north": {"top", "north", "north-a"},
    "north-a": {"top", "north", "north-a"},
    "north-view": {"top", "north", "north-a"},
    "south": {"top", "tg-s"},
    "south-admin": {"top", "tg-s"},
}


async def group(at: Desk, id_: str, by: str = "chief") -> dict[str, Any]:
    found: dict[str, Any] = (await at.get(by, f"/groups/{id_}")).json()
    return found


async def radio(at: Desk, *devices: str) -> None:
    """On line, with keys."""
    for device in devices:
        await at.online(device)
        await at.engine.tell(VoiceJoined(device, "datagram"))


async def press(at: Desk, device: str, group_: str, ref: int, priority: str = "normal") -> None:
    await at.engine.tell(DeviceSaid(device, up.FloorRequest(group_, ref, priority)))


async def test_everybody_hears_the_groups_of_his_units_and_of_those_above() -> None:
    async with desk() as at:
        for operator, expected in HEARS.items():
            assert await at.ids(operator, "/groups") == expected, operator
            for hidden in HEARS["chief"] - expected:
                for path in (f"/groups/{hidden}", f"/groups/{hidden}/members"):
                    assert (await at.get(operator, path)).status_code == 404, (operator, path)
                answer = await at.command(operator, "floor-request", group=hidden, ref=1)
                assert answer.status_code == (403 if operator == "north-view" else 404)


async def test_kinds_names_and_counts() -> None:
    async with desk() as at:
        await radio(at, "t-n")
        await at.online("t-v")
        incident = await at.press("pil-n")
        opened = await at.done("north", OpenGroup("东街搜寻", Target(devices=["t-n", "t-v"])))
        docs = {doc["id"]: doc for doc in (await at.get("north", "/groups")).json()["items"]}
        assert {id_: doc["kind"] for id_, doc in docs.items()} == {
            "top": "unit",
            "north": "unit",
            "north-a": "unit",
            f"inc-{incident}": "incident",
            opened.ids["group"]: "opened",
        }
        assert (await group(at, "tg-s"))["kind"] == "site"
        made = docs[opened.ids["group"]]
        assert (made["name"], made["members"], made["online"], made["voice"]) == ("东街搜寻", 2, 2, 1)
        assert docs["north"]["name"] == "北所"
        assert docs[f"inc-{incident}"]["incident"] == incident
        assert (await at.get("north", f"/incidents/{incident}")).json()["group"] == f"inc-{incident}"
        assert (await at.get("south", f"/groups/inc-{incident}")).status_code == 404


async def test_members_are_named_within_the_wall_only() -> None:
    async with desk() as at:
        await radio(at, "t-n")
        assert (await at.command("chief", "mute", device="t-n")).status_code == 200
        mine = (await at.get("north", "/groups/top/members")).json()["items"]
        assert [(one["device"], one["carriage"], one["talk_muted"]) for one in mine] == [
            ("t-n", "datagram", True),
            ("t-v", "", False),
        ]
        assert {one["device"] for one in (await at.get("chief", "/groups/top/members")).json()["items"]} == {
            "t-n",
            "t-v",
            "t-s",
        }
        devices = {doc["id"]: doc for doc in (await at.get("north", "/fleet")).json()["items"]}
        assert (devices["t-n"]["talk_muted"], devices["t-v"]["talk_muted"]) == (True, False)


async def test_who_talks_who_waits_and_for_how_long() -> None:
    async with desk() as at:
        await radio(at, "t-n", "t-v")
        await at.engine.tell(OperatorHears("chief", ("north-a",)))
        await press(at, "t-n", "north-a", 1)
        await press(at, "t-v", "north-a", 1)
        await at.skip(2)
        doc = await group(at, "north-a")
        floor = doc["floor"]
        assert (floor["talker"], floor["talker_kind"], floor["group"]) == ("t-n", "device", "north-a")
        assert floor["since_age_ms"] >= 2000
        assert 0 < floor["ends_in_ms"] <= 28_000
        assert not floor["revoked"]
        assert [(one["talker"], one["priority"]) for one in doc["waiting"]] == [("t-v", "normal")]
        assert doc["hearing"] == ["chief"]
        await at.engine.tell(MediaHeard("north-a", floor["burst"], last=True))
        doc = await group(at, "north-a")
        assert (doc["floor"]["talker"], doc["waiting"]) == ("t-v", [])
        assert (await at.command("north", "floor-revoke", group="north-a")).status_code == 200
        assert (await group(at, "north-a"))["floor"] is None


async def test_patched_groups_show_one_talker_and_part_again() -> None:
    async with desk() as at:
        await radio(at, "t-n", "t-v", "t-s")
        assert (await at.command("chief", "patch", groups=["north-a", "tg-s"])).status_code == 200
        await press(at, "t-s", "tg-s", 1)
        one, other = await group(at, "north-a"), await group(at, "tg-s")
        assert one["floor"] == {**other["floor"], "since_age_ms": one["floor"]["since_age_ms"]} | {
            "ends_in_ms": one["floor"]["ends_in_ms"]
        }
        assert (one["patched"], other["patched"]) == (["tg-s"], ["north-a"])
        assert one["floor"]["group"] == "tg-s"
        assert (await at.command("chief", "unpatch", group="tg-s")).status_code == 200
        assert (await group(at, "north-a"))["patched"] == []


async def test_the_feed_follows_talkers_queues_and_groups_that_come_and_go() -> None:
    async with served() as (at, port), feed_of(port, "chief") as socket, feed_of(port, "south") as south:
        await radio(at, "t-n", "t-v")
        first = await take(socket)
        assert set(first["snapshot"]["groups"]) == HEARS["chief"]
        assert set((await take(south))["snapshot"]["groups"]) == HEARS["south"]
        await press(at, "t-n", "north-a", 1)
        assert (await _when(socket, "north-a", "floor"))["floor"]["talker"] == "t-n"
        await press(at, "t-v", "north-a", 1)
        assert [one["talker"] for one in (await _when(socket, "north-a", "waiting"))["waiting"]] == ["t-v"]
        opened = await at.done("north", OpenGroup("搜寻", Target(devices=["t-n", "t-v"])))
        id_ = opened.ids["group"]
        assert (await until(socket, "groups", id_))["name"] == "搜寻"
        assert (await at.command("chief", "group-close", group=id_)).status_code == 200
        assert await until(socket, "groups", id_) is None
        await at.engine.tell(RecordingFaulted("the disk is full"))
        assert (await until(socket, "health", "health"))["recordings_fault"] == "the disk is full"
        await at.command("chief", "mute", device="t-s")
        seen: set[tuple[str, str]] = set()
        while ("fleet", "t-s") not in seen:
            seen |= {(change["table"], change["id"]) for change in (await take(south))["changes"]}
        assert {id_ for table, id_ in seen if table == "groups"} <= HEARS["south"]


async def _when(socket: Any, id_: str, field: str) -> dict[str, Any]:
    """The next document of the group with something in this field."""
    while not (doc := await until(socket, "groups", id_))[field]:
        pass
    return dict(doc)


async def test_health_says_that_nothing_is_recorded_and_stays_ready() -> None:
    async with desk() as at:
        await at.engine.tell(RecordingFaulted("the disk is full: free some space"))
        answer = await at.get("chief", "/ready")
        assert answer.status_code == 200
        assert "the disk is full: free some space" in " ".join(answer.json()["why"])


@pytest.mark.parametrize("silent", [False, True])
async def test_an_intercom_is_shown_at_its_pillar_and_its_incident(silent: bool) -> None:
    async with desk() as at:
        entry = {"id": "pil-n", "kind": "pillar", "unit": "north", "point": "rp-1", "profile": "C"}
        await at.done("admin", SetEntry("device", entry))
        incident = await at.press("pil-n", "duress" if silent else "one-key")
        assert (await at.command("north", "accept", incident=incident)).status_code == 200
        doc = (await at.get("north", f"/incidents/{incident}")).json()["intercom"]
        assert (doc["hears"], doc["silent"], doc["back"]) == (["north"], silent, "")
        answer = await at.command("north", "talk-back", incident=incident)
        assert answer.status_code == (409 if silent else 200)
        devices = {one["id"]: one for one in (await at.get("chief", "/fleet")).json()["items"]}
        assert devices["pil-n"]["intercom"]["back"] == ("" if silent else "north")
        assert devices["pil-s"]["intercom"] is None


async def test_a_site_that_grows_is_seen_at_once() -> None:
    async with desk() as at:
        assert (await group(at, "north-a"))["members"] == 2
        await at.done("admin", SetEntry("device", {"id": "t-x", "kind": "terminal", "unit": "north-a"}))
        await at.done(
            "admin", SetEntry("talk_group", {"id": "new", "unit": "north", "units": ["north", "south"]})
        )
        assert (await group(at, "north-a"))["members"] == 3
        assert "new" in await at.ids("north", "/groups")
        assert "new" not in await at.ids("south", "/groups")


def test_a_word_marks_its_groups_and_not_the_fleet_of_its_incident() -> None:
    taken = FloorTaken("a", 1, "t-n", 1, "a", ["a", "b"], "normal", 3, 1, incident="i1-1")
    made = RecordingMade("r1", "a", 1, "t-n", "i1-1", 0, 1, 1, 0, 1)
    assert set(touched(taken)) == {("groups", "a"), ("groups", "b")}
    assert set(touched(FloorFreed("a", 1, "t-n", "released", "i1-1"))) == {("groups", "a")}
    assert not set(touched(made))
