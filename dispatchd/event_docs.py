"""docs/events.md out of the facts' own docstrings: `python -m dispatchd.event_docs > docs/events.md`."""

import re
from collections.abc import Iterator

from dispatchd.core import facts as f

HEAD = """# Events

What the journal holds: one row per fact, in the order in which it happened. `dispatchd replay ID` prints the rows about
one incident or broadcast in plain words. Made by `python -m dispatchd.event_docs`.

**Durable** rows are on disk before anybody hears of them; the others (presence) within a second. `about` is the field
by which a row is found again. Every row also has its number, core time, wall time and version.
"""


def markdown() -> str:
    """The whole page."""
    return HEAD + "\n".join(line for kind in f.KINDS.values() for line in _entry(kind))


def _entry(kind: type[f.Fact]) -> Iterator[str]:
    kept = "durable" if kind.WAITED else "not waited for"
    yield f"\n## {kind.__name__}\n"
    yield f"{told(kind)}\n"
    yield f"Version {kind.V}, {kept}, about `{kind.ABOUT or '-'}`: " + ", ".join(
        f"`{name}`" for name in kind.__struct_fields__
    )


def told(kind: type[f.Fact]) -> str:
    """What a fact says of itself, on one line; "" if it says nothing of its own."""
    own = kind.__doc__ if kind.__doc__ != f.Fact.__doc__ else ""
    return re.sub(r"\s+", " ", own or "").strip()


if __name__ == "__main__":
    print(markdown(), end="\n")
