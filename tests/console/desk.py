"""A real engine on a memory store with a small site of two stations, and clients that sign in to its console.

top ─┬─ north ── north-a      patrols p-n (police), p-v (volunteer); pillar pil-n; terminals t-n, t-v
     └─ south                 patrol p-s; terminal t-s; pillar pil-s
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec

from dispatchd.console.api import Console
from dispatchd.console.signin import token_hash
from dispatchd.core.commands import ApplySite, Command, Done
from dispatchd.core.inputs import DaemonStarted, DeviceSaid
from dispatchd.core.site_commands import ADMIN
from dispatchd.engine import Engine
from dispatchd.store.base import Store
from dispatchd.store.memory import MemoryStore
from protocols import up
from protocols.types import Key, Position

OPERATORS = {
    "chief": ("top", "duty-leader"),
    "north": ("north", "operator"),
    "north-a": ("north-a", "operator"),
    "north-view": ("north", "viewer"),
    "south": ("south", "operator"),
    "south-admin": ("south", "admin"),
}
SITE: dict[str, Any] = {
    "name": "示范区",
    "unit": [
        {"id": "top", "name": "分局"},
        {"id": "north", "name": "北所", "parent": "top"},
        {"id": "north-a", "name": "北一警务室", "parent": "north"},
        {"id": "south", "name": "南所", "parent": "top"},
    ],
    "point": [
        {"id": "rp-1", "unit": "north", "number": "17", "lat": 26.89, "lon": 112.57, "name": "解放路口"}
    ],
    "patrol": [
        {"id": "p-n", "unit": "north-a", "force": "police"},
        {"id": "p-v", "unit": "north-a", "force": "volunteer"},
        {"id": "p-s", "unit": "south", "force": "police"},
    ],
    "device": [
        {"id": "pil-n", "kind": "pillar", "unit": "north", "point": "rp-1"},
        {"id": "pil-s", "kind": "pillar", "unit": "south", "lat": 26.8, "lon": 112.5},
        {"id": "t-n", "kind": "terminal", "unit": "north-a", "patrol": "p-n"},
        {"id": "t-v", "kind": "terminal", "unit": "north-a", "patrol": "p-v"},
        {"id": "t-s", "kind": "terminal", "unit": "south", "patrol": "p-s"},
    ],
    "talk_group": [{"id": "tg-s", "unit": "south", "units": ["south"]}],
}


def token(operator: str) -> str:
    return f"token-of-{operator}-which-is-long-and-secret"


def site() -> dict[str, Any]:
    entries = [
        {"id": id_, "unit": unit, "role": role, "token_hash": token_hash(token(id_))}
        for id_, (unit, role) in OPERATORS.items()
    ]
    return {**SITE, "operator": entries}


class Desk:
    """What a test works with."""

    def __init__(self, engine: Engine, store: Store, console: Console) -> None:
        self.engine, self.store, self.console = engine, store, console
        self._sequence = 0

    def client(self, operator: str | None, *, bearer: str | None = None) -> httpx.AsyncClient:
        """Signed in as `operator`, or with any other token."""
        secret = bearer if bearer is not None else token(operator) if operator else None
        headers = {"authorization": f"Bearer {secret}"} if secret is not None else {}
        transport = httpx.ASGITransport(app=self.console.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1/api/v1", headers=headers)

    async def get(self, operator: str, path: str) -> httpx.Response:
        async with self.client(operator) as client:
            return await client.get(path)

    async def command(self, operator: str, name: str, **fields: Any) -> httpx.Response:
        async with self.client(operator) as client:
            return await client.post(f"/commands/{name}", json=fields)

    async def ids(self, operator: str, path: str) -> set[str]:
        return {doc["id"] for doc in (await self.get(operator, path)).json()["items"]}

    async def done(self, operator: str, command: Command) -> Done:
        answer = await self.engine.ask(operator, command)
        assert isinstance(answer, Done), answer
        return answer

    def key(self) -> Key:
        self._sequence += 1
        return Key("boot-1", self._sequence)

    async def online(self, device: str, position: tuple[float, float] | None = None) -> None:
        """Hello and one state, committed."""
        await self.engine.tell(DeviceSaid(device, up.Hello(nonce=b"12345678", conn=1, boot="boot-1")))
        at = Position(*position) if position else None
        await self.engine.tell(DeviceSaid(device, up.State(conn=1, position=at, battery_pct=80)))

    async def press(self, device: str, kind: str = "one-key") -> str:
        """The incident that a press at `device` makes or joins."""
        known = await self.ids("chief", "/incidents")
        await self.engine.tell(DeviceSaid(device, up.Alarm(key=self.key(), kind=kind, age_ms=0)))
        new = await self.ids("chief", "/incidents") - known
        return next(iter(new or known))

    async def rung(self, device: str, item: str, rung: str, reason: str | None = None) -> None:
        await self.engine.tell(
            DeviceSaid(device, up.Rung(key=self.key(), item=item, rung=rung, reason=reason))
        )


@asynccontextmanager
async def desk(store: Store | None = None) -> AsyncIterator[Desk]:
    """The engine runs as a task; nothing that it sends goes anywhere."""
    store = store or MemoryStore()
    engine = Engine(store, lambda _: None)
    console = Console()
    started = DaemonStarted(store.next_start(), store.generation(), "test", token_hash(token(ADMIN)))
    task = asyncio.create_task(engine.run(started), name="engine")
    try:
        await engine.started.wait()
        engine.link_changed(True)
        answer = await engine.ask(ADMIN, ApplySite(msgspec.to_builtins(site())))
        assert isinstance(answer, Done), answer
        console.attach(engine, store)
        yield Desk(engine, store, console)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
