"""Journals of earlier versions are kept for ever and must still fold to the same state.

Each `journals/NNNN.jsonl` was written by the code of its day, one row a line, and is never changed; `NNNN.json` says
what came of it. When a fact changes its form, its `V` grows and `facts.UPCAST` learns the way from the old one.
"""

import base64
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dispatchd.core import facts as f
from dispatchd.core.core import Core

JOURNALS = sorted((Path(__file__).parent / "journals").glob("*.jsonl"))


def folded(path: Path) -> tuple[Core, Counter[str]]:
    core, kinds = Core(), Counter[str]()
    for line in path.read_bytes().splitlines():
        row: dict[str, Any] = msgspec.json.decode(line)
        fact = f.decode(row["kind"], row["v"], _body(row["body"]))
        core.apply(fact, row["now_ms"])
        kinds[row["kind"]] += 1
    core.refolded()
    return core, kinds


def _body(body: Any) -> bytes:
    """Plain fields, or the MessagePack itself in base64 where they hold bytes."""
    return base64.b64decode(body) if isinstance(body, str) else msgspec.msgpack.encode(body)


def told(core: Core, kinds: Counter[str]) -> dict[str, Any]:
    """What a site remembers, short enough to read."""
    state = core.state
    return {
        "kinds": dict(sorted(kinds.items())),
        "units": len(state.site.unit),
        "devices": len(state.site.device),
        "incidents": {
            i.incident: [
                i.device,
                i.kind,
                i.owner,
                i.outcome,
                i.press_count,
                i.ring,
                i.silent,
                len(i.responders),
            ]
            for i in state.incidents.values()
        },
        "places": {
            i.incident: {r.patrol: r.place for r in i.responders.values()} for i in state.incidents.values()
        },
        "broadcasts": {b.broadcast: b.state for b in state.broadcasts.values()},
        "rungs": {item.item: [p.rung for p in item.places.values()] for item in state.ladders.values()},
        "tasks": sorted(state.tasks),
        "seen": {device: len(keys) for device, keys in state.seen.items()},
        "counter": state.counter,
    }


@pytest.mark.parametrize("path", JOURNALS, ids=lambda path: path.stem)
def test_an_old_journal_still_folds_to_what_it_meant(path: Path, rewrite: bool) -> None:
    now = msgspec.json.decode(msgspec.json.encode(told(*folded(path))))
    beside = path.with_suffix(".json")
    if rewrite and not beside.exists():
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(now), indent=1) + b"\n")
    assert now == msgspec.json.decode(beside.read_bytes())


def test_the_newest_journal_holds_every_kind_of_fact() -> None:
    _, kinds = folded(JOURNALS[-1])
    assert set(kinds) == set(f.KINDS), "a new kind needs a new journal, never a change of an old one"


def test_an_older_form_is_brought_up_version_by_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """OwnerTook as if it had changed twice: `who` became `operator`, then `police` came."""
    monkeypatch.setattr(f.OwnerTook, "V", 3)
    monkeypatch.setitem(
        f.UPCAST, ("OwnerTook", 1), lambda old: {"incident": old["incident"], "operator": old["who"]}
    )
    monkeypatch.setitem(f.UPCAST, ("OwnerTook", 2), lambda old: {**old, "police": False})
    first = msgspec.msgpack.encode({"incident": "i1-1", "who": "wang"})
    second = msgspec.msgpack.encode({"incident": "i1-1", "operator": "wang"})
    third = f.encode(f.OwnerTook("i1-1", "wang", police=False))
    assert (
        f.decode("OwnerTook", 1, first) == f.decode("OwnerTook", 2, second) == f.decode("OwnerTook", 3, third)
    )


def test_a_kind_of_a_newer_version_is_refused() -> None:
    with pytest.raises(KeyError, match="OfTomorrow"):
        f.decode("OfTomorrow", 1, b"\x80")
