"""The daemon's HTTP API, as far as simulators use it: reads, commands, and errors as sentences."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Self

import httpx

TIMEOUT_S: Final = 15.0
PREFIX: Final = "/api/v1"
POLL_S: Final = 0.25


class ApiError(RuntimeError):
    """The daemon refused or did not answer; the text says why. `status` 0 = no answer."""

    def __init__(self, what: str, why: str, status: int = 0, code: str = "") -> None:
        super().__init__(f"{what}: {why}")
        self.status = status
        self.code = code


class Api:
    """`async with Api(url, token) as api:`; one connection pool, every request bounded by TIMEOUT_S."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=url.rstrip("/") + PREFIX,
            headers={"authorization": f"Bearer {token}"},
            timeout=TIMEOUT_S,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def get(self, path: str) -> dict[str, Any]:
        return await self._ask("GET", path, None)

    async def plays(self, path: str) -> bool:
        """Whether it gives an Ogg file."""
        try:
            answer = await self._client.get(path)
        except httpx.HTTPError as error:
            raise ApiError(f"GET {path}", f"the daemon does not answer ({type(error).__name__})") from error
        return answer.status_code == httpx.codes.OK and answer.content.startswith(b"OggS")

    async def command(self, name: str, **fields: Any) -> dict[str, Any]:
        """The daemon's `Done`: ids and counts."""
        return await self._ask("POST", f"/commands/{name}", fields)

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        what = f"{method} {path}"
        try:
            answer = await self._client.request(method, path, json=body)
            found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ApiError(what, f"the daemon does not answer ({type(error).__name__}: {error})") from error
        if answer.status_code != httpx.codes.OK or not isinstance(found, dict):
            fields = found if isinstance(found, dict) else {}
            why = str(fields.get("why") or found)
            raise ApiError(what, why, answer.status_code, str(fields.get("code", "")))
        return found


async def until(true: Callable[[], Awaitable[bool]], within_s: float) -> bool:
    """Asks every POLL_S until it is true; False when the time is over."""
    deadline = time.monotonic() + within_s
    while not await true():
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True
