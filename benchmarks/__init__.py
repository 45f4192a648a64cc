"""Figures: each is ours against a named baseline, measured in turns in the same run on the same machine.

`python -m benchmarks NAME [--json] [--runs N]`. A benchmark is a module with `METRICS` and `measure(runs)`, entered in
`NAMES`; everything it needs (daemon, broker, clients, table) is here for the next one too. What each row means stands
in docs/benchmarks.md; a test sees to it.
"""

from typing import Final

NAMES: Final = {
    "broadcast": "an operator's word until every terminal's `delivered` is on disk",
    "storm": "a thousand alarms at once, and as many as go",
    "core": "what the core costs in time, memory and start-up",
    "voice": "what a word to a hundred listeners costs, and how soon it is heard",
}
"""Name of the module → what it measures."""
