"""Journal, snapshots and queries: SQLite and its memory twin under one contract (base.py).

`open_store` is the way in; the rest of the daemon knows `Store` and its errors only.
"""

from dispatchd.store.base import Store
from dispatchd.store.memory import MemoryStore
from dispatchd.store.sqlite import SqliteStore

__all__ = ["MemoryStore", "SqliteStore", "Store", "open_store"]


def open_store(url: str) -> Store:
    """Open `memory:` or `sqlite:PATH`. ValueError for any other address, StoreError if it fails."""
    if url == "memory:":
        return MemoryStore()
    scheme, _, path = url.partition(":")
    if scheme == "sqlite" and path:
        return SqliteStore(path)
    raise ValueError(
        f"store.url is {url!r}; write memory: or sqlite:PATH, for example sqlite:/var/lib/site.db"
    )
