"""The HTTP API: sign-in, bodies good and bad, refusals, a full disk, the start, and what each list holds."""

from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from dispatchd.console.api import Console
from dispatchd.console.errors import ApiError
from dispatchd.console.routes import MAX_BODY_BYTES
from dispatchd.console.signin import BAD_ADDRESSES, BAD_PER_MINUTE, BadTokens, find_operator
from dispatchd.core.inputs import DeviceSaid
from dispatchd.core.state import State
from dispatchd.store.base import NewRow, StoreFull
from dispatchd.store.memory import MemoryStore
from protocols import up

from .desk import desk, token


class FullStore(MemoryStore):
    """Takes what it is told to take, then has no space left."""

    full = False

    def commit(self, rows: Sequence[NewRow]) -> int:
        if self.full:
            raise StoreFull("No space left.", "Free some space.")
        return super().commit(rows)


async def test_an_incident_says_everything_an_operator_needs() -> None:
    async with desk() as at:
        await at.online("pil-n")
        await at.online("t-n", (26.8905, 112.5702))
        incident = await at.press("pil-n")
        doc = (await at.get("north", f"/incidents/{incident}")).json()
        assert doc["point_number"] == "17"
        assert doc["place"] == "解放路口"
        assert doc["position"]["source"] in ("device", "point")
        assert doc["owner"] is None
        assert "unowned" in doc["attention"]
        assert [r["patrol"] for r in doc["responders"]] == ["p-n"]
        assert 50 < doc["responders"][0]["distance_now_m"] < 70
        assert doc["ring"]["ring"] >= 1
        assert doc["alerted"] == ["north"]
        assert doc["presses"][0]["age_known"] is True
        taken = await at.command("north", "accept", incident=incident)
        assert taken.status_code == 200, taken.text
        doc = (await at.get("north", f"/incidents/{incident}")).json()
        assert doc["owner"] == "north"
        assert "unowned" not in doc["attention"]
        assert doc["owner_live"] is False


async def test_incidents_come_in_working_order() -> None:
    async with desk() as at:
        first = await at.press("pil-n")
        second = await at.press("pil-s")
        terminal = await at.press("t-s", "emergency")
        owned = await at.press("t-n", "emergency")
        assert (await at.command("chief", "accept", incident=owned)).status_code == 200
        order = [doc["id"] for doc in (await at.get("chief", "/incidents")).json()["items"]]
        assert order == [terminal, first, second, owned]


async def test_a_silent_incident_comes_before_a_louder_one() -> None:
    async with desk() as at:
        loud = await at.press("t-s", "emergency")
        quiet = await at.press("pil-n", "duress")
        docs = (await at.get("chief", "/incidents")).json()["items"]
        assert [(doc["id"], doc["silent"]) for doc in docs] == [(quiet, True), (loud, False)]


async def test_a_broadcast_lists_who_has_not_heard_and_why() -> None:
    async with desk() as at:
        for device in ("t-n", "t-v"):
            await at.online(device)
        answer = await at.command("chief", "broadcast", text="集合", target={"everybody": True})
        assert answer.status_code == 200, answer.text
        id_ = answer.json()["ids"]["broadcast"]
        await at.rung("t-n", id_, "presented")
        await at.rung("t-v", id_, "failed", "muted")
        doc = (await at.get("chief", f"/broadcasts/{id_}")).json()
        assert doc["ladder"] == {"queued": 3, "delivered": 2, "presented": 1, "acknowledged": 0}
        reasons = {entry["device"]: entry["reason"] for entry in doc["not_heard"]}
        assert reasons == {"t-v": "muted", "t-s": "offline"}
        listed = (await at.get("chief", f"/broadcasts/{id_}/not-heard")).json()
        assert listed["not_heard"] == doc["not_heard"]
        assert {p["patrol"]: p["rung"] for p in doc["patrols"]}["p-n"] == "presented"


async def test_a_device_carries_its_age_and_what_is_stale() -> None:
    async with desk() as at:
        await at.online("t-n", (26.89, 112.57))
        fleet = {doc["id"]: doc for doc in (await at.get("north", "/fleet")).json()["items"]}
        assert fleet["t-n"]["online"] is True
        assert fleet["t-n"]["stale"] == []
        assert fleet["t-n"]["position"]["age_ms"] >= 0
        assert fleet["t-n"]["battery_pct"] == 80
        assert fleet["t-v"]["heard_age_ms"] is None
        assert fleet["t-v"]["stale"] == ["presence", "status"]
        assert fleet["pil-n"]["position"]["source"] == "point"


async def test_units_count_what_is_below_them() -> None:
    async with desk() as at:
        await at.online("t-n")
        await at.press("pil-s")
        units = {doc["id"]: doc["counts"] for doc in (await at.get("chief", "/units")).json()["items"]}
        assert units["top"]["terminals"] == 3
        assert units["north"]["terminals_online"] == units["top"]["terminals_online"] == 1
        assert units["south"]["incidents_unowned"] == units["top"]["incidents_unowned"] == 1
        assert units["north"]["incidents_open"] == 0


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("accept", b"{", "$"),
        ("accept", b"[]", "$"),
        ("accept", b"null", "$"),
        ("accept", b"\xff\xfe", "$"),
        ("accept", b"[" * 100_000, "$"),
        ("accept", b"{}", "$"),
        ("accept", b'{"incident": 7}', "$.incident"),
        ("accept", b'{"incident": "../x"}', "$.incident"),
        ("accept", b'{"incident": "i1-1", "surprise": 1}', "$"),
        ("broadcast", b'{"text": "", "target": {}}', "$.text"),
        (
            "broadcast",
            b'{"text": "x", "target": {"circle": {"lat": 91, "lon": 0, "radius_m": 1}}}',
            "$.target.circle.lat",
        ),
        ("broadcast", b'{"text": "x", "target": {}, "ttl_s": 1}', "$.ttl_s"),
        ("end", b'{"incident": "i1-1", "outcome": "boring"}', "$.outcome"),
        ("accept", b'{"command": "end", "incident": "i1-1"}', "$.command"),
    ],
)
async def test_a_bad_body_names_the_field(name: str, body: bytes, field: str) -> None:
    async with desk() as at, at.client("chief") as client:
        answer = await client.post(f"/commands/{name}", content=body)
        assert answer.status_code == 422, answer.text
        assert answer.json()["field"] == field
        assert answer.json()["code"] == "bad-body"


async def test_a_long_body_is_not_read_to_its_end() -> None:
    async with desk() as at, at.client("chief") as client:
        sent = 0

        async def chunks() -> Any:
            nonlocal sent
            for _ in range(1000):
                sent += 1
                yield b" " * 65_536

        answer = await client.post("/commands/note", content=chunks())
        assert answer.status_code == 413
        assert sent * 65_536 <= MAX_BODY_BYTES + 2 * 65_536 or answer.json()["code"] == "too-large"


async def test_a_refusal_is_told_with_its_code() -> None:
    async with desk() as at:
        incident = await at.press("pil-n")
        answer = await at.command("north", "end", incident=incident, outcome="genuine")
        assert answer.status_code == 409
        assert answer.json()["code"] == "not-owner"
        assert answer.json()["why"]


async def test_a_full_disk_is_507_with_the_next_step_and_nothing_is_done() -> None:
    store = FullStore()
    async with desk(store) as at:
        incident = await at.press("pil-n")
        store.full = True
        answer = await at.command("north", "accept", incident=incident)
        assert answer.status_code == 507
        assert "Free some space" in answer.json()["why"]
        ready = await at.get("north", "/ready")
        assert ready.status_code == 503
        assert ready.json()["ready"] is False
        store.full = False
        doc = (await at.get("north", f"/incidents/{incident}")).json()
        assert doc["owner"] is None
        assert (await at.command("north", "accept", incident=incident)).status_code == 200
        assert (await at.get("north", "/ready")).status_code == 200


async def test_a_commit_that_hangs_is_told_instead_of_waited_for() -> None:
    async with desk() as at, at.engine.settled():  # as the engine holds it while a disk does not answer
        health = await at.get("north", "/health")
        ready = await at.get("north", "/ready")
    assert (health.status_code, ready.status_code) == (200, 503)
    assert "does not come back" in health.json()["why"][0]


async def test_while_starting_everything_but_health_is_503() -> None:
    transport = httpx.ASGITransport(app=Console().app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/api/v1/health")).status_code == 200
        assert (await client.get("/api/v1/ready")).status_code == 503
        assert (await client.get("/api/v1/openapi.json")).status_code == 200
        for path in ("/api/v1/fleet", "/metrics", "/api/v1/incidents/i1-1"):
            answer = await client.get(path)
            assert answer.status_code == 503, path
            assert answer.headers["retry-after"] == "1"


async def test_another_host_name_is_refused() -> None:
    async with desk() as at, at.client("chief") as client:
        for host in ("evil.example", "127.0.0.1.evil.example", "10.0.0.5:8080", ""):
            answer = await client.get("/health", headers={"host": host})
            assert answer.status_code == 421, host
        for host in ("127.0.0.1:8080", "localhost", "[::1]:8080"):
            assert (await client.get("/health", headers={"host": host})).status_code == 200, host
        other = await client.get("/fleet", headers={"origin": "https://evil.example"})
        assert other.status_code == 421


async def test_unknown_paths_and_methods_are_told_in_json() -> None:
    async with desk() as at, at.client("chief") as client:
        assert (await client.get("/nothing")).json()["code"] == "no-such-path"
        assert (await client.get("/commands/accept")).json()["code"] == "method"


# --- sign-in ---


@pytest.mark.parametrize("bad", ["", "x", "token-of-nobody", "a" * 5000, "toke\u00f1"])
async def test_a_bad_token_is_401(bad: str) -> None:
    async with desk() as at, at.client(None) as client:
        answer = await client.get("/fleet", headers={b"authorization": f"Bearer {bad}".encode()})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert bad not in answer.text or not bad.strip("x")


async def test_many_bad_tokens_are_slowed_and_a_good_one_still_passes() -> None:
    async with desk() as at, at.client(None, bearer="wrong") as client:
        statuses = [(await client.get("/fleet")).status_code for _ in range(BAD_PER_MINUTE + 2)]
        assert statuses == [401] * BAD_PER_MINUTE + [429] * 2
        assert (await at.get("north", "/fleet")).status_code == 200


def test_the_table_of_bad_addresses_is_bounded() -> None:
    bad = BadTokens()
    for number in range(BAD_ADDRESSES * 2):
        bad.count(f"10.0.{number // 256}.{number % 256}")
    assert len(bad._of) == BAD_ADDRESSES
    with pytest.raises(ApiError):
        for _ in range(BAD_PER_MINUTE + 1):
            bad.count("10.9.9.9")


def test_an_operator_without_a_hash_cannot_sign_in() -> None:
    from protocols.site import Operator

    state = State()
    state.site.operator["x"] = Operator(id="x", unit="top", role="admin")
    assert find_operator(state, "") is None


async def test_me_knows_my_unit_and_what_i_own() -> None:
    async with desk() as at:
        incident = await at.press("pil-n")
        await at.command("north", "accept", incident=incident)
        doc = (await at.get("north", "/operators/me")).json()
        assert (doc["id"], doc["role"], doc["owns"]) == ("north", "operator", [incident])
        assert set(doc["units"]) == {"north", "north-a"}


# --- the rest ---


async def test_replay_tells_in_order_why_each_ring_was_chosen() -> None:
    async with desk() as at:
        await at.online("t-n", (26.8905, 112.5702))
        incident = await at.press("pil-n")
        await at.command("north", "accept", incident=incident)
        found = (await at.get("north", f"/incidents/{incident}/replay")).json()
        kinds = [step["kind"] for step in found["steps"]]
        assert set(kinds[:2]) == {"AlarmRaised", "IncidentOpened"}
        assert kinds.index("IncidentOpened") < kinds.index("RingOpened") < kinds.index("OwnerTook")
        seqs = [step["seq"] for step in found["steps"]]
        assert seqs == sorted(seqs)
        ring = next(step for step in found["steps"] if step["kind"] == "RingOpened")
        assert any("p-n" in line and "chosen" in line for line in ring["because_en"])
        assert any("p-n" in line and "选中" in line for line in ring["because_zh"])
        assert ring["time"].endswith("+08:00")


async def test_malformed_messages_are_for_admins() -> None:
    from dispatchd.store.base import Malformed

    async with desk() as at:
        at.store.keep_malformed(Malformed(1, "dispatch/v1/d/t-s/up/alarm", b"\x00", "no map"))
        at.store.keep_malformed(Malformed(2, "dispatch/v1/d/t-n/up/alarm", b"\x01", "no map"))
        assert (await at.get("north", "/malformed")).status_code == 403
        mine = (await at.get("south-admin", "/malformed")).json()["items"]
        assert [m["payload"] for m in mine] == ["00"]
        everything = (await at.get("admin", "/malformed")).json()["items"]
        assert [m["payload"] for m in everything] == ["01", "00"]


async def test_metrics_are_what_is_documented(request: pytest.FixtureRequest) -> None:
    from dispatchd.console.metrics import METRICS

    async with desk() as at, at.client(None) as client:
        await at.press("pil-n")
        text = (await client.get("http://127.0.0.1/metrics")).text
        named = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
        assert named == set(METRICS)
        assert "dispatchd_incidents_unowned 1" in text
        assert 'dispatchd_devices{kind="pillar",online="no"} 1' in text
        documented = (request.config.rootpath / "docs" / "api.md").read_text("utf-8")
        assert all(f"`{name}`" in documented for name in METRICS)


async def test_a_mistake_of_ours_is_500_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    from dispatchd.console.views import View

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("secret detail")

    async with desk() as at, at.client("chief") as client:
        monkeypatch.setattr(View, "all_of", broken)
        answer = await client.get("/fleet")
        assert answer.status_code == 500
        assert "secret detail" not in answer.text
        assert answer.json()["code"] == "internal"


async def test_no_answer_holds_a_token_or_its_hash() -> None:
    async with desk() as at:
        everything = [
            (await at.get("admin", path)).text
            for path in ("/site", "/operators/me", "/fleet", "/units", "/health", "/openapi.json")
        ]
        assert not any(token("admin") in text or '"token_hash":"' in text for text in everything)


async def test_an_alarm_kept_during_an_outage_shows_the_age_of_its_press() -> None:
    async with desk() as at:
        await at.engine.tell(DeviceSaid("pil-n", up.Alarm(key=at.key(), kind="one-key", age_ms=90_000)))
        doc = (await at.get("north", "/incidents")).json()["items"][0]
        assert 90_000 <= doc["age_ms"] < 120_000
        unknown = up.Alarm(key=at.key(), kind="one-key", age_ms=None)
        await at.engine.tell(DeviceSaid("pil-s", unknown))
        doc = (await at.get("south", "/incidents")).json()["items"][0]
        assert doc["age_ms"] < 30_000


async def test_a_rung_nobody_can_be_asked_for_is_refused() -> None:
    async with desk() as at:
        answer = await at.get("north", "/items/b1-1/not-heard?rung=nosuch")
        assert (answer.status_code, answer.json()["field"]) == (422, "rung")
