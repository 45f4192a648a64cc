"""What moves on the screen: a broadcast's ladder until everybody has heard."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from .client import Client
from .shell import Shell
from .show import Doc, word

POLL_S: Final = 0.3  # between two looks at a broadcast's ladder
RUNGS: Final = ("delivered", "presented", "acknowledged")


def finished(doc: Doc) -> bool:
    """Everybody heard (and acknowledged, where that was asked), or nothing more will come."""
    if doc["state"] in ("cancelled", "expired"):
        return True
    counts = doc["ladder"]
    wanted = "acknowledged" if doc["ack"] else "presented"
    return bool(counts[wanted] >= counts["queued"] or (doc["state"] == "closed" and not doc["ack"]))


def follow(shell: Shell, client: Client, broadcast: str) -> Doc:
    """Show the ladder fill until it is finished or Ctrl-C; the last document."""
    with _bars(shell) as show:
        while True:
            doc: Doc = client.get(f"/broadcasts/{broadcast}")
            show(doc)
            if finished(doc):
                return doc
            try:
                time.sleep(POLL_S)
            except KeyboardInterrupt:
                return doc


@contextmanager
def _bars(shell: Shell) -> Iterator[Any]:
    if shell.json:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=shell.console) as progress:
        tasks: dict[str, TaskID] = {
            rung: progress.add_task(word(rung, shell.lang), total=None) for rung in RUNGS
        }

        def show(doc: Doc) -> None:
            for rung, task in tasks.items():
                progress.update(task, completed=doc["ladder"][rung], total=doc["ladder"]["queued"])

        yield show
