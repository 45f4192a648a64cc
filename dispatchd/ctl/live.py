"""What moves on the screen: a broadcast's ladder until everybody has heard, and `ctl watch`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from .client import Client
from .shell import Shell
from .show import Doc, age, table, word

POLL_S: Final = 0.3  # between two looks at a broadcast's ladder
ROWS_SHOWN: Final = 12  # of each table of `watch`
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


class Screen:
    """The feed's documents, kept current."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Doc]] = {}
        self.now_ms = 0
        self.n = 0

    def take(self, message: Doc) -> None:
        """A snapshot or numbered changes. ValueError when one was missed."""
        self.now_ms = message["now_ms"]
        if "snapshot" in message:
            self.tables = message["snapshot"]
        elif message["n"] != self.n + 1:
            raise ValueError(f"change {self.n + 1} is missing")
        self.n = message["n"]
        for change in message.get("changes", ()):
            entries = self.tables.setdefault(change["table"], {})
            if change["doc"] is None:
                entries.pop(change["id"], None)
            else:
                entries[change["id"]] = change["doc"]

    def incidents(self) -> list[Doc]:
        found = self.tables.get("incidents", {}).values()
        return sorted((doc for doc in found if doc["open"]), key=lambda doc: list(doc["order"]))

    def open_broadcasts(self) -> list[Doc]:
        return [doc for doc in self.tables.get("broadcasts", {}).values() if doc["state"] == "open"]

    def render(self, lang: str) -> RenderableType:
        tasks = [doc for doc in self.tables.get("tasks", {}).values() if not doc["done"]]
        titles = ("警情", "广播", "任务") if lang == "zh" else ("incidents", "broadcasts", "tasks")
        return Group(
            Text(self._head(lang)),
            table("incidents", self.incidents()[:ROWS_SHOWN], lang, titles[0]),
            table("broadcasts", self.open_broadcasts()[:ROWS_SHOWN], lang, titles[1]),
            table("tasks", tasks[:ROWS_SHOWN], lang, titles[2]),
        )

    def _head(self, lang: str) -> str:
        fleet = list(self.tables.get("fleet", {}).values())
        parts = [
            f"{word(kind, lang)} {sum(d['online'] for d in fleet if d['kind'] == kind)}"
            f"/{sum(d['kind'] == kind for d in fleet)}"
            for kind in ("pillar", "terminal")
        ]
        health = self.tables.get("health", {}).get("health", {})
        oldest = max((d["heard_age_ms"] or 0 for d in fleet if d["online"]), default=0)
        parts.append(("最久未闻 " if lang == "zh" else "longest unheard ") + age(oldest))
        return "  ".join([*parts, *health.get("why", [])])


def watch(shell: Shell, client: Client) -> None:
    """Until Ctrl-C. With --json: the feed's messages, one a line."""
    screen = Screen()
    with client.feed() as messages:
        if shell.json:
            for message in messages:
                shell.give(message)
            return
        with Live(console=shell.console, refresh_per_second=4, screen=shell.console.is_terminal) as live:
            for message in messages:
                screen.take(message)
                live.update(screen.render(shell.lang))
