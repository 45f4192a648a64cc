"""`dispatchd replay ID`: from the store of a daemon that is stopped, read only by us."""

import msgspec

from dispatchd.config import load
from dispatchd.console import replay
from dispatchd.core import facts
from dispatchd.core.facts import SiteSet
from dispatchd.store import open_store
from dispatchd.store.base import Store, StoreError

from . import show
from .errors import BAD_FILE, OK, REFUSED, CliError
from .shell import Shell


def run(shell: Shell) -> int:
    """CliError when the store is in use or knows nothing of the id."""
    url = shell.args.store or load(None, {"dir": shell.args.dir}).store_url
    if (
        url.startswith("sqlite:")
        and not load(None, {"dir": shell.args.dir}).directory.exists()
        and not shell.args.store
    ):
        raise CliError(f"There is no folder {shell.args.dir}. Name the daemon's folder with --dir.", BAD_FILE)
    try:
        store = open_store(url)
    except (StoreError, ValueError) as error:
        raise CliError(
            f"{error} While the daemon runs, use: dispatchd ctl replay {shell.args.id}", BAD_FILE
        ) from None
    try:
        found = replay.of(store, shell.args.id, _timezone(store))
    finally:
        store.close()
    if not found.steps:
        raise CliError(f"The journal knows nothing of {shell.args.id}. Check the id.", REFUSED)
    for step in msgspec.to_builtins(found.steps):
        shell.lines(show.step(step, shell.lang))
    shell.give(found)
    return OK


def _timezone(store: Store) -> str:
    rows = store.rows_of_kind(SiteSet.__name__, newest=1)
    if not rows:
        return "Asia/Shanghai"
    fact = facts.decode(rows[0].kind, rows[0].v, rows[0].body)
    return fact.timezone if isinstance(fact, SiteSet) else "Asia/Shanghai"
