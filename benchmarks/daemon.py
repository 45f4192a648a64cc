"""The real daemon in a process of its own, and an operator's hand on its API.

`python -m benchmarks.daemon SETTINGS [PROFILE]` is that process: it logs as under systemd (JSON lines, to a file), and
with PROFILE keeps what cProfile saw. BENCH_PROFILE=FILE in the environment asks for that.
"""

import cProfile
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

from dispatchd import app, log
from dispatchd.config import Broker, Config, Http, Ready
from dispatchd.links.broker.access import DAEMON_USER

from .broker import HOST
from .child import Child, child


class Hand:
    """The admin's commands, over one kept connection."""

    def __init__(self, ready: Ready, process: Child) -> None:
        token = Path(ready.admin_token_file).read_text().strip()
        self.process = process
        self._http = httpx.AsyncClient(
            base_url=ready.http + "/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=120
        )

    async def command(self, name: str, **fields: Any) -> dict[str, Any]:
        """Answered after its commit; an HTTP error ends the benchmark."""
        answer = await self._http.post(f"/commands/{name}", content=msgspec.json.encode(fields))
        if answer.is_error:
            raise RuntimeError(f"{name}: {answer.status_code} {answer.text}")
        return dict(answer.json())

    async def close(self) -> None:
        await self._http.aclose()


@asynccontextmanager
async def daemon(folder: Path, broker_port: int, password_file: Path) -> AsyncIterator[Hand]:
    """The daemon of an empty site in `folder`, connected to the broker."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = Config(
        dir=str(folder),
        http=Http(f"{HOST}:0"),
        broker=Broker("url", "", f"mqtt://{HOST}:{broker_port}", DAEMON_USER, str(password_file)),
    )
    settings = folder / "settings.json"
    settings.write_bytes(msgspec.json.encode(config))
    profile = [os.environ["BENCH_PROFILE"]] if "BENCH_PROFILE" in os.environ else []
    async with child(folder, "-m", "benchmarks.daemon", str(settings), *profile) as process:
        hand = Hand(msgspec.convert(await process.hear(), Ready), process)
        try:
            yield hand
        finally:
            await hand.close()


def main(argv: list[str]) -> None:
    config = msgspec.json.decode(Path(argv[0]).read_bytes(), type=Config)
    log.configure("info", "json")
    if len(argv) == 1:
        app.run(config)
        return
    profile = cProfile.Profile()
    try:
        profile.runcall(app.run, config)
    finally:
        profile.dump_stats(argv[1])


if __name__ == "__main__":
    main(sys.argv[1:])
