"""What has no line of documentation fails here: events of the journal, and pages that nothing links to."""

from pathlib import Path

import pytest

from dispatchd import event_docs
from dispatchd.core import facts as f

ROOT = Path(__file__).parent.parent


def test_the_page_of_events_is_what_the_facts_say() -> None:
    assert (ROOT / "docs/events.md").read_text("utf-8") == event_docs.markdown() + "\n", (
        "run: python -m dispatchd.event_docs > docs/events.md"
    )


@pytest.mark.parametrize("kind", f.KINDS.values(), ids=lambda kind: kind.__name__)
def test_every_event_says_what_happened(kind: type[f.Fact]) -> None:
    said = event_docs.told(kind)
    assert said.endswith(".")
    assert said not in [event_docs.told(other) for other in f.KINDS.values() if other is not kind]
