"""Levels are walls: every path × every operator. What he may not see is answered like what does not exist."""

import pytest

from dispatchd.console.routes import COMMANDS, ROUTES
from dispatchd.core.commands import RANK, ROLES

from .desk import OPERATORS, Desk, desk

TABLES = {
    "/fleet": {"pil-n": "north", "pil-s": "south", "t-n": "north-a", "t-s": "south"},
    "/units": {"top": "top", "north": "north", "north-a": "north-a", "south": "south"},
    "/patrols": {"p-n": "north-a", "p-s": "south"},
}
BELOW = {
    "top": {"top", "north", "north-a", "south"},
    "north": {"north", "north-a"},
    "north-a": {"north-a"},
    "south": {"south"},
}


async def test_each_table_shows_the_subtree_and_nothing_else() -> None:
    async with desk() as at:
        for operator, (unit, _) in OPERATORS.items():
            for path, entries in TABLES.items():
                shown = await at.ids(operator, path)
                for id_, where in entries.items():
                    assert (id_ in shown) == (where in BELOW[unit]), (operator, path, id_)


async def test_site_shows_the_own_part_and_no_hash() -> None:
    async with desk() as at:
        answer = await at.get("south-admin", "/site")
        found = answer.json()
        assert {unit["id"] for unit in found["unit"]} == {"south"}
        assert {device["id"] for device in found["device"]} == {"pil-s", "t-s"}
        assert "token_hash" not in answer.text


async def test_an_incident_beyond_the_wall_does_not_exist() -> None:
    async with desk() as at:
        incident = await at.press("pil-n")
        for operator, (unit, _) in OPERATORS.items():
            sees = "north" in BELOW[unit]
            for path in (f"/incidents/{incident}", f"/incidents/{incident}/replay"):
                answer = await at.get(operator, path)
                assert answer.status_code == (200 if sees else 404), (operator, path, answer.text)
            assert (incident in await at.ids(operator, "/incidents")) == sees
        unknown = (await at.get("south", "/incidents/i9-999")).json()
        hidden = (await at.get("south", f"/incidents/{incident}")).json()
        assert unknown["code"] == hidden["code"] == "not-found"
        assert unknown["why"].replace("i9-999", incident) == hidden["why"]


async def test_commands_do_not_reach_through_the_wall() -> None:
    async with desk() as at:
        incident = await at.press("pil-n")
        asked = [
            ("accept", {"incident": incident}),
            ("note", {"incident": incident, "text": "x"}),
            ("lamp", {"device": "pil-n", "pattern": "flash"}),
            ("duty", {"patrol": "p-n", "on": False}),
            ("broadcast", {"text": "x", "target": {"units": ["north"]}}),
            ("broadcast", {"text": "x", "target": {"devices": ["t-n"]}}),
            ("broadcast", {"text": "x", "target": {"patrols": ["p-n"]}}),
        ]
        for name, fields in asked:
            answer = await at.command("south", name, **fields)
            assert answer.status_code == 404, (name, answer.text)
        assert (await at.command("north", "accept", incident=incident)).status_code == 200


async def test_own_patrol_elsewhere_shows_the_incident_id_only() -> None:
    async with desk() as at:
        await at.online("t-s", (26.8901, 112.5701))
        incident = await at.press("pil-n")
        assert (await at.command("chief", "accept", incident=incident)).status_code == 200
        await _accept(at, incident)
        patrols = (await at.get("south", "/patrols")).json()["items"]
        assert [patrol["engaged"] for patrol in patrols] == [incident]
        assert (await at.get("south", f"/incidents/{incident}")).status_code == 404


async def _accept(at: Desk, incident: str) -> None:
    from dispatchd.core.inputs import DeviceSaid
    from protocols import up

    doc = (await at.get("chief", f"/incidents/{incident}")).json()
    call = doc["calls"][-1]
    said = up.Answer(key=at.key(), call=call, patrol="p-s", answer="accept", age_ms=0)
    await at.engine.tell(DeviceSaid("t-s", said))


@pytest.mark.parametrize("command", sorted(COMMANDS))
async def test_each_command_refuses_lesser_roles(command: str) -> None:
    needed = ROLES.get(COMMANDS[command], "operator")
    async with desk() as at:
        for operator, role in (("north-view", "viewer"), ("north", "operator"), ("chief", "duty-leader")):
            answer = await at.command(operator, command)
            assert (answer.status_code == 403) == (RANK[role] < RANK[needed]), (operator, answer.text)


async def test_without_a_token_only_the_open_paths_answer() -> None:
    async with desk() as at, at.client(None) as nobody:
        for route in ROUTES:
            path = route.path.replace("{id}", "i1-1")
            answer = await nobody.request(route.method, path)
            assert (answer.status_code == 401) == bool(route.role), (path, answer.text)
