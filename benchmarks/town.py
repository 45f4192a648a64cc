"""The site of a benchmark: pillars and patrols on an even grid, and rules that keep timers out of the measured time.

Every terminal has a patrol of its own, as in the demo city. Nobody is declared offline and nothing takes a second route
while a figure is taken, because the clients say what is measured and nothing else.
"""

from typing import Any, Final

from msgspec import Struct

SOUTH_WEST: Final = (26.88, 112.58)
STEP_DEG: Final = 0.003
"""About 300 m between neighbours."""
FORCES: Final = ("police", "auxiliary", "volunteer")
RULES: Final = {
    "presence_dead_s": 600.0,
    "position_fresh_s": 3600.0,
    "second_route_after_s": 3600.0,
    "retry_first_s": 30.0,
}


class Somebody(Struct, frozen=True):
    """A device as its client needs it."""

    id: str
    secret: str
    role: str
    lat: float
    lon: float


def devices(pillars: int, terminals: int) -> list[Somebody]:
    return [_device("pillar", n) for n in range(pillars)] + [_device("terminal", n) for n in range(terminals)]


def _device(role: str, number: int) -> Somebody:
    row, column = divmod(number, 10)
    lat, lon = SOUTH_WEST[0] + STEP_DEG * row, SOUTH_WEST[1] + STEP_DEG * column
    return Somebody(f"{role}-{number}", f"secret-of-{role}-{number}", role, round(lat, 6), round(lon, 6))


def site(who: list[Somebody], rules: dict[str, float] | None = None) -> dict[str, Any]:
    """As the command `site` takes it."""
    terminals = [one for one in who if one.role == "terminal"]
    return {
        "name": "benchmark",
        "rules": RULES if rules is None else rules,
        "unit": [{"id": "top"}, {"id": "station", "parent": "top"}],
        "patrol": [
            {"id": f"patrol-{n}", "unit": "station", "force": FORCES[n % 3]} for n in range(len(terminals))
        ],
        "device": [_entry(one) for one in who],
        "talk_group": [{"id": "all", "unit": "top", "units": ["top"]}],
    }


def _entry(one: Somebody) -> dict[str, Any]:
    if one.role == "pillar":
        return {"id": one.id, "kind": "pillar", "unit": "station", "lat": one.lat, "lon": one.lon}
    return {
        "id": one.id,
        "kind": "terminal",
        "unit": "station",
        "patrol": one.id.replace("terminal", "patrol"),
    }
