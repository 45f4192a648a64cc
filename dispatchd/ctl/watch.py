"""`ctl watch`: the live feed as a screen, until Ctrl-C.

What must hold: nothing stale looks live. Ages count on between changes, and when the link is lost the screen says
since when, dims what it last knew, shows nobody as on line, and connects anew by itself.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, Protocol

from rich.console import Group, RenderableType
from rich.live import Live
from rich.style import Style
from rich.styled import Styled
from rich.text import Text

from . import errors
from .errors import CliError
from .shell import Shell
from .show import Doc, age, table, word

TICK_S: Final = 0.25  # between two looks at the screen without news: ages move on
RETRY_FIRST_S: Final = 0.5  # after the link was lost; doubled at each vain try
RETRY_MOST_S: Final = 5.0
ROWS_SHOWN: Final = 12  # of each table
PHONES_SHOWN: Final = 12  # units whose telephone is shown while the link is lost


def aged(value: Any, passed_ms: int) -> Any:
    """A document as it is `passed_ms` later: ages counted on, times ahead counted down."""
    if isinstance(value, dict):
        return {name: _later(name, found, passed_ms) for name, found in value.items()}
    return [aged(found, passed_ms) for found in value] if isinstance(value, list) else value


def _later(name: str, value: Any, passed_ms: int) -> Any:
    if isinstance(value, int) and name.endswith("age_ms"):
        return value + passed_ms
    if isinstance(value, int) and name.endswith("_in_ms"):
        return max(0, value - passed_ms)
    return aged(value, passed_ms)


class Lost:
    """Since when the link is lost (wall and monotonic time), and why."""

    def __init__(self, why: str) -> None:
        self.why = why
        self.since = datetime.now().astimezone()
        self.since_s = time.monotonic()

    def head(self, lang: str) -> Text:
        """Says in red that nothing below is live."""
        at, passed = f"{self.since:%H:%M:%S}", age(int((time.monotonic() - self.since_s) * 1000))
        said = (
            f"连接中断:自 {at} 起({passed}),以下为最后所知,并非实时。正在重连。{self.why}"
            if lang == "zh"
            else f"LINK LOST since {at} ({passed}): what follows was last known, nothing is live. Connecting again. "
            f"{self.why}"
        )
        return Text(said, style="bold red")


class Screen:
    """The feed's documents, kept current; each with the monotonic time at which it came."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Doc]] = {}
        self.came_s: dict[tuple[str, str], float] = {}
        self.now_ms = 0
        self.n = 0
        self.lost: Lost | None = None

    def take(self, message: Doc) -> None:
        """A snapshot or numbered changes. ValueError when one was missed."""
        self.now_ms = message["now_ms"]
        now_s = time.monotonic()
        if "snapshot" in message:
            self.tables, self.lost = message["snapshot"], None
            self.came_s = {(name, id_): now_s for name, docs in self.tables.items() for id_ in docs}
        elif message["n"] != self.n + 1:
            raise ValueError(f"change {self.n + 1} is missing")
        self.n = message["n"]
        for change in message.get("changes", ()):
            self._change(change["table"], change["id"], change["doc"], now_s)

    def _change(self, name: str, id_: str, doc: Doc | None, now_s: float) -> None:
        entries = self.tables.setdefault(name, {})
        if doc is None:
            entries.pop(id_, None)
            self.came_s.pop((name, id_), None)
        else:
            entries[id_] = doc
            self.came_s[name, id_] = now_s

    def docs(self, name: str) -> list[Doc]:
        """With the ages they have now."""
        now_s = time.monotonic()
        return [
            aged(doc, int((now_s - self.came_s[name, id_]) * 1000))
            for id_, doc in self.tables.get(name, {}).items()
        ]

    def incidents(self) -> list[Doc]:
        return sorted((d for d in self.docs("incidents") if d["open"]), key=lambda doc: list(doc["order"]))

    def open_broadcasts(self) -> list[Doc]:
        return [doc for doc in self.docs("broadcasts") if doc["state"] == "open"]

    def render(self, lang: str) -> RenderableType:
        """While the link is lost: last known, dimmed, under a red line that says so."""
        if self.lost is None:
            return Group(Text(self._head(lang)), *self._body(lang))
        dim = Styled(Group(*self._body(lang)), Style(dim=True))
        return Group(self.lost.head(lang), Text(self._phones(lang)), dim)

    def _body(self, lang: str) -> list[RenderableType]:
        tasks = [doc for doc in self.docs("tasks") if not doc["done"]]
        titles = ["警情", "广播", "任务"] if lang == "zh" else ["incidents", "broadcasts", "tasks"]
        if self.lost is not None:
            titles = [title + ("(最后所知)" if lang == "zh" else " (last known)") for title in titles]
        found = (("incidents", self.incidents()), ("broadcasts", self.open_broadcasts()), ("tasks", tasks))
        return [
            table(name, docs[:ROWS_SHOWN], lang, title)
            for (name, docs), title in zip(found, titles, strict=True)
        ]

    def _phones(self, lang: str) -> str:
        """Whom to telephone while the console is cut off."""
        known = [f"{d['name'] or d['id']} {d['phone']}" for d in self.docs("units") if d.get("phone")]
        return ("电话 " if lang == "zh" else "telephone ") + " · ".join(known[:PHONES_SHOWN]) if known else ""

    def _head(self, lang: str) -> str:
        fleet = self.tables.get("fleet", {}).values()
        parts = [
            f"{word(kind, lang)} {sum(d['online'] for d in fleet if d['kind'] == kind)}"
            f"/{sum(d['kind'] == kind for d in fleet)}"
            for kind in ("pillar", "terminal")
        ]
        health = self.tables.get("health", {}).get("health", {})
        now_s = time.monotonic()
        oldest = max(
            (
                (d["heard_age_ms"] or 0) + int((now_s - self.came_s["fleet", d["id"]]) * 1000)
                for d in fleet
                if d["online"]
            ),
            default=0,
        )
        parts.append(("最久未闻 " if lang == "zh" else "longest unheard ") + age(oldest))
        return "  ".join([*parts, *health.get("why", [])])


class View(Protocol):
    """Where the watch shows itself."""

    def message(self, message: Doc) -> None: ...
    def tick(self) -> None: ...
    def lose(self, why: str) -> None: ...


class _Lines:
    """With --json: the feed's messages, one a line; a lost link is a line too."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def message(self, message: Doc) -> None:
        self._shell.give(message)

    def tick(self) -> None:
        pass

    def lose(self, why: str) -> None:
        lost = Lost(why)
        self._shell.give({"lost": {"since": lost.since.isoformat(timespec="seconds"), "why": why}})


class _Live:
    def __init__(self, shell: Shell, live: Live) -> None:
        self.screen = Screen()
        self._lang = shell.lang
        self._live = live

    def message(self, message: Doc) -> None:
        self.screen.take(message)
        self.tick()

    def tick(self) -> None:
        self._live.update(self.screen.render(self._lang), refresh=True)

    def lose(self, why: str) -> None:
        self.screen.lost = Lost(why)
        self.tick()


def watch(shell: Shell) -> None:
    """Until Ctrl-C. CliError when the daemon cannot be reached at first, or does not know the token any more."""
    shell.client.get("/operators/me")
    with _view(shell) as view:
        retry_s = RETRY_FIRST_S
        known_lost = False
        while True:
            came, why = _until_lost(shell, view)
            if came or not known_lost:
                view.lose(why)
            known_lost, retry_s = True, RETRY_FIRST_S if came else retry_s
            _wait(view, retry_s)
            retry_s = min(2 * retry_s, RETRY_MOST_S)


def _until_lost(shell: Shell, view: View) -> tuple[bool, str]:
    """One connection: whether anything came, and why it ended. CliError when the token is not known any more."""
    came = False
    try:
        for message in _messages(shell):
            if message is None:
                view.tick()
            else:
                view.message(message)
                came = True
    except CliError as error:
        if error.code == errors.NOT_ALLOWED:
            raise
        return came, str(error)
    except ValueError as error:
        return came, f"{error}."
    return came, ""


def _messages(shell: Shell) -> Iterator[Doc | None]:
    """Of a fresh connection: the daemon may have come back at another address."""
    shell.renew()
    with shell.client.feed(tick_s=TICK_S) as messages:
        yield from messages


def _wait(view: View, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        time.sleep(min(TICK_S, left_s))
        view.tick()


@contextmanager
def _view(shell: Shell) -> Iterator[View]:
    if shell.json:
        yield _Lines(shell)
        return
    with Live(console=shell.console, auto_refresh=False, screen=shell.console.is_terminal) as live:
        yield _Live(shell, live)
