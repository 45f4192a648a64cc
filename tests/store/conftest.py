"""Both stores behind one fixture, and helpers that make rows."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dispatchd.store import Store, open_store
from dispatchd.store.base import NewRow

Opener = Callable[[], Store]


@pytest.fixture(params=["memory", "sqlite"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    """Opens as many new, empty stores of one kind as a test wants, and closes them."""
    opened: list[Store] = []

    def open_one() -> Store:
        url = "memory:" if request.param == "memory" else f"sqlite:{tmp_path / f'{len(opened)}.db'}"
        opened.append(open_store(url))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(opener: Opener) -> Store:
    return opener()


def new_row(n: int, *, kind: str = "alarm_raised", about: str = "", size: int = 32) -> NewRow:
    """A row that can be told from every other by its n."""
    return NewRow(1_000 + n, 1_790_000_000_000 + n, kind, 1, about, n.to_bytes(8, "big").ljust(size, b"."))
