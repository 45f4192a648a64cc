"""The real daemon in a process of its own, and an operator's hand on its API.

`python -m benchmarks.daemon SETTINGS` is that process: it logs as under systemd (JSON lines, to a file). With
`--record FILE` it keeps every batch of inputs with its core time; with `--profile FILE`, or BENCH_PROFILE=FILE in the
environment of the benchmark, what cProfile saw.
"""

import argparse
import cProfile
import os
import pickle
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from dispatchd import app, log
from dispatchd.config import Broker, Config, Http, Ready, Voice
from dispatchd.core.inputs import Input
from dispatchd.ledger import Batch, Ledger

from .broker import HOST
from .child import Child, child

VOICE: Final = Voice()
"""As it is without settings."""


class Hand:
    """The admin's commands, over one kept connection."""

    def __init__(self, ready: Ready, process: Child) -> None:
        token = Path(ready.admin_token_file).read_text().strip()
        self.ready, self.process = ready, process
        self._http = httpx.AsyncClient(
            base_url=ready.http + "/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=120
        )

    async def command(self, name: str, **fields: Any) -> dict[str, Any]:
        """Answered after its commit; an HTTP error ends the benchmark."""
        answer = await self._http.post(f"/commands/{name}", content=msgspec.json.encode(fields))
        if answer.is_error:
            raise RuntimeError(f"{name}: {answer.status_code} {answer.text}")
        return dict(answer.json())

    async def read(self, path: str) -> dict[str, Any]:
        answer = await self._http.get(path)
        answer.raise_for_status()
        return dict(answer.json())

    async def close(self) -> None:
        await self._http.aclose()


@asynccontextmanager
async def daemon(
    folder: Path, broker: Broker, site: str = "", record: Path | None = None, voice: Voice = VOICE
) -> AsyncIterator[Hand]:
    """A new daemon in `folder`, connected to its broker."""
    settings = _write_settings(Config(str(folder), site, Http(f"{HOST}:0"), broker, voice=voice))
    options = [] if record is None else ["--record", str(record)]
    if "BENCH_PROFILE" in os.environ:
        options += ["--profile", os.environ["BENCH_PROFILE"]]
    async with child(folder, "-m", "benchmarks.daemon", str(settings), *options) as process:
        hand = Hand(msgspec.convert(await process.hear(), Ready), process)
        try:
            yield hand
        finally:
            await hand.close()


def _write_settings(config: Config) -> Path:
    config.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = config.directory / "settings.json"
    file.write_bytes(msgspec.json.encode(config))
    return file


# --- the process ------------------------------------------------------------------------------------------------

Batches = list[tuple[int, list[Input]]]
"""Core time and inputs of each batch, in order."""


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.daemon")
    parser.add_argument("settings", type=Path)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--profile", type=Path)
    options = parser.parse_args(argv)
    config = msgspec.json.decode(options.settings.read_bytes(), type=Config)
    log.configure("info", "json")
    with _recording(options.record), _profiling(options.profile) as run:
        run(config)


@contextmanager
def _profiling(to: Path | None) -> Iterator[Callable[[Config], None]]:
    if to is None:
        yield app.run
        return
    profile = cProfile.Profile()
    yield lambda config: profile.runcall(app.run, config)
    profile.dump_stats(to)


@contextmanager
def _recording(to: Path | None) -> Iterator[None]:
    """What the ledger is given to decide; the daemon itself has no such switch."""
    batches: Batches = []
    decide = Ledger.decide

    def recorded(self: Ledger, inputs: Sequence[Input], now_ms: int, wall_ms: int) -> Batch:
        batches.append((now_ms, list(inputs)))
        return decide(self, inputs, now_ms, wall_ms)

    if to is not None:
        Ledger.decide = recorded  # type: ignore[method-assign]
    yield
    if to is not None:
        to.write_bytes(pickle.dumps(batches))


if __name__ == "__main__":
    main(sys.argv[1:])
